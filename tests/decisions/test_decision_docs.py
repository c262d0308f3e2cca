"""What the documentation of decisions shows is what happens."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from engine.cli import main
from engine.decisions import DecisionModel, analyse
from engine.decisions.cases import play, read_cases

ROOT = Path(__file__).parents[2]
REFERENCE = (ROOT / "docs/reference/decisions.md").read_text("utf-8")
HOWTO = (ROOT / "docs/howto/write-a-decision.md").read_text("utf-8")

NEW_ROW = """<rule id="patience"><description>Networks recover.</description>
<inputEntry id="p1"><text>"timeout"</text></inputEntry><inputEntry id="p2"><text>&lt; 5</text></inputEntry>
<inputEntry id="p3"><text>-</text></inputEntry><inputEntry id="p4"><text>-</text></inputEntry>
<inputEntry id="p5"><text>-</text></inputEntry><outputEntry id="p6"><text>"retry"</text></outputEntry>
<outputEntry id="p7"><text>30</text></outputEntry><outputEntry id="p8"><text>5</text></outputEntry>
<outputEntry id="p9"><text>"networks recover"</text></outputEntry></rule>
      <rule id="retry_used_up">"""


def blocks(text: str, language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", body, flags=re.MULTILINE) for indent, body in found]


def commands(text: str) -> list[str]:
    """Return the commands about the shipped decisions."""
    lines = [line for block in blocks(text, "console") for line in block.splitlines()]
    return [line[2:] for line in lines if re.match(r"\$ engine decision \S+ decisions\b", line)]


@pytest.mark.parametrize("command", commands(REFERENCE) + commands(HOWTO))
def test_commands_of_the_documentation_end_well(
    command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    with pytest.raises(SystemExit) as end:
        main(shlex.split(command)[1:])
    assert end.value.code == 0


def test_the_shown_output_is_the_real_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)
    shown = blocks(HOWTO, "console")[-1]
    command, _, output = shown.partition("\n")
    with pytest.raises(SystemExit):
        main(shlex.split(command)[2:])
    assert capsys.readouterr().out == output


def test_the_library_example_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    space: dict[str, object] = {}
    exec(blocks(REFERENCE, "python")[0], space)
    assert space["findings"] == ()


def test_the_cases_of_the_reference_pass() -> None:
    (text,) = blocks(REFERENCE, "yaml")
    model = DecisionModel.load(ROOT / "decisions/retry_policy.dmn")
    assert [r.problems for r in play(model, read_cases(text.encode(), "reference"))] == [(), ()]


def test_the_row_of_the_howto_works(tmp_path: Path) -> None:
    copy = tmp_path / "retry_policy.dmn"
    shutil.copy(ROOT / "decisions/retry_policy.dmn", copy)
    copy.write_text(
        copy.read_text("utf-8").replace('<rule id="retry_used_up">', NEW_ROW, 1), "utf-8"
    )
    (case,) = blocks(HOWTO, "yaml")
    model = DecisionModel.load(copy)
    suite = read_cases(f"decision: retry_policy\ncases:\n{case}".encode(), "howto")
    assert [r.problems for r in play(model, suite)] == [()]
    assert analyse(model) == ()
