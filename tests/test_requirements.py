"""docs/reference/requirements.md is true: ids, states, and tests that exist. And what it says of every command and code."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from engine import errors
from engine.cli.app import whole_app
from engine.cli.running import EXIT

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "reference" / "requirements.md"
LAST = {  #: the last number of each kind
    "SPEC": 14, "PLAN": 7, "SCHED": 13, "LANE": 10, "LOCK": 4, "WORK": 15, "TREE": 10, "VER": 5, "RETRY": 10, "MERGE": 12,
    "REV": 4, "BUD": 5, "VAL": 2, "MAN": 5, "POL": 7, "CON": 6, "PLUG": 13, "CONF": 2, "PDK": 5, "LEDG": 7, "STATE": 5,
    "CACHE": 3, "RES": 4, "PRE": 3, "TEL": 4, "CLI": 7, "SEC": 6, "SLO": 4, "MIG": 6, "TEST": 12, "PROC": 3, "MISC": 15,
}  # fmt: skip
IDS = {f"{kind}-{n:02}" for kind, last in LAST.items() for n in range(1, last + 1)} - {"MISC-11"}
IDS |= {f"CONF-L{level}" for level in range(6)}

_ROW = re.compile(r"^\| ([A-Z]+-L?\d+) \| ([012]) \| (.+) \| (done|partial|not yet) \| (.+) \|$")
_NAMED = re.compile(r"`([\w/]+\.py(?:::\w+)?)`")


def rows() -> list[tuple[str, str, str, str, list[str]]]:
    """Return (id, tier, what, state, named tests) of each requirement."""
    lines = PAGE.read_text("utf-8").splitlines()
    found = [match.groups() for line in lines if (match := _ROW.match(line))]
    return [
        (id, tier, text, state, _NAMED.findall(tests)) for id, tier, text, state, tests in found
    ]


def promises() -> list[list[str]]:
    """Return the tests of each promise of tier 0."""
    lines = PAGE.read_text("utf-8").splitlines()
    return [_NAMED.findall(line) for line in lines if re.match(r"^\| [1-9] \|", line)]


def test_every_requirement_is_here_once() -> None:
    ids = [row[0] for row in rows()]
    assert sorted(ids) == sorted(IDS)


def test_what_is_done_names_what_shows_it() -> None:
    assert [id for id, _, _, state, tests in rows() if state == "done" and not tests] == []
    assert [id for id, _, _, state, tests in rows() if state == "not yet" and tests] == []


def test_every_named_test_exists() -> None:
    named = {test for row in rows() for test in row[4]} | {t for one in promises() for t in one}
    assert len(named) > 80
    assert [test for test in sorted(named) if not exists(test)] == []


def exists(test: str) -> bool:
    path, _, name = test.partition("::")
    file = ROOT / path if path.startswith("benchmarks/") else ROOT / "tests" / path
    if not file.is_file():
        return False
    text = file.read_text("utf-8")
    return bool(re.search(rf"^ *(async )?def {name}\(", text, re.MULTILINE)) if name else True


def test_tier_0_is_automated() -> None:
    told = promises()
    assert len(told) == 6
    assert all(told)
    zero = [(id, state, tests) for id, tier, _, state, tests in rows() if tier == "0"]
    assert len(zero) > 20
    assert [id for id, state, tests in zero if state == "not yet" or not tests] == []


# --- what the page says of the command line -----------------------------------------------------------


def commands(command: Any, path: tuple[str, ...] = ()) -> list[tuple[tuple[str, ...], Any]]:
    """Return (path, command) of a group's commands, groups among them."""
    inside = getattr(command, "commands", {})
    below = [item for name, one in inside.items() for item in commands(one, (*path, name))]
    return [(path, command), *below]


def test_every_command_explains_itself() -> None:
    every = commands(get_command(whole_app()))
    assert len(every) > 40
    assert [path for path, command in every if not command.help] == []
    silent = [
        (path, option.name)
        for path, command in every
        for option in command.params
        if getattr(option, "help", "") in (None, "") and option.param_type_name == "option"
    ]
    assert silent == []


def test_every_exit_code_is_in_the_reference() -> None:
    page = (ROOT / "docs" / "reference" / "exit-codes.md").read_text("utf-8")
    told = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    raised = {
        kind.exit_code
        for kind in vars(errors).values()
        if isinstance(kind, type) and issubclass(kind, errors.EngineError)
    }
    assert {0, 130, *raised, *EXIT.values()} <= told


@pytest.mark.parametrize("id", ["MERGE-08", "LEDG-05", "TREE-10"])
def test_what_must_never_break_is_tier_0(id: str) -> None:
    assert next(tier for one, tier, *_ in rows() if one == id) == "0"
