"""A scenario tells every difference, and nothing that is not one."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from engine.core.model import Json, Ruling, Verdict
from engine.core.scenario import Difference, Scenario, play
from tests.core.world import bundle

TASKS = """
start Start
service Work  type=work
user Ask
end End
Start -> Work -> Ask -> End
"""
RUN: dict[str, Json] = {
    "process": "p",
    "vars": {"a": 1},
    "jobs": {"work": [{"b": Decimal("2.0")}]},
    "facts": [{"complete": "Ask", "vars": {"c": [True]}}],
}


def differences(expect: dict[str, Json], **changes: Json) -> list[tuple[str, Json, Json]]:
    scenario = Scenario.from_json({**RUN, "expect": expect, **changes})
    return [(item.what, item.expected, item.got) for item in play(scenario, bundle(TASKS))]


@pytest.mark.parametrize(
    "expect",
    [
        {"end": "End"},
        {"end": ["Other", "End"]},
        {"vars": {"a": Decimal("1.0"), "b": 2, "c": [True]}},
        {"vars_any": {"b": [1, 2]}},
        {"absent": ["d"]},
        {"path": ["Start", "Work", "Ask", "End"]},
        {"path": ["Start", "End"], "ignore": ["Work", "Ask"]},
        {"path": None},
        {"counts": {"Work": 1, "Nothing": 0}},
        {"jobs_created": {"work": 1, "other": 0}},
        {"open": []},
        {"incident": False},
    ],
    ids=str,
)
def test_what_holds(expect: dict[str, Json]) -> None:
    assert differences(expect) == []


@pytest.mark.parametrize(
    ("expect", "difference"),
    [
        ({"end": None}, ("end", None, "End")),
        ({"end": ["X", "Y"]}, ("end", ["X", "Y"], "End")),
        ({"vars": {"a": 2}}, ("vars.a", 2, 1)),
        ({"vars": {"a": True}}, ("vars.a", True, 1)),
        ({"vars": {"c": [1]}}, ("vars.c", [1], [True])),
        ({"vars": {"d": None}}, ("vars.d", None, "(absent)")),
        ({"vars_any": {"a": [2, 3]}}, ("vars_any.a", [2, 3], 1)),
        ({"absent": ["a"]}, ("absent.a", "(absent)", 1)),
        ({"path": ["Start", "End"]}, ("path", ["Start", "End"], ["Start", "Work", "Ask", "End"])),
        ({"counts": {"Work": 2}}, ("counts.Work", 2, 1)),
        ({"jobs_created": {"work": 0}}, ("jobs_created.work", 0, 1)),
        ({"open": ["Ask"]}, ("open", ["Ask"], [])),
        ({"incident": True}, ("incident", True, False)),
    ],
    ids=str,
)
def test_what_does_not_hold(expect: dict[str, Json], difference: tuple[str, Json, Json]) -> None:
    assert differences(expect) == [difference]


@pytest.mark.parametrize(
    ("fact", "got"),
    [
        ({"complete": "Other"}, "no user task Other is open; waiting: Ask"),
        ({"job": "work"}, "no job of type work is open; they are: answered"),
        ({"job": "work", "nth": 2}, "no job 2 of type work is open; they are: answered"),
        ({"job": "work", "late": True}, "no job of type work is cancelled; they are: answered"),
        ({"verdict": "May", "is": "pass"}, "gateway May does not wait for a verdict"),
    ],
    ids=str,
)
def test_facts_without_an_effect_are_told(fact: Json, got: str) -> None:
    found = differences({}, facts=[fact])
    assert [(expected, seen) for _, expected, seen in found] == [("it has an effect", got)]


def test_a_check_compares_what_waits() -> None:
    facts: Json = [{"check": ["Work"]}, {"check": ["Ask"]}, {"check": ["Ask", "Ask"]}]
    assert differences({}, facts=facts) == [
        ("fact 1 (check)", ["Work"], ["Ask"]),
        ("fact 3 (check)", ["Ask", "Ask"], ["Ask"]),
    ]


def test_an_incident_is_named() -> None:
    found = differences({"incident": False}, jobs={"work": [{"fail": 3}]}, facts=[])
    assert found == [
        (
            "incident",
            False,
            [
                'JOB_FAILED: "Work" (Work): no retries are left; the last attempt failed '
                "(scenario): the scenario lets this attempt fail"
            ],
        )
    ]


def test_an_answer_may_be_called_error_when_there_is_more_in_it() -> None:
    found = differences({"vars": {"error": "X", "rc": 1}}, jobs={"work": [{"error": "X", "rc": 1}]})
    assert found == []


def test_the_clock_starts_where_the_scenario_says() -> None:
    definitions = bundle("start S\ncatch C  date=2026-06-01T00:00:00Z\nend E\nS -> C -> E")
    late = Scenario.from_json(
        {"process": "p", "now": "2026-06-01T02:00:00+02:00", "expect": {"end": "E"}}
    )
    early = Scenario.from_json({"process": "p", "expect": {"end": "E"}})
    assert late.now == datetime(2026, 6, 1, tzinfo=UTC)
    assert play(late, definitions) == ()
    assert play(early, definitions) == (Difference(what="end", expected="E", got=None),)


POLICY = """
start S
xor May  policy=team.may; policyInput=={n: n}
end Open
end Shut
S -> May
May -> Open : verdict = "pass"
May -> Shut default
"""


def test_the_real_policy_is_asked_when_the_scenario_gives_no_verdict() -> None:
    asked = []

    def judge(package: str, given: Json, now: datetime) -> Verdict:
        asked.append((package, given, now.isoformat()))
        return Verdict(ruling=Ruling.PASS)

    definitions = bundle(POLICY, may_rego=b"package team.may\n")
    scenario = Scenario.from_json({"process": "p", "vars": {"n": 3}, "expect": {"end": "Open"}})
    assert play(scenario, definitions, judge) == ()
    assert asked == [("team.may", {"n": 3}, "2026-01-01T00:00:00+00:00")]
    assert play(scenario, definitions) == (Difference(what="end", expected="Open", got="Shut"),)


EACH = """
start Start
service Each  type=each; each=items; as=item
end End
Start -> Each -> End
"""


@pytest.mark.parametrize(
    ("expect", "holds"),
    [
        ({"path": ["Start", "Each", "End"], "counts": {"Each": 1}}, True),
        ({"path": ["Start", "Each", "Each", "Each", "End"], "counts": {"Each": 3}}, True),
        ({"path": ["Start", "Each", "Each", "End"]}, False),
        ({"counts": {"Each": 2}}, False),
    ],
)
def test_a_multi_instance_activity_is_told_as_a_whole_or_by_item(
    expect: dict[str, Json], holds: bool
) -> None:
    value: dict[str, Json] = {
        "process": "p",
        "vars": {"items": [1, 2, 3]},
        "jobs": {"each": [{}, {}, {}]},
        "expect": expect,
    }
    assert (play(Scenario.from_json(value), bundle(EACH)) == ()) is holds
