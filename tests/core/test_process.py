"""Facts in, events out: whole steps, late answers, incidents, and that a step is a pure function."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from engine.core import behaviour
from engine.core.model import (
    BpmnErrorThrown,
    ChildCancelled,
    ChildEnded,
    ChildRequested,
    DecisionEvaluated,
    ElementActivated,
    ElementCompleted,
    ElementTerminated,
    Event,
    Failure,
    IncidentCancelled,
    IncidentRaised,
    IncidentResolved,
    InstanceCancelled,
    InstanceEnded,
    InstanceId,
    Job,
    JobCancelled,
    JobCompleted,
    JobCreated,
    JobFailed,
    Key,
    MessageCorrelated,
    MessageSubscribed,
    MessageUnsubscribed,
    Reason,
    Ruling,
    TimerCancelled,
    TimerFired,
    TimerScheduled,
    UserTaskCancelled,
    UserTaskCompleted,
    UserTaskCreated,
    VariablesSet,
    Verdict,
    VerdictCancelled,
    VerdictGiven,
    VerdictRequested,
)
from engine.core.process import STEP_LIMIT, advance
from engine.errors import DefinitionError, IntegrityError
from tests.core.world import NOON, at, begin, bundle, completed, done

WORK = """
start Start
service Work  type=work; retries=2; header speed=slow; in n = amount
boundary Late  on=Work; duration=PT1H
end End
end End_late
Start -> Work -> End
Late -> End_late
"""


def job(attempt: int, retries: int) -> Job:
    return Job(
        key=Key(f"run-1/0/Work#1.{attempt}"),
        type="work",
        element="Work",
        visit=1,
        attempt=attempt,
        retries=retries,
        headers={"speed": "slow"},
        inputs={"n": 3},
        variables={"amount": 3, "n": 3},
    )


def test_a_start_says_everything_that_waits() -> None:
    step = begin(bundle(WORK), {"amount": 3})
    created = step.events[4]
    assert isinstance(created, JobCreated)
    assert created.job.variables == {"amount": 3, "n": 3}, "derived, so equality leaves it out"
    assert step.events == (
        ElementActivated(element="Start", visit=1),
        ElementCompleted(element="Start", visit=1),
        ElementActivated(element="Work", visit=1),
        TimerScheduled(timer="Late#1", due=at(hours=1)),
        JobCreated(job=job(1, 2)),
    )
    assert [(wait.kind, wait.key) for wait in step.instance.waiting] == [
        ("job", "Work#1.1"),
        ("timer", "Late#1"),
    ]


def test_a_completed_job_ends_the_instance() -> None:
    definitions = bundle(WORK)
    step = done(definitions, begin(definitions, {"amount": 3}).instance, "Work#1.1", {"rc": 0})
    assert step.events == (
        TimerCancelled(timer="Late#1"),
        ElementCompleted(element="Work", visit=1),
        ElementActivated(element="End", visit=1),
        ElementCompleted(element="End", visit=1),
        InstanceEnded(state="completed", end_event="End", variables={"amount": 3, "rc": 0}),
    )
    assert (step.instance.state, step.instance.waiting) == ("completed", ())


def test_a_timer_interrupts_and_cancels_the_job() -> None:
    definitions = bundle(WORK)
    step = advance(
        definitions,
        begin(definitions, {"amount": 3}).instance,
        TimerFired(at=at(hours=1), timer="Late#1"),
    )
    assert step.events[:3] == (
        JobCancelled(job="Work#1.1"),
        ElementTerminated(element="Work", visit=1),
        ElementActivated(element="Late", visit=1),
    )
    assert completed(step.events) == ["Late", "End_late"]


def test_failures_use_up_retries_and_then_need_a_person() -> None:
    definitions = bundle(WORK)
    first = begin(definitions, {"amount": 3}).instance
    second = advance(
        definitions, first, JobFailed(at=NOON, job="Work#1.1", failure=Failure(message="boom"))
    )
    assert second.events == (JobCreated(job=job(2, 1)),)
    third = advance(
        definitions,
        second.instance,
        JobFailed(at=NOON, job="Work#1.2", failure=Failure(message="boom", class_="exit")),
    )
    assert third.events == (
        IncidentRaised(
            incident="Work#1",
            element="Work",
            code="JOB_FAILED",
            message='"Work" (Work): no retries are left; the last attempt failed (exit): boom',
        ),
    )
    fourth = advance(
        definitions,
        third.instance,
        IncidentResolved(at=NOON, incident="Work#1", variables={"fixed": True}, by="ada"),
    )
    (created,) = fourth.events
    assert isinstance(created, JobCreated)
    assert (created.job.attempt, created.job.retries) == (3, 2)
    assert created.job.variables == {"amount": 3, "n": 3, "fixed": True}


@pytest.mark.parametrize(
    "fact",
    [
        JobCompleted(at=NOON, job="Work#1.1", variables={"x": 1}),
        JobFailed(at=NOON, job="Work#1.1", failure=Failure(message="late")),
        BpmnErrorThrown(at=NOON, job="Work#1.1", code="LATE"),
        JobCompleted(at=NOON, job="Work#1.3"),
        JobCompleted(at=NOON, job="Work#2.2"),
        TimerFired(at=NOON, timer="Late#2"),
        UserTaskCompleted(at=NOON, task="Work#1"),
        MessageCorrelated(at=NOON, subscription="Work#1", name="m"),
        VerdictGiven(at=NOON, request="Gw#1", verdict=Verdict(ruling=Ruling.PASS)),
        ChildEnded(at=NOON, child=InstanceId("0.Call#1"), state="completed"),
        IncidentResolved(at=NOON, incident="Work#1"),
    ],
    ids=lambda fact: type(fact).__name__ + str(getattr(fact, "job", "")),
)
def test_what_names_nothing_open_is_ignored(fact: JobCompleted) -> None:
    definitions = bundle(WORK)
    failed = JobFailed(at=NOON, job="Work#1.1", failure=Failure(message="boom"))
    instance = advance(definitions, begin(definitions, {"amount": 3}).instance, failed).instance
    step = advance(definitions, instance, fact)
    assert (step.ignored, step.events, step.instance) == (True, (), instance)
    assert done(definitions, instance, "Work#1.2").instance.state == "completed"


def test_nothing_reaches_an_instance_that_has_ended() -> None:
    definitions = bundle(WORK)
    ended = done(definitions, begin(definitions).instance, "Work#1.1").instance
    for fact in (
        VariablesSet(at=NOON, variables={"x": 1}),
        InstanceCancelled(at=NOON, reason="late"),
    ):
        assert advance(definitions, ended, fact).ignored


def test_an_older_value_of_an_instance_stays_valid() -> None:
    definitions = bundle(WORK)
    first = begin(definitions, {"amount": 3}).instance
    straight = done(definitions, first, "Work#1.1", {"rc": 0})
    late = advance(definitions, first, TimerFired(at=at(hours=1), timer="Late#1"))
    again = done(definitions, first, "Work#1.1", {"rc": 0})
    assert straight == again
    assert straight.instance != late.instance
    assert first.variables == {"amount": 3}
    assert [wait.key for wait in first.waiting] == ["Work#1.1", "Late#1"]


def test_an_event_keeps_the_variables_of_its_moment() -> None:
    definitions = bundle(WORK)
    step = begin(definitions, {"amount": 3})
    created = step.events[-1]
    assert isinstance(created, JobCreated)
    advance(definitions, step.instance, VariablesSet(at=NOON, variables={"amount": 99}))
    assert created.job.variables == {"amount": 3, "n": 3}


def test_cancelling_an_instance_closes_everything() -> None:
    definitions = bundle(
        {
            "p": """
