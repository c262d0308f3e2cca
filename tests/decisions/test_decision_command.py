"""`engine decision`: what is printed, and with which code it ends."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from dmn_writing import decision, dmn, input_data, literal, table

from engine.cli import main

FOLDER = Path(__file__).parents[2] / "decisions"
RETRY = str(FOLDER / "retry_policy.dmn")
GIVEN = '{"failure_class": "timeout", "failure_count": 1, "max_attempts": 3, "tags": []}'


@pytest.fixture
def engine(capsys: pytest.CaptureFixture[str]) -> Any:
    def run(*arguments: str) -> tuple[int, str, str]:
        """Return exit code, standard output, standard error."""
        with pytest.raises(SystemExit) as end:
            main(["decision", *arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return int(end.value.code or 0), out, err

    return run


@pytest.fixture
def file(tmp_path: Path) -> Any:
    def write(*elements: str, name: str = "risk.dmn") -> str:
        path = tmp_path / name
        path.write_bytes(dmn(*elements, namespace=f"urn:{name}"))
        return str(path)

    return write


ADULT = (
    input_data("age", "number"),
    decision("adult", table(["age: number"], ["adult: string"], ['>= 18 || "yes"', '< 18 || "no"']), inputs=["age"]),
)  # fmt: skip
OVERLAP = (
    input_data("age", "number"),
    decision("adult", table(["age: number"], ["adult: string"], ['>= 18 || "yes"', '<= 18 || "no"']), inputs=["age"]),
)  # fmt: skip


def test_eval_answers_the_only_decision(engine: Any) -> None:
    code, out, _ = engine("eval", RETRY, "--input", GIVEN)
    assert (code, json.loads(out)["action"]) == (0, "retry")


def test_eval_prints_text_bare_and_takes_inputs_from_a_file(
    engine: Any, file: Any, tmp_path: Path
) -> None:
    (tmp_path / "in.json").write_text('{"age": 20}')
    assert engine("eval", file(*ADULT), "-i", f"@{tmp_path / 'in.json'}") == (0, "yes\n", "")


def test_eval_as_json_keeps_every_digit(engine: Any, file: Any) -> None:
    path = file(input_data("n", "number"), decision("same", literal("n"), inputs=["n"]))
    digits = "12345678901234567890.123456789"
    assert engine("eval", path, "-i", f'{{"n": {digits}}}', "--json") == (
        0,
        f'{{"schema":"engine.decision-eval/v1","decision":"same","value":{digits},"outcome":"evaluated","warnings":[]}}\n',
        "",
    )


def test_eval_explains_in_words_and_as_json(engine: Any) -> None:
    _, out, _ = engine("eval", RETRY, "--input", GIVEN, "--explain")
    assert "row 12 matched: Everything a second attempt may cure" in out
    _, out, _ = engine("eval", RETRY, "--input", GIVEN, "--explain", "--json")
    (record,) = json.loads(out)["decisions"]
    assert [rule["id"] for rule in record["rules"]] == ["retry_again"]


def test_eval_says_why_nothing_matches(engine: Any, file: Any) -> None:
    code, out, err = engine("eval", file(*ADULT), "-i", "{}")
    assert (code, out) == (0, "null\n")
    assert err.splitlines() == ["warning: adult: age is null", "warning: adult: no rule matches"]


def test_eval_fails_when_rows_contradict_each_other(engine: Any, file: Any) -> None:
    code, out, err = engine("eval", file(*OVERLAP), "-i", '{"age": 18}')
    assert (code, out) == (1, "null\n")
    assert err == "warning: adult: UNIQUE permits one rule, but rows 1, 2 match\n"


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["eval", "nowhere.dmn"], 2, "nowhere.dmn: expected a file to read, but got no such file or directory"),
        (["eval", RETRY, "-i", "{"], 2, "--input: expected a JSON object"),
        (["eval", RETRY, "-i", "[1]"], 2, "--input: expected a JSON object, but got list"),
        (["eval", RETRY, "-i", '{"a": NaN}'], 2, "NaN, which is no JSON"),
        (["eval", RETRY, "-d", "retri_policy"], 3, "Did you mean retry_policy?"),
        (["eval", str(FOLDER / "worker_count.dmn")], 2, "expected --decision, one of worker_count, base_workers"),
        (["eval", RETRY, "-d", "a", "--service", "b"], 2, "expected --decision or --service"),
        (["lint", "nowhere.dmn"], 2, "nowhere.dmn: expected a file to read"),
        (["test", "nowhere.dmn"], 2, "expected test cases in nowhere.test.yaml beside it"),
        (["render", str(FOLDER / "retry_policy.test.yaml")], 3, "expected well-formed XML"),
    ],
)  # fmt: skip
def test_a_wrong_call_says_what_to_do(
    engine: Any, arguments: list[str], code: int, message: str
) -> None:
    found, out, err = engine(*arguments)
    assert (found, out) == (code, "")
    assert message in err


def test_lint_is_silent_about_the_shipped_tables(engine: Any) -> None:
    count = len(list(FOLDER.glob("*.dmn")))
    assert engine("lint", str(FOLDER)) == (0, f"{count} files checked: nothing to report\n", "")


def test_lint_ends_with_three_for_errors_and_prints_four_forms(engine: Any, file: Any) -> None:
    path = file(*OVERLAP)
    code, out, _ = engine("lint", path)
    assert (code, out.splitlines()[-1]) == (3, "1 file checked: 1 error")
    code, out, _ = engine("lint", path, "--json")
    body = json.loads(out)
    assert (code, body["schema"], body["errors"]) == (3, "engine.decision-lint/v1", 1)
    _, out, _ = engine("lint", path, "--format", "sarif")
    assert json.loads(out)["version"] == "2.1.0"
    _, out, _ = engine("lint", path, "--format", "github")
    assert out.startswith(f"::error file={path},line=3,title=overlap::")


def test_lint_reports_a_file_that_cannot_be_loaded(engine: Any, file: Any) -> None:
    code, out, _ = engine("lint", file(decision("a", literal("a"), decisions=["a"])))
    assert code == 3
    assert "error: expected requirements without a cycle, but got a → a [definition]" in out


def test_lint_strict_counts_warnings(engine: Any, file: Any) -> None:
    gap = table(["age: number"], ["o"], [">= 18 || 1", "< 17 || 2"])
    path = file(input_data("age", "number"), decision("d", gap, inputs=["age"]))
    assert (engine("lint", path)[0], engine("lint", path, "--strict")[0]) == (0, 3)


def test_the_shipped_tables_pass_their_tests(engine: Any) -> None:
    code, out, _ = engine("test", str(FOLDER), "--json")
    body = json.loads(out)
    assert (code, body["failed"]) == (0, 0)
    assert body["passed"] == len(body["cases"]) > 60


def test_test_tells_what_differs(engine: Any, file: Any, tmp_path: Path) -> None:
    path = file(*ADULT)
    (tmp_path / "risk.test.yaml").write_text(
        "decision: adult\ncases:\n"
        "  - {name: grown up, inputs: {age: 18}, expect: yes}\n"
        "  - {name: wrong, inputs: {age: 3}, expect: yes, rules: [1]}\n"
    )
    code, out, _ = engine("test", path)
    assert code == 1
    assert out.splitlines() == [
        f'{tmp_path}/risk.test.yaml case 2: wrong: adult: expected "yes", but got "no"',
        f"{tmp_path}/risk.test.yaml case 2: wrong: adult: expected rows [1] to match, but got [2]",
        "1 passed, 1 failed",
    ]


TCK = """<testCases xmlns="http://www.omg.org/spec/DMN/20160719/testcase"
 xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"><modelName>risk.dmn</modelName>
