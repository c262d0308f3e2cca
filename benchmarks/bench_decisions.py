"""Decision tables: how fast they load, answer, explain and are analysed, beside the peers that are installed.

    python benchmarks/bench_decisions.py [--json]

Times are the best of several repetitions, in microseconds of CPU for one evaluation unless another unit is named.
The peers are measured in the same run, so that ratios hold on any machine.
"""

from __future__ import annotations

import importlib.util
import json
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

from engine.decisions import DecisionModel, analyse

REPEATS = 7
SAMPLES = 1000
STATES = [f"state {n}" for n in range(12)]
KINDS = ["new", "old", "vip"]


def cells(rule: int, rules: int) -> tuple[str, str, str]:
    """Return the input cells of a rule: a set of texts, a range of numbers, a text."""
    chosen = random.Random(rule)
    last = rule == rules - 1
    low = chosen.randrange(0, 900)
    states = ", ".join(f'"{s}"' for s in sorted(chosen.sample(STATES, 3)))
    return (
        "-" if last else states,
        "-" if last else f"[{low}..{low + chosen.randrange(20, 100)})",
        "-" if last else f'"{chosen.choice(KINDS)}"',
    )


def unique_cells(rule: int, rules: int) -> tuple[str, str, str]:
    """Return cells that never overlap: the ranges follow each other."""
    low = rule * 50
    states = ", ".join(f'"{s}"' for s in STATES[rule % 6 : rule % 6 + 6])
    return states, f"[{low}..{low + 50})", "-" if rule % 2 else '"vip", "new"'


def table(hit: str, rules: int, columns: int = 3) -> bytes:
    """Return a DMN file with one table of so many rules; further columns are ranges of numbers."""
    make = unique_cells if hit == "UNIQUE" else cells
    names = ["state", "amount", "kind", *(f"extra{n}" for n in range(columns - 3))]
    types = ["string", "number", "string", *(["number"] * (columns - 3))]
    rows = []
    for rule in range(rules):
        inputs = [
            *make(rule, rules),
            *(f"[{rule % 7 * 10}..{rule % 7 * 10 + 40}]" for _ in names[3:]),
        ]
        row = "".join(
            f"<inputEntry><text>{cell.replace('<', '&lt;')}</text></inputEntry>" for cell in inputs
        )
        outputs = f'<outputEntry><text>"r{rule}"</text></outputEntry><outputEntry><text>{rule}</text></outputEntry>'
        rows.append(f'<rule id="r{rule}">{row}{outputs}</rule>')
    data = "".join(
        f'<inputData id="i_{n}" name="{n}"><variable name="{n}" typeRef="{t}"/></inputData>'
        for n, t in zip(names, types, strict=True)
    )
    needs = "".join(
        f'<informationRequirement><requiredInput href="#i_{n}"/></informationRequirement>'
        for n in names
    )
    clauses = "".join(
        f'<input><inputExpression typeRef="{t}"><text>{n}</text></inputExpression></input>'
        for n, t in zip(names, types, strict=True)
    )
    return (
        '<definitions xmlns="https://www.omg.org/spec/DMN/20230324/MODEL/" id="bench" name="bench" namespace="urn:b">'
        f'{data}<decision id="answer" name="answer"><variable name="answer"/>{needs}'
        f'<decisionTable id="t" hitPolicy="{hit}">{clauses}<output name="code" typeRef="string"/>'
        f'<output name="rank" typeRef="number"/>{"".join(rows)}</decisionTable></decision></definitions>'
    ).encode()


def inputs(seed: int = 1, columns: int = 3) -> list[dict[str, Any]]:
    """Return random inputs."""
    chosen = random.Random(seed)
    return [
        {
            "state": chosen.choice(STATES),
            "amount": chosen.randrange(0, 1000),
            "kind": chosen.choice(KINDS),
            **{f"extra{n}": chosen.randrange(0, 100) for n in range(columns - 3)},
        }
        for _ in range(SAMPLES)
    ]


def per_call(call: Callable[[Any], Any], given: Sequence[Any], repeats: int = REPEATS) -> float:
    """Return the microseconds of CPU for one call, best of `repeats`."""
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time_ns()
        for one in given:
            call(one)
        best = min(best, time.process_time_ns() - start)
    return best / len(given) / 1000


def once(call: Callable[[], Any], repeats: int = REPEATS) -> float:
    """Return the milliseconds of CPU for one call, best of `repeats`."""
    return per_call(lambda _: call(), [None], repeats) / 1000


def if_chain(rules: int) -> Callable[[Mapping[str, Any]], Any]:
    """Return the FIRST table as a person would write it in Python."""
    lines = [
        "def decide(given):",
        " state, amount, kind = given['state'], given['amount'], given['kind']",
    ]
    for rule in range(rules - 1):
        states, amount, kind = cells(rule, rules)
        low, high = amount[1:-1].split("..")
        lines.append(
            f" if state in ({states}) and {low} <= amount < {high} and kind == {kind}:"
            f" return {{'code': 'r{rule}', 'rank': {rule}}}"
        )
    lines.append(f" return {{'code': 'r{rules - 1}', 'rank': {rules - 1}}}")
    space: dict[str, Any] = {}
    exec("\n".join(lines), space)
    made: Callable[[Mapping[str, Any]], Any] = space["decide"]
    return made