start Start
and Fork
user Ask
receive Pay  message=paid; key=order
call Call  process=q
service Bad  type==missing
end End
Start -> Fork
Fork -> Ask -> End
Fork -> Pay -> End
Fork -> Call -> End
Fork -> Bad -> End
""",
            "q": "start s\nend e\ns -> e",
        }
    )
    started = begin(definitions, {"order": 7})
    assert [
        event
        for event in started.events
        if not isinstance(event, ElementActivated | ElementCompleted)
    ] == [
        UserTaskCreated(task="Ask#1", name="Ask", variables={"order": 7}),
        MessageSubscribed(subscription="Pay#1", name="paid", correlation_key="7"),
        ChildRequested(child=InstanceId("0.Call#1"), process="q", element="Call"),
        IncidentRaised(
            incident="Bad#1",
            element="Bad",
            code="MAPPING",
            message='"Bad" (Bad): expected a text or a number from =missing, but got null '
            "(there is no variable 'missing')",
        ),
    ]
    step = advance(
        definitions, started.instance, InstanceCancelled(at=NOON, reason="no longer needed")
    )
    gone: list[Event] = [event for event in step.events if not isinstance(event, ElementTerminated)]
    assert gone == [
        UserTaskCancelled(task="Ask#1"),
        MessageUnsubscribed(subscription="Pay#1"),
        ChildCancelled(child=InstanceId("0.Call#1")),
        IncidentCancelled(incident="Bad#1"),
        InstanceEnded(state="cancelled", message="no longer needed"),
    ]
    assert step.instance.state == "cancelled"


POLICY = """
start Start
xor May  policy=team.may; policyInput=={cost: cost}
boundary Late  on=Sub; duration=PT1H
sub Sub
  start iStart
  xor iMay  policy=team.may
  end iOpen
  end iShut
  iStart -> iMay
  iMay -> iOpen : verdict = "pass"
  iMay -> iShut default
