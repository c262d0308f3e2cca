"""L3, decisions derived anew: the events of every turn, the word of every policy, the verdicts that guard merges.

The recorded definitions are taken from their blobs, by digest. The facts are folded again, so that every decision table,
condition, mapping and path comes out anew; every policy is asked again what it was asked; and the five verdicts are made
again from what they rest on. This level calls the engine's interpreters of BPMN, DMN and Rego: what a table means is
theirs to say, and a second interpreter would only be a second opinion. It shares nothing with what wrote the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from hashlib import sha256
from typing import Final

from engine.audit.facts import Unreadable, read_turn
from engine.audit.findings import Finding, Record
from engine.audit.gates import Gates
from engine.audit.lines import shape_problem
from engine.core.definitions import Definitions
from engine.core.model import (
    ChildEnded,
    ChildRequested,
    DecisionEvaluated,
    Event,
    InstanceEnded,
    InstanceId,
    InstanceStarted,
    Ruling,
    RunId,
    Verdict,
    VerdictGiven,
    VerdictRequested,
)
from engine.core.process import Instance, Step, advance, start
from engine.core.replay import Record as Turn
from engine.core.replay import same
from engine.errors import EngineError
from engine.policy import PolicySet

Blob = Callable[[str], bytes | None]

_DEADLINE_S: Final = 60.0


@dataclass(kw_only=True)
class Derived:
    """How much was derived anew, and what came out otherwise than recorded."""

    turns: int = 0
    decisions: int = 0
    policies: int = 0
    verdicts: int = 0
    unanswered: int = 0  #: policies that had not answered in time: nothing to compare with
    findings: list[Finding] = field(default_factory=list)


def rederive(records: Iterable[Record], blob: Blob) -> Derived:
    """Fold the entries of one run, in order, and return what does not come out as recorded."""
    found = Derived()
    entries = iter(records)
    first = next(entries, None)
    definitions = _definitions(first, blob, found)
    if first is None or definitions is None:
        return found
    policies = PolicySet.load(definitions.policies, deadline_s=_DEADLINE_S)
    try:
        folding = _Folding(definitions, policies, RunId(first["run"]), blob, found)
        folding.take(first)
        for record in entries:
            folding.take(record)
        if not folding.astray:
            folding.gates.end()
    finally:
        policies.close()
    found.verdicts = folding.gates.derived
    return found


def checked(blob: Blob) -> Blob:
    """Return a reader of blobs that holds each against its digest and gives None for what is altered."""

    def read(digest: str) -> bytes | None:
        content = blob(digest)
        intact = content is not None and f"sha256:{sha256(content).hexdigest()}" == digest
        return content if intact else None

    return read


def _definitions(first: Record | None, blob: Blob, found: Derived) -> Definitions | None:
    body = first.get("body") if first else None
    listed = body.get("files") if isinstance(body, Mapping) else None
    if not isinstance(body, Mapping) or not isinstance(listed, Mapping):
        found.findings.append(Finding(1, "L3", "the first entry does not list the definitions"))
        return None
    files = {path: blob(str(digest)) for path, digest in listed.items()}
    for path, content in files.items():
        if content is None:
            found.findings.append(Finding(1, "L3", f"the definition {path} is missing or altered"))
    if found.findings:
        return None
    try:
        definitions = Definitions.load({path: content or b"" for path, content in files.items()})
    except EngineError as error:
        found.findings.append(Finding(1, "L3", f"the definitions cannot be loaded: {error}"))
        return None
    if definitions.digest != body.get("bundle"):
        found.findings.append(Finding(1, "L3", "the definitions are not the bundle of the run"))
        return None
    return definitions


class _Folding:
    """Instances as the recorded facts make them. What has diverged once is not followed further."""

    def __init__(
        self,
        definitions: Definitions,
        policies: PolicySet,
        run: RunId,
        blob: Blob,
        found: Derived,
    ) -> None:
        self.definitions = definitions
        self.policies = policies
        self.run = run
        self.blob = blob
        self.found = found
        self.gates = Gates(found.findings)
        self.instances: dict[InstanceId, Instance] = {}
        self.astray: set[InstanceId] = set()
        self.asked: dict[tuple[InstanceId, str], VerdictRequested] = {}
        self.children: dict[InstanceId, ChildRequested] = {}
        self.ends: dict[InstanceId, InstanceEnded] = {}

    def take(self, record: Record) -> None:
        """Take one entry in."""
        if record["type"] != "instance.turn":
            self._take_note(record)
            return
        try:
            turn = read_turn(record, self.blob)
        except Unreadable as error:
            self._find(record["seq"], str(error))
            return
        if turn.instance in self.astray:
            return
        self.found.turns += 1
        problem = self._fold(turn)
        if problem:
            self.astray.add(turn.instance)
            self._find(turn.seq, f"instance {turn.instance}: {problem}")

    def _take_note(self, record: Record) -> None:
        try:
            self.gates.take(record)
        except (KeyError, TypeError, AttributeError) as error:
            self._find(
                record["seq"], f"the body of {record['type']} is not what it must be: {error!r}"
            )

    def _fold(self, turn: Turn) -> str:
        """Derive the events of a turn and return how they differ from the recorded ones, or ""."""
        problem = self._family_problem(turn)
        if problem:
            return problem
        if isinstance(turn.fact, VerdictGiven):
            self._ask_again(turn, turn.fact)
        try:
            step = self._step(turn)
        except Exception as error:  # a forged fact may break an interpreter anywhere; that is a finding, not a crash
            return f"the fact cannot have happened: {error}"
        if step is None:
            return "it never started, or starts twice"
        self.instances[turn.instance] = step.instance
        self._note(turn.instance, step.events)
        return _difference(turn.events, step.events)

    def _step(self, turn: Turn) -> Step | None:
        known = self.instances.get(turn.instance)
        if isinstance(turn.fact, InstanceStarted):
            begun = known is not None
            return None if begun else start(self.definitions, self.run, turn.instance, turn.fact)
        return advance(self.definitions, known, turn.fact) if known is not None else None

    def _family_problem(self, turn: Turn) -> str:
        """Return where a child and its parent do not say the same, or ""."""
        fact = turn.fact
        if isinstance(fact, InstanceStarted) and fact.parent:
            asked = self.children.pop(turn.instance, None)
            if asked is None or not same(
                (fact.process, fact.variables), (asked.process, asked.variables)
            ):
                return "it does not start as its parent asked"
        elif isinstance(fact, ChildEnded) and fact.child not in self.astray:
            end = self.ends.pop(fact.child, None)
            told = (fact.state, fact.variables, fact.code, fact.message)
            if end is None or not same(told, (end.state, end.variables, end.code, end.message)):
                return f"it does not hear how {fact.child} ended"
        return ""

    def _note(self, instance: InstanceId, events: Iterable[Event]) -> None:
        for event in events:
            match event:
                case DecisionEvaluated():
                    self.found.decisions += 1
                case VerdictRequested():
                    self.asked[(instance, event.request)] = event
                case ChildRequested():
                    self.children[event.child] = event
                case InstanceEnded():
                    self.ends[instance] = event
                case _:
                    pass

    def _ask_again(self, turn: Turn, fact: VerdictGiven) -> None:
        """Ask the policy what it was asked then; only its own words are compared, not who spoke or how quickly."""
        asked = self.asked.pop((turn.instance, fact.request), None)
        if asked is None:
            return  # nobody waits for it: the core drops it
        recorded = fact.verdict
        self.gates.ruled(asked.package, asked.input, recorded.ruling.value)
        if recorded.ruling is Ruling.ERROR and _was_not_reached(recorded):
            self.found.unanswered += 1
            return
        self.found.policies += 1
        verdict = self.policies.decide(asked.package, asked.input, fact.at)
        if not same(_words(verdict), _words(recorded)):
            message = f"policy {asked.package} is recorded as {_told(recorded)}, but says {_told(verdict)}"
            self._find(turn.seq, message)

    def _find(self, seq: int, message: str) -> None:
        self.found.findings.append(Finding(seq, "L3", message))


def _was_not_reached(verdict: Verdict) -> bool:
    """Tell whether an error says that no answer came, in time or from a server: asking again proves nothing."""
    late = any(reason.code == "TIMEOUT" for reason in verdict.reasons)
    return late or not verdict.engine.startswith("regorus")


def _words(verdict: Verdict) -> Verdict:
    return replace(verdict, engine="", duration_us=0)


def _told(verdict: Verdict) -> str:
    codes = ", ".join(reason.code for reason in verdict.reasons[:3])
    return f"{verdict.ruling.value}{f' ({codes})' if codes else ''} under {verdict.bundle[:12]}"


def _difference(recorded: tuple[Event, ...], derived: tuple[Event, ...]) -> str:
    for position in range(max(len(recorded), len(derived))):
        was = recorded[position] if position < len(recorded) else None
        follows = derived[position] if position < len(derived) else None
        if same(was, follows):
            continue
        if was is None or follows is None or type(was) is not type(follows):
            return f"event {position} is recorded as {_name(was)}, but {_name(follows)} follows"
        place, one, other = _where(was, follows)
        return (
            f"event {position}, {_name(was)}{place}, is recorded as {_short(one)},"
            f" but {_short(other)} follows"
        )
    return ""


def _name(event: Event | None) -> str:
    if event is None:
        return "nothing"
    element = getattr(event, "element", "")
    return f"{type(event).__name__}{f' of {element}' if element else ''}"


def _where(was: object, follows: object) -> tuple[str, object, object]:
    """Return the JSON pointer of the first place where two values differ, and what stands there."""
    if is_dataclass(was) and type(was) is type(follows):
        names = [item.name for item in fields(was) if item.compare]
        was, follows = ({name: getattr(value, name) for name in names} for value in (was, follows))
    if isinstance(was, Mapping) and isinstance(follows, Mapping):
        for name in sorted({*was, *follows}):
            if not same(was.get(name), follows.get(name)):
                place, one, other = _where(was.get(name), follows.get(name))
                return f"/{name}{place}", one, other
    if isinstance(was, list | tuple) and isinstance(follows, list | tuple):
        for index, (one, other) in enumerate(zip(was, follows, strict=False)):
            if not same(one, other):
                place, one, other = _where(one, other)
                return f"/{index}{place}", one, other
    return "", was, follows


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 120 else f"{text[:119]}…"


def records(lines: Iterable[bytes], parse: Callable[[bytes], Record | None]) -> Iterator[Record]:
    """Yield the entries that are whole; the others are findings of L0."""
    for line in lines:
        record = parse(line)
        if record is not None and not shape_problem(record, ""):
            yield record
