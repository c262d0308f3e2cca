"""The policy decisions of a run as OPA's decision log events, one JSON object a line, with secrets masked.

The shape is that of OPA 1.x (management-decision-logs, "Decision Log Service API"; EventV1): what reads the log of an OPA
server reads this. It is made from recorded facts, so the same ledger gives the same lines.

Invariants
- A secret that the engine's redactor knows is in no line: text is masked member by member (`masked` lists the JSON
  pointers), and a line in which the redactor still finds something loses `input` and `result` (`erased` says so).
- `result` is there exactly when the policy gave a decision document; an evaluation that failed has `error`, and one that
  found no policy has neither.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from engine.core.model import Reason, Ruling, Verdict, VerdictGiven, VerdictRequested
from engine.ledger import Entry, EntryType, read_turn
from engine.policy import input_text
from engine.programs import Redactor

BUNDLE: Final = "poundlock"  #: the name of our bundle in `bundles`
_MARK: Final = "[redacted:"

Event = dict[str, Any]  # Any: JSON


def decision_log(
    entries: Iterable[Entry], *, run: str, redactor: Redactor, version: str
) -> Iterator[bytes]:
    """Yield a line (JSON, without the line feed) for each decision of `run`, in the order they were made.

    `version` is the engine's. A question that was cancelled before its answer has no decision.
    """
    asked: dict[tuple[str, str], VerdictRequested] = {}
    for entry in entries:
        if entry.type is not EntryType.INSTANCE_TURN:
            continue
        turn = read_turn(entry)
        if isinstance(turn.fact, VerdictGiven):
            request = asked.pop((entry.instance, turn.fact.request), None)
            if request is not None:
                event = _event(entry, request, turn.fact, run, version)
                yield _line(event, redactor)
        for one in turn.events:
            if isinstance(one, VerdictRequested):
                asked[entry.instance, one.request] = one


def _event(
    entry: Entry, request: VerdictRequested, fact: VerdictGiven, run: str, version: str
) -> Event:
    verdict = fact.verdict
    return {
        "labels": {"app": "poundlock", "id": run, "version": version},
        "decision_id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"poundlock:{run}/{entry.seq}")),
        "bundles": {BUNDLE: {"revision": verdict.bundle}},
        "path": request.package.replace(".", "/"),
        "input": json.loads(input_text(request.input, fact.at)),
        **_answer(verdict),
        "requested_by": f"{entry.instance}/{request.request}",
        "timestamp": _rfc3339(fact.at),
        "metrics": {"timer_rego_query_eval_ns": verdict.duration_us * 1000},
        "req_id": entry.seq,
        "custom": {
            "engine": verdict.engine,
            "ruling": verdict.ruling.value,
            "run": run,
            "instance": entry.instance,
            "element": request.element,
            **({"task": entry.task} if entry.task else {}),
        },
    }


def _answer(verdict: Verdict) -> Event:
    match verdict.ruling:
        case Ruling.PASS | Ruling.FAIL:
            is_open = verdict.ruling is Ruling.PASS
            denials = [_denial(reason) for reason in verdict.reasons]
            waived = [
                {"code": one.code, "msg": one.message, "path": one.path, "waiver": one.waiver}
                for one in verdict.waived
            ]
            more = {"waived": waived} if waived else {}
            return {"result": {"allow": is_open, "deny": denials, **more}}
        case Ruling.ERROR:
            codes = [reason.code for reason in verdict.reasons]
            told = "; ".join(reason.message for reason in verdict.reasons)
            return {"error": {"code": codes[0] if codes else "ERROR", "message": told}}
        case _:
            return {}


def _denial(reason: Reason) -> Event:
    place = {"location": reason.location} if reason.location else {}
    return {"code": reason.code, "msg": reason.message, "path": reason.path, **place}


def _rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


# --- masking ------------------------------------------------------------------------------------------


def _line(event: Event, redactor: Redactor) -> bytes:
    """Return the event as a line without secrets."""
    line = orjson.dumps(event)
    if _is_harmless(event, redactor) and redactor.redact(line) == line:
        return line
    found: list[str] = []
    masked = _masked(event, redactor, "", "", found)
    line = orjson.dumps({**masked, "masked": found} if found else masked)
    if redactor.redact(line) == line:
        return line
    kept = {key: value for key, value in masked.items() if key not in ("input", "result", "error")}
    gone = [f"/{key}" for key in ("input", "result", "error") if key in masked]
    return orjson.dumps(_masked({**kept, "erased": gone}, redactor, "", "", []))


def _is_harmless(event: Event, redactor: Redactor) -> bool:
    """Tell, by looking once at all of its texts, whether nothing in an event is or was secret."""
    text = "\n".join(_texts(event, ""))
    return _MARK not in text and redactor.text(text) == text


def _texts(value: Any, name: str) -> Iterator[str]:
    """Yield every text in `value`, the member `name`, as `name=text`."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, key)
            yield key
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, name)
    elif isinstance(value, str):
        yield f"{name}={value}"
        yield value


def _masked(value: Any, redactor: Redactor, name: str, pointer: str, found: list[str]) -> Any:
    """Return `value`, the member `name`, with its secrets marked; their pointers are added to `found`."""
    if isinstance(value, Mapping):
        return _masked_members(value, redactor, pointer, found)
    if isinstance(value, list):
        return [
            _masked(item, redactor, name, f"{pointer}/{index}", found)
            for index, item in enumerate(value)
        ]
    if not isinstance(value, str):
        return value
    text = _masked_text(value, redactor, name)
    if _MARK in text:
        found.append(pointer)
    return text


def _masked_members(
    value: Mapping[str, Any], redactor: Redactor, pointer: str, found: list[str]
) -> Event:
    members: Event = {}
    for key, item in value.items():
        shown = redactor.text(key)
        while shown in members:
            shown += "'"
        at = f"{pointer}/{shown.replace('~', '~0').replace('/', '~1')}"
        members[shown] = _masked(item, redactor, key, at, found)
    return members


def _masked_text(text: str, redactor: Redactor, name: str) -> str:
    """Return `text` redacted, by itself and as the value of a member of that name (`password`)."""
    told = redactor.text(text)
    if told == text and name:
        named = redactor.text(f"{name}={text}")
        if named.startswith(f"{name}="):
            return named.removeprefix(f"{name}=")
    return told