end Open
end Shut
end Late_end
Start -> May
May -> Sub : verdict = "pass"
May -> Shut default
Sub -> Open
Late -> Late_end
"""
REGO = b"package team.may\n\ndefault allow := false\n"


def test_a_policy_gateway_asks_and_keeps_the_answer() -> None:
    definitions = bundle(POLICY, may_rego=REGO)
    asked = begin(definitions, {"cost": 2})
    assert asked.events[-1] == VerdictRequested(
        request="May#1", element="May", package="team.may", input={"cost": 2}
    )
    verdict = Verdict(ruling=Ruling.FAIL, reasons=(Reason(code="DEAR", message="too dear"),))
    step = advance(
        definitions, asked.instance, VerdictGiven(at=NOON, request="May#1", verdict=verdict)
    )
    assert step.events[0] == ElementCompleted(element="May", visit=1, flows=("May_to_Shut",))
    assert step.instance.variables == {
        "cost": 2,
        "verdict": "fail",
        "reasons": [{"code": "DEAR", "message": "too dear", "path": "", "location": ""}],
    }


@pytest.mark.parametrize("ruling", [item for item in Ruling if item is not Ruling.PASS])
def test_only_pass_opens_a_policy_gateway(ruling: Ruling) -> None:
    definitions = bundle(POLICY, may_rego=REGO)
    fact = VerdictGiven(at=NOON, request="May#1", verdict=Verdict(ruling=ruling))
    step = advance(definitions, begin(definitions, {"cost": 2}).instance, fact)
    assert completed(step.events) == ["May", "Shut"]


def test_an_interrupted_policy_gateway_takes_its_question_back() -> None:
    definitions = bundle(POLICY, may_rego=REGO)
    passed = VerdictGiven(at=NOON, request="May#1", verdict=Verdict(ruling=Ruling.PASS))
    inside = advance(definitions, begin(definitions, {"cost": 2}).instance, passed).instance
    step = advance(definitions, inside, TimerFired(at=at(hours=1), timer="Late#1"))
    assert VerdictCancelled(request="iMay#1") in step.events
    late = VerdictGiven(at=NOON, request="iMay#1", verdict=Verdict(ruling=Ruling.PASS))
    assert advance(definitions, step.instance, late).ignored


CALLS = {
    "p": """
