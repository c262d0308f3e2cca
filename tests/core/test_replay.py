"""Laws of replay: the events follow from the facts, wherever an instance is stopped and rebuilt."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.core.definitions import Definitions
from engine.core.model import (
    ROOT_INSTANCE,
    BpmnErrorThrown,
    ChildEnded,
    ElementCompleted,
    Fact,
    Failure,
    IncidentResolved,
    InstanceId,
    InstanceStarted,
    JobCompleted,
    JobFailed,
    MessageCorrelated,
    SignalBroadcast,
    TimerFired,
    UserTaskCompleted,
    VariablesSet,
)
from engine.core.process import Instance, advance, start
from engine.core.replay import Divergence, Record, Replayed, replay
from engine.errors import LedgerError
from tests.core.world import NOON, RUN, at, begin, bundle, done

BUSY = """
start Start
and Fork
sub Sub  in limit = 3
  start iStart
  xor iAgain
  service Work  type=work
  xor iEnough
  end iEnd
  iStart -> iAgain -> Work -> iEnough
  iEnough -> iEnd : n >= limit
  iEnough -> iAgain default
  esub Handler
    start Oops  error=BAD
    user Mend
    end Mended
    Oops -> Mend -> Mended
boundary Late  on=Sub; duration=PT1H
boundary Tick  on=Sub; cycle=R/PT10M; parallel
end Ticked
service Each  type=each; each=items; as=item; into=results; collect=result
race Race
catch Bell  signal=bell
catch Post  message=post; key=order
or Split
task X
task Y
or Meet
and Join
end End
end End_late
Start -> Fork
Fork -> Sub -> Join
Fork -> Each -> Join
Fork -> Race
Race -> Bell -> Split
Race -> Post -> Split
Split -> X : true
Split -> Y : n > 1
X -> Meet
Y -> Meet
Meet -> Join
Late -> End_late
Tick -> Ticked
Join -> End
"""
DEFINITIONS = bundle(BUSY)
START = InstanceStarted(at=NOON, process="p", variables={"items": [1, 2], "order": "A", "n": 0})


def facts_for(instance: Instance) -> list[Fact]:
    """Return facts that name something open, and one that names nothing."""
    found: list[Fact] = [
        VariablesSet(at=at(minutes=1), variables={"n": 5}),
        SignalBroadcast(at=at(minutes=1), name="bell", variables={"rung": True}),
        JobCompleted(at=at(minutes=1), job="Nowhere#1.1"),
    ]
    for wait in instance.waiting:
        when = at(minutes=2)
        match wait.kind:
            case "job":
                found += [
                    JobCompleted(at=when, job=wait.key, variables={"n": n, "result": n})
                    for n in (1, 3)
                ]
                found.append(JobFailed(at=when, job=wait.key, failure=Failure(message="boom")))
                found.append(BpmnErrorThrown(at=when, job=wait.key, code="BAD"))
            case "timer":
                found.append(TimerFired(at=at(hours=1), timer=wait.key))
            case "message":
                found.append(MessageCorrelated(at=when, subscription=wait.key, name="post"))
            case "user_task":
                found.append(UserTaskCompleted(at=when, task=wait.key, variables={"m": 1}))
            case "incident":
                found.append(IncidentResolved(at=when, incident=wait.key))
            case _:
                pass
    return found


def rebuilt(definitions: Definitions, instance: Instance) -> Instance:
    """Return the same instance with nothing behind it but its facts."""
    first, *rest = instance.facts()
    assert isinstance(first, InstanceStarted)
    value = start(definitions, instance.run, instance.id, first).instance
    for fact in rest:
        value = advance(definitions, value, fact).instance
    return value


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_stopped_anywhere_and_rebuilt_it_goes_on_the_same(data: st.DataObject) -> None:
    step = start(DEFINITIONS, RUN, ROOT_INSTANCE, START)
    records = [Record(seq=1, instance=ROOT_INSTANCE, fact=START, events=step.events)]
    older = [step.instance]
    for seq in range(2, data.draw(st.integers(3, 14))):
        instance = step.instance
        if instance.state != "active":
            break
        fact = data.draw(st.sampled_from(facts_for(instance)))
        if data.draw(st.booleans(), label="stop and rebuild"):
            instance = rebuilt(DEFINITIONS, instance)
        assert instance == step.instance
        assert instance.waiting == step.instance.waiting
        step = advance(DEFINITIONS, instance, fact)
        if not step.ignored:
            records.append(Record(seq=seq, instance=ROOT_INSTANCE, fact=fact, events=step.events))
        older.append(step.instance)
    again = replay(DEFINITIONS, RUN, records)
    assert again == Replayed(instances={ROOT_INSTANCE: step.instance}, records=len(records))
    past = data.draw(st.sampled_from(older))
    assert rebuilt(DEFINITIONS, past).variables == past.variables
    assert rebuilt(DEFINITIONS, past).waiting == past.waiting


@settings(max_examples=30, deadline=None)
@given(st.permutations(["Sub", "Each", "Each", "Race"]))
def test_the_order_of_answers_does_not_change_the_outcome(order: list[str]) -> None:
    step = start(DEFINITIONS, RUN, ROOT_INSTANCE, START)
    each = iter(("Each#2.1", "Each#3.1"))
    for branch in order:
        if branch == "Sub":
            fact: Fact = JobCompleted(at=NOON, job="Work#1.1", variables={"n": 3})
        elif branch == "Each":
            key = next(each)
            fact = JobCompleted(at=NOON, job=key, variables={"result": key})
        else:
            fact = SignalBroadcast(at=NOON, name="bell")
        step = advance(DEFINITIONS, step.instance, fact)
    assert step.instance.state == "completed"
    assert step.instance.variables["results"] == ["Each#2.1", "Each#3.1"]
    assert step.instance.variables["n"] == 3


def _records() -> list[Record]:
    definitions = bundle("start Start\nservice Work  type=work\nend End\nStart -> Work -> End")
    first = begin(definitions, {"n": 1})
    second = done(definitions, first.instance, "Work#1.1", {"m": 2})
    fact = JobCompleted(at=NOON, job="Work#1.1", variables={"m": 2})
    started = next(first.instance.facts())
    return [
        Record(seq=1, instance=ROOT_INSTANCE, fact=started, events=first.events),
        Record(seq=2, instance=ROOT_INSTANCE, fact=fact, events=second.events),
    ]


def _replay(records: list[Record]) -> Replayed | Divergence:
    definitions = bundle("start Start\nservice Work  type=work\nend End\nStart -> Work -> End")
    return replay(definitions, RUN, records)


def test_a_forged_event_is_named() -> None:
    first, second = _records()
    forged = replace(second, events=(replace(second.events[0], visit=7), *second.events[1:]))  # type: ignore[call-arg]  # an ElementCompleted
    assert _replay([first, forged]) == Divergence(
        seq=2,
        instance=ROOT_INSTANCE,
        position=0,
        expected=ElementCompleted(element="Work", visit=7),
        got=ElementCompleted(element="Work", visit=1),
    )


@pytest.mark.parametrize("more", [0, 1], ids=["an event is missing", "an event too many"])
def test_missing_and_additional_events_are_named(more: int) -> None:
    first, second = _records()
    events = (*second.events, second.events[-1]) if more else second.events[:-1]
    found = _replay([first, replace(second, events=events)])
    assert isinstance(found, Divergence)
    assert (found.seq, found.position) == (2, 4 if more else 3)
    assert (found.expected is None, found.got is None) == (not more, bool(more))


def test_a_forged_fact_shows_in_its_events() -> None:
    first, second = _records()
    forged = replace(second, fact=replace(second.fact, variables={"m": 3}))  # type: ignore[call-arg]  # a JobCompleted
    found = _replay([first, forged])
    assert isinstance(found, Divergence)
    assert (found.seq, found.position) == (2, 3)


def test_lists_and_numbers_come_back_from_json_as_equal() -> None:
    first, _ = _records()
    started = first.fact
    assert isinstance(started, InstanceStarted)
    as_recorded = replace(first, fact=replace(started, variables={"n": 1, "l": (1, 2)}))
    definitions = bundle("start Start\nservice Work  type=work\nend End\nStart -> Work -> End")
    events = begin(definitions, {"n": 1, "l": [1, 2]}).events
    assert isinstance(replay(definitions, RUN, [replace(as_recorded, events=events)]), Replayed)


def test_facts_of_an_instance_that_never_started_are_refused() -> None:
    _, second = _records()
    with pytest.raises(LedgerError, match="entry 2: instance 0 never started"):
        _replay([second])
    first, _ = _records()
    with pytest.raises(LedgerError, match="entry 1: instance 0 starts twice"):
        _replay([first, first])
    assert first.instance == InstanceId("0")


CALLING = {
    "p": "start Start\ncall Call  process=q\nend End\nStart -> Call -> End",
    "q": "start s\nend e\ns -> e",
}


@pytest.mark.parametrize(
    ("child", "given", "sentence"),
    [
        ("0.Call#1", {"n": 1}, None),
        ("0.Call#1", {"n": 2}, r"entry 2: instance 0\.Call#1 does not start as its parent asked"),
        ("0.Other#1", {"n": 1}, r"entry 2: instance 0\.Other#1 does not start as its parent asked"),
    ],
    ids=["as asked", "with other variables", "unasked"],
)
def test_a_child_starts_as_its_parent_asked(
    child: str, given: dict[str, int], sentence: str | None
) -> None:
    definitions = bundle(CALLING)
    parent = begin(definitions, {"n": 1})
    started = InstanceStarted(at=NOON, process="q", variables=given, parent="0")
    own = start(definitions, RUN, InstanceId(child), started)
    records = [
        Record(
            seq=1,
            instance=ROOT_INSTANCE,
            fact=InstanceStarted(at=NOON, process="p", variables={"n": 1}),
            events=parent.events,
        ),
        Record(seq=2, instance=InstanceId(child), fact=started, events=own.events),
    ]
    if sentence is None:
        assert isinstance(replay(definitions, RUN, records), Replayed)
    else:
        with pytest.raises(LedgerError, match=sentence):
            replay(definitions, RUN, records)


def test_a_parent_hears_how_its_child_ended() -> None:
    definitions = bundle(CALLING)
    parent = begin(definitions, {"n": 1})
    started = InstanceStarted(at=NOON, process="q", variables={"n": 1}, parent="0")
    own = start(definitions, RUN, InstanceId("0.Call#1"), started)
    told = ChildEnded(at=NOON, child=InstanceId("0.Call#1"), state="completed", variables={"n": 2})
    records = [
        Record(
            seq=1,
            instance=ROOT_INSTANCE,
            fact=InstanceStarted(at=NOON, process="p", variables={"n": 1}),
            events=parent.events,
        ),
        Record(seq=2, instance=InstanceId("0.Call#1"), fact=started, events=own.events),
        Record(
            seq=3,
            instance=ROOT_INSTANCE,
            fact=told,
            events=advance(definitions, parent.instance, told).events,
        ),
    ]
    with pytest.raises(LedgerError, match=r"entry 3: instance 0 does not hear how 0\.Call#1 ended"):
        replay(definitions, RUN, records)
    true = replace(told, variables={"n": 1})
    after = advance(definitions, parent.instance, true).events
    assert isinstance(
        replay(definitions, RUN, [*records[:2], replace(records[2], fact=true, events=after)]),
        Replayed,
    )
