"""What `engine process diff` says about edits of the shipped diagrams, word for word; and that it misses nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from engine import bpmn
from engine.bpmn.diff import differences
from engine.bpmn.diff.elements import WORDS
from engine.bpmn.digest import process_digest
from engine.bpmn.model import Position, Process
from engine.cli import main
from tests.bpmn.editing import (
    Edit,
    after_layout,
    between,
    gone,
    moved,
    renamed,
    saying,
    text,
    type_of,
)

PROCESS = Path(__file__).parents[2] / "process"

EDITS = [
    pytest.param("deliver_wave", after_layout, [], id="only the layout"),
    pytest.param("deliver_wave", renamed("Merge", "Merge it"), [
        'wording: "Merge it" (Merge): its name is "Merge it" now, it was "Merge".',
    ], id="a name"),
    pytest.param("deliver_wave", gone("May_merge"), [
        'gate: "Merge" (Merge): a way leads to it without a pass of policy "merge". No policy and no person stands before it on every way; the safety kernel refuses a merge without a pass.',
        'gate: exclusive gateway "May it be merged?" (May_merge) is gone; it stood after "Review needed?" (Review_needed) and "Review the change" (Review_change). The policy "merge" is not asked here any more.',
        'behaviour: a flow leads now "Review needed?" (Review_needed) → "Merge" (Merge), =tier.review = false or gates.result != "ok".',
        'behaviour: a flow leads now "Review the change" (Review_change) → "Merge" (Merge), without a condition.',
    ], id="the gate before the merge is removed"),
    pytest.param("deliver_wave", moved("Flow_35_Review_needed_May_merge", "Merge"), [
        'gate: "Merge" (Merge): a way leads to it without a pass of policy "merge". No policy and no person stands before it on every way; the safety kernel refuses a merge without a pass.',
        'gate: "Merge" (Merge): a new way leads to it, by "Review needed?" (Review_needed) → "Merge" (Merge).',
        'gate: "Merge" (Merge): no way leads to it any more by "Review needed?" (Review_needed) → "May it be merged?" (May_merge).',
        'behaviour: no flow leads any more "Review needed?" (Review_needed) → "May it be merged?" (May_merge). This way is closed.',
        'behaviour: a flow leads now "Review needed?" (Review_needed) → "Merge" (Merge), =tier.review = false or gates.result != "ok".',
    ], id="a flow leads around the gate"),
    pytest.param("deliver_wave", saying("Flow_10_May_merge_Merge", '=verdict != "fail"'), [
        'gate: flow "May it be merged?" (May_merge) → "Merge" (Merge): is taken under =verdict != "fail" now, it was =verdict = "pass". It opens for the verdict pass or error or undefined; before, for pass. The policy is "merge".',
    ], id="the gate opens for errors too"),
    pytest.param("deliver_wave", text('value="merge"', 'value="lenient"'), [
        'gate: "Merge" (Merge): a way leads to it without a pass of policy "merge". Every way to it still needs policy "lenient".',
        'gate: "Merge" (Merge): every way to it needs a pass of policy "lenient" now.',
        'gate: "May it be merged?" (May_merge): its policy is "lenient" now, it was "merge". Another policy decides.',
    ], id="another policy"),
    pytest.param("deliver_wave", between("Flow_10_May_merge_Merge", "userTask", "Sign_off", "Sign off"), [
        'gate: "Merge" (Merge): every way to it waits for the approval "Sign off" (Sign_off) now.',
        'gate: user task "Sign off" (Sign_off) is new; it stands after "May it be merged?" (May_merge). A run waits here for a person.',
    ], id="an approval before the merge"),
    pytest.param("deliver_wave", gone("Ask_people"), [
        'gate: user task "Keep the merge?" (Ask_people) is gone; it stood after "Keep the merge?" (Keep_merge). Nobody is asked here any more.',
        'behaviour: a flow leads now "Keep the merge?" (Keep_merge) → "Keep it?" (People_say), the default flow.',
    ], id="people are asked no more"),
    pytest.param("deliver_wave", moved("Flow_29_After_conflict_Blocked_by_conflict", "Merge"), [
        'gate: "Merge" (Merge): a way leads to it without a pass of policy "merge". No policy and no person stands before it on every way; the safety kernel refuses a merge without a pass.',
        'gate: "Merge" (Merge): a new way leads to it, by "What follows?" (After_conflict) → "Merge" (Merge).',
        'behaviour: no flow leads any more "What follows?" (After_conflict) → "Blocked by conflict" (Blocked_by_conflict). This way is closed.',
        'behaviour: a flow leads now "What follows?" (After_conflict) → "Merge" (Merge), the default flow.',
    ], id="a new way to the merge"),
    pytest.param("deliver_wave", type_of("Merge", "report.write"), [
        'gate: "Merge" (Merge) does not merge any more.',
        'behaviour: "Merge" (Merge): its job type is "report.write" now, it was "repository.merge". Other work is done here.',
    ], id="the merge does something else"),
    pytest.param("orchestration", text('isSequential="true"', 'isSequential="false"'), [
        'behaviour: "Deliver waves" (Deliver_waves): its loop goes one by one (no now, it was yes).',
    ], id="waves at the same time"),
    pytest.param("deliver_task", text('type="task.validate" retries="1"', 'type="task.validate" retries="5"'), [
        'behaviour: "Validate task" (Validate_task): the number of attempts is 5 now, it was 1. It is tried that often before a person is asked.',
    ], id="more attempts"),
    pytest.param("deliver_task", text("settings.timeouts.task_s else", "60 else"), [
        'behaviour: "Too slow" (Worker_too_slow): its timer is =duration("PT" + string(if task.timeout_seconds = null then 60 else task.timeout_seconds) + "S") now, it was =duration("PT" + string(if task.timeout_seconds = null then settings.timeouts.task_s else task.timeout_seconds) + "S"). It fires at another time.',
    ], id="a shorter timeout"),
    pytest.param("deliver_task", text('id="Worker_too_slow"', 'cancelActivity="false" id="Worker_too_slow"'), [
        'behaviour: "Too slow" (Worker_too_slow): interrupts (no now, it was yes). What it is attached to, or lies in, goes on beside it.',
    ], id="a timeout that only reminds"),
    pytest.param("deliver_task", text('source="=task.tool" target="tool" /><zeebe:input source="=worker_names"', 'source="=task.worker" target="tool" /><zeebe:input source="=worker_names"'), [
        'behaviour: "Select worker or plugin" (Select_plugin): input "tool" is =task.worker now, it was =task.tool. Its work sees another value.',
    ], id="an input mapping"),
    pytest.param("deliver_task", text('decisionId="plugin_selection"', 'decisionId="my_selection"'), [
        'behaviour: "Select worker or plugin" (Select_plugin): its decision is "my_selection" now, it was "plugin_selection". Another table decides.',
    ], id="another table"),
    pytest.param("deliver_task", gone("Worker_too_slow"), [
        'behaviour: boundary event "Too slow" (Worker_too_slow) is gone; it stood at "Run worker" (Run_worker). Nothing of this kind is caught at "Run worker" (Run_worker) any more.',
    ], id="no timeout"),
    pytest.param("deliver_task", between("Flow_05_May_launch_Run_worker", "intermediateCatchEvent", "Night", "Wait for the night", '<bpmn:timerEventDefinition id="t"><bpmn:timeDuration>PT8H</bpmn:timeDuration></bpmn:timerEventDefinition>'), [
        'behaviour: catch event "Wait for the night" (Night) is new; it stands after "May it be launched?" (May_launch).',
    ], id="a pause"),
    pytest.param("orchestration", gone("Run_final_gates"), [
        'behaviour: service task "Run final gates" (Run_final_gates) is gone, with job type checks.run_gates; it stood after "Decide release gates" (Decide_release). Its work is not done any more.',
        'behaviour: a flow leads now "Decide release gates" (Decide_release) → "Final gates open?" (Final_gates_open), without a condition.',
    ], id="no final gates"),
    pytest.param("orchestration", gone("May_start"), [
        'gate: "Deliver waves" (Deliver_waves): a way leads to it without a pass of policy "preflight". No policy and no person stands before it on every way here; the process it calls asks on its own.',
        'gate: exclusive gateway "May the run start?" (May_start) is gone; it stood after "Decide number of workers" (Decide_workers). The policy "preflight" is not asked here any more.',
        'behaviour: a flow leads now "Decide number of workers" (Decide_workers) → "Deliver waves" (Deliver_waves), without a condition.',
    ], id="it starts without asking"),
    pytest.param("orchestration", text('processId="deliver_wave"', 'processId="my_wave"'), [
        'gate: "Deliver waves" (Deliver_waves) does not merge any more. It calls "my_wave" now.',
        'behaviour: "Deliver waves" (Deliver_waves): the process it calls is "my_wave" now, it was "deliver_wave". Another process does this part.',
    ], id="another process for a wave"),
]  # fmt: skip


def shipped(name: str) -> bytes:
    return (PROCESS / f"{name}.bpmn").read_bytes()


def every(name: str, content: bytes) -> list[Process]:
    """Return the processes of the bundle with `content` as the file called `name`."""
    files = {file.stem: file.read_bytes() for file in sorted(PROCESS.glob("*.bpmn"))}
    files[name] = content
    return [p for file, xml in files.items() for p in bpmn.read(xml, file).processes]


@pytest.mark.parametrize(("name", "edit", "said"), EDITS)
def test_what_is_said_about_an_edit(name: str, edit: Edit, said: list[str]) -> None:
    before, after = every(name, shipped(name)), every(name, edit(shipped(name)))
    changes = differences(before, after)
    assert [f"{change.weight}: {change}" for change in changes if change.process == name] == said


# --- nothing is missed ------------------------------------------------------------------------------------


def mutants(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield (path of the field, `value` with that one field changed) for every field with a meaning."""
    match value:
        case Position():
            return
        case bool():
            yield path, not value
        case str():
            yield path, f"{value}x"
        case tuple() if value:
            yield f"{path}[-]", value[:-1]
        case Mapping():
            for key in value:
                yield f"{path}[-{key}]", {k: v for k, v in value.items() if k != key}
                for inner, other in mutants(value[key], f"{path}[{key}]"):
                    yield inner, {**value, key: other}
        case _ if is_dataclass(value) and not isinstance(value, type):
            for field in fields(value):
                if field.name not in {
                    "documentation",
                    "kind",
                    "id",
                    "incoming",
                    "outgoing",
                }:
                    for inner, other in mutants(getattr(value, field.name), f"{path}.{field.name}"):
                        yield inner, replace(value, **{field.name: other})


