"""A command line made for one command is the whole one, as far as that command can tell."""

from __future__ import annotations

from typing import Any

import pytest
from typer.main import get_command

from engine.cli.app import app_for, whole_app

Described = Any  # Any: names of commands, with the options of each or the commands of a group


def described(command: Any) -> Described:
    inner = getattr(command, "commands", None)
    if inner is None:
        return [(option.name, option.opts, option.required) for option in command.params]
    return {name: described(one) for name, one in inner.items()}


WHOLE = get_command(whole_app())


@pytest.mark.parametrize("name", sorted(described(WHOLE)))
def test_one_command_is_as_it_is_among_all(name: str) -> None:
    part = get_command(app_for([name, "--json", "more"]))
    assert described(part) == {name: described(WHOLE)[name]}
    assert [option.name for option in part.params] == [option.name for option in WHOLE.params]


@pytest.mark.parametrize("arguments", [[], ["--help"], ["--version"], ["rum"]], ids=str)
def test_what_names_no_command_gets_all(arguments: list[str]) -> None:
    assert described(get_command(app_for(arguments))) == described(WHOLE)


def test_a_shell_that_completes_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_ENGINE_COMPLETE", "complete_bash")
    assert described(get_command(app_for(["run"]))) == described(WHOLE)
