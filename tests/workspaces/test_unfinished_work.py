"""Work that was interrupted: kept as a commit, and gone on with by the next attempt."""

from __future__ import annotations

from engine.workspaces import DeclaredFiles, Snapshot, Workspace
from tests.workspaces.conftest import FILES, Desk, Project, provenance
from tests.workspaces.test_taking_work import files_of

OWN = DeclaredFiles(create=("half.py",))


def checkpoint(desk: Desk, workspace: Workspace) -> Snapshot | None:
    return desk.repository.checkpoint(workspace, OWN, "block", provenance())


def test_what_no_commit_has_becomes_one_and_only_once(desk: Desk) -> None:
    workspace = desk.acquire()
    untouched = checkpoint(desk, workspace)
    (workspace.path / "half.py").write_text("half\n")
    kept = checkpoint(desk, workspace)
    assert kept is not None
    assert (untouched, checkpoint(desk, workspace)) == (None, None)
    assert [change.path for change in kept.changed] == ["half.py"]
    assert kept.commit in desk.repository.kept("r1").values()


def test_an_attempt_begins_with_it_and_its_whole_work_is_judged_against_the_base(
    desk: Desk,
) -> None:
    first = desk.acquire()
    (first.path / "half.py").write_text("half\n")
    kept = checkpoint(desk, first)
    assert kept is not None

    def again() -> Workspace:
        return desk.repository.acquire(
            feature="shop",
            run="r1",
            task="t1",
            attempt=2,
            base_commit=first.base,
            begun=kept.commit,
        )

    second = again()
    assert (second.base, second.begun, second.kept) == (first.base, kept.commit, None)
    assert files_of(second.path) == {**FILES, "half.py": "half\n"}
    assert Project(second.path).git("status", "--porcelain") == "A  half.py"
    inode = second.path.stat().st_ino
    assert (again(), second.path.stat().st_ino) == (second, inode)  # untouched: as it is

    (second.path / "rest.py").write_text("rest\n")
    taken = desk.repository.snapshot(second, OWN, "block", provenance())
    assert [change.path for change in taken.changed] == ["half.py", "rest.py"]
    assert (taken.undeclared, taken.base) == (("rest.py",), first.base)
