"""`engine import`: lines of the older task queue become a task graph, or a list of what is wrong with them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.acceptance.conftest import Project
from tests.runtime.conftest import Asked

LINES = """\
# the queue of spring
{"task_id": "a", "summary": "First", "args": "sh -c 'echo a > a.txt'", "files": {"writes": ["a.txt"]}, "verify": "true", "owner": "x"}

{"id": "b", "deps": ["a"], "timeout": "60", "criteria": ["It is there."], "files": "b.txt"}
"""


@pytest.fixture
def project(tmp_path: Path) -> Project:
    project = Project(tmp_path)
    project.git("init", "-q")
    return project


def test_older_lines_become_a_task_graph_that_runs(project: Project, asked: Asked) -> None:
    (project.root / "tasks.jsonl").write_text(LINES, "utf-8")
    file = str(project.root / "tasks.jsonl")
    tried = asked(project, "import", file, "-f", "shop", "--dry-run")
    assert (tried.code, "2 tasks; nothing was written" in tried.out) == (0, True)
    assert not (project.root / ".engine").exists()
    done = asked(project, "import", file, "-f", "shop", "--verify", "test -s b.txt", "--json")
    assert (done.code, done.json["tasks"], done.json["unverified"]) == (0, 2, [])
    assert done.json["left_out"] == [{"line": 2, "keys": ["owner"]}]
    graph = json.loads(Path(done.json["file"]).read_text("utf-8"))
    assert graph == {
        "feature": "shop",
        "version": "1.0",
        "tasks": [
            {
                "id": "a",
                "title": "First",
                "args": ["sh", "-c", "echo a > a.txt"],
                "files": {"modify": ["a.txt"]},
                "verification": {"command": "true"},
            },
            {
                "id": "b",
                "dependencies": ["a"],
                "files": {"modify": ["b.txt"]},
                "acceptance_criteria": [{"id": "AC-1", "text": "It is there."}],
                "timeout_seconds": 60,
                "verification": {"command": "test -s b.txt"},
            },
        ],
    }
    plan = asked(project, "run", "-f", "shop", "--dry-run", "--json").json
    assert [[task["id"] for task in wave["tasks"]] for wave in plan["waves"]] == [["a"], ["b"]]
    again = asked(project, "import", file, "-f", "shop")
    assert (again.code, "has a task graph already" in again.err) == (2, True)
    without = asked(project, "import", file, "-f", "shop", "--force")
    assert (without.code, "without a check[/], so no run starts: b" in without.out) == (0, False)
    assert "without a check, so no run starts: b" in without.out


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        pytest.param([], ["line 1 /: expected a task on each line"], id="empty"),
        pytest.param(["# later"], ["line 1 /: expected a task on each line"], id="no task"),
        pytest.param(['{"id": "a"}', "oops"], ["line 2 /: expected one JSON object"], id="no JSON"),
        pytest.param(
            ['{"id": "a", "timeout": "soon"}', "", '{"id": "a b"}'],
            ["line 1 /timeout: expected timeout to be a whole number", "line 3 /id: expected id"],
            id="every line is told",
        ),
        pytest.param(['{"id": "a", "level": 9}'], ["line 1 /level: "], id="the contract"),
        pytest.param(
            ["#", '{"id": "a", "deps": ["x"]}'],
            ["line 2 /dependencies/0: a depends on x, which is not in the graph"],
            id="the plan",
        ),
        pytest.param(
            ['{"id": "a", "deps": ["b"]}', '{"id": "b", "deps": ["a"]}'],
            ["line 0 /tasks: dependencies form a cycle: a → b → a"],
            id="a cycle",
        ),
        pytest.param([""], ["/tasks"], id="no task at all"),
    ],
)
def test_what_is_wrong_is_told_by_line(
    project: Project, asked: Asked, lines: list[str], says: list[str]
) -> None:
    (project.root / "tasks.jsonl").write_text("\n".join(lines), "utf-8")
    done = asked(project, "import", str(project.root / "tasks.jsonl"), "--feature", "shop")
    assert (done.code, done.out) == (3, "")
    assert [text for text in says if text not in done.err] == []
    assert not (project.root / ".engine").exists()


def test_what_cannot_be_read(project: Project, asked: Asked) -> None:
    missing = asked(project, "import", str(project.root / "none.jsonl"), "-f", "shop")
    assert (missing.code, "the file cannot be read" in missing.err) == (2, True)
    (project.root / "latin.jsonl").write_bytes(b'{"id": "\xe4"}')
    assert asked(project, "import", str(project.root / "latin.jsonl"), "-f", "shop").code == 2
    (project.root / "a.jsonl").write_text('{"id": "a"}', "utf-8")
    assert asked(project, "import", str(project.root / "a.jsonl"), "-f", "../x").code in {2, 3}
    assert asked(project, "import", str(project.root / "a.jsonl")).code == 2
