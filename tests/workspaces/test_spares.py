"""A checkout made of a spare is what a fresh one is, whatever has become of the spare meanwhile."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workspaces.conftest import Desk

Deed = Callable[[Path], object]


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return {path: (mode, content or where it leads)} of all files of a checkout, its repository left out."""
    found = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if name.parts[0] == ".git" or (path.is_dir() and not path.is_symlink()):
            continue
        content = os.fsencode(path.readlink()) if path.is_symlink() else path.read_bytes()
        found[str(name)] = (path.lstat().st_mode & 0o111, content)
    return found


def spare(desk: Desk, commit: str) -> Path:
    """Have one spare made and return its folder."""
    desk.repository.make_spares("r1", commit, 1)
    folder = desk.project.home / "spares" / "r1.1"
    spares = desk.repository._workshop.spares
    assert spares._thread is not None
    spares._thread.submit(lambda: None).result(60)  # it makes one after the other
    return folder


def another(desk: Desk) -> str:
    """Return a commit that changes, adds and removes files, links and permissions."""
    root = desk.project.root
    (root / "src/util.py").unlink()
    (root / "link").symlink_to("README.md")
    desk.project.write({"src/app.py": "print('new')\n", "docs/new.md": "new\n", "run.sh": "true\n"})
    (root / "run.sh").chmod(0o755)
    commit = desk.project.commit("another")
    desk.repository._vault.fetch(root / ".git", [commit])
    return commit


def same_size(folder: Path) -> None:
    """Change a file so that its size and time tell nothing."""
    file = folder / "README.md"
    was = file.stat()
    file.write_text("# DEMO\n")
    os.utime(file, ns=(was.st_atime_ns, was.st_mtime_ns))


def linked(folder: Path) -> None:
    """Put a link to an equal folder in the place of a folder."""
    elsewhere = folder.with_name("elsewhere")
    shutil.move(folder / "src", elsewhere)
    (folder / "src").symlink_to(elsewhere)


DEEDS: dict[str, Deed] = {
    "nothing": lambda folder: None,
    "a file changed": lambda folder: (folder / "src/app.py").write_text("evil()\n"),
    "a file changed, of the same size and time": same_size,
    "a file gone": lambda folder: (folder / "README.md").unlink(),
    "a file more": lambda folder: (folder / "src/conftest.py").write_text("evil()\n"),
    "an ignored file more": lambda folder: (folder / "a.log").write_text("evil\n"),
    "a link more": lambda folder: (folder / "evil").symlink_to("/etc/passwd"),
    "a folder that is a link": linked,
    "a file that may be run": lambda folder: (folder / "README.md").chmod(0o755),
    "a repository": lambda folder: (folder / ".git").mkdir(),
    "a repository inside": lambda folder: shutil.copytree(
        folder.parents[2] / ".git", folder / "inner" / ".git"
    ),
    "gone": shutil.rmtree,
    "another folder": lambda folder: (shutil.rmtree(folder), folder.mkdir()),
}


@pytest.mark.parametrize("deed", [pytest.param(deed, id=name) for name, deed in DEEDS.items()])
@pytest.mark.parametrize("moves_on", [False, True], ids=["same commit", "another commit"])
def test_a_spare_is_a_fresh_checkout_or_is_not_used(desk: Desk, deed: Deed, moves_on: bool) -> None:
    commit = another(desk) if moves_on else desk.base.head
    fresh = contents(desk.repository.checkout(commit, "fresh").path)
    deed(spare(desk, desk.base.head))
    assert contents(desk.repository.checkout(commit, "made").path) == fresh


def test_a_workspace_is_made_of_a_spare_too(desk: Desk) -> None:
    fresh = contents(desk.acquire("t1").path)
    folder = spare(desk, desk.base.head)
    made = desk.acquire("t2")
    assert (contents(made.path), folder.exists()) == (fresh, False)
    assert desk.acquire("t2").kept is None  # its index knows the files
    (made.path / "more.py").write_text("1\n")
    assert [change.path for change in desk.take(made, "more.py").changed] == ["more.py"]


def test_what_nobody_can_have_touched_is_taken_as_it_is(desk: Desk) -> None:
    """Before the first folder is given away no git looks at a spare again; from then on each is looked at."""
    told: list[str] = []
    git = desk.repository._vault.git
    run = git.run

    def noted(*arguments: str, **more: object) -> object:
        told.append(arguments[0])
        return run(*arguments, **more)  # type: ignore[arg-type]  # passed through

    git.run = noted  # type: ignore[assignment,method-assign]  # counts what it starts
    spare(desk, desk.base.head)
    spare(desk, desk.base.head)
    ways = {}
    for task in ("t1", "t2"):
        told.clear()
        made = desk.acquire(task)
        ways[task] = list(told)
    assert ways == {"t1": [], "t2": ["read-tree"]}
    assert contents(made.path) == contents(desk.repository.checkout(desk.base.head, "c").path)


def test_a_spare_is_used_once(desk: Desk) -> None:
    spare(desk, desk.base.head)
    made = [desk.repository.checkout(desk.base.head, name) for name in ("one", "two")]
    assert contents(made[0].path) == contents(made[1].path)
    assert made[0].path.stat().st_ino != made[1].path.stat().st_ino


def test_spares_are_not_made_while_git_is_wanted(desk: Desk) -> None:
    made = desk.acquire("t1")
    desk.repository.make_spares("r1", desk.base.head, 16)
    desk.take(made)
    spares = desk.repository._workshop.spares
    left = len(spares._ready)
    assert left < 16
    desk.repository.make_spares("r1", desk.base.head, 16 - left)  # there is room again
    assert spares._ordered == 16


def test_nothing_is_left_of_spares(desk: Desk) -> None:
    desk.repository.make_spares("r1", desk.base.head, 40)
    desk.repository.close()
    assert list((desk.project.home / "spares").iterdir()) == []


def test_what_a_killed_engine_left_goes_with_its_run(desk: Desk) -> None:
    for name in ("r1.1/a", "r1.1.index", "r1.2.index.lock", "r2.1/a", "r2.1.index"):
        path = desk.project.home / "spares" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("x")
    notes = desk.repository.recover_locks(("shop", "r1"))
    assert {note.split(",")[0].removeprefix("removed spares/") for note in notes} == {
        "r1.1.index",
        "r1.2.index.lock",
        "r1.1",
    }
    desk.repository.recover_locks()
    assert list((desk.project.home / "spares").iterdir()) == []
