"""Honest runs in which much went wrong hold on all levels: an audit that cries wolf is not listened to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from engine.audit import LEVELS, Report, verify_folder
from engine.core.model import ElementCompleted, Event, Fact
from engine.runtime.engine import Engine
from tests.acceptance.conftest import Project, task
from tests.core.drawing import draw

GATE = '[[gates]]\nname = "{name}"\ncommand = "{command}"\nstage = "pre_merge"\n'
DOCTOR = '[doctor]\ncommand = "{command}"\n'
SPENDING = """echo '{"type":"usage","tokens":10,"cost_micros":600}'; echo $0 > """


def made(place: Path, configuration: str, tasks: Sequence[dict[str, Any]]) -> Project:
    root = place / "shop"
    root.mkdir()
    project = Project(root)
    project.git("init", "-q", "-b", "main")
    project.git("-c", "user.name=T", "-c", "user.email=t@e.org", "commit", "-q", "--allow-empty", "-m", "first")  # fmt: skip
    project.configure(configuration)
    project.write_graph(tasks)
    return project


def audited(project: Project, run: str) -> Report:
    home = project.root / ".engine"
    return verify_folder(home / "ledger" / run, levels=list(LEVELS), repository=home / "vault.git")


PAIR = [task("price"), task("order", dependencies=["price"])]


@pytest.mark.parametrize(
    ("configuration", "tasks", "entries"),
    [
        pytest.param(GATE.format(name="no", command="false"), PAIR, ["fail"], id="a closed gate"),
        pytest.param(DOCTOR.format(command="test ! -e price.txt"), PAIR, ["rollback.completed"], id="a roll-back"),
        pytest.param("", [task("a", "echo a > x.txt", files={"create": ["x.txt"]}, level=1), task("b", "echo b > b.txt; echo b > x.txt", level=1)], [], id="two claims on a file"),
        pytest.param("", [task("price", "test -e ../seen || { touch ../seen; exit 1; }; echo 1 > price.txt", max_attempts=3)], [], id="a retry"),
        pytest.param("[manifest]\nenforcement = 'warn'\n", [task("price", "echo 1 > price.txt; echo 2 > more.txt")], ["merge.completed"], id="undeclared, warned"),
        pytest.param("", [task("price", "echo 1 > price.txt; echo 2 > more.txt")], [], id="undeclared, blocked"),
        pytest.param("", [task("price", check="false"), task("stock")], [], id="one task fails"),
    ],
)  # fmt: skip
def test_what_went_wrong_is_recorded_and_nothing_is_found(
    tmp_path: Path, configuration: str, tasks: list[dict[str, Any]], entries: list[str]
) -> None:
    project = made(tmp_path, configuration, tasks)
    result = Engine.open(project.root).run_feature("shop")
    report = audited(project, result.run)
    assert report.findings == ()
    (segment,) = (project.root / ".engine" / "ledger" / result.run).glob("*.jsonl")
    assert [kind for kind in entries if f'"{kind}"' not in segment.read_text("utf-8")] == []


def stop_at(element: str, stops: list[int]) -> tuple[Callable[..., None], Callable[..., None]]:
    """Return (watch, on_start) that stop the engine the first time `element` is completed."""
    conductors: list[Any] = []

    def watch(label: str, fact: Fact, events: Sequence[Event]) -> None:
        done = [event.element for event in events if isinstance(event, ElementCompleted)]
        if element in done and not stops:
            stops.append(1)
            conductors[-1].stop(force=True)

    return watch, lambda conductor, run: conductors.append(conductor)


@pytest.mark.parametrize("element", ["Acquire_workspace", "Build_candidate", "Merge"])
def test_a_run_that_was_stopped_and_went_on_under_other_settings_holds(
    tmp_path: Path, element: str
) -> None:
    project = made(tmp_path, "[budgets]\ncost_micros_per_run = 1000\n", PAIR)
    stops: list[int] = []
    watch, on_start = stop_at(element, stops)
    first = Engine.open(project.root).run_feature("shop", watch=watch, on_start=on_start)
    assert (first.status, stops) == ("stopped", [1])
    assert audited(project, first.run).findings == ()
    project.configure("[budgets]\ncost_micros_per_run = 5000\n")
    again = Engine.open(project.root).run_feature("shop")
    assert (again.run, again.status) == (first.run, "completed")
    report = audited(project, again.run)
    assert (report.findings, dict(report.counts)["merges compared"]) == ((), 2)


def test_a_second_run_of_a_feature_holds_and_so_does_the_first(tmp_path: Path) -> None:
    project = made(tmp_path, "", PAIR[:1])
    first = Engine.open(project.root).run_feature("shop").run
    project.write_graph([task("stock")])
    second = Engine.open(project.root).run_feature("shop").run
    home = project.root / ".engine"
    for run in (first, second):
        assert audited(project, run).findings == ()
        published = verify_folder(
            home / "ledger" / run, levels=list(LEVELS), repository=project.root
        )
        assert published.findings == ()


def test_a_process_that_moves_no_branch_says_so(tmp_path: Path) -> None:
    project = made(tmp_path, "", PAIR)
    drawing = "start Begin\nxor Large\nend Yes\nend No\nBegin -> Large\nLarge -> Yes : amount > 3\nLarge -> No default\n"
    (project.root / "large.bpmn").write_bytes(draw(drawing))
    assert project.engine("process", "run", "large.bpmn", "--var", "amount=5").code == 0
    (folder,) = (project.root / ".engine" / "ledger").iterdir()
    report = verify_folder(folder, levels=list(LEVELS), repository=project.root)
    assert report.findings == ()
    assert report.left_out == ("L4 was not looked at: the run moved no branch",)


@pytest.mark.opa
def test_what_an_opa_server_has_said_is_said_again_by_the_embedded_engine(
    tmp_path: Path, opa_url: str
) -> None:
    project = made(tmp_path, f'[policy]\nbackend = "opa"\nurl = "{opa_url}"\n', PAIR[:1])
    result = Engine.open(project.root).run_feature("shop")
    report = audited(project, result.run)
    assert (result.status, report.findings) == ("completed", ())
    assert dict(report.counts)["policies asked again"] >= 3
