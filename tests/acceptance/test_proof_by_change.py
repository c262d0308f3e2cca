"""Four edits of the definitions change what happens, with no Python touched; none of them opens the kernel."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.conftest import Project, task

Edit = Callable[[Path], None]


@pytest.fixture
def own_bundle(make_project: Callable[..., Project]) -> Callable[[Edit], Project]:
    """Return a function that makes a project with its own bundle, edited."""

    def make(edit: Edit) -> Project:
        project = make_project()
        assert project.engine("bundle", "copy", "lock").code == 0
        project.configure('bundle = "lock"\n[[gates]]\nname = "g"\ncommand = "true"\n')
        edit(project.root / "lock")
        return project

    return make


def change(path: Path, old: str, new: str, count: int = 1) -> None:
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, count), "utf-8")


def bypass(path: Path, element: str) -> None:
    """Take a task out of a diagram: what led to it leads to what followed."""
    text = path.read_text("utf-8")
    into = re.search(rf'<bpmn:sequenceFlow id="([^"]+)"[^>]* targetRef="{element}" />', text)
    out = re.search(
        rf'<bpmn:sequenceFlow id="([^"]+)" sourceRef="{element}" targetRef="([^"]+)" />', text
    )
    assert into is not None
    assert out is not None
    text = text.replace(into[0], into[0].replace(f'targetRef="{element}"', f'targetRef="{out[2]}"'))
    text = text.replace(out[0], "")
    text = re.sub(rf'\s*<bpmn:\w+ id="{element}".*?</bpmn:\w+Task>', "", text, flags=re.S)
    text = text.replace(
        f"<bpmn:incoming>{out[1]}</bpmn:incoming>", f"<bpmn:incoming>{into[1]}</bpmn:incoming>"
    )
    text = re.sub(
        rf'\s*<bpmndi:BPMNShape id="{element}_di".*?</bpmndi:BPMNShape>', "", text, flags=re.S
    )
    text = re.sub(
        rf'\s*<bpmndi:BPMNEdge id="{out[1]}_di".*?</bpmndi:BPMNEdge>', "", text, flags=re.S
    )
    path.write_text(text, "utf-8")


CARELESS = """package merge
import rego.v1
default allow := false
default deny := []
allow if count(input) > 0
"""


def test_without_the_gate_step_the_policy_refuses(own_bundle: Callable[[Edit], Project]) -> None:
    project = own_bundle(lambda lock: bypass(lock / "process" / "deliver_wave.bpmn", "Run_gates"))
    project.write_graph([task("a")])
    done = project.engine("run", "--feature", "shop", "--json")
    assert (done.code, done.json["tasks"][0]["state"]) in {(1, "blocked"), (4, "waiting")}, done.out
    assert project.branch() in {None, project.git("rev-parse", "HEAD")}


def test_without_the_gate_step_the_kernel_refuses(own_bundle: Callable[[Edit], Project]) -> None:
    def edit(lock: Path) -> None:
        wave = lock / "process" / "deliver_wave.bpmn"
        bypass(wave, "Run_gates")
        change(
            wave,
            "gates: gates,",
            'gates: {commit: candidate.commit, result: "ok", results: [{name: "g", result: "ok", required: true, commit: candidate.commit}]},'.replace(
                '"', "&quot;"
            ),
        )

        (lock / "policies" / "merge.rego").write_text(CARELESS, "utf-8")

    project = own_bundle(edit)
    project.write_graph([task("a")])
    done = project.engine("run", "--feature", "shop", "--json")
    assert (done.code, done.json["status"]) == (1, "failed"), done.out
    assert "validator: no verdict is recorded for this commit" in project.engine("why", "a").out
    assert project.branch() in {None, project.git("rev-parse", "HEAD")}


def test_without_the_policy_the_kernel_refuses(own_bundle: Callable[[Edit], Project]) -> None:
    def edit(lock: Path) -> None:
        wave = lock / "process" / "deliver_wave.bpmn"
        text = wave.read_text("utf-8")
        text = re.sub(
            r'<zeebe:properties><zeebe:property name="policy" value="merge" />.*?</zeebe:properties>',
            "",
            text,
        )
        wave.write_text(text.replace('=verdict = "pass"', "=true"), "utf-8")

    project = own_bundle(edit)
    project.write_graph([task("a")])
    done = project.engine("run", "--feature", "shop", "--json")
    assert done.code == 1, done.out
    assert "policy: no verdict is recorded for this commit" in project.engine("why", "a").out
    assert project.branch() in {None, project.git("rev-parse", "HEAD")}


def test_a_raised_retry_row_gives_more_attempts(own_bundle: Callable[[Edit], Project]) -> None:
    def edit(lock: Path) -> None:
        table = lock / "decisions" / "retry_policy.dmn"
        text = table.read_text("utf-8")
        edited = re.sub(
            r"<text>3</text>|<text>5 \*[^<]*</text>|<text>min\([^<]*</text>|<text>if [^<]*</text>",
            "<text>0</text>",
            text,
        )
        table.write_text(edited, "utf-8")

    project = own_bundle(edit)
    project.write_graph([task("a", "exit 1", max_attempts=2), task("b", "exit 1", max_attempts=3)])
    report = project.engine("run", "--feature", "shop", "--json").json
    assert {t["id"]: t["attempts"] for t in report["tasks"]} == {"a": 2, "b": 3}


def insert_sign_off(lock: Path) -> None:
    """Draw a user task before the merge."""
    wave = lock / "process" / "deliver_wave.bpmn"
    text = wave.read_text("utf-8")
    into = re.search(r'<bpmn:sequenceFlow id="([^"]+)"([^>]*) targetRef="Merge">', text)
    assert into is not None
    text = text.replace(into[0], into[0].replace('targetRef="Merge"', 'targetRef="Sign_off"'))
    text = text.replace(
        '    <bpmn:serviceTask id="Merge"',
        '    <bpmn:userTask id="Sign_off" name="Sign off"><bpmn:extensionElements><zeebe:userTask />'
        f"</bpmn:extensionElements><bpmn:incoming>{into[1]}</bpmn:incoming>"
        "<bpmn:outgoing>Flow_signed</bpmn:outgoing></bpmn:userTask>\n"
        '    <bpmn:sequenceFlow id="Flow_signed" sourceRef="Sign_off" targetRef="Merge" />\n'
        '    <bpmn:serviceTask id="Merge"',
    )
    wave.write_text(
        text.replace(
            f"<bpmn:incoming>{into[1]}</bpmn:incoming>",
            "<bpmn:incoming>Flow_signed</bpmn:incoming>",
            2,
        ).replace(
            "<bpmn:incoming>Flow_signed</bpmn:incoming>",
            f"<bpmn:incoming>{into[1]}</bpmn:incoming>",
            1,
        ),
        "utf-8",
    )


def test_a_user_task_before_the_merge_waits_for_a_person(
    own_bundle: Callable[[Edit], Project],
) -> None:
    project = own_bundle(insert_sign_off)
    project.write_graph([task("a")])
    done = project.engine("run", "--feature", "shop", "--json")
    assert (done.code, done.json["status"]) == (4, "waiting"), done.out + done.err
    assert project.branch() in {None, project.git("rev-parse", "HEAD")}

    run = done.json["run"]
    assert project.engine("approve", run, "Sign_off").code == 0
    again = project.engine("run", "--feature", "shop", "--json")
    assert (again.code, again.json["run"], again.json["status"]) == (0, run, "completed")
    assert project.git("show", "engine/shop:a.txt") == "a"


def test_a_path_forbidden_in_rego_is_not_launched(own_bundle: Callable[[Edit], Project]) -> None:
    def edit(lock: Path) -> None:
        policy = lock / "policies" / "launch.rego"
        policy.write_text(
            policy.read_text("utf-8")
            + '\ndeny contains {"code": "MINE", "msg": "a.txt is mine", "path": path} if {\n'
            '\tsome path in declared\n\tpath == "a.txt"\n}\n',
            "utf-8",
        )

    project = own_bundle(edit)
    project.write_graph([task("a"), task("b")])
    report = project.engine("run", "--feature", "shop", "--json").json
    assert {t["id"]: (t["state"], t["reason"]) for t in report["tasks"]} == {
        "a": ("blocked", "a.txt is mine"),
        "b": ("merged", ""),
    }


def test_a_conflict_runs_the_task_again_on_the_merged_base(
    make_project: Callable[..., Project],
) -> None:
    project = make_project()
    shared = {"files": {"create": ["dir/"]}}
    first = task("a", "mkdir -p dir; echo a > dir/x", **shared)
    second = task(
        "b",
        "mkdir -p dir; test -e dir/x && echo b >> dir/x || echo b > dir/x",
        files={"create": ["dir2/"]},
    )
    project.configure('[manifest]\nenforcement = "warn"\n')
    project.write_graph([first, second])
    done = project.engine("run", "--feature", "shop", "--json")
    assert done.code == 0, done.out + done.err
    assert project.git("show", "engine/shop:dir/x") == "a\nb"
    assert "merge_conflict answered action = run_again" in project.engine("why", "b").out


def test_an_edit_applies_to_runs_started_afterwards_and_not_to_one_under_way(
    own_bundle: Callable[[Edit], Project],
) -> None:
    project = own_bundle(insert_sign_off)
    project.write_graph([task("a")])
    first = project.engine("run", "--feature", "shop", "--json")
    assert (first.code, first.json["status"]) == (4, "waiting")
    (project.root / "lock" / "policies" / "launch.rego").write_text(
        "package launch\ndefault allow := false\n"
        'deny contains {"code": "CLOSED", "msg": "nothing starts today", "path": "/"} if true\n',
        "utf-8",
    )
    project.engine("complete", "Sign_off")
    again = project.engine("run", "--feature", "shop", "--json")
    assert (again.code, again.json["status"]) == (0, "completed"), "under the bundle it began with"
    assert again.json["bundle"] == first.json["bundle"]
    project.write_graph([task("b")])
    later = project.engine("run", "--feature", "shop", "--json")
    assert later.json["bundle"] != first.json["bundle"]
    assert [item["state"] for item in later.json["tasks"]] == ["blocked"]
    assert "nothing starts today" in later.json["tasks"][0]["reason"]