@pytest.mark.parametrize("name", ["deliver_task", "deliver_wave", "orchestration"])
def test_whatever_is_other_is_said(name: str) -> None:
    (process,) = bpmn.read(shipped(name), name).processes
    tried = 0
    for number, (path, changed) in enumerate(mutants(process)):
        if (
            number % 3 or "properties[" in path
        ):  # every third: fields repeat; policies are read from properties
            continue
        if process_digest(changed) == process_digest(process) or _is_torn(changed):
            continue
        tried += 1
        changes = differences([process], [changed])
        assert changes, path
        if all(change.weight == "wording" for change in changes):
            assert path.rpartition(".")[2] in {"name", "version_tag"}, path
    assert tried > 20


def _is_torn(process: Process) -> bool:
    """Whether a flow hangs in the air: the reader refuses such a file."""
    scope = process.scope
    ends = {end for flow in scope.flows.values() for end in (flow.source, flow.target)}
    named = {id_ for node in scope.nodes.values() for id_ in (*node.incoming, *node.outgoing)}
    return not (ends <= scope.nodes.keys() and named <= scope.flows.keys())


def test_every_field_of_the_model_has_words() -> None:
    known = set(WORDS)
    spoken = {
        path for name in ("deliver_task", "deliver_wave", "orchestration") for path in _paths(name)
    }
    unknown = {
        path for path in spoken if not any(path == k or path.startswith(f"{k}.") for k in known)
    }
    assert unknown == set()


