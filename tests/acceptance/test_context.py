"""A worker whose context is nearly full is paused and goes on, in a fresh one, with the files it had written."""

from __future__ import annotations

from typing import Any

from tests.acceptance.conftest import Project, task

#: writes a part, says that its context fills and goes on for long; a fresh one writes the rest on top of what is there
WORKER = """
echo "part $ATTEMPT of ${RESUMED:-0}" >> a.txt
echo '{"type": "context", "used": 0.5}'
test $ATTEMPT = 3 && exit 0
echo '{"type": "context", "used": 0.72}'
sleep 300
"""


def steps(project: Project, name: str) -> list[Any]:
    return list(project.engine("why", name, "--json").json["steps"])


def test_it_is_paused_kept_and_started_anew(project: Project) -> None:
    project.write_graph([task("a", WORKER)])  # one attempt is allowed: a pause is no failure
    report = project.engine("run", "--feature", "shop", "--json").json
    assert [(t["state"], t["attempts"]) for t in report["tasks"]] == [("merged", 3)]
    written = project.git("show", "engine/shop:a.txt")
    assert written == "part 1 of 0\npart 2 of 1\npart 3 of 1"

    told = steps(project, "a")
    paused = [s["text"] for s in told if s["text"].startswith("shell: paused")]
    assert (
        paused
        == ["shell: paused: worker shell paused: 72 % of its context is used, the limit is 70 %"]
        * 2
    )
    unfinished = [s for s in told if s["text"].startswith("unfinished (context): commit ")]
    assert len(unfinished) == 2
    asked = [s["evidence"] for s in told if s["kind"] == "decision"]
    answers = [e["value"]["action"] for e in asked if e["decision"] == "retry_policy"]
    assert answers == ["restart", "restart"]
    counts = [
        {c["column"]: c["value"] for c in e["rows"][0]["cells"]}["kind_count"]
        for e in asked
        if e["decision"] == "retry_policy"
    ]
    assert counts == [1, 2]
    assert project.engine("replay").code == 0
    assert project.engine("ledger", "verify").code == 0


def test_the_threshold_is_a_setting(project: Project) -> None:
    project.configure("[run]\ncontext_threshold = 0.95\n")
    project.write_graph([task("a")])
    refused = project.engine("run", "--feature", "shop")
    assert (refused.code, "run.context_threshold" in refused.err) == (2, True)
    project.configure("[run]\ncontext_threshold = 0.8\n")
    script = 'echo one > a.txt; echo \'{"type": "context", "used": 0.79}\''
    project.write_graph([task("a", script)])
    report = project.engine("run", "--feature", "shop", "--json").json
    assert [(t["state"], t["attempts"]) for t in report["tasks"]] == [("merged", 1)]