<testCase id="1"><inputNode name="age"><value xsi:type="xsd:decimal">18</value></inputNode>
<resultNode name="adult"><expected><value xsi:type="xsd:string">{}</value></expected></resultNode></testCase></testCases>"""


@pytest.mark.parametrize(("expected", "code"), [("yes", 0), ("no", 1)])
def test_test_plays_the_xml_of_the_test_kit(
    engine: Any, file: Any, tmp_path: Path, expected: str, code: int
) -> None:
    file(*ADULT)
    (tmp_path / "cases.xml").write_text(TCK.format(expected))
    assert engine("test", str(tmp_path / "cases.xml"))[0] == code


def test_imports_are_found_beside_the_file(engine: Any, file: Any) -> None:
    file(decision("base", literal("40")), name="other.dmn")
    path = file(
        '<import name="o" namespace="urn:other.dmn" importType="https://www.omg.org/spec/DMN/20230324/MODEL/"/>',
        decision("d", literal("o.base + 2"), decisions=["urn:other.dmn#base"]),
    )
    assert engine("eval", path) == (0, "42\n", "")


def test_render_prints_a_grid_or_markdown(engine: Any, tmp_path: Path) -> None:
    shutil.copy(FOLDER / "merge_conflict.dmn", tmp_path)
    _, out, _ = engine("render", str(tmp_path / "merge_conflict.dmn"), "--format", "markdown")
    assert '| 1 | 1 | "run_again" |' in out
    _, out, _ = engine("render", str(tmp_path / "merge_conflict.dmn"), "--json")
    assert json.loads(out)["text"].startswith("What follows a merge conflict\n====")
