"""`engine process test`: what it finds, prints and exits with."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from engine.cli import process, scenario_files
from engine.errors import UsageError
from tests.core.drawing import draw

GOOD = {"process": "p", "expect": {"end": "End", "incident": False}}
BAD = {"process": "p", "expect": {"end": "Other", "vars": {"x": 1}}}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "greet.bpmn").write_bytes(draw("start Start\nend End\nStart -> End"))
    (tmp_path / "greet.json").write_text(json.dumps(GOOD))
    (tmp_path / "other.json").write_text("{}")
    return tmp_path


def test_all_hold(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "greet.again.yaml").write_text(
        "process: p\nvars: {day: 2026-01-02, n: 1.5}\nexpect: {end: End, vars: {day: '2026-01-02', n: 1.5}}\n"
    )
    assert process.test([folder], as_json=True) == 0
    assert json.loads(capsys.readouterr().out) == {
        "schema": "engine.process-test/v1",
        "scenarios": [
            {"file": str(folder / "greet.again.yaml"), "ok": True, "differences": []},
            {"file": str(folder / "greet.json"), "ok": True, "differences": []},
        ],
        "passed": 2,
        "failed": 0,
    }


def test_some_differ(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "greet.wrong.json").write_text(json.dumps(BAD))
    assert process.test([folder / "greet.bpmn"], as_json=True) == 1
    told = json.loads(capsys.readouterr().out)
    assert (told["passed"], told["failed"]) == (1, 1)
    assert told["scenarios"][1] == {
        "file": str(folder / "greet.wrong.json"),
        "ok": False,
        "differences": [
            {"what": "end", "expected": "Other", "got": "End"},
            {"what": "vars.x", "expected": 1, "got": "(absent)"},
        ],
    }
    assert process.test([folder / "greet.wrong.json"], as_json=False) == 1
    assert 'end: expected "Other", but got "End"' in capsys.readouterr().out


STOPS = """
start Start
service Work  type=work
user Ask
end End
Start -> Work -> Ask -> End
"""


@pytest.mark.parametrize(
    ("scenario", "told"),
    [
        (
            {"jobs": {"wrok": [{}]}, "expect": {"end": "End", "path": ["Start", "Work", "End"]}},
            [
                'end: expected "End", but got null',
                "path: after Start expected Work, but got nothing more",
                "  expected Start → Work → End",
                "  got      Start",
                "note: not finished: Work",
                'note: no task of the diagram has the type "wrok"; did you mean work?',
            ],
        ),
        (
            {"jobs": {"work": [{"fail": 3}]}, "expect": {"counts": {"Wrok": 1}}},
            [
                "counts.Wrok: expected 1, but got 0",
                "note: not finished: Work",
                'note: incident JOB_FAILED: "Work" (Work): no retries are left; the last attempt failed '
                "(scenario): the scenario lets this attempt fail",
                'note: "Wrok" is no element of the diagram; did you mean Work?',
            ],
        ),
        (
            {"jobs": {"work": [{}]}, "facts": [{"complete": "Ask"}], "expect": {"path": ["Start"]}},
            [
                "path: after Start expected nothing more, but got Work",
                "  expected Start",
                "  got      Start → Work → Ask → End",
            ],
        ),
    ],
    ids=["a misspelt job", "an incident", "a longer path"],
)
def test_a_difference_says_where_and_why(
    folder: Path,
    scenario: dict[str, object],
    told: list[str],
    capsys: pytest.CaptureFixture[str],
) -> None:
    (folder / "stops.bpmn").write_bytes(draw(STOPS))
    file = folder / "stops.json"
    file.write_text(json.dumps({"process": "p", **scenario}))
    assert process.test([file]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.removeprefix("    ") for line in lines[1:-1]] == told


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("{", "expected JSON"),
        ('{"process": "p"}', "expect"),
        ('{"process": "p", "expect": {"ende": null}}', "ende"),
        ('{"process": "p", "expect": {}, "facts": [{"jump": 1}]}', "facts"),
        ('{"process": "p", "expect": {}, "facts": [{"advance": "1 hour"}]}', "facts"),
        ('{"process": "p", "expect": {}, "also": ["gone.dmn"]}', "gone.dmn"),
        ('{"process": "q", "expect": {}}', "no process 'q'"),
        ('{"process": "p", "diagram": "gone.bpmn", "expect": {}}', "gone.bpmn"),
        ('{"process": "p", "vars": {"n": NaN}, "expect": {}}', "NaN"),
    ],
)
def test_invalid_scenarios(
    folder: Path, content: str, told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "greet.broken.json").write_text(content)
    assert process.test([folder], as_json=True) == 3
    (difference,) = json.loads(capsys.readouterr().out)["scenarios"][0]["differences"]
    assert told in difference["got"]


def test_an_invalid_diagram(folder: Path) -> None:
    (folder / "greet.bpmn").write_bytes(
        draw("start Start\nxor Gw\nend End\nStart -> Gw\nGw -> End : 1 +")
    )
    report = scenario_files.run(folder / "greet.json")
    assert "greet.bpmn" in report.invalid


@pytest.mark.parametrize("name", ["gone", "empty"])
def test_paths_that_mean_no_scenario(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match=name):
        scenario_files.find([tmp_path / name])


BROKEN = "start Start\nxor Gw\ncall Call  process=nowhere\nend End\nStart -> Gw\nGw -> Call : n >\nGw -> End default\nCall -> End"


def test_lint_names_file_line_and_element(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "broken.bpmn").write_bytes(draw(BROKEN, "broken"))
    assert process.lint([folder], format_=process.LintFormat.json) == 3
    told = json.loads(capsys.readouterr().out)
    assert told["schema"] == "engine.process-lint/v1"
    assert told["files"] == [str(folder / "broken.bpmn"), str(folder / "greet.bpmn")]
    errors = [item for item in told["findings"] if item["severity"] == "error"]
    assert {item["file"] for item in errors} == {str(folder / "broken.bpmn")}
    assert all(item["line"] > 1 and item["rule"] for item in errors)
    assert process.lint([folder / "greet.bpmn"]) == 0
    assert capsys.readouterr().out.endswith("1 file checked: 1 to know\n")


def test_lint_for_machines(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = "start Start\ncall Call  process=nowhere\nend End\nStart -> Call -> End"
    (folder / "calls.bpmn").write_bytes(draw(text, "calls"))
    assert process.lint([folder / "calls.bpmn"], format_=process.LintFormat.sarif) == 3
    results = json.loads(capsys.readouterr().out)["runs"][0]["results"]
    said = [(result["ruleId"], result["level"]) for result in results]
    assert said == [("no-bpmndi", "note"), ("unknown-process", "error")]
    assert process.lint([folder / "calls.bpmn"], format_=process.LintFormat.github) == 3
    out = capsys.readouterr().out
    assert "::error file=" in out
    assert "title=unknown-process::" in out


def test_lint_sees_the_bundle_around_a_process_folder(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("process", "decisions"):
        (tmp_path / name).mkdir()
    text = "start S\nrule R  decision=retry; result=r\nend E\nS -> R -> E"
    (tmp_path / "process" / "p.bpmn").write_bytes(draw(text))
    assert process.lint([tmp_path / "process" / "p.bpmn"]) == 3
    dmn = Path(__file__).parent / "diagrams" / "retry.dmn"
    (tmp_path / "decisions" / "retry.dmn").write_bytes(dmn.read_bytes())
    assert process.lint([tmp_path / "process" / "p.bpmn"]) == 0
