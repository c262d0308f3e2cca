"""Candidates, the one function that moves the integration ref, and what is left after a kill at any instant."""

from __future__ import annotations

import re
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engine.core.safety import (
    MERGE_KINDS,
    MergeAuthorization,
    Subject,
    VerdictEvidence,
    authorize,
)
from engine.errors import GitError, IntegrityError, UsageError
from engine.git import Git
from engine.workspaces import Candidate, Conflict, Merged, Repository, Stale
from tests.workspaces.conftest import FILES, Desk, Project, provenance


class TestCandidate:
    """One merge commit that nothing points at."""

    def test_one_source_is_a_plain_merge(self, desk: Desk) -> None:
        snapshot = desk.work("t1", {"a.py": "a\n"})
        made = desk.candidate(snapshot)
        assert desk.vault("log", "-1", "--format=%P %T", made.commit).split() == [
            desk.base.head,
            snapshot.commit,
            snapshot.tree,
        ]
        assert desk.head() == desk.base.head

    def test_four_sources_are_one_octopus(self, desk: Desk) -> None:
        snapshots = [desk.work(f"t{n}", {f"f{n}.py": f"{n}\n"}) for n in range(4)]
        made = desk.candidate(*snapshots)
        assert desk.vault("log", "-1", "--format=%P", made.commit).split() == [
            desk.base.head,
            *(snapshot.commit for snapshot in snapshots),
        ]
        assert desk.vault("ls-tree", "-r", "--name-only", made.commit).split() == sorted(
            [*FILES, "f0.py", "f1.py", "f2.py", "f3.py"]
        )

    def test_two_changes_of_one_file_that_do_not_touch_merge(self, desk: Desk) -> None:
        lines = [f"line {n}\n" for n in range(20)]
        desk.project.commit("long", {"long.txt": "".join(lines)})
        base = desk.repository.prepare("shop", "r2", None)
        there = Desk(desk.repository, base, desk.project)
        one = there.work("t1", {"long.txt": "".join(["first\n", *lines[1:]])}, base.head)
        two = there.work("t2", {"long.txt": "".join([*lines[:-1], "last\n"])}, base.head)
        made = there.candidate(one, two)
        merged = desk.repository.read_file(made.commit, "long.txt", 1000)
        assert merged == "".join(["first\n", *lines[1:-1], "last\n"]).encode()

    def test_it_is_built_twice_with_one_id(self, desk: Desk) -> None:
        snapshots = [desk.work(f"t{n}", {f"f{n}.py": f"{n}\n"}) for n in range(2)]
        assert desk.candidate(*snapshots) == desk.candidate(*snapshots)

    def test_the_trailers_are_in_the_commit(self, desk: Desk) -> None:
        made = desk.repository.build_candidate(
            desk.base.head,
            (desk.work("t1", {"a.py": "a\n"}).commit,),
            provenance("Merge wave 1", **{"Engine-Run": "r1", "Ledger-Checkpoint": "41/abcd="}),
        )
        assert isinstance(made, Candidate)
        assert desk.vault("log", "-1", "--format=%(trailers)", made.commit) == (
            "Engine-Run: r1\nLedger-Checkpoint: 41/abcd="
        )

    def test_a_conflict_names_the_source_and_the_paths(self, desk: Desk) -> None:
        good = desk.work("t0", {"a.py": "a\n"})
        one = desk.work("t1", {"src/app.py": "one\n", "README.md": "one\n"})
        two = desk.work("t2", {"src/app.py": "two\n", "README.md": "two\n"})
        sources = (good.commit, one.commit, two.commit)
        assert desk.repository.build_candidate(desk.base.head, sources, provenance()) == Conflict(
            old=desk.base.head,
            sources=sources,
            source=two.commit,
            paths=("README.md", "src/app.py"),
        )
        assert desk.head() == desk.base.head

    def test_a_deleted_and_changed_file_is_a_conflict(self, desk: Desk) -> None:
        one = desk.work("t1", {"src/app.py": "one\n"})
        workspace = desk.acquire("t2")
        (workspace.path / "src/app.py").unlink()
        two = desk.take(workspace, "src/app.py")
        made = desk.repository.build_candidate(
            desk.base.head, (one.commit, two.commit), provenance()
        )
        assert isinstance(made, Conflict)
        assert made.paths == ("src/app.py",)

    @pytest.mark.parametrize("sources", [(), ("a" * 40, "a" * 40)])
    def test_nothing_to_merge_and_twice_the_same_are_refused(
        self, desk: Desk, sources: tuple[str, ...]
    ) -> None:
        with pytest.raises(GitError, match="at least one source, none twice"):
            desk.repository.build_candidate(desk.base.head, sources, provenance())

    @pytest.mark.parametrize("source", ["HEAD", "--upload-pack=x", "refs/heads/engine/shop/r1"])
    def test_a_source_is_an_object_id(self, desk: Desk, source: str) -> None:
        with pytest.raises(GitError, match="not an object id"):
            desk.repository.build_candidate(desk.base.head, (source,), provenance())


