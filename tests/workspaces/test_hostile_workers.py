"""Workers that attack: nothing of theirs runs, nothing outside is taken, and the engine says what it refused.

The `canary` fixture is a program that leaves a mark when anything runs it; at the end of each test no mark may be there.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.git import Git
from engine.workspaces import DeclaredFiles, Repository
from engine.workspaces.inspection import LARGEST_FILE_BYTES, Inspection
from engine.workspaces.model import Snapshot, Workspace
from engine.workspaces.trash import remove_tree
from engine.workspaces.vault import Vault
from engine.workspaces.workshop import Workshop
from tests.workspaces.conftest import FILES, Desk, Project, make_project, provenance

Canary = Callable[[], str]


def poison(folder: Path, program: str) -> None:
    """Write everything into a git folder that makes git run a program."""
    (folder / "hooks").mkdir(exist_ok=True)
    for hook in ("pre-commit", "post-checkout", "post-index-change", "reference-transaction"):
        shutil.copy(program, folder / "hooks" / hook)
    (folder / "info").mkdir(exist_ok=True)
    (folder / "info" / "attributes").write_text("* filter=evil diff=evil merge=evil\n")
    with (folder / "config").open("a") as config:
        config.write(
            f'[core]\n\tfsmonitor = "{program}"\n\tpager = "{program}"\n\tsshCommand = "{program}"\n'
            f'\talternateRefsCommand = "{program}"\n\teditor = "{program}"\n'
            f'[filter "evil"]\n\tclean = "{program}"\n\tsmudge = "{program}"\n\tprocess = "{program}"\n\trequired = true\n'
            f'[diff "evil"]\n\ttextconv = "{program}"\n\tcommand = "{program}"\n'
            f'[merge "evil"]\n\tdriver = "{program} %A %O %B"\n'
            f'[diff]\n\texternal = "{program}"\n[gpg]\n\tprogram = "{program}"\n[commit]\n\tgpgSign = true\n'
            f'[credential]\n\thelper = "{program}"\n[alias]\n\tstatus = "!{program}"\n'
        )


def whole_cycle(desk: Desk, workspace: Workspace, *declared: str) -> Snapshot:
    """Do everything the engine ever does with a worker's result."""
    snapshot = desk.take(workspace, *declared)
    candidate = desk.candidate(snapshot)
    desk.repository.diff(candidate.old, candidate.commit)
    desk.repository.patch(candidate.old, candidate.commit, 10_000)
    checkout = desk.repository.checkout(candidate.commit, "gate")
    desk.repository.release(checkout)
    desk.repository.merge(desk.authorize(candidate))
    desk.repository.publish(desk.base)
    desk.repository.quarantine(snapshot.commit, feature="shop", task=workspace.task)
    desk.acquire(workspace.task, attempt=2)
    desk.repository.cleanup(None, keep_branches=False)
    return snapshot


