"""docs/howto/model-in-camunda-modeler.md: its commands run, its output is the real one."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from engine.cli import main
from tests.bpmn.editing import between

HOWTO = Path(__file__).parents[2] / "docs/howto/model-in-camunda-modeler.md"
BLOCKS = re.compile(r"^```console\n\$ (.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DIAGRAM = Path("lock/process/deliver_wave.bpmn")


def edit_in_the_modeller() -> None:
    drawn = between("Flow_10_May_merge_Merge", "userTask", "Approve_merge", "Approve the merge")
    DIAGRAM.write_bytes(drawn(DIAGRAM.read_bytes()))


def engine(command: list[str]) -> int:
    with pytest.raises(SystemExit) as end:
        main(command)
    return int(end.value.code or 0)


def test_the_commands_of_the_howto(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    run = 0
    for command, output in BLOCKS.findall(HOWTO.read_text("utf-8")):
        program, *arguments = shlex.split(command)
        if program == "cp":
            shutil.copy(*arguments)
            edit_in_the_modeller()
        else:
            assert engine(arguments) == (1 if "differs" in output else 0)
            told = capsys.readouterr().out
            assert told == output or not output
        run += 1
    assert run == 5
    assert list(Path(".camunda/element-templates").glob("command.run.json"))


def test_the_scenario_holds_again_when_it_says_who_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert engine(["bundle", "copy", "lock"]) == 0
    edit_in_the_modeller()
    (fact,) = re.findall(r"```json\n(.*?)```", HOWTO.read_text("utf-8"), re.DOTALL)
    scenario = DIAGRAM.with_suffix(".json")
    told = json.loads(scenario.read_text("utf-8"))
    scenario.write_text(json.dumps(told | {"facts": [*told["facts"], json.loads(fact)]}), "utf-8")
    assert engine(["process", "test", str(scenario)]) == 0, capsys.readouterr().out
