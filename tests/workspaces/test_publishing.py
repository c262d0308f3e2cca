"""Branches of the user's repository move forward, or stay with a reason; clean-up loses nothing."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.errors import GitError, IntegrityError
from engine.git import Git, Place
from engine.workspaces import Candidate, Published, Repository, user_repository, vault
from tests.workspaces.conftest import Desk, Project, provenance


@pytest.fixture
def merged(desk: Desk) -> Candidate:
    made = desk.candidate(desk.work("t1", {"a.py": "a\n"}))
    desk.repository.merge(desk.authorize(made))
    return made


class TestPublish:
    """Branch engine/<feature>."""

    def test_it_appears_and_nothing_else_changes(self, desk: Desk, merged: Candidate) -> None:
        before = desk.project.state()
        assert desk.repository.publish(desk.base) == Published(
            branch="engine/shop", commit=merged.commit, state="moved"
        )
        assert desk.project.git("rev-parse", "engine/shop") == merged.commit
        assert desk.project.state() == before
        assert desk.project.git("for-each-ref", "--format=%(refname)").split() == [
            "refs/heads/engine/shop",
            "refs/heads/main",
        ]
        assert not (desk.project.root / ".git/FETCH_HEAD").exists()

    def test_publishing_again_changes_nothing(self, desk: Desk, merged: Candidate) -> None:
        desk.repository.publish(desk.base)
        assert desk.repository.publish(desk.base).state == "current"

    def test_an_engine_that_stood_still_does_not_move_it_back(
        self, desk: Desk, merged: Candidate, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        later = desk.candidate(desk.work("t2", {"b.py": "b\n"}, merged.commit), old=merged.commit)
        objects_only = user_repository.fetch

        def stand_still(*arguments: Any) -> None:
            objects_only(*arguments)
            monkeypatch.undo()
            desk.repository.merge(desk.authorize(later))  # meanwhile another engine goes on
            assert desk.repository.publish(desk.base).state == "moved"

        monkeypatch.setattr(user_repository, "fetch", stand_still)
        assert desk.repository.publish(desk.base).state == "refused"
        assert desk.project.git("rev-parse", "engine/shop") == later.commit

    def test_it_moves_forward(self, desk: Desk, merged: Candidate) -> None:
        desk.repository.publish(desk.base)
        later = desk.candidate(desk.work("t2", {"b.py": "b\n"}, merged.commit), old=merged.commit)
        desk.repository.merge(desk.authorize(later))
        assert desk.repository.publish(desk.base).commit == later.commit

    def test_a_branch_with_other_commits_stays(self, desk: Desk, merged: Candidate) -> None:
        desk.project.git("branch", "engine/shop")
        desk.project.git("switch", "-q", "engine/shop")
        theirs = desk.project.commit("by hand", {"hand.txt": "x\n"})
        desk.project.git("switch", "-q", "main")
        answer = desk.repository.publish(desk.base)
        assert (answer.state, answer.commit) == ("refused", theirs)
        assert answer.reason == (
            f"branch engine/shop is at {theirs[:12]}, which is not part of {merged.commit[:12]}: "
            "somebody committed to it; rename that branch, and the engine makes it anew"
        )
        assert desk.project.git("rev-parse", "engine/shop") == theirs

    def test_a_branch_that_is_checked_out_stays(
        self, desk: Desk, merged: Candidate, tmp_path: Path
    ) -> None:
        linked = tmp_path / "ein Ort"
        desk.project.git("worktree", "add", "-q", "-b", "engine/shop", str(linked))
        answer = desk.repository.publish(desk.base)
        assert (answer.state, answer.reason) == (
            "refused",
            f"branch engine/shop is checked out in {linked}; switch to another branch there",
        )
        assert Project(linked).git("status", "--porcelain") == ""

    @pytest.mark.parametrize("way", ["-c", "--orphan"])
    def test_what_is_checked_out_here_stays(self, desk: Desk, merged: Candidate, way: str) -> None:
        """Even when it has no commit yet: the files there are not those of a merge."""
        desk.project.git("switch", "-q", way, "engine/shop")
        answer = desk.repository.publish(desk.base)
        assert (answer.state, answer.reason) == (
            "refused",
            f"branch engine/shop is checked out in {desk.project.root}; switch to another branch there",
        )

    def test_a_name_that_is_taken_by_a_branch_above_is_a_reason(
        self, desk: Desk, merged: Candidate
    ) -> None:
        desk.project.git("branch", "engine")
        answer = desk.repository.publish(desk.base)
        assert answer.state == "refused"
        assert "refs/heads/engine" in answer.reason


class TestOlderCopy:
    """An engine home put back from before a merge that the user's branch shows."""

    def test_the_run_does_not_go_on(self, desk: Desk, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        shutil.copytree(desk.project.home, copy, symlinks=True)
        work = desk.work("t1", {"a.py": "a\n"})
        merge = provenance("merge", **{"Engine-Run": "r1"})
        made = desk.repository.build_candidate(desk.base.head, (work.commit,), merge)
        assert isinstance(made, Candidate)
        desk.repository.merge(desk.authorize(made))
        desk.repository.publish(desk.base)
        desk.repository.prepare("shop", "r1", None)  # the home that merged goes on
        desk.repository.close()
        shutil.rmtree(desk.project.home)
        copy.rename(desk.project.home)
        with (
            Repository.open(desk.project.home, desk.project.root, None) as older,
            pytest.raises(IntegrityError, match="the engine home is an older copy"),
        ):
            older.prepare("shop", "r1", None)


@pytest.mark.parametrize(("times", "state"), [(1, "moved"), (2, "refused")])
def test_a_git_that_is_killed_once_does_not_keep_the_branch_back(
    desk: Desk, merged: Candidate, monkeypatch: pytest.MonkeyPatch, times: int, state: str
) -> None:
    killed: list[str] = []

    def fetch(git: Git, target: Place, source: Path, specs: Sequence[str]) -> None:
        if len(killed) < times:
            killed.append("unpack-objects died of signal 9")
            raise GitError("git fetch", got=killed[-1])
        vault.fetch(git, target, source, specs)

    monkeypatch.setattr(user_repository, "fetch", fetch)
    published = desk.repository.publish(desk.base)
    assert (published.state, published.reason) == (state, killed[-1] if times == 2 else "")


class TestLocks:
    """A lock that our killed git left in the user's repository goes; any other stays and is named."""

    @pytest.fixture
    def lock(self, desk: Desk) -> Path:
        lock = desk.project.root / ".git/refs/heads/engine/shop.lock"
        lock.parent.mkdir(parents=True)
        lock.touch()
        return lock

    def test_what_a_killed_git_of_the_engine_left_is_removed(
        self, desk: Desk, merged: Candidate, lock: Path
    ) -> None:
        note = desk.project.home / "publishing/engine/shop.note"
        note.parent.mkdir(parents=True)
        note.touch()
        assert desk.repository.publish(desk.base).state == "moved"
        assert (lock.exists(), note.exists()) == (False, False)

    def test_somebody_elses_lock_stays(self, desk: Desk, merged: Candidate, lock: Path) -> None:
        assert desk.repository.publish(desk.base) == Published(
            branch="engine/shop",
            commit=None,
            state="refused",
            reason=f"branch engine/shop is locked by {lock}; when no git is at work there, "
            "remove that file and run again",
        )
        assert lock.exists()
        lock.unlink()
        assert desk.repository.publish(desk.base).state == "moved"


class TestPromote:
    """The user's own branch, only when asked for."""

    def test_a_clean_checkout_moves_with_its_files(self, desk: Desk, merged: Candidate) -> None:
        assert desk.repository.promote(desk.base).state == "moved"
        assert desk.project.git("rev-parse", "HEAD") == merged.commit
        assert (desk.project.root / "a.py").read_text() == "a\n"
        assert desk.project.git("status", "--porcelain") == ""
        assert desk.repository.promote(desk.base).state == "current"

    def test_a_dirty_tree_stays(self, desk: Desk, merged: Candidate) -> None:
        desk.project.write({"README.md": "mine\n"})
        before = desk.project.state()
        answer = desk.repository.promote(desk.base)
        assert (answer.state, answer.reason) == (
            "refused",
            "main is checked out and 1 files have changes that are not committed",
        )
        assert desk.project.state() == before

    def test_a_file_in_the_way_stays(self, desk: Desk, merged: Candidate) -> None:
        desk.project.write({"a.py": "mine, not committed\n"})
        answer = desk.repository.promote(desk.base)
        assert answer.state == "refused"
        assert (desk.project.root / "a.py").read_text() == "mine, not committed\n"

    def test_a_branch_that_went_on_stays(self, desk: Desk, merged: Candidate) -> None:
        theirs = desk.project.commit("by hand", {"hand.txt": "x\n"})
        assert desk.repository.promote(desk.base).state == "refused"
        assert desk.project.git("rev-parse", "main") == theirs

    def test_a_branch_that_is_not_checked_out_moves_alone(
        self, desk: Desk, merged: Candidate
    ) -> None:
        desk.project.git("switch", "-q", "-c", "other")
        before = desk.project.state()
        assert desk.repository.promote(desk.base).state == "moved"
        assert desk.project.git("rev-parse", "main") == merged.commit
        assert desk.project.state() == before

    def test_a_detached_head_has_nothing_to_promote(self, desk: Desk, merged: Candidate) -> None:
        desk.project.git("checkout", "-q", "--detach")
        base = desk.repository.prepare("shop", "r1", None)
        assert "detached HEAD" in desk.repository.promote(base).reason


class TestQuarantine:
    """A person can look at what did not merge."""

    def test_a_branch_shows_the_commit(self, desk: Desk) -> None:
        snapshot = desk.work("t1", {"a.py": "a\n"})
        answer = desk.repository.quarantine(snapshot.commit, feature="shop", task="t1")
        assert answer == Published(
            branch="engine-quarantine/shop/t1", commit=snapshot.commit, state="moved"
        )
        assert desk.project.git("show", "engine-quarantine/shop/t1:a.py") == "a"
        again = desk.repository.quarantine(snapshot.commit, feature="shop", task="t1")
        assert again.state == "current"

    def test_an_older_branch_of_that_name_stays(self, desk: Desk) -> None:
        first = desk.work("t1", {"a.py": "1\n"})
        second = desk.work("t1", {"a.py": "2\n"})
        desk.repository.quarantine(first.commit, feature="shop", task="t1")
        answer = desk.repository.quarantine(second.commit, feature="shop", task="t1")
        assert answer.branch == f"engine-quarantine/shop/t1-{second.commit[:12]}"
        assert desk.project.git("rev-parse", "engine-quarantine/shop/t1") == first.commit


class TestCleanup:
    """Folders go, commits stay."""

    def test_folders_go_after_their_work_is_kept(self, desk: Desk) -> None:
        (desk.acquire("t1").path / "half.py").write_text("half\n")
        desk.work("t2", {"b.py": "b\n"})
        desk.repository.checkout(desk.base.head, "gate")
        report = desk.repository.cleanup(None, keep_branches=True)
        worktrees = desk.project.home / "worktrees"
        assert report.removed == (worktrees / "shop/t1", worktrees / "shop/t2")
        assert list(report.kept) == ["shop/t1"]
        assert desk.vault("show", f"{report.kept['shop/t1']}:half.py") == "half"
        for folder in ("worktrees", "records", "checkouts", "trash"):
            assert list((desk.project.home / folder).iterdir()) == []

    def test_only_the_named_feature_goes(self, desk: Desk) -> None:
        desk.acquire("t1")
        other = desk.repository.acquire(
            feature="other", run="r2", task="t1", attempt=1, base_commit=desk.base.head
        )
        desk.repository.cleanup("shop", keep_branches=True)
        assert other.path.is_dir()

    def test_no_commit_of_a_snapshot_is_ever_deleted(self, desk: Desk) -> None:
        commits = [desk.work("t1", {"a.py": f"{n}\n"}).commit for n in range(3)]
        desk.repository.quarantine(commits[0], feature="shop", task="t1")
        desk.repository.cleanup(None, keep_branches=False)
        desk.vault("gc", "-q", "--prune=now")
        assert {desk.vault("cat-file", "-t", commit) for commit in commits} == {"commit"}
        assert set(desk.repository.kept("r1").values()) == set(commits)

    def test_quarantine_branches_go_only_when_asked_and_only_ours(self, desk: Desk) -> None:
        snapshot = desk.work("t1", {"a.py": "a\n"})
        desk.repository.quarantine(snapshot.commit, feature="shop", task="t1")
        desk.project.git("branch", "engine-quarantine/shop/by-hand")
        assert desk.repository.cleanup(None, keep_branches=True).deleted_branches == ()
        report = desk.repository.cleanup(None, keep_branches=False)
        assert report.deleted_branches == ("engine-quarantine/shop/t1",)
        assert "by-hand" in desk.project.git("branch", "--list", "engine-quarantine/*")

    def test_a_quarantine_branch_that_is_checked_out_stays(self, desk: Desk) -> None:
        snapshot = desk.work("t1", {"a.py": "a\n"})
        desk.repository.quarantine(snapshot.commit, feature="shop", task="t1")
        desk.project.git("switch", "-q", "engine-quarantine/shop/t1")
        assert desk.repository.cleanup(None, keep_branches=False).deleted_branches == ()

    def test_nothing_is_left_in_the_users_folder(self, desk: Desk, merged: Candidate) -> None:
        desk.repository.publish(desk.base)
        desk.repository.cleanup(None, keep_branches=False)
        assert sorted(path.name for path in desk.project.root.iterdir()) == [
            ".engine",
            ".git",
            ".gitignore",
            "README.md",
            "src",
        ]


class TestAttestations:
    """Files about merges, on a branch of the user's repository that shares nothing with the code."""

    BRANCH = "engine-attestations"

    def attest(self, desk: Desk, **files: str) -> Published:
        contents = {name.replace("_", "."): text.encode() for name, text in files.items()}
        return desk.repository.attest(contents, provenance("attest"))

    def there(self, desk: Desk) -> dict[str, str]:
        names = desk.project.git("ls-tree", "--name-only", self.BRANCH).split()
        return {name: desk.project.git("show", f"{self.BRANCH}:{name}") for name in names}

    def test_they_lie_beside_each_other(self, desk: Desk) -> None:
        first, second = self.attest(desk, a_txt="one"), self.attest(desk, b_txt="two")
        assert [first.state, second.state] == ["moved", "moved"]
        assert self.there(desk) == {"a.txt": "one", "b.txt": "two"}
        assert desk.project.git("rev-list", self.BRANCH).split() == [second.commit, first.commit]
        assert desk.repository.attested() == {"a.txt", "b.txt"}

    def test_the_same_again_changes_nothing(self, desk: Desk) -> None:
        first = self.attest(desk, a_txt="one")
        assert self.attest(desk, a_txt="one") == replace(first, state="current")
        assert self.attest(desk, a_txt="other").state == "moved"
        assert self.there(desk) == {"a.txt": "other"}

    def test_what_somebody_puts_there_meanwhile_stays(
        self, desk: Desk, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.attest(desk, a_txt="one")
        user = desk.repository._user
        branch = user.branch
        seen = [branch(self.BRANCH)]
        self.attest(desk, b_txt="two")  # after the other one has looked
        monkeypatch.setattr(user, "branch", lambda name: seen.pop() if seen else branch(name))
        assert self.attest(desk, c_txt="three").state == "moved"
        assert self.there(desk) == {"a.txt": "one", "b.txt": "two", "c.txt": "three"}

    def test_a_git_that_fails_leaves_nothing_in_the_repository(self, desk: Desk) -> None:
        user = desk.repository._user
        git_dir = desk.project.root / ".git"
        before = sorted(path.name for path in git_dir.iterdir())
        answer = user.put(self.BRANCH, None, b"commit refs/heads/engine-attestations\nnonsense\n")
        assert (answer.state, user.branch(self.BRANCH)) == ("refused", None)
        assert "fatal: " in answer.reason
        assert sorted(path.name for path in git_dir.iterdir()) == before
        assert self.attest(desk, a_txt="one").state == "moved"

    def test_a_lock_of_a_killed_git_of_ours_is_removed_and_one_of_the_users_is_not(
        self, desk: Desk
    ) -> None:
        lock = desk.project.root / ".git/refs/heads/engine-attestations.lock"
        lock.touch()
        theirs = self.attest(desk, a_txt="one")
        assert (theirs.state, lock.exists()) == ("refused", True)
        assert f"locked by {lock}" in theirs.reason
        note = desk.project.home / "publishing" / "engine-attestations.note"
        note.parent.mkdir(parents=True, exist_ok=True)
        note.touch()
        assert (self.attest(desk, a_txt="one").state, lock.exists()) == ("moved", False)
