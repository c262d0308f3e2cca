"""Acquire and snapshot: what a task gets, and what is taken from it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.errors import UsageError
from engine.workspaces import DeclaredFiles, FileChange, Repository
from tests.workspaces.conftest import FILES, Desk, Project, provenance


def files_of(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text("utf-8")
        for path in folder.rglob("*")
        if path.is_file() and ".git" not in path.relative_to(folder).parts
    }


class TestAcquire:
    """A workspace holds exactly the files of its base."""

    def test_it_has_the_files_of_the_base_on_a_branch_of_its_own(self, desk: Desk) -> None:
        workspace = desk.acquire()
        inside = Project(workspace.path)
        assert files_of(workspace.path) == FILES
        assert inside.git("symbolic-ref", "--short", "HEAD") == workspace.branch == "engine/shop/t1"
        assert inside.git("rev-parse", "HEAD") == workspace.base == desk.base.head
        assert inside.git("status", "--porcelain") == ""

    def test_a_worker_can_use_git_there_and_nobody_else_sees_it(self, desk: Desk) -> None:
        before = desk.project.state()
        inside = Project(desk.acquire().path)
        inside.commit("own commit", {"x.txt": "x\n"})
        inside.git("switch", "-q", "-c", "own-branch")
        assert desk.project.state() == before
        assert "own-branch" not in desk.project.git("branch", "--all")
        assert "own-branch" not in desk.vault("for-each-ref")

    def test_an_untouched_workspace_is_returned_as_it_is(self, desk: Desk) -> None:
        first = desk.acquire()
        inode = first.path.stat().st_ino
        assert desk.acquire() == first
        assert first.path.stat().st_ino == inode

    def test_unfinished_work_is_kept_before_a_fresh_start(self, desk: Desk) -> None:
        workspace = desk.acquire()
        (workspace.path / "half.py").write_text("half\n")
        again = desk.acquire()
        assert not (again.path / "half.py").exists()
        assert again.kept is not None
        assert desk.vault("show", f"{again.kept}:half.py") == "half"
        assert again.kept in desk.repository.kept("r1").values()

    def test_the_next_attempt_keeps_what_the_last_one_left_under_its_number(
        self, desk: Desk
    ) -> None:
        (desk.acquire().path / "half.py").write_text("half\n")
        second = desk.acquire(attempt=2)
        assert desk.repository.kept("r1") == {
            f"refs/engine/kept/r1/t1/1.{second.kept[:16]}": second.kept  # type: ignore[index]  # there was work
        }

    def test_work_that_a_snapshot_holds_is_not_kept_twice(self, desk: Desk) -> None:
        snapshot = desk.work("t1", {"a.py": "a\n"})
        assert desk.acquire(attempt=2).kept is None
        assert list(desk.repository.kept("r1").values()) == [snapshot.commit]

    def test_a_lost_record_loses_no_work(self, desk: Desk) -> None:
        (desk.acquire().path / "half.py").write_text("half\n")
        shutil.rmtree(desk.project.home / "records")
        again = desk.acquire()
        assert desk.vault("show", f"{again.kept}:half.py") == "half"
        assert files_of(again.path) == FILES

    def test_a_half_made_workspace_is_made_anew(self, desk: Desk) -> None:
        half = desk.project.home / "worktrees" / "shop" / ".new-t1"
        half.mkdir(parents=True)
        (half / "junk").write_text("x")
        assert files_of(desk.acquire().path) == FILES
        assert not half.exists()

    def test_a_task_id_that_leaves_its_folder_is_refused(self, desk: Desk) -> None:
        with pytest.raises(UsageError, match="this task id cannot be used"):
            desk.acquire("../../x")


class TestSnapshot:
    """One task, one commit on top of its base."""

    def test_it_lists_every_change_by_tree_diff(self, desk: Desk) -> None:
        workspace = desk.acquire()
        (workspace.path / "src/app.py").write_text("one\ntwo\n")
        (workspace.path / "src/util.py").unlink()
        (workspace.path / "new").mkdir()
        (workspace.path / "new/ünicode name.txt").write_text("x")
        (workspace.path / "README.md").chmod(0o755)
        (workspace.path / "image").write_bytes(b"\0\1\2")
        snapshot = desk.repository.snapshot(
            workspace,
            DeclaredFiles(
                create=("new/", "image"), modify=("src/app.py", "src/util.py", "README.md")
            ),
            "block",
            provenance("change much"),
        )
        oid = {
            name: desk.vault("rev-parse", f"{snapshot.commit}:{name}")
            for name in ("README.md", "image", "new/ünicode name.txt", "src/app.py")
        }
        assert snapshot.changed == (
            FileChange(
                path="README.md",
                kind="modified",
                mode="100755",
                oid=oid["README.md"],
                added=0,
                deleted=0,
            ),
            FileChange(path="image", kind="created", mode="100644", oid=oid["image"]),
            FileChange(
                path="new/ünicode name.txt",
                kind="created",
                mode="100644",
                oid=oid["new/ünicode name.txt"],
                added=1,
                deleted=0,
            ),
            FileChange(
                path="src/app.py",
                kind="modified",
                mode="100644",
                oid=oid["src/app.py"],
                added=2,
                deleted=1,
            ),
            FileChange(
                path="src/util.py", kind="deleted", mode="000000", oid="0" * 40, added=0, deleted=1
            ),
        )
        assert (snapshot.undeclared, snapshot.refused, snapshot.manifest) == ((), (), "pass")

    def test_the_commit_says_where_it_comes_from(self, desk: Desk) -> None:
        workspace = desk.acquire()
        trailers = {"Engine-Run": "r1", "Engine-Task": "t1"}
        snapshot = desk.repository.snapshot(
            workspace, DeclaredFiles(), "off", provenance("Do t1\n\nAll of it.", **trailers)
        )
        assert desk.vault("log", "-1", "--format=%P|%an|%cI|%B", snapshot.commit) == (
            f"{workspace.base}|Poundlock|2026-03-01T12:00:00+00:00|"
            "Do t1\n\nAll of it.\n\nEngine-Run: r1\nEngine-Task: t1"
        )

    def test_equal_files_and_provenance_give_an_equal_commit(self, desk: Desk) -> None:
        first = desk.work("t1", {"a.py": "a\n"})
        assert desk.take(desk.acquire(attempt=1), "a.py").commit != first.commit  # empty again
        assert desk.work("t1", {"a.py": "a\n"}).commit == first.commit

    def test_doing_nothing_is_an_empty_commit(self, desk: Desk) -> None:
        snapshot = desk.take(desk.acquire())
        assert snapshot.is_empty
        assert desk.vault("rev-parse", f"{snapshot.commit}^", f"{snapshot.commit}^{{tree}}") == (
            f"{desk.base.head}\n{desk.vault('rev-parse', desk.base.head + '^{tree}')}"
        )

    def test_a_second_snapshot_sees_later_work_and_keeps_the_first(self, desk: Desk) -> None:
        workspace = desk.acquire()
        (workspace.path / "a.py").write_text("1\n")
        first = desk.take(workspace, "a.py")
        (workspace.path / "a.py").write_text("2\n")
        (workspace.path / "b.py").write_text("b\n")
        second = desk.take(workspace, "a.py", "b.py")
        (workspace.path / "a.py").unlink()
        third = desk.take(workspace, "b.py")
        assert [c.path for c in second.changed] == ["a.py", "b.py"]
        assert [c.path for c in third.changed] == ["b.py"]
        assert set(desk.repository.kept("r1").values()) == {
            first.commit,
            second.commit,
            third.commit,
        }

    @pytest.mark.parametrize(
        ("enforcement", "verdict"), [("off", "pass"), ("warn", "pass"), ("block", "fail")]
    )
    def test_an_undeclared_write_is_named_and_kept(
        self, desk: Desk, enforcement: str, verdict: str
    ) -> None:
        workspace = desk.acquire()
        (workspace.path / "declared.py").write_text("x\n")
        (workspace.path / "src/app.py").write_text("changed\n")
        snapshot = desk.take(workspace, "declared.py", enforcement=enforcement)  # type: ignore[arg-type]  # a Literal
        assert (snapshot.undeclared, snapshot.manifest) == (("src/app.py",), verdict)
        assert desk.vault("show", f"{snapshot.commit}:src/app.py") == "changed"

    @pytest.mark.parametrize(
        ("declared", "is_right"),
        [
            pytest.param(DeclaredFiles(create=("src/new.py",)), True, id="created by name"),
            pytest.param(DeclaredFiles(modify=("src/new.py",)), True, id="modified by name"),
            pytest.param(DeclaredFiles(create=("src/",)), True, id="by folder"),
            pytest.param(DeclaredFiles(create=("src",)), False, id="a folder needs its slash"),
            pytest.param(DeclaredFiles(create=("src/*.py",)), False, id="no patterns"),
            pytest.param(DeclaredFiles(read=("src/new.py",)), False, id="reading is not writing"),
            pytest.param(DeclaredFiles(create=("sr/",)), False, id="another folder"),
        ],
    )
    def test_what_declares_a_path(
        self, desk: Desk, declared: DeclaredFiles, is_right: bool
    ) -> None:
        workspace = desk.acquire()
        (workspace.path / "src/new.py").write_text("x\n")
        snapshot = desk.repository.snapshot(workspace, declared, "block", provenance())
        assert (snapshot.undeclared == ()) is is_right

    def test_ignored_files_stay_out_unless_declared(self, desk: Desk) -> None:
        workspace = desk.acquire()
        for name in ("build.log", "kept.log", "logs/a.log", "logs/b.log", "free/c.log"):
            (workspace.path / name).parent.mkdir(exist_ok=True)
            (workspace.path / name).write_text("x\n")
        snapshot = desk.take(workspace, "kept.log", "logs/")
        assert [c.path for c in snapshot.changed] == ["kept.log", "logs/a.log", "logs/b.log"]

    def test_what_the_engine_puts_below_dot_engine_is_not_work(self, desk: Desk) -> None:
        workspace = desk.acquire()
        (workspace.path / ".gitignore").write_text("")
        (workspace.path / ".engine").mkdir()
        (workspace.path / ".engine/task.json").write_text("{}")
        assert [c.path for c in desk.take(workspace, ".gitignore").changed] == [".gitignore"]

    @pytest.mark.parametrize(
        "entry", ["../outside.txt", "/etc/hostname", "a/../../x", "x\0y", "..", ""]
    )
    def test_a_declaration_cannot_reach_outside(self, desk: Desk, entry: str) -> None:
        workspace = desk.acquire()
        (workspace.path.parent / "outside.txt").write_text("secret\n")
        for form in (entry, f"{entry}/"):
            snapshot = desk.repository.snapshot(
                workspace, DeclaredFiles(create=(form,)), "block", provenance()
            )
            assert (snapshot.changed, snapshot.refused) == ((), ())

    def test_a_file_becomes_a_folder_and_a_folder_a_file(self, desk: Desk) -> None:
        workspace = desk.acquire()
        (workspace.path / "README.md").unlink()
        (workspace.path / "README.md").mkdir()
        (workspace.path / "README.md/inner.txt").write_text("x\n")
        shutil.rmtree(workspace.path / "src")
        (workspace.path / "src").write_text("now a file\n")
        snapshot = desk.take(workspace, "README.md/", "README.md", "src", "src/")
        assert [(c.path, c.kind) for c in snapshot.changed] == [
            ("README.md", "deleted"),
            ("README.md/inner.txt", "created"),
            ("src", "created"),
            ("src/app.py", "deleted"),
            ("src/util.py", "deleted"),
        ]

    def test_links_inside_the_tree_are_taken_as_links(self, desk: Desk) -> None:
        workspace = desk.acquire()
        (workspace.path / "link").symlink_to("src/app.py")
        (workspace.path / "src/up").symlink_to("../README.md")
        shutil.rmtree(workspace.path / "src")
        (workspace.path / "lib").mkdir()
        (workspace.path / "src").symlink_to("lib")
        snapshot = desk.take(workspace, "link", "src", "src/")
        assert [(c.path, c.kind, c.mode) for c in snapshot.changed] == [
            ("link", "created", "120000"),
            ("src", "created", "120000"),
            ("src/app.py", "deleted", "000000"),
            ("src/util.py", "deleted", "000000"),
        ]
        assert snapshot.refused == ()

    def test_a_trailer_cannot_forge_another(self, desk: Desk) -> None:
        with pytest.raises(Exception, match="a trailer cannot be written"):
            desk.repository.snapshot(
                desk.acquire(), DeclaredFiles(), "off", provenance("x", Task="a\nEngine-Run: r9")
            )


def test_a_full_history_of_the_base_is_there(desk: Desk) -> None:
    desk.project.commit("second", {"b.txt": "b\n"})
    base = desk.repository.prepare("shop", "r2", None)
    inside = Project(desk.acquire(base=base.head).path)
    assert inside.git("log", "--format=%s") == "second\nstart"


def test_workers_cannot_find_the_users_repository_from_their_folder(desk: Desk) -> None:
    workspace = desk.acquire()
    shutil.rmtree(workspace.path / ".git")
    answer = subprocess.run(
        ["git", "rev-parse", "--git-dir"],
        cwd=workspace.path,
        env={"PATH": os.environ["PATH"], **desk.repository.child_environment()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert answer.stderr.startswith("fatal: not a git repository")


def test_a_repository_opens_again_with_all_it_had(desk: Desk) -> None:
    workspace = desk.acquire()
    (workspace.path / "a.py").write_text("a\n")
    desk.repository.close()
    with Repository.open(desk.project.home, desk.project.root, None) as again:
        snapshot = again.snapshot(workspace, DeclaredFiles(create=("a.py",)), "block", provenance())
        assert [c.path for c in snapshot.changed] == ["a.py"]


def test_a_commit_is_kept_though_the_git_that_makes_refs_was_killed_over_its_lock(
    desk: Desk,
) -> None:
    vault = desk.repository._vault
    vault.keep(desk.base.head, "r1", "before", 1)
    running = vault._ref_maker._running
    assert running is not None
    assert running.proc is not None
    running.proc.kill()
    running.proc.wait()
    lock = vault.folder / f"refs/engine/kept/r1/t1/1.{desk.base.head[:16]}.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    ref = vault.keep(desk.base.head, "r1", "t1", 1)
    assert (vault.resolve(ref), lock.exists()) == (desk.base.head, False)
    assert vault.keep(desk.base.head, "r1", "t1", 1) == ref  # again is no error
