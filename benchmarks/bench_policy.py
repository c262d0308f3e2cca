"""One question at a policy gateway: the embedded engine beside an OPA server and regopy, on the shipped policies.

    python benchmarks/bench_policy.py [--json]

The question is the merge policy with an input of about 2 KB. p50 and p95 over many questions, wall time, in one run.
The OPA server is started from OPA_BIN or the PATH, regopy is used when it is installed; what is missing is said.
Target: at most 1 ms p50 embedded.
"""

from __future__ import annotations

import importlib.util
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine.core.model import Json, Ruling
from engine.core.policy_values import rules_of
from engine.policy import PolicySet, ServerSettings
from engine.shipped import folder
from tests.opa import free_port, opa_binary, start

NOW = datetime(2026, 1, 1, tzinfo=UTC)
COMMIT, TREE = "a" * 40, "b" * 40


def modules() -> dict[str, str]:
    return {
        path.name: path.read_text("utf-8")
        for path in sorted(folder("policies").glob("*.rego"))
        if not path.stem.endswith("_test")
    } | {
        path.name: rules_of(path.name, path.read_bytes())
        for path in sorted(folder("policies").glob("*.yml"))
    }


def question() -> dict[str, Json]:
    """Return an input of about 2 KB that the merge policy passes."""
    changed: list[Json] = [
        {
            "path": f"src/module_{number}.py",
            "kind": "modified",
            "mode": "100644",
            "added_lines": [f"def function_{number}(value):", "    return value + 1"],
            "tasks": ["a"],
        }
        for number in range(2)
    ]
    subject: dict[str, Json] = {
        "old": "c" * 40,
        "sources": [COMMIT],
        "tree": TREE,
        "commit": "d" * 40,
    }
    return {
        "candidate": {
            **subject,
            "clean": True,
            "tasks": ["a"],
            "changed": changed,
            "undeclared": [],
            "patch_complete": True,
        },
        "gates": {
            "commit": "d" * 40,
            "result": "ok",
            "results": [
                {
                    "name": "tests",
                    "result": "ok",
                    "required": True,
                    "commit": "d" * 40,
                    "tier": "L0",
                    "milliseconds": 900,
                }
            ],
        },
        "verdicts": [
            {"kind": kind, "verdict": "pass", "seq": number, "commit": "d" * 40}
            for number, kind in enumerate(("conflict", "manifest", "budget", "validator"))
        ],
        "audit": {"entries": 40, "whole": True, "signed": 30, "reason": ""},
        "evidence": [{"commit": COMMIT, "captured": True, "verified": True}],
        "tasks": [{"task": "a", "state": "verified", "commit": COMMIT}],
        "owners": [{"task": "a", "files": {"create": ["src/"], "modify": []}}],
        "tier": {"tier": "L0", "max_level": 1, "review": False},
        "review": None,
        "spent": {"tokens": 0, "cost_micros": 0},
        "settings": {
            "security": {"level": "standard", "network": None},
            "manifest": {"enforcement": "block"},
            "budgets": {"mode": "block", "cost_micros_per_run": None, "tokens_per_task": None},
            "gates": [
                {"name": "tests", "stage": "pre_merge", "tier": "L0", "enforcement": "block"}
            ],
        },
        "waivers": [],
        "feature": "shop",
        "wave": 1,
    }


def main() -> None:
    figures = {"embedded": decide(PolicySet.load(modules()), 2_000)}
    binary = opa_binary()
    if binary is None:
        print("the OPA server was left out: set OPA_BIN", file=sys.stderr)
    else:
        port = free_port()
        with tempfile.TemporaryDirectory() as place:
            server = start(binary, port, Path(place) / "log")
            try:
                settings = ServerSettings(url=f"http://127.0.0.1:{port}")
                figures["OPA server"] = decide(PolicySet.load(modules(), server=settings), 500)
            finally:
                server.terminate()
                server.wait(10)
    if importlib.util.find_spec("regopy") is None:
        print("regopy was left out: it is not installed", file=sys.stderr)
    else:
        try:
            figures["regopy"] = regopy()
        except Exception as error:  # its error class is private
            first = str(error).strip().splitlines()[:2]
            print(
                f"regopy was left out: it does not read the policies ({' '.join(first)})",
                file=sys.stderr,
            )
    if "--json" in sys.argv:
        print(json.dumps(figures))
        return
    size = len(json.dumps(question()))
    print(f"merge policy, input of {size} bytes")
    base = figures["embedded"]["ms p50"]
    for name, values in figures.items():
        told = ", ".join(f"{value:.3f} {unit}" for unit, value in values.items())
        print(f"{name:12} {told}, {values['ms p50'] / base:.1f} of embedded")


def decide(policies: PolicySet, count: int) -> dict[str, float]:
    given = question()
    verdict = policies.decide("merge", given, NOW)
    assert verdict.ruling is Ruling.PASS, verdict
    return timed(lambda: policies.decide("merge", given, NOW), count)


def regopy() -> dict[str, float]:
    """The same policies and input on regopy, which answers with text."""
    from regopy import Interpreter

    engine = Interpreter()
    for name, text in modules().items():
        engine.add_module(name, text)
    given = {**question(), "now": NOW.isoformat()}

    def ask() -> object:
        engine.set_input(given)
        return engine.query("data.merge.allow")

    return timed(ask, 50)


def timed(ask: Callable[[], object], count: int) -> dict[str, float]:
    """Return p50 and p95 in milliseconds."""
    taken = []
    for _ in range(count):
        began = time.perf_counter()
        ask()
        taken.append(1000 * (time.perf_counter() - began))
    taken.sort()
    return {"ms p50": statistics.median(taken), "ms p95": taken[int(0.95 * count)]}


if __name__ == "__main__":
    main()
