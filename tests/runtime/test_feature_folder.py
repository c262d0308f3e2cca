"""`engine init --feature NAME`: a folder whose task graph runs as it is; nothing of the user's is written over."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.conftest import Project
from tests.runtime.conftest import Asked

FILES = ("requirements.md", "design.md", "task-graph.json")


@pytest.fixture
def empty(tmp_path: Path) -> Project:
    project = Project(tmp_path / "p")
    project.root.mkdir()
    project.git("init", "-q", "-b", "main")
    project.git(
        *("-c", "user.name=T", "-c", "user.email=t@example.org"),
        *("commit", "-q", "--allow-empty", "-m", "first"),
    )
    return project


def test_a_new_feature_runs_as_it_is(empty: Project) -> None:
    done = empty.engine("init", "--feature", "shop-2.1", "--json")
    folder = empty.root / ".engine" / "specs" / "shop-2.1"
    assert done.json["feature"] == {
        "name": "shop-2.1",
        "folder": str(folder),
        "written": [str(folder / name) for name in FILES],
        "kept": [],
    }
    ran = empty.engine("run", "--feature", "shop-2.1", "--json").json
    assert (ran["status"], [task["state"] for task in ran["tasks"]]) == ("completed", ["merged"])
    assert [one["result"] for one in ran["tasks"][0]["criteria"]] == ["ok"]
    wrote = empty.git("show", "engine/shop-2.1:shop-2.1.placeholder.txt")
    assert wrote == "Feature shop-2.1 begins here."


def test_its_check_is_a_real_one(empty: Project) -> None:
    assert empty.engine("init", "--feature", "shop").code == 0
    place = empty.root / ".engine" / "specs" / "shop" / "task-graph.json"
    graph = json.loads(place.read_text("utf-8"))
    graph["tasks"][0] |= {"args": ["touch", "shop.placeholder.txt"], "max_attempts": 1}
    place.write_text(json.dumps(graph), "utf-8")
    ran = empty.engine("run", "--feature", "shop", "--json")
    assert (ran.code, ran.json["tasks"][0]["state"]) == (1, "quarantined")


def test_what_is_there_is_kept_and_what_is_missing_is_made(empty: Project, asked: Asked) -> None:
    folder = empty.root / ".engine" / "specs" / "shop"
    folder.mkdir(parents=True)
    (folder / "design.md").write_text("mine", "utf-8")
    (folder / "task-graph.json").symlink_to("nowhere.json")
    made = asked(empty, "init", "--force", "--feature", "shop")
    assert made.code == 0
    told = [line.split()[:2] for line in made.out.replace("\n/", " /").splitlines()]
    assert ["wrote", str(folder / "requirements.md")] in told
    assert ["kept", str(folder / "design.md")] in told
    assert (folder / "design.md").read_text("utf-8") == "mine"
    assert (folder / "task-graph.json").is_symlink()
    before = (folder / "requirements.md").read_bytes()
    assert asked(empty, "init", "--feature", "shop").code == 0
    assert (folder / "requirements.md").read_bytes() == before
    assert sorted(path.name for path in folder.iterdir()) == sorted(FILES)


@pytest.mark.parametrize(
    "name", ["", "../shop", "a/b", "a b", ".shop", "shop.lock", "a..b", "-x", "ß", "x" * 65]
)
def test_a_bad_name_is_refused_before_anything_is_written(
    name: str, empty: Project, asked: Asked
) -> None:
    refused = asked(empty, "init", f"--feature={name}")
    assert (refused.code, refused.out) == (2, "")
    assert "this feature" in refused.err
    assert "expected" in refused.err
    assert [path.name for path in empty.root.iterdir()] == [".git"]


def test_the_folder_of_an_older_tool_is_left_to_it(empty: Project, asked: Asked) -> None:
    older = empty.root / ".gsd" / "specs" / "shop"
    assert asked(empty, "init", "--feature", "shop").code == 0
    older.parent.mkdir(parents=True)
    (empty.root / ".engine" / "specs" / "shop").rename(older)
    before = {path.name: path.read_bytes() for path in older.iterdir()}
    refused = asked(empty, "init", "--feature", "shop")
    assert (refused.code, "has a folder of an older layout" in refused.err) == (2, True)
    ran = empty.engine("run", "--feature", "shop")
    assert ran.code == 0, ran.err
    assert {path.name: path.read_bytes() for path in older.iterdir()} == before
    assert [path.name for path in (empty.root / ".gsd").rglob("*") if path.is_dir()] == [
        "specs",
        "shop",
    ]
    views = empty.root / ".engine" / "specs" / "shop"
    assert sorted(path.name for path in views.iterdir()) == [
        ".meta.json",
        "execution-log.jsonl",
        "worker-assignments.json",
    ]
    assert (empty.root / ".engine" / "state" / "shop.json").is_file()


def test_a_folder_that_cannot_be_written_is_a_sentence(empty: Project, asked: Asked) -> None:
    assert asked(empty, "init").code == 0
    (empty.root / ".engine" / "specs" / "shop").write_text("in the way", "utf-8")
    refused = asked(empty, "init", "--feature", "shop")
    assert (refused.code, "cannot be written" in refused.err) == (6, True)
