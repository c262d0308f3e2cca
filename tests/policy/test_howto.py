"""The first hour of a policy author: what the page says is what happens."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from tests.acceptance.conftest import Project

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "write-a-policy.md"


def test_every_snippet_does_what_the_page_says(tmp_path: Path) -> None:
    text = PAGE.read_text("utf-8")
    for name, content in re.findall(r"```rego (\S+)\n(.*?)```", text, re.DOTALL):
        (tmp_path / name).write_text(content, "utf-8")
    (console,) = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    steps = [step.partition("\n") for step in console.split("$ engine ") if step]

    shown = [
        (command, Project(tmp_path).engine(*shlex.split(command)).out) for command, _, _ in steps
    ]

    assert shown == [(command, expected) for command, _, expected in steps]