class TestNothingRuns:
    """Poison in every place that git would read."""

    def test_configuration_hooks_filters_and_drivers(self, desk: Desk, canary: Canary) -> None:
        workspace = desk.acquire()
        poison(workspace.path / ".git", canary())
        (workspace.path / ".gitattributes").write_text("* filter=evil diff=evil merge=evil\n")
        (workspace.path / "src/app.py").write_text("new\n")
        snapshot = whole_cycle(desk, workspace, "src/app.py", ".gitattributes")
        assert [c.path for c in snapshot.changed] == [".gitattributes", "src/app.py"]

    def test_the_poison_is_real(self, desk: Desk, tmp_path: Path) -> None:
        mark = tmp_path / "ran"
        program = tmp_path / "p.sh"
        program.write_text(f"#!/bin/sh\ntouch '{mark}'\nexec cat\n")
        program.chmod(0o755)
        workspace = desk.acquire()
        poison(workspace.path / ".git", str(program))
        (workspace.path / ".gitattributes").write_text("* filter=evil\n")
        subprocess.run(["git", "add", "-A"], cwd=workspace.path, check=False, capture_output=True)
        assert mark.exists()  # git on the worker's own repository would have run it

    def test_a_neighbour_is_not_reached(self, desk: Desk, canary: Canary) -> None:
        poison(desk.acquire("t1").path / ".git", canary())
        neighbour = Project(desk.acquire("t2").path)
        neighbour.write({"x.py": "x\n"})
        neighbour.git("add", "-A")
        neighbour.git("commit", "-q", "-m", "mine")
        assert neighbour.git("status", "--porcelain") == ""

    def test_merge_drivers_named_in_the_tree_do_not_run(self, desk: Desk, canary: Canary) -> None:
        first = desk.acquire("t1")
        poison(first.path / ".git", canary())
        (first.path / ".gitattributes").write_text("* merge=evil\n")
        (first.path / "src/app.py").write_text("one\n")
        one = desk.take(first, "src/app.py", ".gitattributes")
        two = desk.work("t2", {"src/app.py": "two\n"})
        made = desk.repository.build_candidate(
            desk.base.head, (one.commit, two.commit), provenance()
        )
        assert not hasattr(made, "tree")  # a plain conflict

    def test_hooks_of_the_users_repository_do_not_run(
        self, project: Project, canary: Canary
    ) -> None:
        poison(project.root / ".git", canary())
        with Repository.open(project.home, project.root, None) as repository:
            desk = Desk(repository, repository.prepare("shop", "r1", None), project)
            made = desk.candidate(desk.work("t1", {"a.py": "a\n"}))
            repository.merge(desk.authorize(made))
            assert repository.publish(desk.base).state == "moved"


class TestWhatIsNotARepositoryAnyMore:
    """The worker's `.git` does not matter."""

    def test_deleted(self, desk: Desk) -> None:
        workspace = desk.acquire()
        shutil.rmtree(workspace.path / ".git")
        (workspace.path / "a.py").write_text("a\n")
        assert [c.path for c in whole_cycle(desk, workspace, "a.py").changed] == ["a.py"]

    def test_replaced_by_a_link_to_the_users_repository(self, desk: Desk) -> None:
        before = desk.project.state()
        workspace = desk.acquire()
        shutil.rmtree(workspace.path / ".git")
        (workspace.path / ".git").symlink_to(desk.project.root / ".git")
        (workspace.path / "a.py").write_text("a\n")
        assert [c.path for c in desk.take(workspace, "a.py").changed] == ["a.py"]
        desk.repository.release(workspace)
        assert desk.project.state() == before

    def test_committed_moved_alternates_and_replaced_objects(self, desk: Desk) -> None:
        workspace = desk.acquire()
        inside = Project(workspace.path)
        inside.commit("own", {"own.py": "x\n"})
        inside.git("replace", desk.base.head, inside.git("rev-parse", "HEAD"))
        (workspace.path / ".git/objects/info/alternates").write_text("/nonexistent\n")
        (workspace.path / ".git/index").write_bytes(b"junk")
        assert [c.path for c in desk.take(workspace, "own.py").changed] == ["own.py"]

    def test_the_whole_workspace_is_gone(self, desk: Desk) -> None:
        workspace = desk.acquire()
        shutil.rmtree(workspace.path)
        snapshot = desk.take(workspace)
        assert [r.code for r in snapshot.refused] == ["workspace_missing"]
        assert (snapshot.changed, snapshot.manifest) == ((), "fail")

    def test_the_workspace_is_a_link_to_somewhere_else(self, desk: Desk, tmp_path: Path) -> None:
        elsewhere = make_project(tmp_path / "elsewhere").root
        workspace = desk.acquire()
        shutil.rmtree(workspace.path)
        workspace.path.symlink_to(elsewhere)
        assert [r.code for r in desk.take(workspace).refused] == ["workspace_missing"]
        desk.acquire(attempt=2)
        desk.repository.cleanup(None, keep_branches=True)
        assert (elsewhere / "README.md").read_text() == FILES["README.md"]

    def test_the_folder_above_is_a_link_to_somewhere_else(self, desk: Desk, tmp_path: Path) -> None:
        treasure = tmp_path / "treasure" / "t1"
        treasure.mkdir(parents=True)
        (treasure / "gold").write_text("gold\n")
        workspace = desk.acquire()
        shutil.rmtree(workspace.path.parent)
        workspace.path.parent.symlink_to(treasure.parent)
        assert [r.code for r in desk.take(workspace).refused] == ["workspace_missing"]
        desk.acquire(attempt=2)
        desk.repository.cleanup(None, keep_branches=True)
        assert (treasure / "gold").read_text() == "gold\n"


