"""Task graphs to waves."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service_tasks.planning import TaskGraphError, beyond, build_plan, with_levels


def graph(*tasks: dict[str, Any]) -> dict[str, Any]:
    return {"feature": "shop", "tasks": list(tasks)}


def waves(*tasks: dict[str, Any], mode: str = "waves") -> list[list[str]]:
    return [[t["id"] for t in wave["tasks"]] for wave in build_plan(graph(*tasks), mode).waves]


@pytest.mark.parametrize(
    ("tasks", "expected"),
    [
        pytest.param([{"id": "b"}, {"id": "a"}], [["a", "b"]], id="independent tasks share a wave"),
        pytest.param(
            [{"id": "a"}, {"id": "b", "dependencies": ["a"]}],
            [["a"], ["b"]],
            id="a dependency comes first",
        ),
        pytest.param(
            [{"id": "b", "level": 2}, {"id": "a", "level": 1}],
            [["a"], ["b"]],
            id="levels are barriers",
        ),
        pytest.param(
            [{"id": "a", "level": 1}, {"id": "b", "level": 1, "dependencies": ["a"]}],
            [["a"], ["b"]],
            id="an edge inside a level becomes a sub-wave",
        ),
        pytest.param(
            [{"id": "a", "locks": {"writes": ["db"]}}, {"id": "b", "locks": {"writes": ["db"]}}],
            [["a"], ["b"]],
            id="two writers of a lock never run together",
        ),
        pytest.param(
            [{"id": "a", "locks": {"reads": ["db"]}}, {"id": "b", "locks": {"writes": ["db"]}}],
            [["a"], ["b"]],
            id="reader and writer of a lock never run together",
        ),
        pytest.param(
            [{"id": "a", "locks": {"reads": ["db"]}}, {"id": "b", "locks": {"reads": ["db"]}}],
            [["a", "b"]],
            id="two readers do",
        ),
        pytest.param(
            [{"id": "a", "lane": "explanation"}, {"id": "b", "lane": "decision"}],
            [["b", "a"]],
            id="the decision lane comes first",
        ),
    ],
)
def test_waves(tasks: list[dict[str, Any]], expected: list[list[str]]) -> None:
    assert waves(*tasks) == expected


def test_dag_mode_knows_no_levels() -> None:
    tasks = [
        {"id": "a", "level": 1},
        {"id": "b", "level": 2},
        {"id": "c", "level": 3, "dependencies": ["a"]},
    ]
    assert waves(*tasks) == [["a"], ["b"], ["c"]]
    assert waves(*tasks, mode="dag") == [["a", "b"], ["c"]]


@pytest.mark.parametrize(
    ("tasks", "findings"),
    [
        pytest.param(
            [
                {"id": "a", "dependencies": ["b"]},
                {"id": "b", "dependencies": ["c"]},
                {"id": "c", "dependencies": ["a"]},
            ],
            ["/tasks: dependencies form a cycle: a → b → c → a"],
            id="a cycle is shown",
        ),
        pytest.param(
            [
                {
                    "id": "a",
                    "acceptance_criteria": [{"id": "1", "text": "x"}, {"id": "1", "text": "y"}],
                }
            ],
            ["/tasks/0/acceptance_criteria: criterion 1 of a is there 2 times"],
            id="one criterion twice",
        ),
        pytest.param(
            [{"id": "a", "dependencies": ["x"]}],
            ["/tasks/0/dependencies/0: a depends on x, which is not in the graph"],
            id="a missing dependency",
        ),
        pytest.param(
            [{"id": "a"}, {"id": "a"}],
            ["/tasks/0/id: a is used 2 times", "/tasks/1/id: a is used 2 times"],
            id="a duplicate id",
        ),
        pytest.param(
            [{"id": "a", "files": {"create": ["x"]}}, {"id": "b", "files": {"modify": ["x"]}}],
            [
                "/tasks/1/files: x is owned by a and b, which run in one wave; expected one owner, "
                "or a dependency between the two"
            ],
            id="two owners in one wave",
        ),
        pytest.param(
            [{"id": "a", "level": 2}, {"id": "b", "level": 1, "dependencies": ["a"]}],
            ["/tasks/1/level: b is on level 1 but depends on a of level 2"],
            id="a level against a dependency",
        ),
    ],
)
def test_refused(tasks: list[dict[str, Any]], findings: list[str]) -> None:
    with pytest.raises(TaskGraphError) as caught:
        build_plan(graph(*tasks), "waves")
    assert [str(finding) for finding in caught.value.findings] == findings


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "../x",
        "a/../../x",
        ".git/config",
        "a/.GIT/x",
        "~/x",
        "C:/x",
        "a//b",
        "a\\b",
        "a\nb",
    ],
)
def test_unsafe_paths_are_refused(path: str) -> None:
    with pytest.raises(TaskGraphError):
        build_plan(graph({"id": "a", "files": {"create": [path]}}), "waves")


@st.composite
def graphs(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(st.integers(1, 12))
    tasks = []
    for number in range(count):
        earlier = [f"t{n}" for n in range(number)]
        tasks.append(
            {
                "id": f"t{number}",
                "dependencies": draw(st.lists(st.sampled_from(earlier), unique=True))
                if earlier
                else [],
                "locks": {
                    "reads": draw(st.lists(st.sampled_from("xyz"), max_size=2)),
                    "writes": draw(st.lists(st.sampled_from("xyz"), max_size=2)),
                },
            }
        )
    return graph(*draw(st.permutations(tasks)))


@given(graphs(), st.sampled_from(["waves", "dag"]))
def test_laws_of_a_plan(given_graph: dict[str, Any], mode: str) -> None:
    plan = build_plan(given_graph, mode)
    place = {t["id"]: wave["number"] for wave in plan.waves for t in wave["tasks"]}
    assert sorted(place) == sorted(t["id"] for t in given_graph["tasks"])
    for entry in given_graph["tasks"]:
        assert all(place[need] < place[entry["id"]] for need in entry["dependencies"])
    for wave in plan.waves:
        for index, one in enumerate(wave["tasks"]):
            for other in wave["tasks"][index + 1 :]:
                held = {*other["locks"]["reads"], *other["locks"]["writes"]}
                assert not set(one["locks"]["writes"]) & held
                assert not set(other["locks"]["writes"]) & set(one["locks"]["reads"])
    again = build_plan({**given_graph, "tasks": list(reversed(given_graph["tasks"]))}, mode)
    assert again == plan


CHAIN = {
    "feature": "x",
    "tasks": [
        {"id": "c", "dependencies": ["b"]},
        {"id": "b", "dependencies": ["a"], "level": 3},
        {"id": "a"},
    ],
}


def test_levels_are_those_of_the_whole_graph() -> None:
    levelled = with_levels(CHAIN)
    tasks = levelled["tasks"]
    assert isinstance(tasks, list)
    assert {task["id"]: task["level"] for task in tasks} == {"a": 1, "b": 3, "c": 4}
    assert with_levels(levelled) is levelled
    with pytest.raises(TaskGraphError, match="a → b → a"):
        with_levels(
            {"tasks": [{"id": "a", "dependencies": ["b"]}, {"id": "b", "dependencies": ["a"]}]}
        )


@pytest.mark.parametrize(
    ("level", "later"),
    [
        (None, {}),
        (1, {"b": 3, "c": 4}),
        (2, {"b": 3, "c": 4}),
        (3, {"c": 4}),
        (4, {}),
        (5, {}),
    ],
)
def test_what_stands_beyond_a_level(level: int | None, later: dict[str, int]) -> None:
    assert beyond(with_levels(CHAIN), level) == later
