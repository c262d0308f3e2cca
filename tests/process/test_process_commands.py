"""docs/reference/process-commands.md names every command of `engine process` and every option; `git difftool` works."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from engine.cli.app import whole_app
from tests.bpmn.editing import gone

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/process-commands.md").read_text("utf-8")
EVERYWHERE = {"--json", "--help", "-h"}


def commands() -> dict[str, set[str]]:
    """Return {command: options} as typer has them."""
    group = typer.main.get_command(whole_app()).commands["process"]  # type: ignore[attr-defined]
    return {
        name: {
            option
            for parameter in command.params
            for option in parameter.opts
            if option.startswith("-")
        }
        for name, command in group.commands.items()
    }


def test_every_command_has_a_section() -> None:
    assert set(re.findall(r"^## `engine process ([a-z]+)", PAGE, re.MULTILINE)) == set(commands())


@pytest.mark.parametrize("name", commands())
def test_every_option_is_there(name: str) -> None:
    section = PAGE.split(f"## `engine process {name}")[1].split("\n## ")[0]
    said = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", section))
    assert commands()[name] - EVERYWHERE <= said


def test_git_shows_what_a_change_means(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        program = ["git", "-c", "user.name=n", "-c", "user.email=n@example.org", *arguments]
        return subprocess.run(
            program, cwd=tmp_path, check=True, capture_output=True, text=True
        ).stdout

    git("init", "-q")
    diagram = tmp_path / "deliver_wave.bpmn"
    diagram.write_bytes((ROOT / "process/deliver_wave.bpmn").read_bytes())
    git("add", ".")
    git("commit", "-qm", "as it was")
    diagram.write_bytes(gone("May_merge")(diagram.read_bytes()))
    (tmp_path / "new.bpmn").write_bytes((ROOT / "process/deliver_task.bpmn").read_bytes())
    git("add", ".")
    told = git(
        "difftool", "-y", "-x", f"{Path(sys.executable).with_name('engine')} process diff", "HEAD"
    )
    assert 'a way leads to it without a pass of policy "merge"' in told
    assert "process deliver_task is new" in told
