"""What could have been otherwise: single changes of recorded facts that bear on whether work merges.

Each change is small and can be said in a sentence: one gate that passes, one check that passes, one value that a policy or
a table sees, one denial that is not made. Whether a change helps is not decided here; see `engine.runtime.nearest`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from itertools import tee
from typing import Any

from engine.core.definitions import Decision, Definitions
from engine.core.model import (
    BpmnErrorThrown,
    Fact,
    InstanceId,
    JobCompleted,
    Json,
    Ruling,
    Variables,
)
from engine.core.replay import same
from engine.core.what_if import Course, Evaluated, Judged, Place, Taken
from engine.decisions.explanation import show
from engine.decisions.model import DecisionTable
from engine.errors import DefinitionError
from engine.frozen import dataclass

_LITERAL = re.compile(r'"((?:[^"\\]|\\.)*)"|(-?\d+)(?![\d.])|\b(true|false)\b')
_CASES = 8  #: values that are tried for one input of a table


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that could have been otherwise.

    `kind`: gate, check, doctor, fact (a member of what a policy sees), cell (an input of a table), denial or verdict.
    """

    kind: str
    seq: int  #: entry that recorded it as it was, 0 when several did
    element: str
    text: str
    pointer: str = ""  #: JSON pointer into what the policy sees
    recorded: Json = None
    wanted: Json = None
    effect: Effect = field(compare=False, repr=False)

    @property
    def key(self) -> tuple[str, int, str, str]:
        """What makes it the same change in another course."""
        return (self.kind, self.seq, self.element, self.text)


@dataclass(frozen=True, kw_only=True)
class FactEdited:
    """The fact of an entry is another one."""

    seq: int
    edit: Callable[[Fact], Fact]


@dataclass(frozen=True, kw_only=True)
class InputEdited:
    """A policy sees another value at one place of its input."""

    instance: InstanceId
    request: str
    edit: Callable[[Json], Json]


@dataclass(frozen=True, kw_only=True)
class DenialGone:
    """A policy does not give this reason."""

    instance: InstanceId
    request: str
    code: str
    message: str


@dataclass(frozen=True, kw_only=True)
class CellEdited:
    """A table sees another value of one input."""

    place: Place
    values: Variables


@dataclass(frozen=True, kw_only=True)
class VerdictPasses:
    """One of the five verdicts of the safety kernel is pass."""

    kind: str


Effect = FactEdited | InputEdited | DenialGone | CellEdited | VerdictPasses
Rulings = Callable[
    [Judged, Json], set[tuple[str, str]]
]  #: (code, message) of denials on another input


def proposals(
    course: Course,
    definitions: Definitions,
    seqs: Mapping[tuple[InstanceId, str], int],
    ask: Rulings,
) -> Iterator[Change]:
    """Yield what could have been otherwise in `course`, the plainest first.

    `seqs` gives the entry of a verdict request or a decision, `ask` the denials of a policy on an edited input.
    """
    for taken in course.taken:
        yield from _outcomes(taken)
    for judged in course.judged:
        if judged.verdict.ruling is not Ruling.PASS:
            yield from _seen_by_policy(judged, seqs, ask)
    for evaluated in course.evaluated:
        yield from _seen_by_table(evaluated, definitions, seqs)
    for judged in course.judged:
        if judged.verdict.ruling is not Ruling.PASS:
            yield from _denials(judged, seqs)


# --- gates, checks, the doctor --------------------------------------------------------------------------


def _outcomes(taken: Taken) -> Iterator[Change]:
    """Yield the results of programs that failed, each as passed."""
    kind = taken.job.type if taken.job else ""
    match taken.fact:
        case JobCompleted(variables=variables) if kind == "checks.run_gates":
            for gate in _failed_gates(variables):
                text = f"gate {gate['name']} passes"
                yield _edited(taken, "gate", text, gate.get("reason"), _gate_passes(gate["name"]))
        case JobCompleted(variables=variables) if kind == "checks.run_doctor":
            doctor = variables.get("doctor")
            if isinstance(doctor, Mapping) and doctor.get("result") == "failed":
                told = doctor.get("reason")
                yield _edited(taken, "doctor", "the doctor is content", told, _doctor_is_content)
        case BpmnErrorThrown(variables=variables, message=message) if kind == "checks.verify":
            found = variables.get("verification")
            if isinstance(found, Mapping) and found.get("commit"):
                yield _edited(taken, "check", _check_text(taken, found), message, _check_passes)
        case _:
            pass


def _edited(
    taken: Taken, kind: str, text: str, recorded: Json, edit: Callable[[Fact], Fact]
) -> Change:
    return Change(
        kind=kind,
        seq=taken.seq,
        element=taken.job.element if taken.job else "",
        text=text,
        recorded=recorded,
        wanted="ok",
        effect=FactEdited(seq=taken.seq, edit=edit),
    )


def _failed_gates(variables: Variables) -> list[Any]:  # Any: JSON of checks.run_gates
    gates = variables.get("gates")
    results = gates.get("results") if isinstance(gates, Mapping) else None
    return [
        gate
        for gate in (results if isinstance(results, Sequence) else ())
        if isinstance(gate, Mapping) and gate.get("result") == "failed" and gate.get("required")
    ]