class TestMerge:
    """Compare and swap, for the authorised commit only."""

    def test_it_moves_the_ref(self, desk: Desk) -> None:
        made = desk.candidate(desk.work("t1", {"a.py": "a\n"}))
        merged = desk.repository.merge(desk.authorize(made))
        assert merged == Merged(ref=desk.base.ref, old=desk.base.head, commit=made.commit)
        assert desk.head() == made.commit

    def test_doing_it_twice_is_doing_it_once(self, desk: Desk) -> None:
        made = desk.candidate(desk.work("t1", {"a.py": "a\n"}))
        authorization = desk.authorize(made)
        assert desk.repository.merge(authorization) == desk.repository.merge(authorization)
        assert desk.vault("rev-list", "--count", "--first-parent", desk.base.ref) == "2"

    def test_of_two_candidates_for_one_head_only_one_is_merged(self, desk: Desk) -> None:
        one = desk.candidate(desk.work("t1", {"a.py": "a\n"}))
        two = desk.candidate(desk.work("t2", {"b.py": "b\n"}))
        desk.repository.merge(desk.authorize(one))
        assert desk.repository.merge(desk.authorize(two)) == Stale(
            ref=desk.base.ref, expected=desk.base.head, found=one.commit
        )
        assert desk.head() == one.commit

    def test_many_threads_at_once_merge_exactly_one(self, desk: Desk) -> None:
        work = [desk.work(f"t{n}", {f"f{n}.py": "x\n"}) for n in range(6)]
        ready = [desk.authorize(desk.candidate(snapshot)) for snapshot in work]
        start = threading.Barrier(len(ready))
        answers: list[Merged | Stale | GitError] = []

        def race(authorization: MergeAuthorization) -> None:
            start.wait()
            try:
                answers.append(desk.repository.merge(authorization))
            except GitError as error:  # the ref was locked by another
                answers.append(error)

        threads = [threading.Thread(target=race, args=(one,)) for one in ready]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        merged = [answer for answer in answers if isinstance(answer, Merged)]
        assert [one.commit for one in merged] == [desk.head()]
        assert desk.vault("rev-list", "--count", "--first-parent", desk.base.ref) == "2"

    def test_without_an_authorization_nothing_moves(self, desk: Desk) -> None:
        made = desk.candidate(desk.work("t1", {"a.py": "a\n"}))
        with pytest.raises(TypeError, match="only the safety kernel"):
            desk.repository.merge(made)  # type: ignore[arg-type]  # the mistake under test
        assert desk.head() == desk.base.head

    def test_a_commit_that_is_not_what_was_judged_is_not_merged(self, desk: Desk) -> None:
        judged = desk.candidate(desk.work("t1", {"a.py": "a\n"}))
        other = desk.candidate(desk.work("t2", {"evil.py": "evil\n"}))
        for forged, is_there in (
            (replace(judged, commit=other.commit), f"tree {other.tree}"),
            (replace(judged, tree=other.tree), f"tree {judged.tree}"),
            (replace(judged, sources=other.sources), f"tree {judged.tree}"),
            (replace(judged, commit="f" * 40), "no such commit"),
        ):
            with pytest.raises(IntegrityError, match="not the commit that was judged") as raised:
                desk.repository.merge(desk.authorize(forged))
            assert str(raised.value.got).startswith(is_there)
        assert desk.head() == desk.base.head

    def test_a_name_that_is_no_utf_8_is_no_reason(self, desk: Desk) -> None:
        made = desk.candidate(desk.work("t1", {"a.py": "a\n"}))
        written = desk.vault("cat-file", "commit", made.commit).encode()
        file = desk.project.home / "commit"
        file.write_bytes(re.sub(rb"author [^<]*<", b"author J\xf6rg <", written) + b"\n")
        commit = desk.vault("hash-object", "-t", "commit", "-w", str(file))
        assert isinstance(
            desk.repository.merge(desk.authorize(replace(made, commit=commit))), Merged
        )

    def test_a_merge_starts_one_git(self, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
        ready = desk.authorize(desk.candidate(desk.work("t1", {"a.py": "a\n"})))
        asked: list[str] = []
        run = Git.run

        def counting(self: Git, *arguments: Any, **named: Any) -> Any:
            asked.append(arguments[0])
            return run(self, *arguments, **named)

        monkeypatch.setattr(Git, "run", counting)
        desk.repository.merge(ready)
        assert asked == ["update-ref"]

    def test_a_ref_of_another_run_does_not_move(self, desk: Desk) -> None:
        made = desk.candidate(desk.work("t1", {"a.py": "a\n"}))
        subject = Subject(old=made.old, sources=made.sources, tree=made.tree, commit=made.commit)
        ref = "refs/heads/engine/shop/r9"
        permitted = authorize(
            subject,
            ref=ref,
            evidence=[
                VerdictEvidence(kind=kind, verdict="pass", subject=subject, seq=1)
                for kind in MERGE_KINDS
            ],
        )
        assert isinstance(permitted, MergeAuthorization)
        assert desk.repository.merge(permitted) == Stale(ref=ref, expected=made.old, found=None)

    @pytest.mark.parametrize(
        ("command", "expected"),
        [
            (
                "update-ref",
                {
                    "git/running.py": 1,  # the list of commands
                    "git/conversations.py": 1,  # makes refs, moves none
                    "workspaces/vault.py": 3,  # start (creates), merge (moves), keep (creates)
                    # shows the user what is merged (their branch, never the ref above), deletes a quarantine branch
                    "workspaces/user_repository.py": 2,
                },
            ),
            (
                "fast-import",
                {
                    "git/running.py": 1,
                    "workspaces/user_repository.py": 1,  # what is put on branch engine-attestations
                },
            ),
        ],
    )
    def test_only_one_place_in_the_source_moves_an_integration_ref(
        self, command: str, expected: dict[str, int]
    ) -> None:
        root = Path(__file__).parents[2] / "engine"
        texts = {
            f"{path.relative_to(root)}": path.read_text("utf-8") for path in root.rglob("*.py")
        }
        found = {path: text.count(f'"{command}"') for path, text in texts.items()}
        assert {path: count for path, count in found.items() if count} == expected


class TestRecovery:
    """After a kill, one look at the ref says what to do."""

    def test_killed_before_the_move(self, desk: Desk) -> None:
        made = desk.candidate(desk.work("t1", {"a.py": "a\n"}))
        assert desk.repository.recover(desk.base.ref, made.old, made.commit) == "redo"

    def test_killed_after_the_move(self, desk: Desk) -> None:
        made = desk.candidate(desk.work("t1", {"a.py": "a\n"}))
        desk.repository.merge(desk.authorize(made))
        assert desk.repository.recover(desk.base.ref, made.old, made.commit) == "done"

    def test_moved_and_others_came_after(self, desk: Desk) -> None:
        made = desk.candidate(desk.work("t1", {"a.py": "a\n"}))
        authorization = desk.authorize(made)
        desk.repository.merge(authorization)
        later = desk.candidate(desk.work("t2", {"b.py": "b\n"}, made.commit), old=made.commit)
        desk.repository.merge(desk.authorize(later))
        assert desk.repository.recover(desk.base.ref, made.old, made.commit) == "done"
        assert isinstance(desk.repository.merge(authorization), Merged)
        assert desk.head() == later.commit

    def test_somebody_else_moved_it(self, desk: Desk) -> None:
        made = desk.candidate(desk.work("t1", {"a.py": "a\n"}))
        other = desk.candidate(desk.work("t2", {"b.py": "b\n"}))
        desk.repository.merge(desk.authorize(other))
        assert desk.repository.recover(desk.base.ref, made.old, made.commit) == "void"

    def test_the_candidate_was_never_written(self, desk: Desk) -> None:
        assert desk.repository.recover(desk.base.ref, "a" * 40, "b" * 40) == "void"

    def test_the_index_lock_of_a_killed_checkout_is_removed(self, desk: Desk) -> None:
        left = desk.project.home / "checkouts" / ".index-verify-t1.lock"
        left.parent.mkdir(exist_ok=True)
        left.touch()
        assert [note.split(",")[0] for note in desk.repository.recover_locks()] == [
            "removed checkouts/.index-verify-t1.lock"
        ]
        left.touch()  # and when git alone is killed, the next attempt of the same engine gets through
        assert desk.repository.checkout(desk.base.head, "verify-t1").path.is_dir()

    def test_beside_other_engines_only_what_is_ours_is_removed(self, desk: Desk) -> None:
        home = desk.project.home
        ours = [
            "vault.git/refs/heads/engine/shop/r1.lock",
            "vault.git/refs/engine/kept/r1/t1/1.abc.lock",
            "records/shop/t1/index.lock",
            "checkouts/.index-r1-verify-t1.lock",
        ]
        theirs = [
            "vault.git/config.lock",
            "vault.git/objects/aa/tmp_obj_x",
            "vault.git/refs/heads/engine/till/r2.lock",
            "records/till/t1/index.lock",
            "checkouts/.index-r2-verify-t1",
            "trash/tmpx/file",
        ]
        for name in (*ours, *theirs):
            (home / name).parent.mkdir(parents=True, exist_ok=True)
            (home / name).touch()
        removed = {note.split(",")[0] for note in desk.repository.recover_locks(("shop", "r1"))}
        assert removed == {f"removed {name}" for name in ours}
        assert [name for name in theirs if not (home / name).exists()] == []

    def test_a_lock_that_a_killed_git_left_is_removed_and_named(self, desk: Desk) -> None:
        made = desk.candidate(desk.work("t1", {"a.py": "a\n"}))
        lock = desk.project.home / "vault.git" / f"{desk.base.ref}.lock"
        index_lock = desk.project.home / "records/shop/t1/index.lock"
        half = desk.project.home / "vault.git/objects/aa/tmp_obj_x"
        for file in (lock, index_lock, half):
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()
        with pytest.raises(GitError, match="Unable to create"):
            desk.repository.merge(desk.authorize(made))
        notes = desk.repository.recover_locks()
        assert notes == tuple(
            f"removed {file.relative_to(desk.project.home)}, which a dead git or engine process had left"
            for file in (lock, half, index_lock)
        )
        assert isinstance(desk.repository.merge(desk.authorize(made)), Merged)
        assert desk.repository.recover_locks() == ()


class TestRollback:
    """The branch only moves forward; an earlier tree comes back on top."""

    def merged(self, desk: Desk) -> Candidate:
        made = desk.candidate(desk.work("t1", {"a.py": "a\n"}))
        desk.repository.merge(desk.authorize(made))
        return made

    def test_it_restores_the_tree_on_top(self, desk: Desk) -> None:
        bad = self.merged(desk)
        back = desk.repository.build_rollback(bad.commit, desk.base.head, provenance("back"))
        assert isinstance(desk.repository.merge(desk.authorize(back, "rollback")), Merged)
        assert desk.vault("rev-parse", f"{desk.base.ref}^{{tree}}") == desk.vault(
            "rev-parse", f"{desk.base.head}^{{tree}}"
        )
        assert desk.vault("rev-parse", f"{desk.base.ref}^") == bad.commit

    def test_only_an_earlier_state_can_come_back(self, desk: Desk) -> None:
        bad = self.merged(desk)
        elsewhere = desk.work("t2", {"b.py": "b\n"}, bad.commit).commit
        for target in (bad.commit, elsewhere):
            with pytest.raises(UsageError, match="cannot be restored"):
                desk.repository.build_rollback(bad.commit, target, provenance("back"))

    def test_a_tree_that_is_not_the_earlier_one_is_not_merged(self, desk: Desk) -> None:
        bad = self.merged(desk)
        back = desk.repository.build_rollback(bad.commit, desk.base.head, provenance("back"))
        forged = replace(back, sources=(bad.sources[0],))
        with pytest.raises(IntegrityError, match="not the commit that was judged"):
            desk.repository.merge(desk.authorize(forged, "rollback"))


class TestGateCheckout:
    """Gates work on exactly the candidate, in a folder of its own."""

    def test_it_holds_the_files_of_the_commit_and_a_repository(self, desk: Desk) -> None:
        made = desk.candidate(desk.work("t1", {"a.py": "a\n"}))
        gate = desk.repository.checkout(made.commit, "r1-lint")
        inside = Project(gate.path)
        assert (gate.path / "a.py").read_text() == "a\n"
        assert inside.git("rev-parse", "HEAD") == made.commit
        assert inside.git("status", "--porcelain") == ""
        assert inside.git("diff", "--name-only", "HEAD^") == "a.py"

    def test_what_a_gate_does_there_stays_there(self, desk: Desk) -> None:
        before, head = desk.project.state(), desk.vault("for-each-ref")
        gate = desk.repository.checkout(desk.base.head, "gate")
        inside = Project(gate.path)
        inside.commit("gates may commit", {"x": "x"})
        inside.git("update-ref", "refs/heads/engine/shop/r1", "HEAD")
        inside.git("gc", "-q", "--prune=now")
        assert (desk.project.state(), desk.vault("for-each-ref")) == (before, head)

    def test_it_is_fresh_every_time(self, desk: Desk) -> None:
        gate = desk.repository.checkout(desk.base.head, "gate")
        (gate.path / "junk").write_text("x")
        assert not (desk.repository.checkout(desk.base.head, "gate").path / "junk").exists()


class TestReading:
    """What policies look at."""

    def test_a_patch_is_cut_at_its_limit(self, desk: Desk) -> None:
        snapshot = desk.work("t1", {"a.py": "a\n" * 500})
        whole = desk.repository.patch(snapshot.base, snapshot.commit, 100_000)
        part = desk.repository.patch(snapshot.base, snapshot.commit, 50)
        assert (whole.is_complete, "+a" in whole.text) == (True, True)
        assert (part.is_complete, part.text) == (False, whole.text[:50])

    def test_a_file_is_read_by_its_path(self, desk: Desk) -> None:
        head = desk.base.head
        assert desk.repository.read_file(head, "README.md", 100) == b"# Demo\n"
        assert desk.repository.read_file(head, "src", 100) is None
        assert desk.repository.read_file(head, "missing", 100) is None
        assert desk.repository.read_file(head, "a\nb", 100) is None
        with pytest.raises(UsageError, match="this file is too large"):
            desk.repository.read_file(head, "README.md", 3)

    def test_a_renamed_file_is_one_gone_and_one_new(self, desk: Desk) -> None:
        workspace = desk.acquire()
        (workspace.path / "src/app.py").rename(workspace.path / "src/main.py")
        snapshot = desk.take(workspace, "src/app.py", "src/main.py")
        assert [(c.path, c.kind) for c in desk.repository.diff(snapshot.base, snapshot.commit)] == [
            ("src/app.py", "deleted"),
            ("src/main.py", "created"),
        ]


def test_every_object_of_the_vault_is_sound_afterwards(desk: Desk) -> None:
    snapshots = [desk.work(f"t{n}", {f"f{n}.py": f"{n}\n"}) for n in range(3)]
    made = desk.candidate(*snapshots)
    desk.repository.merge(desk.authorize(made))
    assert desk.vault("fsck", "--strict", "--no-dangling") == ""
    with Repository.open(desk.project.home, desk.project.root, None) as again:
        assert again.prepare("shop", "r1", None).head == made.commit
