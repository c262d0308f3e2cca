"""While a candidate is judged, the workspaces of the next wave are made on it; whatever becomes of it, nothing rests on that."""

from __future__ import annotations

import pytest

from engine import Engine
from tests.acceptance.conftest import Project, task

#: passes once the workspace of task b has the file that task a wrote
SEES = "i=0; while ! test -e {home}/worktrees/shop/b/a.txt; do i=$((i+1)); test $i -lt 200 || exit 1; sleep 0.05; done"


def gate(project: Project, command: str) -> None:
    command = command.format(home=project.root / ".engine")
    project.configure(f"[[gates]]\nname = 'g'\ncommand = '{command}'\n")


@pytest.mark.parametrize(
    ("then", "code", "worktrees"),
    [
        pytest.param("true", 0, ["a", "b"], id="merged"),
        pytest.param("false", 1, ["a"], id="blocked"),
    ],
)
def test_the_next_wave_is_made_ready_on_the_candidate(
    project: Project, then: str, code: int, worktrees: list[str]
) -> None:
    gate(project, f"{SEES}; {then}")
    project.write_graph([task("a"), task("b", dependencies=["a"])])
    done = project.engine("run", "--feature", "shop")
    assert done.code == code, done.err
    left = project.root / ".engine" / "worktrees" / "shop"
    assert sorted(path.name for path in left.glob("*")) == worktrees
    assert project.engine("ledger", "verify").code == 0
    with Engine.open(project.root).store() as store:
        states = {row.task: row.state for row in store.tasks(store.runs()[-1].id)}
    assert states["b"] == ("merged" if code == 0 else "pending")
