"""Expressions: how fast they are read, compiled and evaluated, beside the same thing written in Python.

    python benchmarks/bench_feel.py [--json]

Times are the best of several repetitions, in microseconds of CPU. `ratio` is the time of the compiled expression over that
of a Python function of the same meaning, so that it holds on any machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

from engine.feel import compile_expression, evaluate, parse

REPEATS = 7
VARIABLES: Mapping[str, Any] = {
    "a": Decimal(3), "b": Decimal(4), "status": "open", "order": {"total": Decimal(120)},
    "items": [{"price": Decimal(n)} for n in range(100)],
}  # fmt: skip
OPEN = frozenset({"open", "waiting"})
EXPRESSIONS: Mapping[str, Callable[[Mapping[str, Any]], object]] = {
    "a + b": lambda v: v["a"] + v["b"],
    "a < b": lambda v: v["a"] < v["b"],
    'status = "open"': lambda v: v["status"] == "open",
    'status in ("open", "waiting")': lambda v: v["status"] in OPEN,
    "a in [1..5]": lambda v: 1 <= v["a"] <= 5,
    'status = "open" and a > 2': lambda v: v["status"] == "open" and v["a"] > 2,
    "order.total > 100": lambda v: v["order"]["total"] > 100,
    "if a > 2 then b else 0": lambda v: v["b"] if v["a"] > 2 else 0,
    "count(items[price > 50])": lambda v: len([i for i in v["items"] if i["price"] > 50]),
    "for i in items return i.price * 2": lambda v: [i["price"] * 2 for i in v["items"]],
}


def microseconds(call: Callable[[], object], times: int) -> float:
    """Return the best time of one call."""
    best = float("inf")
    for _ in range(REPEATS):
        start = time.process_time()
        for _ in range(times):
            call()
        best = min(best, time.process_time() - start)
    return best / times * 1e6


def import_milliseconds() -> float:
    """Return what importing the package adds to an interpreter that has the standard library it needs."""
    code = (
        "import time, typing, re, decimal, dataclasses, contextlib, json, hashlib, base64, engine.errors; "
        "t = time.process_time(); import engine.feel; print((time.process_time() - t) * 1000)"
    )
    runs = (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        for _ in range(5)
    )
    return min(float(run.stdout) for run in runs)


def measure() -> dict[str, object]:
    """Return all figures."""
    rows = []
    for text, peer in EXPRESSIONS.items():
        compiled = compile_expression(text)
        compiled(VARIABLES)
        call = microseconds(lambda c=compiled: c(VARIABLES), 2000)  # type: ignore[misc]
        rows.append(
            {
                "expression": text,
                "call": call,
                "ratio": call / microseconds(lambda p=peer: p(VARIABLES), 2000),  # type: ignore[misc]
                "with reasons": microseconds(lambda c=compiled: c.evaluate(VARIABLES), 500),  # type: ignore[misc]
                "parse": microseconds(lambda t=text: parse(t), 300),  # type: ignore[misc]
                "compile": microseconds(lambda t=text: compile_expression(t), 300),  # type: ignore[misc]
                "evaluate, all at once": microseconds(lambda t=text: evaluate(t, VARIABLES), 50),  # type: ignore[misc]
            }
        )
    return {
        "schema": "engine.bench-feel/v1",
        "import_ms": import_milliseconds(),
        "expressions": rows,
    }


def main() -> None:
    """Print the figures."""
    found = measure()
    if "--json" in sys.argv:
        print(json.dumps(found, indent=2))
        return
    rows: Any = found["expressions"]
    heads = list(rows[0])
    print(f"import of engine.feel: {found['import_ms']:.1f} ms\n")
    print(f"{heads[0]:36s}" + "".join(f"{head:>23s}" for head in heads[1:]))
    for row in rows:
        print(f"{row['expression']:36s}" + "".join(f"{row[head]:23.2f}" for head in heads[1:]))


if __name__ == "__main__":
    main()