start Start
call Call  process=q; each=items; as=item; into=results; collect=result
end End
Start -> Call -> End
""",
    "q": "start s\nend e\ns -> e",
}


def test_a_fan_out_names_its_children_by_item_and_collects_in_item_order() -> None:
    definitions = bundle(CALLS)
    step = begin(definitions, {"items": ["a", "b"]})
    assert step.events[2:] == (
        ElementActivated(element="Call", visit=1, body=True),
        *(
            ChildRequested(
                child=InstanceId(f"0.Call#1[{index}]"),
                process="q",
                element="Call",
            )
            for index in (0, 1)
        ),
    )
    assert [event.variables for event in step.events if isinstance(event, ChildRequested)] == [
        {"items": ["a", "b"], "loopCounter": index + 1, "item": item, "result": None}
        for index, item in enumerate("ab")
    ]
    instance = step.instance
    for index in (1, 0):
        child = InstanceId(f"0.Call#1[{index}]")
        fact = ChildEnded(at=NOON, child=child, state="completed", variables={"result": index})
        instance = advance(definitions, instance, fact).instance
    assert (instance.state, instance.variables["results"]) == ("completed", [0, 1])


@pytest.mark.parametrize(
    ("state", "code", "incident"),
    [("failed", "BAD", "UNHANDLED_ERROR"), ("cancelled", "", "CHILD_CANCELLED")],
)
def test_a_child_that_did_not_complete_can_be_asked_for_again(
    state: str, code: str, incident: str
) -> None:
    definitions = bundle(CALLS)
    instance = begin(definitions, {"items": ["a", "b"]}).instance
    fact = ChildEnded(at=NOON, child=InstanceId("0.Call#1[1]"), state=state, code=code)
    step = advance(definitions, instance, fact)
    (raised,) = step.events
    assert isinstance(raised, IncidentRaised)
    assert (raised.incident, raised.code) == ("Call#1[1]", incident)
    again = advance(definitions, step.instance, IncidentResolved(at=NOON, incident="Call#1[1]"))
    (requested,) = again.events
    assert isinstance(requested, ChildRequested)
    assert requested.child == "0.Call#2[1]"


ERROR_END = """
start Start
and Fork
service Work  type=work
end Bad  error=BAD
end End
Start -> Fork
Fork -> Bad
Fork -> Work -> End
"""


def test_an_uncaught_error_fails_a_child_instance() -> None:
    step = begin(bundle(ERROR_END), parent="0")
    assert step.events[-1] == InstanceEnded(state="failed", code="BAD")
    assert step.instance.state == "failed"


def test_an_uncaught_error_in_the_root_needs_a_person() -> None:
    definitions = bundle(ERROR_END)
    step = begin(definitions)
    raised = next(event for event in step.events if isinstance(event, IncidentRaised))
    assert (raised.incident, raised.code) == ("Bad#1", "UNHANDLED_ERROR")
    again = advance(definitions, step.instance, IncidentResolved(at=NOON, incident="Bad#1"))
    assert [type(event) for event in again.events] == [IncidentRaised]


CONDITION = """
start Start
xor Gw
end Yes
end No
Start -> Gw
Gw -> Yes : ok
Gw -> No default
"""


def test_a_null_condition_is_an_incident_and_not_the_default_flow() -> None:
    definitions = bundle(CONDITION)
    step = begin(definitions)
    assert step.events[-1] == IncidentRaised(
        incident="Gw#1",
        element="Gw",
        code="CONDITION_NULL",
        message='"Gw" (Gw): flow Gw_to_Yes: expected true or false from =ok, but got null '
        "(there is no variable 'ok')",
    )
    mended = IncidentResolved(at=NOON, incident="Gw#1", variables={"ok": True})
    assert completed(advance(definitions, step.instance, mended).events) == ["Gw", "Yes"]


LOOP = """
start Start
xor Again
service Work  type=work
xor Enough
end End
Start -> Again -> Work -> Enough
Enough -> End : n >= 2000
Enough -> Again default
"""


def test_a_loop_may_turn_two_thousand_times() -> None:
    definitions = bundle(LOOP)
    instance = begin(definitions).instance
    for turn in range(1, 2001):
        instance = done(definitions, instance, f"Work#{turn}.1", {"n": turn}).instance
    assert (instance.state, instance.count) == ("completed", 2001)


def test_a_loop_without_a_way_out_becomes_an_incident() -> None:
    definitions = bundle("start Start\nxor Again\ntask Turn\nStart -> Again -> Turn -> Again")
    step = begin(definitions)
    raised = step.events[-1]
    assert isinstance(raised, IncidentRaised)
    assert raised.code == "LOOP_LIMIT"
    assert len(completed(step.events)) == STEP_LIMIT


def test_a_join_that_waits_for_ever_is_an_incident() -> None:
    step = begin(
        bundle("""