def _paths(name: str) -> Iterator[str]:
    from engine.bpmn.diff.aspects import aspects
    from engine.bpmn.diff.elements import nodes_of

    (process,) = bpmn.read(shipped(name), name).processes
    for _, node in nodes_of(process).values():
        yield from aspects(node)


def test_equal_files_have_the_same_meaning() -> None:
    assert (
        differences(
            every("deliver_wave", shipped("deliver_wave")),
            every("deliver_wave", shipped("deliver_wave")),
        )
        == []
    )


# --- the command ----------------------------------------------------------------------------------------


def run(*arguments: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main(["process", "diff", *arguments])
    told = capsys.readouterr()
    return int(end.value.code or 0), told.out, told.err


def test_the_command_tells_process_by_process(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = tmp_path / "deliver_wave.bpmn"
    changed.write_bytes(gone("May_merge")(shipped("deliver_wave")))
    code, out, err = run(str(PROCESS / "deliver_wave.bpmn"), str(changed), capsys=capsys)
    assert (code, err) == (0, "")
    assert out.splitlines()[:3] == [
        "process deliver_wave",
        "  before a merge",
        '    - "Merge" (Merge): a way leads to it without a pass of policy "merge". No policy and no person stands before '
        "it on every way; the safety kernel refuses a merge without a pass.",
    ]
    assert (
        run(str(PROCESS / "deliver_wave.bpmn"), str(changed), "--exit-code", capsys=capsys)[0] == 1
    )


def test_only_the_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = tmp_path / "p.bpmn"
    changed.write_bytes(after_layout(shipped("deliver_task")))
    assert run(str(PROCESS / "deliver_task.bpmn"), str(changed), "--exit-code", capsys=capsys) == (
        0,
        "same meaning\n",
        "",
    )


def test_the_command_for_machines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changed = tmp_path / "deliver_task.bpmn"
    changed.write_bytes(type_of("Run_worker", "command.run")(shipped("deliver_task")))
    code, out, _ = run(str(PROCESS / "deliver_task.bpmn"), str(changed), "--json", capsys=capsys)
    assert code == 0
    assert json.loads(out) == {
        "schema": "engine.process-diff/v1",
        "same_meaning": False,
        "changes": [
            {
                "process": "deliver_task",
                "element": "Run_worker",
                "weight": "behaviour",
                "message": '"Run worker" (Run_worker): its job type is "command.run" now, it was "worker.run"',
                "means": "Other work is done here.",
            }
        ],
    }


@pytest.mark.parametrize(("content", "code"), [(None, 2), (b"<x/>", 3)])
def test_what_cannot_be_compared(
    tmp_path: Path, content: bytes | None, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other.bpmn"
    if content is not None:
        other.write_bytes(content)
    got, out, err = run(str(PROCESS / "deliver_task.bpmn"), str(other), capsys=capsys)
    assert (got, out) == (code, "")
    assert "other.bpmn" in err
    assert "Traceback" not in err


def test_a_process_with_a_new_id_is_compared_all_the_same() -> None:
    xml = shipped("deliver_task")
    changes = differences(
        bpmn.read(xml, "a").processes,
        bpmn.read(xml.replace(b'process id="deliver_task"', b'process id="mine"'), "b").processes,
    )
    assert [str(change) for change in changes] == [
        "process mine: this is its id now, it was deliver_task. What starts or calls it by the old id does not find it."
    ]


def test_processes_that_come_and_go() -> None:
    everything = every("deliver_task", shipped("deliver_task"))
    without = [process for process in everything if process.id != "deliver_wave"]
    told = [f"{c.process}: {c.weight}: {c}" for c in differences(everything, without)]
    assert told == [
        "deliver_wave: gate: process deliver_wave is gone. Nothing can start or call it any more.",
        'orchestration: gate: "Deliver waves" (Deliver_waves) does not merge any more. It calls "deliver_wave" now.',
    ]