def _gate_passes(name: str) -> Callable[[Fact], Fact]:
    def edit(fact: Fact) -> Fact:
        assert isinstance(fact, JobCompleted)  # see _outcomes
        gates: Any = fact.variables["gates"]  # Any: as above
        results = [
            {**gate, "result": "ok", "reason": "", "exit_code": 0} if gate["name"] == name else gate
            for gate in gates["results"]
        ]
        reasons = [r for r in gates.get("reasons", ()) if not str(r).startswith(f"{name}: ")]
        told = {"results": results, "reasons": reasons, "result": "failed" if reasons else "ok"}
        if not reasons and "verdicts" in gates:  # the validator's verdict follows from the results
            told["verdicts"] = [
                {**verdict, "verdict": "pass"} if verdict["kind"] == "validator" else verdict
                for verdict in gates["verdicts"]
            ]
        variables = {**fact.variables, "gates": {**gates, **told}}
        return JobCompleted(at=fact.at, job=fact.job, variables=variables)

    return edit


def _check_text(taken: Taken, found: Mapping[str, Json]) -> str:
    """Return what would have to be so; where the check was not even run, it would have to pass besides."""
    attempt = f"attempt {taken.job.visit}: " if taken.job else ""
    if found.get("failure_class") in {"verification", "timeout"}:
        return f"{attempt}the task's check passes"
    return f"{attempt}what was wrong with the work is not so, and the task's check passes"


def _doctor_is_content(fact: Fact) -> Fact:
    assert isinstance(fact, JobCompleted)  # see _outcomes
    doctor: Any = fact.variables["doctor"]  # Any: JSON of checks.run_doctor
    content = {**doctor, "result": "ok", "exit_code": 0, "reason": ""}
    return JobCompleted(at=fact.at, job=fact.job, variables={**fact.variables, "doctor": content})


def _check_passes(fact: Fact) -> Fact:
    assert isinstance(fact, BpmnErrorThrown)  # see _outcomes
    found: Any = fact.variables["verification"]  # Any: JSON of checks.verify
    passed = {**found, "result": "ok", "failure_class": "", "message": "", "exit_code": 0}
    return JobCompleted(at=fact.at, job=fact.job, variables={"verification": passed})


# --- what a policy sees ---------------------------------------------------------------------------------


def _seen_by_policy(
    judged: Judged, seqs: Mapping[tuple[InstanceId, str], int], ask: Rulings
) -> Iterator[Change]:
    """Yield, for each reason of a denial, the smallest edit of the input after which it is not given any more."""
    request = judged.request
    before = {(reason.code, reason.message) for reason in judged.verdict.reasons}
    tried: dict[str, Iterator[tuple[_EDIT, set[tuple[str, str]]]]] = {}
    for reason in judged.verdict.reasons:
        answers = tried.setdefault(reason.path, _answers(judged, reason.path, ask))
        tried[reason.path], again = tee(answers)  # reasons of one path share what was asked
        for (pointer, edit, was, now), after in again:
            if (reason.code, reason.message) not in after and after < before:
                yield Change(
                    kind="fact",
                    seq=seqs.get((judged.instance, request.request), 0),
                    element=request.element,
                    text=_said(request.package, pointer, now),
                    pointer=pointer,
                    recorded=was,
                    wanted=now,
                    effect=InputEdited(
                        instance=judged.instance, request=request.request, edit=edit
                    ),
                )
                break


def _answers(
    judged: Judged, path: str, ask: Rulings
) -> Iterator[tuple[_EDIT, set[tuple[str, str]]]]:
    """Yield each edit at the place that `path` names, with the denials that are left after it."""
    for one in _edits(judged.request.input, path):
        yield one, ask(judged, one[1](judged.request.input))


_GONE = "(not there)"
_EDIT = tuple[str, Callable[[Json], Json], Json, Json]


def _said(package: str, pointer: str, now: Json) -> str:
    what = "is not there" if now == _GONE else f"is {show(now)}"
    return f"what policy {package} sees at {pointer} {what}"


def _edits(input_: Json, path: str) -> Iterator[_EDIT]:
    """Yield edits at the place that a reason names: a JSON pointer into the input, or the path of a file in it."""
    if path.startswith("/"):
        places = [[part.replace("~1", "/").replace("~0", "~") for part in path[1:].split("/")]]
        places = [place for place in places if _at(input_, place) is not None]
    else:
        places = list(_naming(input_, path, []))
    for place in places:
        was = _at(input_, place)
        for value in _others(was):
            yield _pointer(place), _setting(place, value), was, value
        if isinstance(was, Mapping):
            yield from _inside(place, was)
        yield _pointer(place), _removing(place), was, _GONE


def _inside(place: list[str], was: Mapping[str, Json]) -> Iterator[_EDIT]:
    """Yield the removal of single items of the lists in an object: a line that was added, before the whole file."""
    for name, held in was.items():
        if isinstance(held, list | tuple):
            for index, item in enumerate(held[:_INSIDE]):
                inner = [*place, name, str(index)]
                yield _pointer(inner), _removing(inner), item, _GONE


