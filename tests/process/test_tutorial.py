"""The tutorial for designers, done step by step: its files are written, its commands run, its output is the real one."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest

from engine.cli import main

TUTORIAL = Path(__file__).parents[2] / "docs" / "tutorial"
BLOCKS = re.compile(r"^```(json|console)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_a_designer_can_follow_the_tutorial(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    diagram = tmp_path / "refund.bpmn"
    shutil.copy(TUTORIAL / "refund.bpmn", diagram)
    text = (TUTORIAL / "first-process.md").read_text("utf-8")
    mended = text.index("## 4. Green again")
    played = 0
    for block in BLOCKS.finditer(text):
        kind, name, body = block.groups()
        if block.start() > mended:
            xml = diagram.read_text("utf-8")
            diagram.write_text(xml.replace("=amount &lt; 50", "=amount &lt;= 50"), "utf-8")
        if kind == "json":
            (tmp_path / name).write_text(body, "utf-8")
            continue
        command, _, output = body.partition("\n")
        with pytest.raises(SystemExit) as end:
            main(shlex.split(command)[2:])
        assert capsys.readouterr().out == output
        assert end.value.code == (1 if "differs" in output else 0)
        played += 1
    assert played == 4
    with pytest.raises(SystemExit) as end:
        main(["process", "lint", "refund.bpmn"])
    told = capsys.readouterr().out
    assert end.value.code == 3
    assert "bank.pay_back, which nobody can do" in told
    assert told.endswith("1 file checked: 1 error\n")