def plant_gitlink(folder: Path) -> None:
    inner = Project(folder / "vendor" / "lib")
    inner.root.mkdir(parents=True)
    inner.git("init", "-q")
    inner.commit("inner", {"x": "x\n"})


def plant_empty_repository(folder: Path) -> None:
    (folder / "vendor" / "lib").mkdir(parents=True)
    Project(folder / "vendor" / "lib").git("init", "-q")


def plant_git_folder_in_disguise(folder: Path) -> None:
    (folder / ".GIT").mkdir()
    (folder / ".GIT" / "config").write_text("[core]\n")
    (folder / ".GIT" / "HEAD").write_text("ref: x\n")


def plant_newline(folder: Path) -> None:
    (folder / "a\nb").write_text("x")


def plant_bytes(folder: Path) -> None:
    (Path(os.fsdecode(os.fsencode(folder) + b"/\xff\xfe"))).write_text("x")


def plant_link_out(folder: Path) -> None:
    (folder / "out").symlink_to("/etc/passwd")


def plant_link_up(folder: Path) -> None:
    (folder / "src" / "up").symlink_to("../../secret")


def plant_link_through_link(folder: Path) -> None:
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / "deep" / "er" / "x").write_text("x\n")
    (folder / "s").symlink_to("deep/er")
    (folder / "t").symlink_to("s/../../../out")


def plant_attributes(folder: Path) -> None:
    (folder / "src" / ".gitattributes").write_text("* -diff\n")


def plant_modules(folder: Path) -> None:
    (folder / ".gitmodules").write_text('[submodule "x"]\n\tpath = x\n\turl = --upload-pack=evil\n')


def plant_pipe(folder: Path) -> None:
    (folder / "src" / "app.py").unlink()
    os.mkfifo(folder / "src" / "app.py")


def plant_socket(folder: Path) -> None:
    (folder / "README.md").unlink()
    with socket.socket(socket.AF_UNIX) as plug:
        here = os.getcwd()
        os.chdir(folder)  # the name of a socket has at most 108 bytes
        try:
            plug.bind("README.md")
        finally:
            os.chdir(here)


def plant_giant(folder: Path) -> None:
    with (folder / "giant").open("wb") as file:
        file.truncate(LARGEST_FILE_BYTES + 1)


def plant_tree_link(folder: Path) -> None:
    shutil.rmtree(folder / "src")
    (folder / "src").symlink_to("/etc")


@pytest.mark.parametrize(
    ("plant", "refusals"),
    [
        (plant_gitlink, {"vendor/lib": "nested_repository"}),
        (plant_empty_repository, {"vendor/lib": "nested_repository"}),
        (plant_git_folder_in_disguise, {".GIT": "odd_path"}),
        (plant_newline, {"a\\u000ab": "odd_path"}),
        (plant_bytes, {"\\xff\\xfe": "odd_path"}),
        (plant_link_out, {"out": "symlink_escape"}),
        (plant_link_up, {"src/up": "symlink_escape"}),
        (plant_link_through_link, {"t": "symlink_escape"}),
        (plant_attributes, {"src/.gitattributes": "control_file"}),
        (plant_modules, {".gitmodules": "control_file"}),
        (plant_pipe, {"src/app.py": "special_file"}),
        (plant_socket, {"README.md": "special_file"}),
        (plant_giant, {"giant": "too_large"}),
        (plant_tree_link, {"src": "symlink_escape"}),
    ],
)
def test_what_must_not_be_merged_is_refused_and_the_rest_is_kept(
    desk: Desk, plant: Callable[[Path], None], refusals: dict[str, str]
) -> None:
    workspace = desk.acquire()
    (workspace.path / "good.py").write_text("good\n")
    plant(workspace.path)
    snapshot = desk.repository.snapshot(
        workspace, DeclaredFiles(create=("good.py",)), "off", provenance()
    )
    assert {refusal.path: refusal.code for refusal in snapshot.refused} == refusals
    assert snapshot.manifest == "fail"
    taken = {change.path for change in snapshot.changed}
    assert "good.py" in taken
    assert not taken & set(refusals)
    assert {c.mode for c in snapshot.changed} <= {"100644", "120000"}
    assert desk.acquire(attempt=2).path.is_dir()