def ours() -> dict[str, float]:
    """Return our own figures."""
    first = DecisionModel.load(table("FIRST", 20))
    unique = DecisionModel.load(table("UNIQUE", 20))
    large = DecisionModel.load(table("FIRST", 1000, 4))
    given, wide = inputs(), inputs(columns=4)
    decimals = [{**g, "amount": Decimal(g["amount"])} for g in given]
    found = {
        "FIRST 20x3, compiled": per_call(first.decision("answer").function, given),
        "FIRST 20x3, compiled, Decimal inputs": per_call(
            first.decision("answer").function, decimals
        ),
        "UNIQUE 20x3, compiled": per_call(unique.decision("answer").function, given),
        "FIRST 20x3, evaluate": per_call(lambda g: first.evaluate("answer", g), given),
        "FIRST 20x3, explain": per_call(lambda g: first.explain("answer", g), given),
        "UNIQUE 20x3, explain": per_call(lambda g: unique.explain("answer", g), given),
        "FIRST 20x3, explain and to_json": per_call(
            lambda g: first.explain("answer", g).to_json(), given
        ),
        "FIRST 1000x4, compiled": per_call(large.decision("answer").function, wide),
        "if-chain by hand, 20x3": per_call(if_chain(20), given),
    }
    twenty, thousand = table("FIRST", 20), table("FIRST", 1000, 4)
    found["load and compile 20x3 (ms)"] = once(
        lambda: DecisionModel.load(twenty).decision("answer").function
    )
    found["load and compile 1000x4 (ms)"] = once(
        lambda: DecisionModel.load(thousand).decision("answer").function, 3
    )
    found["lint 20x3 (ms)"] = once(lambda: analyse(first))
    for hit in ("FIRST", "UNIQUE"):
        model = DecisionModel.load(table(hit, 300, 4))
        found[f"lint 300x4 {hit} (ms)"] = once(lambda model=model: analyse(model), 3)  # type: ignore[misc]
    return found


# --- peers ---


def same_task(name: str, code: Callable[[Mapping[str, Any]], Any]) -> None:
    """Refuse to compare with a peer that does not give our answers."""
    model = DecisionModel.load(table("FIRST", 20))
    for given in inputs()[:50]:
        ours, theirs = model.evaluate("answer", given)["code"], code(given)
        if ours != theirs:
            raise SystemExit(f"{name} answers {theirs!r} where we answer {ours!r} for {given}")


def spiff() -> float | None:
    """SpiffWorkflow's own table, with cells in Python, which is what it evaluates."""
    if importlib.util.find_spec("SpiffWorkflow") is None:
        return None
    from types import SimpleNamespace

    from SpiffWorkflow.bpmn.script_engine import PythonScriptEngine
    from SpiffWorkflow.dmn.engine.DMNEngine import DMNEngine
    from SpiffWorkflow.dmn.specs.model import (
        DecisionTable,
        Input,
        InputEntry,
        Output,
        OutputEntry,
        Rule,
    )

    made = DecisionTable("t", "t", "UNIQUE")
    columns = [
        Input(n, n, n, n, t)
        for n, t in (("state", "string"), ("amount", "number"), ("kind", "string"))
    ]
    made.inputs.extend(columns)
    output = Output("code", "code", "code", "string")
    made.outputs.append(output)
    for number in range(20):
        states, amount, kind = cells(number, 20)
        low, _, high = amount[1:-1].partition("..")
        tests = (
            ("", "", "")
            if states == "-"
            else (f"? in [{states}]", f"{low} <= ? < {high}", f"? == {kind}")
        )
        rule = Rule(f"r{number}")
        for column, test in zip(columns, tests, strict=True):
            entry = InputEntry("i", column)
            entry.lhs = [test] if test else []
            rule.inputEntries.append(entry)
        answer = OutputEntry("o", output)
        answer.text = answer.parsedRef = f'"r{number}"'
        rule.outputEntries.append(answer)
        made.rules.append(rule)
    engine = DMNEngine(made)
    task_spec = SimpleNamespace(bpmn_name="t", name="t", file="t")
    workflow = SimpleNamespace(script_engine=PythonScriptEngine())

    def decide(given: Mapping[str, Any]) -> Any:
        task = SimpleNamespace(
            data=dict(given), workflow=workflow, task_spec=task_spec, id="t", get_name=lambda: "t"
        )
        task.workflow.top_workflow = workflow
        return engine.result(task)

    same_task("SpiffWorkflow", lambda given: decide(given)["code"])
    return per_call(decide, inputs()[:200], 3)


