"""Where a run starts: every kind of repository a user can have, and those that are refused."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest

from engine.errors import UsageError
from engine.workspaces import Base, Repository
from tests.workspaces.conftest import Desk, Project, make_project, provenance


def prepare(project: Project, base: str | None = None, run: str = "r1") -> Base:
    with Repository.open(project.home, project.root, None) as repository:
        return repository.prepare("shop", run, base)


def test_a_run_starts_from_what_is_checked_out(project: Project) -> None:
    commit = project.git("rev-parse", "HEAD")
    assert prepare(project) == Base(
        branch="main",
        commit=commit,
        ref="refs/heads/engine/shop/r1",
        head=commit,
        integration_branch="engine/shop",
    )


def test_preparing_again_changes_nothing_even_when_the_base_has_moved(project: Project) -> None:
    first = prepare(project)
    project.commit("later", {"new.txt": "x\n"})
    assert prepare(project) == first


def test_a_dirty_tree_is_used_as_committed_and_left_alone(project: Project) -> None:
    project.write({"src/app.py": "changed\n", "untracked.txt": "x\n"})
    project.git("add", "README.md")
    before = project.state()
    prepare(project)
    assert project.state() == before


def test_a_detached_head_has_no_branch(project: Project) -> None:
    project.git("checkout", "-q", "--detach")
    assert prepare(project).branch is None


def test_another_branch_can_be_the_base(project: Project) -> None:
    project.git("branch", "release/1.0 beta".replace(" ", "-"))
    project.commit("main moves on", {"new.txt": "x\n"})
    base = prepare(project, "release/1.0-beta")
    assert (base.branch, base.commit) == ("release/1.0-beta", project.git("rev-parse", "HEAD~1"))


def test_a_linked_worktree_starts_from_its_own_head(project: Project, tmp_path: Path) -> None:
    linked = tmp_path / "linked"
    project.git("worktree", "add", "-q", "-b", "side", str(linked))
    side = Project(linked)
    commit = side.commit("on the side", {"side.txt": "x\n"})
    assert (prepare(side).branch, prepare(side).commit) == ("side", commit)


def test_a_bare_repository_works_when_a_branch_is_there(project: Project, tmp_path: Path) -> None:
    project.git("clone", "-q", "--bare", ".", str(tmp_path / "bare.git"))
    bare = Project(tmp_path / "bare.git")
    assert prepare(bare).commit == prepare(bare, "main", run="r2").commit


def test_a_shallow_clone_works_to_the_end(project: Project, tmp_path: Path) -> None:
    project.commit("second", {"b.txt": "b\n"})
    project.git("clone", "-q", "--depth=1", f"file://{project.root}", str(tmp_path / "shallow"))
    shallow = Project(tmp_path / "shallow")
    with Repository.open(shallow.home, shallow.root, None) as repository:
        desk = Desk(repository, repository.prepare("shop", "r1", None), shallow)
        made = desk.candidate(desk.work("t1", {"c.txt": "c\n"}))
        repository.merge(desk.authorize(made))
        assert repository.publish(desk.base).state == "moved"
        assert Project(desk.acquire("t2").path).git("log", "--oneline", "--format=%s") == "second"
    assert shallow.git("rev-parse", "engine/shop") == made.commit


def test_a_sha256_repository_works_to_the_end(tmp_path: Path) -> None:
    root = tmp_path / "sha256"
    root.mkdir()
    project = Project(root)
    project.git("init", "-q", "-b", "main", "--object-format=sha256")
    project.commit("start", {"a.txt": "a\n"})
    with Repository.open(project.home, project.root, None) as repository:
        desk = Desk(repository, repository.prepare("shop", "r1", None), project)
        made = desk.candidate(desk.work("t1", {"c.txt": "c\n"}))
        repository.merge(desk.authorize(made))
        assert repository.publish(desk.base).state == "moved"
        assert len(made.commit) == 64
        assert Project(desk.acquire("t2").path).git("status", "--porcelain") == ""


def test_a_new_run_goes_on_from_the_published_branch(desk: Desk) -> None:
    made = desk.candidate(desk.work("t1", {"c.txt": "c\n"}))
    desk.repository.merge(desk.authorize(made))
    desk.repository.publish(desk.base)
    desk.project.commit("main moves on", {"new.txt": "x\n"})
    assert desk.repository.prepare("shop", "r2", None).head == made.commit


def test_a_new_run_starts_from_the_base_once_that_holds_the_published_branch(desk: Desk) -> None:
    made = desk.candidate(desk.work("t1", {"c.txt": "c\n"}))
    desk.repository.merge(desk.authorize(made))
    desk.repository.publish(desk.base)
    desk.project.git("merge", "-q", "--no-ff", "-m", "merged by Ada", "engine/shop")
    assert desk.repository.prepare("shop", "r2", None).head == desk.project.git("rev-parse", "HEAD")


@pytest.mark.parametrize(
    "branch", ["missing", "-x", "main^", "main^{tree}", "a b", "", "HEAD", "*"]
)
def test_a_base_that_is_no_branch_is_refused_and_the_branches_are_listed(
    project: Project, branch: str
) -> None:
    with pytest.raises(UsageError) as caught:
        prepare(project, branch)
    assert str(caught.value) == (
        f'{project.root}: the base branch does not exist: expected a branch "{branch}", '
        "but got only main. Give run.base_branch one of them, or make the branch."
    )


def test_a_folder_without_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="this is not a git repository") as caught:
        Repository.open(tmp_path / "home", tmp_path, None)
    assert caught.value.exit_code == 2


def test_a_folder_that_does_not_exist_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="this is not a git repository"):
        Repository.open(tmp_path / "home", tmp_path / "nowhere", None)


def test_a_repository_without_commit_is_refused(tmp_path: Path) -> None:
    project = Project(tmp_path)
    project.git("init", "-q")
    with pytest.raises(UsageError, match="has no commit yet"):
        prepare(project)


@pytest.mark.parametrize("name", ["../x", "a/b", "-x", "", "a.lock", "ü"])
def test_a_feature_that_cannot_be_a_branch_is_refused(project: Project, name: str) -> None:
    with (
        Repository.open(project.home, project.root, None) as repository,
        pytest.raises(UsageError, match="this feature cannot be used"),
    ):
        repository.prepare(name, "r1", None)


@pytest.mark.skipif(os.geteuid() != 0, reason="chown needs root")  # a right CI cannot install
def test_the_repository_of_another_user_is_used_only_when_the_person_trusts_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path / "theirs")
    for path in (project.root, *project.root.rglob("*")):
        os.chown(path, 65534, 65534)
    home = tmp_path / "person"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    with pytest.raises(UsageError, match="belongs to somebody else"):
        Repository.open(tmp_path / "engine", project.root, None)
    (home / ".gitconfig").write_text(f"[safe]\n\tdirectory = {project.root}\n")
    with Repository.open(tmp_path / "engine", project.root, None) as repository:
        assert repository.prepare("shop", "r1", None).branch == "main"


def test_engines_of_several_features_make_one_vault_at_once(project: Project) -> None:
    features = [f"f{number}" for number in range(6)]
    gate = Barrier(len(features))

    def begin(feature: str) -> str:
        gate.wait()
        with Repository.open(project.home, project.root, None) as repository:
            return repository.prepare(feature, "r1", None).ref

    with ThreadPoolExecutor(len(features)) as engines:
        refs = list(engines.map(begin, features))

    assert refs == [f"refs/heads/engine/{feature}/r1" for feature in features]
    assert [path.name for path in project.home.glob("vault.git*")] == ["vault.git"]


def test_a_vault_whose_making_was_killed_is_tidied_away_later_not_while_it_may_be_made(
    project: Project,
) -> None:
    killed, making = (project.home / f"vault.git.new-{name}" for name in ("old", "young"))
    for folder in (killed, making):
        folder.mkdir(parents=True)
    os.utime(killed, (0, 0))

    with Repository.open(project.home, project.root, None) as repository:
        told = repository.recover_locks()

    assert told == ("removed vault.git.new-old, which a dead git or engine process had left",)
    assert [path.name for path in sorted(project.home.glob("vault.git*"))] == [
        "vault.git",
        "vault.git.new-young",
    ]


def test_what_was_changed_in_the_vault_configuration_is_put_back(desk: Desk) -> None:
    vault = desk.project.home / "vault.git"
    (vault / "hooks").mkdir()
    (vault / "info").mkdir(exist_ok=True)
    (vault / "info" / "attributes").write_text("* filter=evil\n")
    with (vault / "config").open("a") as config:
        config.write('[filter "evil"]\n\tclean = false\n\trequired = true\n')
    with Repository.open(desk.project.home, desk.project.root, None) as again:
        assert "evil" not in (vault / "config").read_text()
        assert not (vault / "hooks").exists()
        assert not (vault / "info" / "attributes").exists()
        assert again.build_candidate(
            desk.base.head, (desk.work("t1", {"a.txt": "a\n"}).commit,), provenance()
        )
