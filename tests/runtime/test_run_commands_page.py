"""docs/reference/run-commands.md: every option, every key and every output is what the commands really have."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
import typer.core

from engine.cli.app import app_for
from tests.acceptance.conftest import Answer, Project, task
from tests.runtime.conftest import CONFIG, Asked, begun

PAGE = (Path(__file__).parents[2] / "docs/reference/run-commands.md").read_text("utf-8")
TASKS = [
    task("price", "echo price > price.txt; echo wrote price.txt"),
    task("debt", "echo debt > debt.txt; echo WARN: a debt", dependencies=["price"]),
    task("tax", check="echo no such tax; exit 3", dependencies=["price"]),
]
STEPS = re.findall(r"```console\n\$ engine (.*?)\n(.*?)```", PAGE, re.DOTALL)


def section(command: str) -> str:
    """Return what the page says about a command."""
    return PAGE.partition(f"\n## `engine {command}`\n")[2].partition("\n## ")[0]


def table(command: str, head: str) -> Iterator[str]:
    """Yield the first cells of the table whose head begins with `head`."""
    rows = section(command).partition(f"\n| {head}")[2].partition("\n\n")[0].splitlines()[2:]
    yield from (re.split(r"(?<!\\)\|", row)[1].strip() for row in rows)


def same(text: str) -> str:
    """Return an output without what differs from run to run and from machine to machine."""
    text = re.sub(r"\d{8}-\d{6}-[0-9a-f]{6}", "RUN", text)
    text = re.sub(r"\b[0-9a-f]{12}\b", "COMMIT", text)
    text = re.sub(r"\d+ (s|entries|processors|GB)\b", r"N \1", text)
    text = re.sub(r"─+", "─", re.sub(r"\(/.*?task-graph\.json\)", "(FILE)", text, flags=re.DOTALL))
    return " ".join(re.sub(r"\d workers would run", "N workers would run", text).split())


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, Answer]:
    """Return the project of the page, carried out, and what the run printed."""
    project = begun(tmp_path_factory.mktemp("page") / "shop", CONFIG, TASKS)
    return project, project.engine("run", "--feature", "shop")


@pytest.mark.parametrize(
    ("command", "head"),
    [("run", "option"), ("status", "option"), ("logs", "argument or option")],
)
def test_every_option_has_its_row(command: str, head: str) -> None:
    group = typer.main.get_command(app_for([command]))
    assert isinstance(group, typer.core.TyperGroup)
    has = group.commands[command]
    known = {name for one in has.params for name in (*one.opts, *one.secondary_opts)}
    told = [
        word
        for cell in table(command, head)
        for word in re.findall(r"(?<=`)(--?[a-zA-Z][a-z-]*|name)", cell)
    ]
    assert sorted(told) == sorted(known - {"--help", "-h"})


def test_every_key_of_the_report_is_told(recorded: tuple[Project, Answer], asked: Asked) -> None:
    seen = asked(recorded[0], "status", "--json").json
    assert keys(table("status", "key of `--json`")) == sorted(seen)
    assert keys(table("run", "key |")) == sorted(seen["report"])
    for name in ("tasks", "waves", "gates"):
        shape = re.search(rf"^\| `{name}` \| `\[{{(.*?)}}\]`", section("run"), re.MULTILINE)
        assert shape is not None
        assert set(seen["report"][name][0]) <= set(shape[1].split(", "))
    plan = asked(recorded[0], "run", "--feature", "shop", "--dry-run", "--json").json
    text = section("run").partition("With `--json`: ")[2].partition("\n\n")[0]
    listed = [one.partition("[")[0].partition("{")[0] for one in re.findall(r"`([^`]+)`", text)]
    assert sorted(set(listed) - {"engine.plan/v1"}) == sorted(plan)


def keys(cells: Iterator[str]) -> list[str]:
    return sorted(name for cell in cells for name in re.findall(r"`(\w+)`", cell))


@pytest.mark.parametrize(("words", "shown"), STEPS, ids=[words for words, _ in STEPS])
def test_what_is_shown_is_what_is_printed(
    words: str, shown: str, recorded: tuple[Project, Answer], asked: Asked
) -> None:
    project, ran = recorded
    is_run = words == "run --feature shop"
    told = ran.out if is_run else asked(project, *words.split()).out
    assert same(told) == same(shown)
    if is_run:
        assert ran.code == 1
