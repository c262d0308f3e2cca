"""The world of git: what a worker can write is never executed, the branch moves only forward, work is never lost."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from engine.core.safety import MERGE_KINDS, MergeAuthorization, Subject, VerdictEvidence, authorize
from engine.errors import UsageError
from engine.workspaces import (
    Base,
    Candidate,
    Conflict,
    DeclaredFiles,
    Merged,
    Provenance,
    Repository,
    Snapshot,
    Stale,
    Workspace,
)

AT = datetime(2026, 1, 1, tzinfo=UTC)
ENV = {
    "PATH": os.environ["PATH"],
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "HOME": "/nonexistent",
}


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, env=ENV, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def said(text: str = "work") -> Provenance:
    return Provenance(message=text, trailers={"Engine-Run": "r1"}, at=AT)


@pytest.fixture
def user(tmp_path: Path) -> Path:
    root = tmp_path / "ein Örtchen"
    root.mkdir()
    git(root, "init", "-q", "-b", "main")
    (root / "a.txt").write_text("a\n", "utf-8")
    git(root, "add", "-A")
    git(root, "-c", "user.name=T", "-c", "user.email=t@example.org", "commit", "-q", "-m", "first")
    return root


@pytest.fixture
def repository(user: Path) -> Iterator[Repository]:
    with Repository.open(user / ".engine", user, None) as opened:
        yield opened


@pytest.fixture
def base(repository: Repository) -> Base:
    return repository.prepare("shop", "r1", None)


def workspace(repository: Repository, base: Base, task: str = "t", attempt: int = 1) -> Workspace:
    return repository.acquire(
        feature="shop", run="r1", task=task, attempt=attempt, base_commit=base.head
    )


def snapshot(repository: Repository, place: Workspace, *declared: str) -> Snapshot:
    return repository.snapshot(place, DeclaredFiles(create=declared), "block", said())


def passed(candidate: Candidate, ref: str) -> MergeAuthorization:
    subject = Subject(
        old=candidate.old, sources=candidate.sources, tree=candidate.tree, commit=candidate.commit
    )
    made = authorize(
        subject,
        ref=ref,
        evidence=[
            VerdictEvidence(kind=kind, verdict="pass", subject=subject, seq=seq)
            for seq, kind in enumerate(MERGE_KINDS)
        ],
    )
    assert isinstance(made, MergeAuthorization)
    return made


def work(repository: Repository, base: Base, task: str, **files: str) -> Snapshot:
    place = workspace(repository, base, task)
    for name, text in files.items():
        (place.path / f"{name}.txt").write_text(text, "utf-8")
    return snapshot(repository, place, *(f"{name}.txt" for name in files))


def test_what_a_worker_plants_is_never_run(
    repository: Repository, base: Base, tmp_path: Path
) -> None:
    canary = tmp_path / "canary"
    place = workspace(repository, base)
    run = f"sh -c 'touch \"{canary}\"; cat'"
    for key in (
        "filter.x.clean",
        "filter.x.smudge",
        "merge.x.driver",
        "diff.x.textconv",
        "core.fsmonitor",
        "diff.external",
    ):
        git(place.path, "config", key, run)
    git(place.path, "config", "filter.x.required", "true")
    hooks = place.path / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in (
        "pre-commit",
        "post-commit",
        "post-checkout",
        "post-index-change",
        "reference-transaction",
        "post-merge",
    ):
        (hooks / name).write_text(f"#!/bin/sh\ntouch '{canary}'\n", "utf-8")
        (hooks / name).chmod(0o755)
    (place.path / ".git" / "info").mkdir(exist_ok=True)
    (place.path / ".git" / "info" / "attributes").write_text("* filter=x merge=x diff=x\n", "utf-8")
    (place.path / "n.txt").write_text("n\n", "utf-8")
    canary.unlink(missing_ok=True)

    taken = snapshot(repository, place, "n.txt")
    made = repository.build_candidate(base.head, (taken.commit,), said())
    assert isinstance(made, Candidate)
    repository.diff(made.old, made.commit)
    repository.patch(made.old, made.commit, 1000)
    repository.release(repository.checkout(made.commit, "gate"))
    repository.merge(passed(made, base.ref))
    repository.publish(base)
    repository.release(place)

    assert not canary.exists()
    assert [change.path for change in taken.changed] == ["n.txt"]


@pytest.mark.parametrize(
    ("plant", "code"),
    [
        pytest.param(
            lambda root: (root / "n.txt").symlink_to("/etc/passwd"),
            "symlink_escape",
            id="a link out of the tree",
        ),
        pytest.param(
            lambda root: (root / "n.txt").symlink_to("../../x"),
            "symlink_escape",
            id="a relative link out",
        ),
        pytest.param(
            lambda root: git(root, "init", "-q", "n.txt"),
            "nested_repository",
            id="a nested repository",
        ),
        pytest.param(lambda root: os.mkfifo(root / "n.txt"), "special_file", id="a pipe"),
        pytest.param(
            lambda root: (root / ".gitattributes").write_text("* filter=x\n"),
            "control_file",
            id="a control file",
        ),
        pytest.param(
            lambda root: (root / ".gitmodules").write_text("[submodule]\n"),
            "control_file",
            id="submodules",
        ),
    ],
)
def test_what_is_never_taken(repository: Repository, base: Base, plant: object, code: str) -> None:
    place = workspace(repository, base)
    plant(place.path)  # type: ignore[operator]  # a function of the table above
    taken = snapshot(repository, place, "n.txt")
    assert code in {refusal.code for refusal in taken.refused}
    assert taken.manifest == "fail"


def test_a_worker_that_deletes_its_repository_or_commits_changes_nothing(
    repository: Repository, base: Base
) -> None:
    place = workspace(repository, base)
    (place.path / "n.txt").write_text("n\n", "utf-8")
    git(place.path, "add", "-A")
    git(
        place.path,
        "-c",
        "user.name=W",
        "-c",
        "user.email=w@example.org",
        "commit",
        "-q",
        "-m",
        "mine",
    )
    committed = snapshot(repository, place, "n.txt")
    subprocess.run(["rm", "-rf", str(place.path / ".git")], check=True)
    deleted = snapshot(repository, place, "n.txt")
    assert committed.tree == deleted.tree
    assert [change.path for change in deleted.changed] == ["n.txt"]


def test_undeclared_writes_are_found_by_the_tree(repository: Repository, base: Base) -> None:
    place = workspace(repository, base)
    (place.path / "n.txt").write_text("n\n", "utf-8")
    (place.path / "other.txt").write_text("o\n", "utf-8")
    taken = snapshot(repository, place, "n.txt")
    assert (taken.undeclared, taken.manifest) == (("other.txt",), "fail")


def test_four_tasks_become_one_merge_commit(repository: Repository, base: Base, user: Path) -> None:
    commits = tuple(work(repository, base, name, **{name: name}).commit for name in "wxyz")
    made = repository.build_candidate(base.head, commits, said("merge"))
    assert isinstance(made, Candidate)
    assert isinstance(repository.merge(passed(made, base.ref)), Merged)
    repository.publish(base)
    assert git(user, "rev-parse", "engine/shop^@").split() == [base.head, *commits]
    assert git(user, "ls-tree", "--name-only", "engine/shop").split() == [
        "a.txt",
        "w.txt",
        "x.txt",
        "y.txt",
        "z.txt",
    ]
    assert git(user, "status", "--porcelain", "--untracked-files=no") == ""


def test_a_conflict_names_the_source_and_moves_nothing(repository: Repository, base: Base) -> None:
    one, two = (work(repository, base, task, same=task).commit for task in ("x", "y"))
    found = repository.build_candidate(base.head, (one, two), said())
    assert found == Conflict(old=base.head, sources=(one, two), source=two, paths=("same.txt",))


def test_the_ref_moves_by_compare_and_swap_only(repository: Repository, base: Base) -> None:
    first, second = (
        repository.build_candidate(
            base.head, (work(repository, base, task, **{task: task}).commit,), said()
        )
        for task in ("x", "y")
    )
    assert isinstance(first, Candidate)
    assert isinstance(second, Candidate)
    assert repository.recover(base.ref, first.old, first.commit) == "redo"
    assert isinstance(repository.merge(passed(first, base.ref)), Merged)
    assert isinstance(repository.merge(passed(first, base.ref)), Merged), "safe to repeat"
    assert repository.merge(passed(second, base.ref)) == Stale(
        ref=base.ref, expected=base.head, found=first.commit
    )
    assert repository.recover(base.ref, first.old, first.commit) == "done"
    assert repository.recover(base.ref, second.old, second.commit) == "void"


def test_unfinished_work_is_kept_before_its_workspace_goes(
    repository: Repository, base: Base, user: Path
) -> None:
    place = workspace(repository, base)
    (place.path / "n.txt").write_text("precious\n", "utf-8")
    again = workspace(repository, base, attempt=2)
    assert again.kept is not None
    assert not (again.path / "n.txt").exists()
    assert git(user / ".engine" / "vault.git", "show", f"{again.kept}:n.txt") == "precious"
    (again.path / "m.txt").write_text("too\n", "utf-8")
    done = repository.cleanup(None, keep_branches=True)
    assert "too" in {
        git(user / ".engine" / "vault.git", "show", f"{commit}:m.txt")
        for commit in done.kept.values()
    }


def test_a_branch_of_the_user_that_went_elsewhere_is_not_moved(
    repository: Repository, base: Base, user: Path
) -> None:
    git(user, "branch", "engine/shop", "main")
    git(user, "checkout", "-q", "engine/shop")
    made = repository.build_candidate(
        base.head, (work(repository, base, "x", x="x").commit,), said()
    )
    assert isinstance(made, Candidate)
    repository.merge(passed(made, base.ref))
    published = repository.publish(base)
    assert published.state == "refused"
    assert git(user, "rev-parse", "engine/shop") == base.head


def test_what_is_no_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="git repository"):
        Repository.open(tmp_path / ".engine", tmp_path, None)


def test_a_repository_without_a_commit_is_refused(tmp_path: Path) -> None:
    git(tmp_path, "init", "-q")
    with (
        Repository.open(tmp_path / ".engine", tmp_path, None) as opened,
        pytest.raises(UsageError, match="commit"),
    ):
        opened.prepare("shop", "r1", None)


def test_a_missing_base_branch_is_refused(repository: Repository) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        repository.prepare("shop", "r1", "nowhere")