def zen() -> float | None:
    """The Rust engine of PyPI; its expressions are not FEEL."""
    if importlib.util.find_spec("zen") is None:
        return None
    import zen  # type: ignore[import-not-found]  # a peer, installed only where it is measured

    rules = []
    for number in range(20):
        states, amount, kind = cells(number, 20)
        blank = {"state": "", "amount": "", "kind": ""}
        full = {"state": states, "amount": amount, "kind": kind}
        rules.append(
            {
                "_id": str(number),
                **(blank if states == "-" else full),
                "code": f'"r{number}"',
                "rank": str(number),
            }
        )
    content = {
        "hitPolicy": "first",
        "inputs": [
            {"id": n, "type": "expression", "field": n, "name": n}
            for n in ("state", "amount", "kind")
        ],
        "outputs": [
            {"id": n, "type": "expression", "field": n, "name": n} for n in ("code", "rank")
        ],
        "rules": rules,
    }
    nodes = [
        {"id": "in", "type": "inputNode", "name": "in"},
        {"id": "t", "type": "decisionTableNode", "name": "t", "content": content},
        {"id": "out", "type": "outputNode", "name": "out"},
    ]
    edges = [
        {"id": "1", "sourceId": "in", "targetId": "t", "type": "edge"},
        {"id": "2", "sourceId": "t", "targetId": "out", "type": "edge"},
    ]
    decision = zen.ZenEngine().create_decision(json.dumps({"nodes": nodes, "edges": edges}))
    same_task("zen", lambda given: decision.evaluate(given)["result"]["code"])
    return per_call(decision.evaluate, inputs()[:200], 3)


FEELIN = """
const { unaryTest } = require(process.argv[1]);
const { rules, given } = JSON.parse(require('fs').readFileSync(0));
const decide = g => rules.find(r => r.every(([n, c]) => c === '-' || unaryTest(c, { '?': g[n] }) === true
  || unaryTest(c, { '?': g[n] }).value === true));
given.slice(0, 20).forEach(decide);
const start = process.cpuUsage();
given.forEach(decide);
const used = process.cpuUsage(start);
console.log((used.user + used.system) / given.length);
"""


def feelin() -> float | None:
    """The FEEL of Camunda's modeller, under node, if `FEELIN` names the folder of the npm package."""
    import os

    folder = os.environ.get("FEELIN")
    if folder is None or shutil.which("node") is None:
        return None
    rules = [list(zip(("state", "amount", "kind"), cells(n, 20), strict=True)) for n in range(20)]
    fed = json.dumps({"rules": rules, "given": inputs()[:200]})
    done = subprocess.run(
        ["node", "-e", FEELIN, str(Path(folder).resolve())],
        input=fed,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return float(done.stdout)


TARGETS = {
    "FIRST 20x3, compiled": 1.0,
    "UNIQUE 20x3, compiled": 1.5,
    "FIRST 20x3, evaluate": 5.0,
    "FIRST 20x3, explain": 25.0,
    "UNIQUE 20x3, explain": 25.0,
    "load and compile 20x3 (ms)": 5.0,
    "FIRST 1000x4, compiled": 5.0,
    "lint 20x3 (ms)": 5.0,
    "lint 300x4 FIRST (ms)": 1000.0,
    "lint 300x4 UNIQUE (ms)": 1000.0,
}


#: how each peer comes to be there
PEERS = {
    "SpiffWorkflow DMN": "pip install SpiffWorkflow",
    "zen-engine": "pip install zen-engine",
    "feelin (node)": "npm install feelin, and FEELIN=node_modules/feelin",
}


def measure() -> dict[str, Any]:
    """Return all figures, with targets and ratios."""
    figures = ours()
    peers = {"SpiffWorkflow DMN": spiff(), "zen-engine": zen(), "feelin (node)": feelin()}
    mine = figures["FIRST 20x3, compiled"]
    return {
        "figures": {name: round(value, 3) for name, value in figures.items()},
        "targets": TARGETS,
        "missed": [name for name, most in TARGETS.items() if figures[name] > most],
        "peers": {
            name: None if value is None else round(value, 1) for name, value in peers.items()
        },
        "times slower than we": {
            name: None if value is None else round(value / figures["FIRST 20x3, evaluate"])
            for name, value in peers.items()
        },
        "of the if-chain": round(mine / figures["if-chain by hand, 20x3"], 2),
    }


def main() -> None:
    """Print the figures."""
    found = measure()
    if "--json" in sys.argv:
        print(json.dumps({"schema": "engine.bench-decisions/v1", **found}))
        return
    for name, value in found["figures"].items():
        target = TARGETS.get(name)
        print(f"{name:42} {value:10.3f}" + (f"   target {target:g}" if target else ""))
    for name, value in found["peers"].items():
        ratio = found["times slower than we"][name]
        print(
            f"{name:42} "
            + (
                f"not installed: {PEERS[name]}"
                if value is None
                else f"{value:10.1f}   {ratio} x evaluate"
            )
        )
    print(f"{'compiled FIRST, of the if-chain':42} {found['of the if-chain']:10.2f}   target 2")
    print("targets missed: " + (", ".join(found["missed"]) or "none"))


if __name__ == "__main__":
    main()