def test_a_control_file_that_the_task_declares_is_taken(desk: Desk) -> None:
    workspace = desk.acquire()
    (workspace.path / ".gitattributes").write_text("*.png binary\n")
    snapshot = desk.take(workspace, ".gitattributes")
    assert ([c.path for c in snapshot.changed], snapshot.refused) == ([".gitattributes"], ())


def test_a_pipe_that_would_make_git_wait_for_ever_is_removed(desk: Desk, project: Project) -> None:
    vault = Vault(Git(), project.home / "vault.git", "sha1")
    workshop = Workshop(project.home, vault, reading_deadline_s=0.5)
    workspace = desk.acquire()
    os.mkfifo(workspace.path / "src/.gitignore")
    (workspace.path / "good.py").write_text("good\n")
    snapshot = workshop.snapshot(
        workspace, DeclaredFiles(create=("good.py",)), "block", provenance()
    )
    vault.close()
    assert [(r.path, r.code) for r in snapshot.refused] == [("src/.gitignore", "special_file")]
    assert [c.path for c in snapshot.changed] == ["good.py"]


def test_untracked_pipes_and_sockets_are_no_work(desk: Desk) -> None:
    workspace = desk.acquire()
    os.mkfifo(workspace.path / "pipe")
    assert desk.take(workspace).is_empty


@pytest.fixture
def owned_by_nobody() -> Iterator[Path]:
    """A folder of an ordinary user; inside the test we are that user, because root may read everything."""
    folder = Path(tempfile.mkdtemp())
    if os.geteuid() != 0:
        yield folder
    else:
        os.chown(folder, 65534, 65534)
        os.seteuid(65534)
        try:
            yield folder
        finally:
            os.seteuid(0)
    shutil.rmtree(folder, ignore_errors=True)


def test_an_unreadable_file_is_refused(owned_by_nobody: Path) -> None:
    (owned_by_nobody / "closed").write_text("x")
    (owned_by_nobody / "closed").chmod(0)
    (owned_by_nobody / "folder").mkdir()
    (owned_by_nobody / "folder/x").write_text("x")
    (owned_by_nobody / "folder").chmod(0)
    inspection = Inspection(os.fsencode(owned_by_nobody), DeclaredFiles())
    inspection.look_at(b"closed")
    inspection.look_at(b"folder/x")
    (owned_by_nobody / "folder").chmod(0o700)
    assert inspection.take == []
    assert {r.path: r.code for r in inspection.refused.values()} == {
        "closed": "unreadable",
        "folder/x": "unreadable",
    }


def test_a_folder_that_forbids_its_deletion_is_deleted(owned_by_nobody: Path) -> None:
    for name in ("top/a/b", "top/c"):
        (owned_by_nobody / name).mkdir(parents=True)
        (owned_by_nobody / name / "x").write_text("x")
    (owned_by_nobody / "top/link").symlink_to("/etc")
    for name in ("top/a/b", "top/a", "top/c", "top"):
        (owned_by_nobody / name).chmod(0o000 if name != "top/c" else 0o500)
    remove_tree(owned_by_nobody / "top")
    assert list(owned_by_nobody.iterdir()) == []


def test_another_time_stamp_does_not_hide_a_change(desk: Desk) -> None:
    workspace = desk.acquire()
    file = workspace.path / "src/app.py"
    before = file.stat()
    file.write_text("print('APP')\n")  # the same length
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert [c.path for c in desk.take(workspace, "src/app.py").changed] == ["src/app.py"]
