"""Waiving a finding: what the page shows is what happens, with ids, keys and times left open."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable
from pathlib import Path

from tests.acceptance.conftest import Project, make_project, task

__all__ = ["make_project"]

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "waive-a-finding.md"


def steps(text: str) -> list[tuple[str, str]]:
    """Return (command, what is shown) of every console on the page."""
    consoles = "".join(re.findall(r"```console\n(.*?)```", text, re.DOTALL))
    parted = (step.partition("\n") for step in consoles.split("$ engine ") if step)
    return [(command, shown) for command, _, shown in parted]


def pattern(shown: str) -> str:
    """Return what output must look like: `…` stands for an id, a key or a time."""
    return re.escape(shown).replace("…", r"[^\n ]+?")


def test_every_command_does_what_the_page_says(make_project: Callable[..., Project]) -> None:
    project = make_project()
    project.write_graph([task("a", "echo x > AGENTS.md", files={"create": ["AGENTS.md"]})])
    lines: list[str] = []
    codes: list[tuple[str, int]] = []
    for command, shown in steps(PAGE.read_text("utf-8")):
        done = project.engine(*shlex.split(command))
        if shown:
            assert re.fullmatch(pattern(shown), done.out + done.err), (command, done.out, done.err)
        if command.startswith("waiver key"):
            lines.append(done.out.strip())
            project.configure(f"[waivers]\npeople = {json.dumps(lines)}\n")
        if command.startswith("run"):
            codes.append((command, done.code))
    assert codes == [("run --feature shop", 1), ("run --feature shop --new", 0)]
    assert project.git("show", "engine/shop:AGENTS.md") == "x"
