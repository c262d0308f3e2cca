"""Workspaces made before they are asked for: given once, to the one they were made for, and removed otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from threading import Event

from engine.errors import GitError
from engine.workspaces.ahead import Ahead, Wanted
from engine.workspaces.model import Workspace
from tests.workspaces.conftest import Desk


def wanted(task: str = "t1", attempt: int = 1, base: str = "c" * 40) -> Wanted:
    return Wanted(feature="shop", run="r1", task=task, attempt=attempt, base=base)


def workspace(one: Wanted) -> Workspace:
    return Workspace(
        path=Path(one.task),
        branch="b",
        base=one.base,
        run=one.run,
        feature=one.feature,
        task=one.task,
        attempt=one.attempt,
    )


class Desks:
    """A maker of workspaces that notes what it was asked for."""

    def __init__(self, failing: Sequence[str] = ()) -> None:
        self.made: list[str] = []
        self.removed: list[str] = []
        self.failing = failing
        self.ahead = Ahead(self.make, lambda one: self.removed.append(one.task))

    def make(self, one: Wanted) -> Workspace:
        if one.task in self.failing:
            raise GitError("no space")
        self.made.append(one.task)
        return workspace(one)


def test_a_workspace_is_given_once() -> None:
    desks = Desks()
    desks.ahead.start([wanted("t1"), wanted("t2")])
    given = [desks.ahead.take(wanted("t1")) for _ in range(2)]
    desks.ahead.close()
    assert given == [workspace(wanted("t1")), None]
    assert ["t1", *desks.removed] == desks.made  # t2 need not have been begun


def test_one_made_for_something_else_is_not_given() -> None:
    for other in (wanted(attempt=2), wanted(base="d" * 40)):
        desks = Desks()
        desks.ahead.start([wanted()])
        given = desks.ahead.take(other)
        desks.ahead.close()
        assert (given, desks.removed) == (None, [])  # whoever asks makes his own in that folder


def test_nobody_is_at_work_on_a_folder_that_was_asked_for() -> None:
    begun, go_on = Event(), Event()
    steps: list[str] = []

    def make(one: Wanted) -> Workspace:
        begun.set()
        go_on.wait(10)
        steps.append("made")
        return workspace(one)

    ahead = Ahead(make, lambda _: None)
    ahead.start([wanted()])
    assert begun.wait(10)
    go_on.set()
    ahead.take(wanted(attempt=2))
    steps.append("asked")
    ahead.close()
    assert steps == ["made", "asked"]


def test_after_an_error_the_rest_is_left_to_the_next_engine() -> None:
    desks = Desks()
    desks.ahead.start([wanted("t1")])
    desks.ahead.close(remove=False)
    assert desks.removed == []


def test_what_could_not_be_made_is_nobodys() -> None:
    desks = Desks(failing=["t1", "t2"])
    desks.ahead.start([wanted("t1"), wanted("t2")])
    given = desks.ahead.take(wanted("t1"))
    desks.ahead.close()
    assert (given, desks.removed) == (None, [])


def test_a_repository_gives_what_it_made_and_removes_the_rest(desk: Desk) -> None:
    desk.repository.acquire_ahead(
        feature="shop", run="r1", tasks=["t1", "t2"], base_commit=desk.base.head
    )
    made = desk.acquire("t1")
    worktrees = desk.project.home / "worktrees" / "shop"
    desk.repository.close()
    assert (made.kept, (made.path / ".git").is_dir()) == (None, True)
    assert [folder.name for folder in worktrees.iterdir()] == ["t1"]


def test_where_somebody_is_at_work_for_the_same_run_nothing_is_made_ahead(desk: Desk) -> None:
    """An engine that was overtaken while it slept must not clear the folders of the one that goes on."""
    theirs = desk.acquire("t1")
    (theirs.path / "work.txt").write_text("half done\n")
    candidate = desk.work("t2", {"b.txt": "b\n"}).commit
    desk.repository.acquire_ahead(feature="shop", run="r1", tasks=["t1"], base_commit=candidate)
    desk.repository.close()
    assert (theirs.path / "work.txt").read_text() == "half done\n"
