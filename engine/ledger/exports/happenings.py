"""What happened in a run, one after the other, as process mining sees it: activities with times, places and attributes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from datetime import datetime

from engine.core.model import (
    BpmnErrorThrown,
    DecisionEvaluated,
    ElementActivated,
    ElementCompleted,
    ElementTerminated,
    InstanceEnded,
    InstanceStarted,
    JobFailed,
    Json,
    UserTaskCompleted,
    Variables,
    VerdictGiven,
)
from engine.frozen import dataclass
from engine.ledger.canonical import encode
from engine.ledger.entries import Entry, EntryType
from engine.ledger.records import Turn, read_turn

Value = str | int | bool
TEXT_LIMIT = 500  #: characters of an attribute


@dataclass(frozen=True, kw_only=True)
class Happening:
    """One thing that happened. `lifecycle` is start, complete or ate_abort, as XES calls it."""

    seq: int
    at: datetime
    name: str  #: element id of the diagram, or type of an entry of the engine's own
    lifecycle: str = "complete"
    process: str = ""  #: "" for the engine's own entries
    instance: str = ""
    task: str = ""
    visit: int = 0
    who: str = ""  #: person or worker, when one is known
    began: datetime | None = None  #: of what completes
    attributes: Mapping[str, Value] = field(default_factory=dict)
    commits: tuple[str, ...] = ()
    tasks: tuple[
        str, ...
    ] = ()  #: besides `task`: those of a merge, those that an instance could not merge


def happenings(entries: Iterable[Entry]) -> Iterator[Happening]:
    """Yield what happened, in ledger order; entries come with their large values."""
    fold = _Fold()
    for entry in entries:
        if entry.type is EntryType.INSTANCE_TURN:
            yield from fold.turn(entry)
        else:
            yield _record(entry)


class _Fold:
    """Knows the process of each instance, and when each element instance began."""

    def __init__(self) -> None:
        self._processes: dict[str, str] = {}
        self._began: dict[tuple[str, str, int], datetime] = {}

    def turn(self, entry: Entry) -> Iterator[Happening]:
        turn = read_turn(entry)
        fact = turn.fact
        if isinstance(fact, InstanceStarted):
            self._processes[entry.instance] = fact.process
        if isinstance(fact, JobFailed | BpmnErrorThrown):
            yield self._failure(entry, fact)
        told = _told(turn)
        for event in turn.events:
            match event:
                case ElementActivated(element=element, visit=visit):
                    self._began[entry.instance, element, visit] = entry.at
                    yield self._element(entry, element, visit, "start", {})
                case ElementCompleted(element=element, visit=visit, flows=flows):
                    more: dict[str, Value] = {"flows": " ".join(flows)} if flows else {}
                    more |= told.get((element, visit), {})
                    yield self._element(entry, element, visit, "complete", more)
                case ElementTerminated(element=element, visit=visit):
                    yield self._element(entry, element, visit, "ate_abort", {})
                case InstanceEnded(state=state):
                    yield Happening(
                        seq=entry.seq,
                        at=entry.at,
                        name="instance.ended",
                        process=self._processes.get(entry.instance, ""),
                        instance=entry.instance,
                        task=entry.task,
                        attributes=_plain({"state": state, **_result(event.variables)}),
                        tasks=_blocked(event.variables),
                    )
                case _:
                    pass

    def _element(
        self, entry: Entry, element: str, visit: int, lifecycle: str, more: Mapping[str, Value]
    ) -> Happening:
        began = (
            None
            if lifecycle == "start"
            else self._began.pop((entry.instance, element, visit), None)
        )
        return Happening(
            seq=entry.seq,
            at=entry.at,
            name=element,
            lifecycle=lifecycle,
            process=self._processes.get(entry.instance, ""),
            instance=entry.instance,
            task=entry.task,
            visit=visit,
            who=str(more.get("by", "")),
            began=began,
            attributes={name: value for name, value in more.items() if name != "by"},
        )

    def _failure(self, entry: Entry, fact: JobFailed | BpmnErrorThrown) -> Happening:
        if isinstance(fact, JobFailed):
            told = {"class": fact.failure.class_, "message": fact.failure.message}
        else:
            told = {"class": fact.code, "message": fact.message}
        return Happening(
            seq=entry.seq,
            at=entry.at,
            name="job.failed",
            process=self._processes.get(entry.instance, ""),
            instance=entry.instance,
            task=entry.task,
            attributes={"job": fact.job, **_plain(told)},
        )


def _result(variables: Variables) -> dict[str, Json]:
    """Return the plain members of an instance's `result`: what became of its task, or of its wave."""
    result = variables.get("result")
    members = result.items() if isinstance(result, Mapping) else ()
    return {f"result_{name}": value for name, value in members if _is_scalar(value)}


def _blocked(variables: Variables) -> tuple[str, ...]:
    result = variables.get("result")
    return tuple(_texts(result.get("blocked"))) if isinstance(result, Mapping) else ()


def _told(turn: Turn) -> dict[tuple[str, int], dict[str, Value]]:
    """Return {(element, visit): what was decided there}."""
    found: dict[tuple[str, int], dict[str, Value]] = {}
    match turn.fact:
        case VerdictGiven(request=request, verdict=verdict):
            codes = " ".join(reason.code for reason in verdict.reasons)
            found[_place(request)] = _plain({"verdict": verdict.ruling.value, "reasons": codes})
        case UserTaskCompleted(task=task, by=by):
            found[_place(task)] = _plain({"by": by})
        case _:
            pass
    for event in turn.events:
        if isinstance(event, DecisionEvaluated):
            told = {"decision": event.decision, "answer": event.value}
            found.setdefault((event.element, event.visit), {}).update(_plain(told))
    return found


def _place(key: str) -> tuple[str, int]:
    element, _, visit = key.rpartition("#")
    return element, int(visit) if visit.isdecimal() else 0


def _record(entry: Entry) -> Happening:
    body = entry.body or {}
    subject = body.get("subject")
    named = [body.get("commit"), *_texts(body.get("sources"))]
    if isinstance(subject, Mapping):
        named += [subject.get("commit"), *_texts(subject.get("sources"))]
    hidden = {"commit", "files", "output", "note", "key", "frontier"}
    return Happening(
        seq=entry.seq,
        at=entry.at,
        name=entry.type.value,
        instance=entry.instance,
        task=entry.task,
        who=str(body.get("worker") or body.get("by") or ""),
        attributes=_plain({k: v for k, v in body.items() if k not in hidden and _is_scalar(v)}),
        commits=tuple(dict.fromkeys(str(commit) for commit in named if commit)),
        tasks=tuple(_texts(body.get("tasks"))),
    )


def _texts(value: Json) -> list[str]:
    return [str(item) for item in value] if isinstance(value, list | tuple) else []


def _is_scalar(value: Json) -> bool:
    return isinstance(value, str | int | bool)


def _plain(members: Mapping[str, Json]) -> dict[str, Value]:
    """Return what an attribute can hold; the rest as canonical JSON, cut; nothing for nothing."""
    return {
        name: value if isinstance(value, bool | int) else _text(value)
        for name, value in members.items()
        if value is not None and value != ""
    }


def _text(value: Json) -> str:
    text = value if isinstance(value, str) else encode(value).decode()
    return text if len(text) <= TEXT_LIMIT else f"{text[: TEXT_LIMIT - 1]}…"
