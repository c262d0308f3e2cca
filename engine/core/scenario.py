"""Process tests: a scenario beside a diagram, and what differs when it is played. Pure.

`contracts/process-test.v1.json` is the format; a scenario is checked against it before it comes here.
In the path and the counts a multi-instance activity may be told as a whole, or once for each of its items.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import UTC, datetime
from decimal import Decimal

from engine.core.definitions import Definitions
from engine.core.messages import key_text
from engine.core.model import Json, Reason, Ruling, Variables, Verdict
from engine.core.player import Fail, Judge, Played, Player, Throw, Watch
from engine.core.replay import same
from engine.core.timing import span
from engine.frozen import dataclass

MIDNIGHT = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Difference:
    """One thing that is not as the scenario says: `what` is the key of `expect`, or the fact."""

    what: str
    expected: Json
    got: Json


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One scenario, as written."""

    process: str
    diagram: str = ""
    also: tuple[str, ...] = ()
    variables: Variables = field(default_factory=dict)
    now: datetime = MIDNIGHT
    jobs: Mapping[str, Sequence[Json]] = field(default_factory=dict)
    facts: tuple[Mapping[str, Json], ...] = ()
    expect: Mapping[str, Json] = field(default_factory=dict)

    @classmethod
    def from_json(cls, value: Mapping[str, Json]) -> Scenario:
        """Return the scenario of a value that keeps contract `process-test.v1`."""
        scenario = dict(value)
        also = scenario.get("also", ())
        now = scenario.get("now")
        return cls(
            process=str(scenario["process"]),
            diagram=str(scenario.get("diagram", "")),
            also=(also,) if isinstance(also, str) else tuple(str(path) for path in _list(also)),
            variables=_mapping(scenario.get("vars")),
            now=MIDNIGHT if now is None else datetime.fromisoformat(str(now)).astimezone(UTC),
            jobs={name: _list(answers) for name, answers in _mapping(scenario.get("jobs")).items()},
            facts=tuple(_mapping(fact) for fact in _list(scenario.get("facts"))),
            expect=_mapping(scenario.get("expect")),
        )


def play(
    scenario: Scenario,
    definitions: Definitions,
    judge: Judge | None = None,
    watch: Watch | None = None,
) -> tuple[Difference, ...]:
    """Play `scenario` and return what differs, nothing when all holds.

    `judge(package, input, now)` answers policy gateways that the scenario leaves open; without it they get an
    `error` verdict. `watch` sees every step. Raises DefinitionError when the bundle lacks the process, IntegrityError for a stall.
    """
    answered = tuple(str(fact["verdict"]) for fact in scenario.facts if "verdict" in fact)
    player = Player(
        definitions,
        now=scenario.now,
        answers={name: [_answer(item) for item in items] for name, items in scenario.jobs.items()},
        judge=judge,
        held_back=answered,
        watch=watch,
    )
    player.start(definitions.process(scenario.process).id, scenario.variables)
    differences = []
    for number, fact in enumerate(scenario.facts, 1):
        found = _give(player, fact)
        if found is not None:
            differences.append(_in_fact(number, fact, found))
    played = player.played()
    for key, compare in _EXPECTATIONS.items():
        if key in scenario.expect:
            differences.extend(compare(scenario.expect, played))
    return tuple(differences)


def _answer(answer: Json) -> Variables | Throw | Fail | None:
    if answer is None:
        return None
    variables = _mapping(answer)
    if set(variables) == {"error"} and isinstance(variables["error"], str):
        return Throw(variables["error"])
    if set(variables) == {"fail"}:
        return Fail(_whole(variables["fail"]))
    return variables


# --- facts --------------------------------------------------------------------------------------------


def _give(player: Player, fact: Mapping[str, Json]) -> Difference | None:
    """Let one fact happen; return what was not as it says."""
    variables = _mapping(fact.get("vars"))
    match fact:
        case {"job": str(job_type)}:
            nth = _whole(fact["nth"]) if "nth" in fact else None
            if fact.get("late"):
                return _refused(player.answer_late(job_type, nth, variables))
            error = fact.get("error")
            answer = Throw(error, variables) if isinstance(error, str) else variables
            return _refused(player.answer(job_type, nth, answer))
        case {"complete": str(element)}:
            return _refused(player.complete(element, variables))
        case {"message": str(name)}:
            ttl = fact.get("ttl")
            lifetime = span(ttl) if isinstance(ttl, str) else None
            player.publish(name, key_text(fact.get("key")), variables, lifetime)
        case {"signal": str(name)}:
            player.broadcast(name, variables)
        case {"advance": str(duration)}:
            player.advance(span(duration))
        case {"verdict": str(element)}:
            return _refused(player.give_verdict(element, _verdict(fact)))
        case {"check": expected}:
            return _same_ids("check", [str(item) for item in _list(expected)], player.waiting())
    return None


def _refused(reason: str) -> Difference | None:
    return Difference(what="", expected="it has an effect", got=reason) if reason else None


