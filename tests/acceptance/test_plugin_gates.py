"""Plugins judge a candidate after the gates of the configuration: they close, they never open; a broken one stops the start."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.conftest import Project, task

CONFIG = """
[[gates]]
name = "lint"
command = "true"

[[plugin_gates]]
name = "words"
plugin = "words"
input = {unwanted = "debt"}
"""
SPEC = {
    "id": "words",
    "version": "1.0.0",
    "title": "Words",
    "description": "Finds a word in files.",
    "category": "validation",
    "role": "gate",
    "lane": "decision",
    "operations": {
        "check": {
            "input": {
                "type": "object",
                "additionalProperties": False,
                "required": ["unwanted"],
                "properties": {"unwanted": {"type": "string"}},
            },
            "output": {"type": "object"},
        }
    },
    "timeout_s": 30,
    "capabilities": ["read_workspace"],
    "entry": ["{python}", "{plugin}/main.py"],
}
PROGRAM = """
import json, pathlib, sys
word = json.load(sys.stdin)["input"]["unwanted"]
if word == "tool":
    answer = {"result": "na", "reason_code": "TOOL_ABSENT", "reason": "no tool", "output": None}
else:
    found = [p.name for p in pathlib.Path.cwd().glob("*.txt") if word in p.read_text()]
    answer = {"result": "failed" if found else "ok", "output": {"found": found}}
    if found:
        answer |= {"reason_code": "FOUND", "reason": f"{word} is in {found[0]}"}
json.dump(answer, sys.stdout)
"""


def install(project: Project, spec: dict[str, object] = SPEC) -> Path:
    folder = project.root / ".engine" / "plugins" / "words"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plugin.spec.json").write_text(json.dumps(spec), "utf-8")
    (folder / "main.py").write_text(PROGRAM, "utf-8")
    return folder


def test_a_plugin_closes_what_the_gates_open(make_project: Callable[..., Project]) -> None:
    project = make_project("ein Projekt", CONFIG)
    install(project)
    project.write_graph([task("good", level=1), task("debt", level=2)])
    done = project.engine("run", "--feature", "shop", "--json")
    assert done.code == 1, done.err
    assert {t["id"]: t["state"] for t in done.json["tasks"]} == {
        "good": "merged",
        "debt": "blocked",
    }
    told = [(g["name"], g["wave"], g["verdict"]) for g in done.json["gates"] if g["name"] != "policy merge" and g["verdict"] != "na"]  # fmt: skip
    assert told == [
        ("lint", 1, "ok"),
        ("words", 1, "ok"),
        ("lint", 2, "ok"),
        ("words", 2, "failed"),
    ]
    why = project.engine("why", "debt").out
    assert "words: failed: debt is in debt.txt" in why
    (exported,) = (project.root / ".engine/ledger").glob("*/*.jsonl")
    calls = [line for line in exported.read_text("utf-8").splitlines() if "plugin.called" in line]
    assert [json.loads(line)["body"]["result"] for line in calls] == ["ok", "failed"]
    for proof in (("ledger", "verify"), ("replay",)):
        assert project.engine(*proof).code == 0


def test_what_a_plugin_cannot_judge_is_closed(make_project: Callable[..., Project]) -> None:
    project = make_project(configuration=CONFIG.replace("debt", "tool"))
    install(project)
    project.write_graph([task("good")])
    done = project.engine("run", "--feature", "shop", "--json")
    assert (done.code, done.json["tasks"][0]["state"]) == (1, "blocked")
    assert "plugin words could not judge: no tool" in str(done.json["gates"])


def test_a_plugin_that_is_needed_and_broken_stops_the_start(
    make_project: Callable[..., Project],
) -> None:
    project = make_project(configuration=CONFIG)
    base = project.git("rev-parse", "HEAD")
    project.write_graph([task("good")])
    absent = project.engine("run", "--feature", "shop", "--json")
    assert (absent.code, absent.json["status"]) == (1, "blocked")
    assert absent.json["notices"] == ["gate words needs plugin words: it is not installed"]
    install(project, {**SPEC, "lane": "both"})
    broken = project.engine("run", "--feature", "shop", "--json")
    assert (broken.code, broken.json["status"]) == (1, "blocked")
    assert "gate words needs plugin words" in broken.json["notices"][0]
    assert "lane" in broken.json["notices"][0]
    install(project, {**SPEC, "category": "acquisition"})
    other = project.engine("run", "--feature", "shop", "--json")
    assert "expected category validation, but got acquisition" in other.json["notices"][0]
    assert project.branch() in {None, base}
    install(project)
    assert project.engine("run", "--feature", "shop").code == 0
