"""L4: the repository holds the recorded merges, each once, and nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from engine.audit import Report, verify_folder
from engine.errors import UsageError
from tests.audit.finished import Finished


def git(repository: Path, *arguments: str) -> str:
    clean = {"PATH": os.environ["PATH"], "GIT_CONFIG_GLOBAL": os.devnull, "HOME": "/nonexistent"}
    named = {
        f"GIT_{who}_{what}": "x" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    done = subprocess.run(
        ["git", "-C", str(repository), *arguments], capture_output=True, text=True, check=True, env={**clean, **named}
    )  # fmt: skip
    return done.stdout.strip()


def compared(finished: Finished, repository: Path, ref: str = "") -> Report:
    return verify_folder(
        finished.folder, levels=["L0", "L1", "L2", "L4"], repository=repository, ref=ref
    )


def told(finished: Finished, repository: Path, ref: str = "") -> list[str]:
    return [f"{item.level} {item.message}" for item in compared(finished, repository, ref).findings]


@pytest.fixture
def clone(finished: Finished, tmp_path: Path) -> Path:
    """A plain clone of the user's repository, as anybody may have it."""
    target = tmp_path / "clone"
    git(tmp_path, "clone", "-q", str(finished.project), str(target))
    return target


def test_vault_project_and_plain_clone_all_hold(finished: Finished, clone: Path):
    refs = {}
    for repository in (finished.vault, finished.project, clone):
        report = compared(finished, repository)
        assert report.ok, report.findings
        assert dict(report.counts)["merges compared"] == 2
        refs[repository.name] = report.levels
    assert refs == dict.fromkeys(["vault.git", "shop", "clone"], ("L0", "L1", "L2", "L4"))


def test_a_commit_on_the_published_branch_that_no_run_made_is_found(
    finished: Finished, clone: Path
):
    git(clone, "checkout", "-q", "engine/shop")
    git(clone, "commit", "-q", "--allow-empty", "-m", "by hand")
    made = git(clone, "rev-parse", "HEAD")
    assert told(finished, clone) == [
        f"L4 commit {made} is on refs/heads/engine/shop, but no entry records it"
    ]
    assert told(finished, clone, "origin/engine/shop") != []
    assert told(finished, clone, "refs/remotes/origin/engine/shop") == []


def test_what_a_later_run_of_the_feature_merged_is_its_own_ledgers_business(
    finished: Finished, clone: Path
):
    git(clone, "checkout", "-q", "engine/shop")
    git(clone, "commit", "-q", "--allow-empty", "-m", "later\n\nEngine-Run: another")
    assert told(finished, clone) == []


def test_a_repository_without_the_branch_is_found(finished: Finished, tmp_path: Path):
    git(tmp_path, "init", "-q", "empty")
    (message,) = told(finished, tmp_path / "empty")
    assert message.endswith(
        f"neither refs/heads/engine/shop/{finished.run} nor the published branch"
    )


def test_a_missing_object_is_found(finished: Finished, tmp_path: Path):
    copy = tmp_path / "vault.git"
    shutil.copytree(finished.vault, copy)
    tree = git(copy, "rev-parse", f"refs/heads/engine/shop/{finished.run}^{{tree}}")
    (copy / "objects" / tree[:2] / tree[2:]).unlink()
    assert f"L4 objects of refs/heads/engine/shop/{finished.run} are missing" in told(
        finished, copy
    )


def test_the_configuration_of_the_repository_runs_nothing(finished: Finished, tmp_path: Path):
    copy, canary = tmp_path / "vault.git", tmp_path / "canary"
    shutil.copytree(finished.vault, copy)
    run = f"!touch {canary}"
    (copy / "config").write_text(
        f'[core]\n\trepositoryformatversion = 0\n\tbare = true\n\tfsmonitor = "touch {canary}"\n\thooksPath = {copy}/evil\n'
        f'[merge "x"]\n\tdriver = "touch {canary}"\n[alias]\n\trev-parse = "{run}"\n\tmerge-tree = "{run}"\n'
    )
    (copy / "info").mkdir(exist_ok=True)
    (copy / "info" / "attributes").write_text("* merge=x\n")
    assert told(finished, copy) == []
    assert not canary.exists()


def test_a_folder_that_is_no_repository_is_said(finished: Finished, tmp_path: Path):
    with pytest.raises(UsageError, match="expected a git repository, but got none"):
        compared(finished, tmp_path)
