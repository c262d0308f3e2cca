"""Whatever goes wrong, the integration branch does not move, and `engine why` says the reason."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.acceptance.conftest import Project, task


@dataclass(frozen=True)
class Case:
    tasks: list[dict[str, Any]]
    says: str  #: a part of what `engine why` tells
    configuration: str = ""
    code: int = 1
    patch: dict[str, tuple[str, str]] = field(default_factory=dict)  #: bundle file → (old, new)


GATE = '[[gates]]\nname = "g"\ncommand = "{}"\ntimeout_s = {}\n'

CASES = [
    pytest.param(
        Case([task("a")], "pre_merge g: failed", GATE.format("false", 20)), id="a failing gate"
    ),
    pytest.param(
        Case([task("a")], "pre_merge g: failed", GATE.format("no-such-program-here", 20)),
        id="a gate whose command does not exist",
    ),
    pytest.param(
        Case([task("a")], "pre_merge g: failed", GATE.format("sleep 60", 1)), id="a gate that hangs"
    ),
    pytest.param(
        Case([task("a", check="false")], "verification: failed"), id="a failing task check"
    ),
    pytest.param(
        Case(
            [{**task("a"), "verification": {"command": "sleep 60", "timeout_seconds": 1}}],
            "verification: failed",
        ),
        id="a verification that hangs",
    ),
    pytest.param(Case([task("a", "true")], "wrote nothing"), id="nothing written"),
    pytest.param(
        Case([task("a", "echo x > a.txt; echo y > other.txt")], "other.txt"),
        id="an undeclared write",
    ),
    pytest.param(Case([task("a", "exit 3")], "WORKER_FAILED"), id="a failing worker"),
    pytest.param(Case([{**task("a"), "tool": "nobody"}], "UNKNOWN_TOOL"), id="an unknown tool"),
    pytest.param(
        Case(
            [task("a")],
            "MALFORMED",
            patch={
                "policies/merge.rego": ("default allow := false\n\nallow if count(deny) == 0\n", "")
            },
        ),
        id="an undefined rule",
    ),
    pytest.param(
        Case(
            [task("a")],
            "EVALUATION",
            patch={
                "policies/merge.rego": (
                    "default allow := false",
                    'default allow := false\n\nallow if to_number("x") > 1',
                )
            },
        ),
        id="a policy that crashes",
    ),
    pytest.param(
        Case(
            [
                task(
                    "a",
                    "git init -q nested && echo x > nested/f && echo a > a.txt",
                    files={"create": ["a.txt", "nested/"]},
                )
            ],
            "nested",
        ),
        id="a nested repository",
    ),
    pytest.param(
        Case([task("a", "ln -s /etc/passwd a.txt")], "a.txt"), id="a symlink that leaves the tree"
    ),
]


@pytest.mark.parametrize("case", CASES)
def test_the_branch_does_not_move(case: Case, make_project: Callable[..., Project]) -> None:
    project = make_project(configuration=case.configuration)
    if case.patch:
        assert project.engine("bundle", "copy", "lock").code == 0
        for name, (old, new) in case.patch.items():
            file = project.root / "lock" / name
            text = file.read_text("utf-8")
            assert old in text
            file.write_text(text.replace(old, new, 1), "utf-8")
        project.configure('bundle = "lock"\n' + case.configuration)
    base = project.git("rev-parse", "HEAD")
    project.write_graph(case.tasks)

    done = project.engine("run", "--feature", "shop", "--json")

    assert done.code == case.code, done.out + done.err
    assert done.json["status"] in {"failed", "blocked", "waiting"}
    assert project.branch() in {None, base}
    assert all(t["state"] != "merged" for t in done.json["tasks"])
    why = project.engine("why", "a")
    assert why.code == 0
    assert case.says in why.out
    assert project.engine("replay").code == 0


def test_a_policy_that_does_not_exist_is_refused_at_load(
    make_project: Callable[..., Project],
) -> None:
    project = make_project()
    assert project.engine("bundle", "copy", "lock").code == 0
    (project.root / "lock" / "policies" / "merge.rego").unlink()
    project.configure('bundle = "lock"\n')
    project.write_graph([task("a")])
    done = project.engine("run", "--feature", "shop")
    assert done.code == 3
    assert 'names policy "merge", which the bundle does not have' in done.err
    assert project.branch() is None


def test_a_missing_check_is_refused_before_anything_starts(project: Project) -> None:
    without = {key: value for key, value in task("a").items() if key != "verification"}
    project.write_graph([without])
    done = project.engine("run", "--feature", "shop", "--json")
    assert (done.code, done.json["status"]) == (1, "blocked")
    assert done.json["notices"] == ["task a names no verification command"]
    assert project.branch() in {None, project.git("rev-parse", "HEAD")}


def test_what_verified_merges_and_the_rest_is_put_aside(project: Project) -> None:
    project.write_graph([task("a"), task("b", check="false"), task("c", dependencies=["a", "b"])])
    done = project.engine("run", "--feature", "shop", "--json")
    assert done.code == 1
    states = {t["id"]: t["state"] for t in done.json["tasks"]}
    assert states == {"a": "merged", "b": "quarantined", "c": "na"}
    assert project.git("show", "engine/shop:a.txt") == "a"
    assert project.branch("engine-quarantine/shop/b") is not None