start Start
xor Gw
task A
task B
and Join
end End
Start -> Gw
Gw -> A : true
Gw -> B default
A -> Join
B -> Join
Join -> End
""")
    )
    raised = step.events[-1]
    assert isinstance(raised, IncidentRaised)
    assert (raised.code, raised.element) == ("JOIN_STUCK", "Join")
    assert "B_to_Join" in raised.message


def test_another_bundle_is_refused() -> None:
    instance = begin(bundle(WORK)).instance
    with pytest.raises(IntegrityError, match="belongs to another bundle"):
        done(bundle(LOOP), instance, "Work#1.1")


def test_an_unknown_process_is_refused() -> None:
    definitions = bundle({"q": "start s\nend e\ns -> e"})
    with pytest.raises(DefinitionError, match=r"the bundle has no process 'p'\. It has q"):
        begin(definitions)


def test_an_instance_is_whole_again_after_an_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    definitions = bundle(WORK)
    instance = begin(definitions, {"amount": 3}).instance
    expected = done(definitions, instance, "Work#1.1")
    instance = begin(definitions, {"amount": 3}).instance

    def broken(*_: object) -> None:
        raise RuntimeError("a bug")

    with monkeypatch.context() as patched:
        patched.setattr(behaviour, "enter", broken)
        with pytest.raises(RuntimeError, match="a bug"):
            done(definitions, instance, "Work#1.1")
    assert done(definitions, instance, "Work#1.1") == expected


def test_an_instance_with_nothing_open_is_an_error_and_not_a_stall(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    definitions = bundle(WORK)
    instance = begin(definitions).instance
    monkeypatch.setattr(behaviour, "enter", lambda x, token: None)
    with pytest.raises(IntegrityError, match="has nothing open and has not ended"):
        done(definitions, instance, "Work#1.1")


DECISION = """
start Start
rule Decide  decision=retry; result=answer
end End
Start -> Decide -> End
"""


def test_a_decision_leaves_its_full_record() -> None:
    dmn = (Path(__file__).parent / "diagrams" / "retry.dmn").read_bytes()
    step = begin(bundle(DECISION, retry_dmn=dmn), {"attempt": 1})
    (decided,) = [event for event in step.events if isinstance(event, DecisionEvaluated)]
    assert (decided.decision, decided.value, decided.definition) == (
        "retry",
        "again",
        hashlib.sha256(dmn).hexdigest(),
    )
    assert isinstance(decided.record, dict)
    (table,) = decided.record["decisions"]
    assert table["inputs"] == {"attempt": 1}
    assert [rule["id"] for rule in table["rules"]] == ["Rule_again"]


def test_a_decision_that_contradicts_itself_is_an_incident() -> None:
    dmn = (Path(__file__).parent / "diagrams" / "retry.dmn").read_bytes()
    both = dmn.replace(b'"FIRST"', b'"UNIQUE"').replace(b"<text>3</text>", b"<text>&lt; 4</text>")
    step = begin(bundle(DECISION, retry_dmn=both), {"attempt": 1})
    raised = step.events[-1]
    assert isinstance(raised, IncidentRaised)
    assert (raised.code, step.instance.state) == ("DECISION", "active")


def test_expressions_take_the_time_from_the_fact() -> None:
    text = "start S\nservice W  type=w; in due = now()\nend E\nS -> W -> E"
    created = begin(bundle(text)).events[-1]
    assert isinstance(created, JobCreated)
    assert created.job.variables == {"due": "2026-03-01T12:00:00Z"}
