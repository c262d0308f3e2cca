"""An engine whose run was taken over by another one stops with one sentence, and leaves the folders to that one."""

from __future__ import annotations

import gc
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.core.model import Event, Fact, JobCreated
from engine.runtime.engine import Engine
from engine.store import Fenced, Store
from engine.workspaces import Base, Published, Repository
from tests.acceptance.conftest import Project, one_after_the_other, task


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "shop"
    return one_after_the_other(root)


def take_over(root: Path) -> None:
    home = root / ".engine"
    with Store.open(home / "engine.db", home=home, create=False) as other:
        other.take_over(other.runs()[-1].id, at=datetime.now(UTC))


def test_nothing_is_said_beside_the_refusal(
    project: Project, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The user's branch is moved while a worker works, and its entry is the first that is refused."""
    project.write_graph(
        [task("price"), task("order", "touch here; sleep 1", dependencies=["price"])]
    )
    publish = Repository.publish

    def taken_over_meanwhile(repository: Repository, base: Base) -> Published:
        while not (project.root / ".engine" / "worktrees" / "shop" / "order" / "here").exists():
            time.sleep(0.01)
        time.sleep(0.3)  # the start of the worker is recorded
        take_over(project.root)
        return publish(repository, base)

    monkeypatch.setattr(Repository, "publish", taken_over_meanwhile)
    with pytest.raises(Fenced, match="another engine has taken this run over"):
        Engine.open(project.root).run_feature("shop")
    gc.collect()  # a task whose error nobody asked for is told when it is collected
    assert [record.getMessage() for record in caplog.records] == []


def test_workspaces_that_were_made_ahead_are_left_to_the_other_engine(project: Project) -> None:
    def watch(label: str, fact: Fact, events: Sequence[Event]) -> None:
        if any(isinstance(e, JobCreated) and e.job.type == "plan.build_waves" for e in events):
            take_over(project.root)

    with pytest.raises(Fenced):
        Engine.open(project.root).run_feature("shop", watch=watch)
    assert (project.root / ".engine" / "worktrees" / "shop" / "price" / ".git").is_dir()
