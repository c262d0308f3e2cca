"""The bundle: every definition file of a run as one immutable value with one digest.

Nothing outside it can be called: a process, decision or policy that a diagram names and the bundle lacks is refused
when the bundle is loaded, with everything else that is wrong, all at once.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import field
from functools import cached_property
from typing import Final, cast

from engine import bpmn
from engine.bpmn.model import (
    BusinessRuleTask,
    CallActivity,
    Document,
    ExclusiveGateway,
    Finding,
    Message,
    Node,
    Signal,
    StartEvent,
    Template,
)
from engine.core.compiled import CompiledProcess, compile_process
from engine.core.messages import Door, Doors
from engine.core.model import Json, Variables
from engine.core.policy_values import ENDINGS, rules_of
from engine.decisions import DecisionModel, Outcome
from engine.errors import DefinitionError
from engine.feel import FeelError, evaluate
from engine.frozen import dataclass

_PACKAGE: Final = re.compile(r"^\s*package\s+([\w.]+)", re.MULTILINE)
_IMPORT: Final = re.compile(rb"<(\w+:)?import\s")
_SHOWN: Final = 10  #: findings spelled out in the sentence of an error


class BundleError(DefinitionError):
    """Definitions are invalid; `findings` holds everything that was found, in file order."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        self.findings: tuple[Finding, ...] = tuple(sorted(findings))
        lines = [str(finding) for finding in self.findings[:_SHOWN]]
        if len(self.findings) > _SHOWN:
            lines.append(f"and {len(self.findings) - _SHOWN} more")
        super().__init__("\n".join(lines))


@dataclass(frozen=True, eq=False, kw_only=True)
class Decision:
    """One decision of the bundle; `digest` is that of the DMN file it stands in."""

    id: str
    file: str
    digest: str
    model: DecisionModel

    def explain(self, inputs: Variables) -> tuple[Mapping[str, Json], str]:
        """Return the record of an evaluation, its answer as `value` (null when no rule matches), and what is wrong:
        the broken hit policy, or nothing.

        Raises FeelError when the evaluation exceeds a bound.
        """
        explanation = self.model.explain(self.id, inputs)
        is_broken = explanation.outcome is Outcome.VIOLATION
        wrong = "; ".join(explanation.warnings) or "a hit policy is broken" if is_broken else ""
        return cast(Mapping[str, Json], explanation.to_json()), wrong  # cast: JSON by its contract


@dataclass(frozen=True, eq=False, kw_only=True)
class Definitions:
    """All definition files of a run. `digest` is hex SHA-256 over the sorted list of paths and file digests."""

    files: Mapping[str, bytes]
    digest: str
    processes: Mapping[str, CompiledProcess]
    decisions: Mapping[str, Decision] = field(default_factory=dict)
    policies: Mapping[str, str] = field(default_factory=dict)  #: path → Rego text
    pools: Mapping[str, str] = field(default_factory=dict)  #: name of a pool → id of its process

    @classmethod
    def load(cls, files: Mapping[str, bytes], *, needs_policies: bool = True) -> Definitions:
        """Return the bundle of `files` (path → content): *.bpmn, *.dmn, *.rego, anything else is kept as it is.

        `needs_policies` False lets a gateway name a policy that is not here: a process test may give its verdict.
        Raises BundleError (a DefinitionError with `findings`) naming everything that is wrong, all at once.
        """
        findings, definitions = _loaded(files, needs_policies=needs_policies)
        if findings:
            raise BundleError(findings)
        return definitions

    @cached_property
    def packages(self) -> frozenset[str]:
        """Names of the Rego packages that the policies have."""
        return _packages(self.policies)

    @cached_property
    def doors(self) -> Doors:
        """The executable processes that a message or a signal starts."""
        messages: dict[str, list[Door]] = {}
        signals: dict[str, list[Door]] = {}
        for process in self.processes.values():
            for event in process.start_events if process.model.executable else ():
                node = process.elements[event].node
                trigger = node.trigger if isinstance(node, StartEvent) else None
                if isinstance(trigger, Message | Signal):
                    doors = messages if isinstance(trigger, Message) else signals
                    door = Door(process=process.id, event=event)
                    doors.setdefault(_fixed(trigger.name), []).append(door)
        return Doors(messages=messages, signals=signals)

    def process(self, process_id: str) -> CompiledProcess:
        """Return the process of that id, or of the pool of that name. Raises DefinitionError when there is none."""
        found = self.processes.get(process_id) or self.processes.get(self.pools.get(process_id, ""))
        if found is None:
            raise DefinitionError(
                f"the bundle has no process {process_id!r}",
                hint=f"It has {', '.join(sorted(self.processes)) or 'none'}.",
            )
        return found