_INSIDE = 200  #: items of one list that are tried


def _others(was: Json) -> tuple[Json, ...]:
    """Return the values that could stand for a plain one: the other truth, the word that opens, zero."""
    match was:
        case bool():
            return (not was,)
        case "failed" | "fail" | "error":
            return ("ok", "pass")
        case int():
            return (0,)
        case _:
            return ()


def _naming(value: Json, path: str, at: list[str]) -> Iterator[list[str]]:
    """Yield the places of items that are `path`, or objects whose member `path` it is; nothing for an empty one."""
    if not path:
        return
    if isinstance(value, Mapping):
        if value.get("path") == path and at:
            yield at
        for name, held in value.items():
            yield from _naming(held, path, [*at, name])
    elif isinstance(value, list | tuple):
        for index, held in enumerate(value):
            if held == path:
                yield [*at, str(index)]
            else:
                yield from _naming(held, path, [*at, str(index)])


def _at(value: Json, place: Sequence[str]) -> Json:
    for part in place:
        if isinstance(value, Mapping) and part in value:
            value = value[part]
        elif isinstance(value, list | tuple) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value


def _setting(place: Sequence[str], value: Json) -> Callable[[Json], Json]:
    return lambda input_: _changed(input_, place, value)


def _removing(place: Sequence[str]) -> Callable[[Json], Json]:
    return lambda input_: _changed(input_, place, _GONE)


def _changed(value: Json, place: Sequence[str], new: Json) -> Json:
    """Return `value` with another member at `place`, or none for _GONE; unchanged where there is no such place."""
    part, rest = place[0], place[1:]
    if isinstance(value, Mapping):
        members = dict(value)
        if rest:
            members[part] = _changed(members.get(part), rest, new)
        elif new == _GONE:
            members.pop(part, None)
        else:
            members[part] = new
        return members
    if isinstance(value, list | tuple) and part.isdecimal() and int(part) < len(value):
        items = list(value)
        index = int(part)
        if rest:
            items[index] = _changed(items[index], rest, new)
        elif new == _GONE:
            del items[index]
        else:
            items[index] = new
        return items
    return value


def _pointer(place: Sequence[str]) -> str:
    return "".join(f"/{part.replace('~', '~0').replace('/', '~1')}" for part in place)


def _denials(judged: Judged, seqs: Mapping[tuple[InstanceId, str], int]) -> Iterator[Change]:
    """Yield each reason of a denial as not given: what a waiver, or a change of the policy, would do."""
    request = judged.request
    for reason in judged.verdict.reasons:
        yield Change(
            kind="denial",
            seq=seqs.get((judged.instance, request.request), 0),
            element=request.element,
            text=f"policy {request.package} does not deny with {reason.code}: {reason.message}",
            pointer=reason.path,
            recorded=judged.verdict.ruling.value,
            wanted="pass",
            effect=DenialGone(
                instance=judged.instance,
                request=request.request,
                code=reason.code,
                message=reason.message,
            ),
        )


# --- what a table sees ----------------------------------------------------------------------------------


def _seen_by_table(
    evaluated: Evaluated, definitions: Definitions, seqs: Mapping[tuple[InstanceId, str], int]
) -> Iterator[Change]:
    """Yield other values of single inputs, taken from the table's own cells, that give another answer."""
    decision = definitions.decisions[evaluated.event.decision]
    instance, _, number = evaluated.place
    for name, values in _values(decision.model.definitions.decisions).items():
        if name not in evaluated.inputs:
            continue
        was = evaluated.inputs[name]
        for value in values:
            if type(value) is not type(was) or value == was:
                continue
            if same(_answer(decision, {**evaluated.inputs, name: value}), evaluated.event.value):
                continue
            yield Change(
                kind="cell",
                seq=seqs.get((instance, f"{evaluated.event.element}#{evaluated.event.visit}"), 0),
                element=evaluated.event.element,
                text=f"table {decision.id} sees {name} = {show(value)} instead of {show(was)}",
                recorded=was,
                wanted=value,
                effect=CellEdited(place=(instance, decision.id, number), values={name: value}),
            )


def _answer(decision: Decision, inputs: Variables) -> Json:
    try:
        return decision.explain(inputs)[0]["value"]
    except DefinitionError:
        return None


def _values(decisions: Sequence[Any]) -> dict[str, list[Json]]:  # Any: decision elements
    """Return {input: values} that the cells of the tables compare plain inputs with."""
    found: dict[str, list[Json]] = {}
    for element in decisions:
        if not isinstance(element.logic, DecisionTable):
            continue
        for column, clause in enumerate(element.logic.inputs):
            known = found.setdefault(clause.expression.text.strip(), [])
            for rule in element.logic.rules:
                for value in _literals(rule.inputs[column].text):
                    if value not in known and len(known) < _CASES:
                        known.append(value)
    return found


def _literals(cell: str) -> Iterator[Json]:
    for text, number, truth in _LITERAL.findall(cell):
        if truth:
            yield truth == "true"
        elif number:
            yield from (int(number), int(number) + 1)
        else:
            yield text
