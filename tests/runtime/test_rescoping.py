"""The facts that the rescope table is asked with."""

from __future__ import annotations

from typing import Any

import pytest

from engine.runtime.rescoping import Rescoping
from engine.workspaces import FileChange, Snapshot

TASK: dict[str, Any] = {"id": "a", "files": {"create": ["a.txt"]}}


def snapshot(**kinds: str) -> Snapshot:
    changed = [
        FileChange(path=f"{name}.txt", kind=kind, mode="100644", oid="1" * 40)  # type: ignore[arg-type]  # the words below
        for name, kind in kinds.items()
    ]
    undeclared = tuple(change.path for change in changed if change.path != "a.txt")
    return Snapshot(
        commit="c" * 40,
        tree="d" * 40,
        base="0" * 40,
        changed=tuple(changed),
        undeclared=undeclared,
        refused=(),
        enforcement="block",
    )


def test_paths_are_added_by_what_was_done_to_them() -> None:
    facts = Rescoping().facts(
        TASK, snapshot(a="created", n="created", m="modified", d="deleted"), [TASK], []
    )
    assert facts == {
        "paths": ["n.txt", "m.txt", "d.txt"],
        "owned": [],
        "refused": 0,
        "widened_before": False,
        "added": {"create": ["n.txt"], "modify": ["m.txt", "d.txt"]},
        "files": {"create": ["a.txt", "n.txt"], "modify": ["m.txt", "d.txt"], "read": []},
    }


@pytest.mark.parametrize(
    "files",
    [
        pytest.param({"create": ["n.txt"]}, id="creates it"),
        pytest.param({"modify": ["n.txt"]}, id="modifies it"),
    ],
)
def test_what_another_task_writes_is_owned(files: dict[str, Any]) -> None:
    other = {"id": "b", "files": files}
    assert Rescoping().facts(TASK, snapshot(n="created"), [TASK, other], [])["owned"] == ["n.txt"]


def test_reading_a_file_is_no_ownership() -> None:
    other = {"id": "b", "files": {"read": ["n.txt"]}}
    assert Rescoping().facts(TASK, snapshot(n="created"), [TASK, other], [])["owned"] == []


def test_what_another_task_was_widened_by_is_owned_and_a_graph_that_cannot_be_read_owns_all() -> (
    None
):
    rescoping = Rescoping()
    rescoping.take("b", {"create": ["n.txt"], "modify": []})
    assert rescoping.facts(TASK, snapshot(n="created"), [TASK], [])["owned"] == ["n.txt"]
    assert Rescoping().facts(TASK, snapshot(n="created"), None, [])["owned"] == ["n.txt"]


def test_a_widened_task_stays_so_for_its_later_attempts_and_for_the_merge() -> None:
    rescoping = Rescoping()
    assert (rescoping.applied(TASK), rescoping.owners(["a"])) == ({}, [])
    rescoping.take("a", {"create": ["n.txt"], "modify": []})
    assert rescoping.applied(TASK)["task"] == {
        "id": "a",
        "files": {"create": ["a.txt", "n.txt"], "modify": [], "read": []},
    }
    assert rescoping.owners(["b", "a"]) == [
        {"task": "a", "files": {"create": ["n.txt"], "modify": []}}
    ]
    assert (
        rescoping.facts(TASK, snapshot(m="modified"), [TASK], ["m.txt"])["widened_before"] is True
    )
