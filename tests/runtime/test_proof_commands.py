"""docs/reference/proof-commands.md names every command that proves or explains, and every option of it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from engine.cli.app import whole_app

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "proof-commands.md"
EVERYWHERE = {"--json", "--help", "-h"}


def commands() -> dict[str, Any]:
    """Return {"ledger verify": command, "why": command …}."""
    top: Any = get_command(whole_app())  # Any: click's group, which typer does not name
    alone = {name: top.commands[name] for name in ("replay", "why")}
    grouped = {
        f"{group} {name}": command
        for group in ("ledger", "attest")
        for name, command in top.commands[group].commands.items()
    }
    return alone | grouped


def sections() -> dict[str, str]:
    parts = re.split(r"^## `engine ", PAGE.read_text("utf-8"), flags=re.MULTILINE)[1:]
    return {re.match(r"[a-z -]+[a-z]", part)[0].strip(): part for part in parts}  # type: ignore[index]  # a section has a name


def test_every_command_has_a_section_and_no_other() -> None:
    assert sorted(sections()) == sorted(commands())


@pytest.mark.parametrize("name", commands())
def test_every_option_is_named(name: str) -> None:
    options = {
        option
        for parameter in commands()[name].params
        for option in parameter.opts
        if option.startswith("-")
    }
    said = set(re.findall(r"(?<![\w-])--?[a-zA-Z][\w-]*", sections()[name]))
    assert options - EVERYWHERE <= said


@pytest.mark.parametrize(
    "member", ["tokens", "differences", "not_replayable", "nearest", "witnessed", "courses"]
)
def test_members_that_programs_read_are_described(member: str) -> None:
    assert member in PAGE.read_text("utf-8")