def check(files: Mapping[str, bytes]) -> tuple[Finding, ...]:
    """Return everything that `Definitions.load` would refuse, in file order; nothing when it would load."""
    findings, _ = _loaded(files, needs_policies=True)
    return tuple(sorted(findings))


def inspect(files: Mapping[str, bytes]) -> tuple[tuple[Finding, ...], Definitions]:
    """Return what `Definitions.load` would refuse, and what could be read all the same, for further checks only."""
    findings, definitions = _loaded(files, needs_policies=True)
    return tuple(sorted(findings)), definitions


def bundle_digest(files: Mapping[str, bytes]) -> str:
    """Return the hex SHA-256 over `path NUL digest LF` lines in path order."""
    lines = (f"{path}\0{hashlib.sha256(files[path]).hexdigest()}\n" for path in sorted(files))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _loaded(
    files: Mapping[str, bytes], *, needs_policies: bool
) -> tuple[list[Finding], Definitions]:
    findings: list[Finding] = []
    documents = list(_documents(files, findings))
    processes = _processes(documents, findings)
    decisions = _decisions(files, findings)
    policies = _policies(files, findings)
    packages = _packages(policies)
    _check_references(processes, decisions, packages if needs_policies else None, findings)
    _check_call_cycles(processes, findings)
    definitions = Definitions(
        files=dict(files),
        digest=bundle_digest(files),
        processes=processes,
        decisions=decisions,
        policies=policies,
        pools=_pools(documents),
    )
    return findings, definitions


# --- reading ------------------------------------------------------------------------------------------


def _documents(files: Mapping[str, bytes], findings: list[Finding]) -> Iterator[Document]:
    for path in _with_ending(files, ".bpmn"):
        try:
            yield bpmn.read(files[path], path)
        except DefinitionError as error:
            findings.extend(_findings_of(error, path, "xml-invalid"))


def _processes(
    documents: Iterable[Document], findings: list[Finding]
) -> dict[str, CompiledProcess]:
    processes: dict[str, CompiledProcess] = {}
    for document in documents:
        for model in document.processes:
            if model.id in processes:
                message = f"process {model.id} is also in {processes[model.id].file}"
                hint = "Give one of the two another id."
                line = model.position.line
                findings.append(
                    _finding(document.file, line, "duplicate-process", model.id, message, hint)
                )
            else:
                processes[model.id] = compile_process(model, findings)
    return processes


def _pools(documents: Iterable[Document]) -> dict[str, str]:
    """Return {pool: process id} for the names that mean one executable process."""
    found: dict[str, set[str]] = {}
    for document in documents:
        for name, process in document.participants.items():
            found.setdefault(name, set()).add(process)
    return {name: next(iter(ids)) for name, ids in found.items() if len(ids) == 1}


def _decisions(files: Mapping[str, bytes], findings: list[Finding]) -> dict[str, Decision]:
    """Return the decisions by id; the DMN files of a bundle may import each other."""
    decisions: dict[str, Decision] = {}
    for path in _with_ending(files, ".dmn"):
        try:
            model = DecisionModel.load(files[path], imports=_imported(files, path), name=path)
        except DefinitionError as error:
            findings.extend(_findings_of(error, path, "invalid-table"))
            continue
        digest = hashlib.sha256(files[path]).hexdigest()
        for decision_id in model.decision_ids:
            if decision_id in decisions:
                message = f"decision {decision_id} is also in {decisions[decision_id].file}"
                hint = "Give one of the two another id."
                findings.append(_finding(path, 1, "duplicate-decision", decision_id, message, hint))
            decisions[decision_id] = Decision(id=decision_id, file=path, digest=digest, model=model)
    return decisions


def _imported(files: Mapping[str, bytes], path: str) -> list[bytes]:
    """Return the other DMN files for a file that imports any; those of one modeller share one namespace."""
    if not _IMPORT.search(files[path]):
        return []
    return [files[other] for other in _with_ending(files, ".dmn") if other != path]


def _policies(files: Mapping[str, bytes], findings: list[Finding]) -> dict[str, str]:
    policies = {}
    for path in _with_ending(files, ".rego"):
        try:
            policies[path] = files[path].decode()
        except UnicodeDecodeError:
            message = "expected Rego as UTF-8 text, but got other bytes"
            findings.append(_finding(path, 1, "invalid-policy", path, message))
    for path in [path for ending in ENDINGS for path in _with_ending(files, ending)]:
        try:
            policies[path] = rules_of(path, files[path])
        except DefinitionError as error:
            findings.extend(_findings_of(error, path, "invalid-policy"))
    return policies


def _with_ending(files: Mapping[str, bytes], ending: str) -> list[str]:
    return sorted(path for path in files if path.endswith(ending))


