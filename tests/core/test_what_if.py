"""The course of instances under changed facts: what follows is derived, what was not recorded is not guessed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from engine.core.definitions import Definitions
from engine.core.model import (
    ROOT_INSTANCE,
    Fact,
    InstanceId,
    InstanceStarted,
    Job,
    JobCompleted,
    Reason,
    Ruling,
    Variables,
    Verdict,
    VerdictGiven,
    VerdictRequested,
)
from engine.core.process import advance, start
from engine.core.replay import Record
from engine.core.what_if import Course, Place, Recorded, play
from tests.core.world import NOON, RUN, bundle

POLICY = b"package gate\n\ndefault allow := false\n\nallow if input.score > 5\n"
DRAWING = """
start Start
service Score  type=score
xor Gate  policy=gate; input={score: score}
service Open  type=open; in level = score
end Opened
end Closed
Start -> Score -> Gate
Gate -> Open : verdict = "pass"
Gate -> Closed default
Open -> Opened
"""
CLOSED = Verdict(ruling=Ruling.FAIL, reasons=(Reason(code="LOW", message="low"),))
OPEN = Verdict(ruling=Ruling.PASS)


def recorded(definitions: Definitions) -> Recorded:
    """Return the record of a run in which the score was 3 and the gate stayed closed."""
    first = InstanceStarted(at=NOON, process="p")
    facts: list[Fact] = [
        JobCompleted(at=NOON, job="Score#1.1", variables={"score": 3}),
        VerdictGiven(at=NOON, request="Gate#1", verdict=CLOSED),
    ]
    step = start(definitions, RUN, ROOT_INSTANCE, first)
    records = [Record(seq=1, instance=ROOT_INSTANCE, fact=first, events=step.events)]
    for seq, fact in enumerate(facts, 2):
        step = advance(definitions, step.instance, fact)
        records.append(Record(seq=seq, instance=ROOT_INSTANCE, fact=fact, events=step.events))
    assert step.instance.state == "completed"
    return Recorded.of(RUN, records)


def judge(instance: InstanceId, request: VerdictRequested, at: datetime) -> Verdict:
    seen = request.input
    assert isinstance(seen, Mapping)
    score = seen["score"]
    assert isinstance(score, int)
    return OPEN if score > 5 else CLOSED


def played(
    facts: Mapping[int, Callable[[Fact], Fact]] | None = None,
    inputs: Mapping[Place, Variables] | None = None,
    stop: str = "",
) -> Course:
    definitions = bundle(DRAWING, gate_rego=POLICY)

    def stop_at(instance: InstanceId, job: Job, course: Course) -> bool:
        return job.type == stop

    return play(
        definitions,
        recorded(definitions),
        judge=judge,
        facts=facts or {},
        inputs=inputs or {},
        stop_at=stop_at,
    )


def scored(value: int) -> Callable[[Fact], Fact]:
    return lambda fact: JobCompleted(at=fact.at, job="Score#1.1", variables={"score": value})


def test_unchanged_facts_come_out_as_recorded() -> None:
    course = played()
    assert course.ended[ROOT_INSTANCE].end_event == "Closed"
    assert (course.unrecorded, course.is_stopped) == (None, False)
    assert [judged.verdict for judged in course.judged] == [CLOSED]


def test_an_edited_fact_is_judged_anew_and_leaves_the_record() -> None:
    course = played({2: scored(7)})
    assert [judged.verdict for judged in course.judged] == [OPEN]
    assert [job.type for _, job in course.jobs] == ["score", "open"]
    assert course.unrecorded is not None
    assert course.unrecorded.element == "Open"
    assert course.ended == {}


def test_a_course_may_be_ended_at_a_job() -> None:
    course = played({2: scored(7)}, stop="open")
    assert (course.is_stopped, course.unrecorded) == (True, None)
    assert played({2: scored(5)}, stop="open").is_stopped is False


def test_an_answer_counts_only_for_the_very_same_question() -> None:
    """The record holds an answer of job open for level 7; nobody knows what it would say for level 8."""
    definitions = bundle(DRAWING, gate_rego=POLICY)
    first = InstanceStarted(at=NOON, process="p")
    facts: list[Fact] = [
        JobCompleted(at=NOON, job="Score#1.1", variables={"score": 7}),
        VerdictGiven(at=NOON, request="Gate#1", verdict=OPEN),
        JobCompleted(at=NOON, job="Open#1.1"),
    ]
    step = start(definitions, RUN, ROOT_INSTANCE, first)
    records = [Record(seq=1, instance=ROOT_INSTANCE, fact=first, events=step.events)]
    for seq, fact in enumerate(facts, 2):
        step = advance(definitions, step.instance, fact)
        records.append(Record(seq=seq, instance=ROOT_INSTANCE, fact=fact, events=step.events))
    ends = {}
    for score in (7, 8):
        course = play(
            definitions,
            Recorded.of(RUN, records),
            judge=judge,
            facts={2: scored(score)},
            inputs={},
            stop_at=lambda instance, job, course: False,
        )
        unanswered = course.unrecorded.element if course.unrecorded else ""
        ends[score] = (ROOT_INSTANCE in course.ended, unanswered)
    assert ends == {7: (True, ""), 8: (False, "Open")}


# --- tables ---------------------------------------------------------------------------------------------

RETRY = (Path(__file__).parent / "diagrams" / "retry.dmn").read_bytes()
DECIDING = """
start Start
rule Decide  decision=retry; result=next
xor Way
end Again
end Over
Start -> Decide -> Way
Way -> Again : next = "again"
Way -> Over default
"""


def decided(given: int, seen: int) -> tuple[str, int]:
    """Return (end, attempt that the table saw) when the run had attempt `given` and the table sees `seen`."""
    definitions = bundle(DECIDING, retry_dmn=RETRY)
    first = InstanceStarted(at=NOON, process="p", variables={"attempt": given})
    step = start(definitions, RUN, ROOT_INSTANCE, first)
    record = Record(seq=1, instance=ROOT_INSTANCE, fact=first, events=step.events)
    course = play(
        definitions,
        Recorded.of(RUN, [record]),
        judge=judge,
        facts={},
        inputs={(ROOT_INSTANCE, "retry", 1): {"attempt": seen}},
        stop_at=lambda instance, job, course: False,
    )
    (evaluated,) = course.evaluated
    attempt = evaluated.inputs["attempt"]
    assert isinstance(attempt, int)
    return course.ended[ROOT_INSTANCE].end_event, attempt


def test_a_table_may_see_another_value_than_was_recorded() -> None:
    assert decided(9, 9) == ("Over", 9)
    assert decided(9, 1) == ("Again", 1)