def _in_fact(number: int, fact: Mapping[str, Json], found: Difference) -> Difference:
    name = next(iter(fact), "")
    what = f"fact {number} ({name})" if name == "check" else f"fact {number} ({name} {fact[name]})"
    return Difference(what=what, expected=found.expected, got=found.got)


def _verdict(fact: Mapping[str, Json]) -> Verdict:
    reasons = []
    for reason in _list(fact.get("reasons")):
        if isinstance(reason, Mapping):
            members = {name: str(value) for name, value in reason.items()}
            reasons.append(
                Reason(
                    code=members.get("code", ""),
                    message=members.get("message", ""),
                    path=members.get("path", ""),
                    location=members.get("location", ""),
                )
            )
        else:
            reasons.append(Reason(code=str(reason), message=str(reason)))
    return Verdict(ruling=Ruling(str(fact["is"])), reasons=tuple(reasons), engine="scenario")


# --- expectations -------------------------------------------------------------------------------------


def _end(expect: Mapping[str, Json], played: Played) -> list[Difference]:
    wanted = expect["end"]
    held = wanted if isinstance(wanted, list | tuple) else [wanted]
    if played.end in held:
        return []
    return [Difference(what="end", expected=wanted, got=played.end)]


def _vars(expect: Mapping[str, Json], played: Played) -> list[Difference]:
    return [
        Difference(what=f"vars.{name}", expected=value, got=_held(played, name))
        for name, value in _mapping(expect["vars"]).items()
        if name not in played.variables or not same(value, played.variables[name])
    ]


def _vars_any(expect: Mapping[str, Json], played: Played) -> list[Difference]:
    return [
        Difference(what=f"vars_any.{name}", expected=values, got=_held(played, name))
        for name, values in _mapping(expect["vars_any"]).items()
        if name not in played.variables
        or not any(same(value, played.variables[name]) for value in _list(values))
    ]


def _held(played: Played, name: str) -> Json:
    return played.variables.get(name, "(absent)")


def _absent(expect: Mapping[str, Json], played: Played) -> list[Difference]:
    return [
        Difference(what=f"absent.{name}", expected="(absent)", got=played.variables[str(name)])
        for name in _list(expect["absent"])
        if str(name) in played.variables
    ]


def _path(expect: Mapping[str, Json], played: Played) -> list[Difference]:
    wanted = expect["path"]
    ignored = {str(element) for element in _list(expect.get("ignore"))}
    told = [item for item in _list(wanted) if item not in ignored]
    whole, by_item = (
        [element for element in path if element not in ignored]
        for path in (played.path, played.path_by_item)
    )
    if wanted is None or told in (whole, by_item):
        return []
    return [Difference(what="path", expected=wanted, got=list(whole))]


def _counts(expect: Mapping[str, Json], played: Played) -> list[Difference]:
    whole, by_item = Counter(played.path), Counter(played.path_by_item)
    return [
        Difference(what=f"counts.{element}", expected=count, got=whole[element])
        for element, count in _mapping(expect["counts"]).items()
        if count not in (whole[element], by_item[element])
    ]


def _jobs_created(expect: Mapping[str, Json], played: Played) -> list[Difference]:
    return [
        Difference(what=f"jobs_created.{name}", expected=count, got=played.jobs.get(name, 0))
        for name, count in _mapping(expect["jobs_created"]).items()
        if count != played.jobs.get(name, 0)
    ]


def _open(expect: Mapping[str, Json], played: Played) -> list[Difference]:
    found = _same_ids("open", [str(item) for item in _list(expect["open"])], played.open)
    return [] if found is None else [found]


def _incident(expect: Mapping[str, Json], played: Played) -> list[Difference]:
    if expect["incident"] is bool(played.incidents):
        return []
    got: Json = list(played.incidents) if played.incidents else False
    return [Difference(what="incident", expected=expect["incident"], got=got)]


_EXPECTATIONS: Mapping[str, Callable[[Mapping[str, Json], Played], list[Difference]]] = {
    "end": _end,
    "vars": _vars,
    "vars_any": _vars_any,
    "absent": _absent,
    "path": _path,
    "counts": _counts,
    "jobs_created": _jobs_created,
    "open": _open,
    "incident": _incident,
}


def _same_ids(what: str, expected: Sequence[str], got: Sequence[str]) -> Difference | None:
    """Compare ids in any order; how often counts only when the scenario repeats one."""
    repeats = len(set(expected)) < len(expected)
    seen = sorted(got) if repeats else sorted(set(got))
    if sorted(expected) == seen:
        return None
    return Difference(what=what, expected=list(expected), got=list(seen))


def _mapping(value: Json) -> dict[str, Json]:
    return dict(value) if isinstance(value, Mapping) else {}


def _list(value: Json) -> list[Json]:
    return list(value) if isinstance(value, list | tuple) else []


def _whole(value: Json) -> int:
    return int(value) if isinstance(value, int | Decimal) else 0
