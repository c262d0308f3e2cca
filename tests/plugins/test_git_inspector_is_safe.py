"""The git inspector runs nothing that a hostile workspace names, and tells the truth about it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from engine.contracts import Contracts
from engine.plugins import PluginResult, call, discover
from engine.shipped import folder

GIT_ENV = {
    "PATH": os.environ["PATH"],
    "HOME": "/nonexistent",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_AUTHOR_NAME": "a",
    "GIT_AUTHOR_EMAIL": "a@b",
    "GIT_COMMITTER_NAME": "a",
    "GIT_COMMITTER_EMAIL": "a@b",
}


def sh(script: str, place: Path) -> None:
    subprocess.run(["/bin/sh", "-ec", script], cwd=place, env=GIT_ENV, check=True, capture_output=True)  # fmt: skip


async def inspect(operation: str, workspace: Path, **given: Any) -> PluginResult:
    contracts = Contracts(folder("contracts"))
    plugin = discover([folder("plugins")], contracts).plugins["git-inspector"]
    return await call(
        plugin, operation, given, contracts=contracts, key="k", scratch=workspace.parent / "s", workspace=workspace
    )  # fmt: skip


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    place = tmp_path / "work space ü"
    place.mkdir()
    sh("git init -q -b main; echo 1 > a.txt; mkdir d; echo 1 > d/b.txt; git add .; git commit -qm one", place)  # fmt: skip
    return place


HOSTILE = """
canary() { printf '#!/bin/sh\\ntouch "%s/canary"\\ncat\\n' "$PWD" > "$1"; chmod +x "$1"; }
canary .git/evil
for h in post-checkout post-index-change reference-transaction pre-commit fsmonitor-watchman; do canary .git/hooks/$h; done
e="$PWD/.git/evil"
git config core.fsmonitor "'$e'"; git config core.hooksPath .git/hooks; git config core.pager "'$e'"
git config filter.x.clean "'$e'"; git config filter.x.smudge "'$e'"; git config filter.x.process "'$e'"; git config filter.x.required true
git config diff.x.textconv "'$e'"; git config diff.external "'$e'"; git config diff.x.command "'$e'"; git config merge.x.driver "'$e'"
git config core.sshCommand "'$e'"; git config gpg.program "'$e'"; git config log.showSignature true; git config core.worktree /
git config core.attributesFile "$PWD/.attributes"; echo '* filter=x' > .attributes
echo '* filter=x diff=x merge=x' > .gitattributes
mkdir nested; (cd nested; git init -q; git config core.fsmonitor "'$e'"; echo 1 > n.txt; git -c core.fsmonitor=false add .; git -c core.fsmonitor=false commit -qm n)
echo 2 > a.txt
"""


@pytest.mark.parametrize("operation", ["status", "diff", "log"])
async def test_a_hostile_repository_runs_nothing(operation: str, workspace: Path) -> None:
    sh(HOSTILE, workspace)
    result = await inspect(operation, workspace)
    assert result.result == "ok", result.reason
    assert not (workspace / "canary").exists()


def test_git_itself_would_run_it(workspace: Path) -> None:
    sh(HOSTILE, workspace)
    sh("git --work-tree=. status || true", workspace)
    assert (workspace / "canary").exists()


async def test_status_of_a_hostile_repository_is_true(workspace: Path) -> None:
    sh(HOSTILE, workspace)
    result = await inspect("status", workspace)
    assert isinstance(result.output, dict)
    assert [tuple(file.values()) for file in result.output["files"]] == [
        (".attributes", "added"),
        (".gitattributes", "added"),
        ("a.txt", "modified"),
    ]


async def test_a_linked_worktree_has_its_own_branch(workspace: Path, tmp_path: Path) -> None:
    sh("git worktree add -q -b side ../side; git pack-refs --all", workspace)
    sh("rm d/b.txt; echo 1 > 'new ü.txt'", tmp_path / "side")
    result = await inspect("status", tmp_path / "side")
    assert isinstance(result.output, dict)
    assert result.output["branch"] == "side"
    assert result.output["files"] == [
        {"path": "d/b.txt", "status": "deleted"},
        {"path": "new ü.txt", "status": "added"},
    ]


async def test_a_sha256_repository_is_read(tmp_path: Path) -> None:
    place = tmp_path / "w"
    place.mkdir()
    sh("git init -q --object-format=sha256; echo 1 > a; git add .; git commit -qm one; echo 2 > a", place)  # fmt: skip
    result = await inspect("diff", place)
    assert isinstance(result.output, dict)
    assert result.output["files"] == [{"path": "a", "added": 1, "removed": 1}]
    assert len(result.output["base"]) == 64


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param("rm -rf .git", id="deleted"),
        pytest.param("rm -rf .git; echo 'gitdir: /nowhere' > .git", id="leads nowhere"),
        pytest.param("rm -rf .git; echo nonsense > .git", id="nonsense"),
        pytest.param("echo '../../../etc/passwd' > .git/HEAD", id="HEAD leads out"),
        pytest.param("echo 'ref: refs/heads/../../../../etc/passwd' > .git/HEAD", id="branch leads out"),
        pytest.param("rm .git/HEAD", id="no HEAD"),
        pytest.param("rm -rf .git/objects", id="no objects"),
    ],
)  # fmt: skip
async def test_a_broken_repository_is_refused(spoil: str, workspace: Path) -> None:
    sh(spoil, workspace)
    result = await inspect("status", workspace)
    assert (result.result, result.reason_code) == ("failed", "NOT_A_REPOSITORY")


async def test_the_workspace_is_left_as_it_was(workspace: Path) -> None:
    def state() -> dict[str, tuple[int, int]]:
        return {str(p): (p.stat().st_mtime_ns, p.stat().st_size) for p in workspace.rglob("*")}

    before = state()
    for operation in ("status", "diff", "log"):
        assert (await inspect(operation, workspace)).result == "ok"
    assert state() == before