# --- what diagrams refer to ---------------------------------------------------------------------------


def _fixed(name: Template) -> str:
    """Return a name that no variable can change: a process is not there yet when its start event is named."""
    if not name.is_feel:
        return name.text
    try:
        value = evaluate(name.text, {}, dialect="camunda")
    except FeelError:
        return ""
    return value if isinstance(value, str) else ""


def _packages(policies: Mapping[str, str]) -> frozenset[str]:
    return frozenset(name for text in policies.values() for name in _PACKAGE.findall(text))


def _check_references(
    processes: Mapping[str, CompiledProcess],
    decisions: Mapping[str, Decision],
    packages: frozenset[str] | None,
    findings: list[Finding],
) -> None:
    for process in processes.values():
        for element in process.elements.values():
            node = element.node
            if isinstance(node, CallActivity):
                _check_name(node, node.called.process_id, "unknown-process", processes, findings)
                _check_called(node, processes, findings)
            elif isinstance(node, BusinessRuleTask):
                _check_name(
                    node, node.decision.decision_id, "unknown-decision", decisions, findings
                )
            elif isinstance(node, ExclusiveGateway) and node.policy and packages is not None:
                name = Template(
                    text=node.policy.package, is_feel=False, position=node.policy.position
                )
                _check_name(node, name, "unknown-policy", packages, findings)


def _check_called(
    node: CallActivity, processes: Mapping[str, CompiledProcess], findings: list[Finding]
) -> None:
    called = None if node.called.process_id.is_feel else processes.get(node.called.process_id.text)
    if called is not None and called.scope.start is None:
        message = f'{node.label} calls process "{called.id}", which has no plain start event'
        hint = "Draw one in the called process; what only an event starts cannot be called."
        position = node.position
        findings.append(
            _finding(position.file, position.line, "call-without-start", node.id, message, hint)
        )


def _check_call_cycles(processes: Mapping[str, CompiledProcess], findings: list[Finding]) -> None:
    """Refuse processes that call each other in a circle: every turn would begin another child instance."""
    called = {process.id: _calls(process) for process in processes.values()}
    said: set[frozenset[str]] = set()
    for process_id, calls in called.items():
        reached: dict[str, str] = {}  # {process: the one that calls it}
        ahead = [(target, process_id) for target in calls]
        while ahead:
            target, caller = ahead.pop()
            if target not in reached:
                reached[target] = caller
                ahead.extend((further, target) for further in called.get(target, {}))
        if process_id not in reached:
            continue
        circle = [process_id]
        while (caller := reached[circle[0]]) != process_id:
            circle.insert(0, caller)
        if frozenset(circle) in said:
            continue  # one circle, one finding
        said.add(frozenset(circle))
        node = calls[circle[0]]
        shown = circle if len(circle) <= _SHOWN else [*circle[:4], "…", *circle[-2:]]
        way = " → ".join([process_id, *shown])
        findings.append(
            _finding(
                node.position.file,
                node.position.line,
                "call-cycle",
                node.id,
                f"{node.label} begins a circle of calls: {way}",
                "Draw what repeats as a loop in one process.",
            )
        )


def _calls(process: CompiledProcess) -> dict[str, Node]:
    """Return {called process: call activity} for calls by a fixed name."""
    return {
        element.node.called.process_id.text: element.node
        for element in process.elements.values()
        if isinstance(element.node, CallActivity) and not element.node.called.process_id.is_feel
    }


def _check_name(
    node: Node,
    name: Template,
    rule: str,
    known: Collection[str],
    findings: list[Finding],
) -> None:
    if name.is_feel or name.text in known:
        return
    position = node.position
    kind = rule.removeprefix("unknown-")
    message = f'{node.label} names {kind} "{name.text}", which the bundle does not have'
    hint = f"Add it, or use one of: {', '.join(sorted(known)) or '(there is none)'}."
    findings.append(_finding(position.file, position.line, rule, node.id, message, hint))


def _findings_of(error: DefinitionError, path: str, rule: str) -> list[Finding]:
    """Return the findings an error carries, or the error itself as one."""
    found = getattr(error, "findings", ())
    if found:
        return list(found)
    place, _, line = error.where.rpartition(":")
    is_here = place == path and line.isdecimal()
    said = str(error).removeprefix(f"{error.where}: ") if is_here else str(error)
    hint = "Mend it; nothing in this file can be used."
    return [_finding(path, int(line) if is_here else 1, rule, "", said, hint)]


def _finding(
    file: str, line: int, rule: str, element: str, message: str, hint: str = ""
) -> Finding:
    return Finding(
        file=file,
        line=line,
        severity="error",
        rule=rule,
        element=element,
        message=message,
        hint=hint,
    )
