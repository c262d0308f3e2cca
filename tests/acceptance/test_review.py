"""A change that the gate tier table wants read waits for a person; only an approval of this very commit lets it merge."""

from __future__ import annotations

import pytest

from tests.acceptance.conftest import Project, task


@pytest.mark.parametrize(
    ("answer", "code", "state", "says"),
    [
        pytest.param("true", 0, "merged", "policy: pass", id="approved"),
        pytest.param("false", 1, "blocked", "REVIEW: the gate tier table asks", id="rejected"),
    ],
)
def test_a_sensitive_change_merges_only_when_a_person_approved_it(
    project: Project, answer: str, code: int, state: str, says: str
) -> None:
    project.write_graph([task("a", tags=["security"])])
    base = project.git("rev-parse", "HEAD")

    waiting = project.engine("run", "--feature", "shop", "--json")
    assert (waiting.code, waiting.json["status"]) == (4, "waiting")
    assert project.branch() in {None, base}
    (asked,) = project.engine("tasks", "--json").json["tasks"]
    assert (asked["element"], asked["groups"]) == ("Review_change", "reviewers")
    assert project.engine("complete", asked["key"], "--var", f"approved={answer}").code == 0

    done = project.engine("run", "--feature", "shop", "--json")
    assert (done.code, done.json["tasks"][0]["state"]) == (code, state)
    assert (project.branch() not in {None, base}) == (state == "merged")
    assert says in project.engine("why", "a").out
    assert project.engine("replay").code == 0
