"""A process ready to run: the typed model with its graph resolved and its expressions compiled once.

`Element` is the compiled form of a flow node. What belongs to one kind of node only is in its `code`, so that
what an element does can be read off `behaviour.py` without looking anything up by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import field
from typing import Any, TypeVar

from engine.bpmn.model import (
    Activity,
    BoundaryEvent,
    BusinessRuleTask,
    CallActivity,
    CatchEvent,
    Compensate,
    Conditional,
    EndEvent,
    Error,
    Escalation,
    EventBasedGateway,
    ExclusiveGateway,
    Expression,
    Finding,
    InclusiveGateway,
    JobDefinition,
    Loop,
    Mapping_,
    Message,
    Node,
    ParallelGateway,
    Position,
    Process,
    ReceiveTask,
    Scope,
    SequenceFlow,
    ServiceTask,
    Signal,
    StartEvent,
    SubProcess,
    Template,
    ThrowEvent,
    Timer,
    Trigger,
    UserTask,
)
from engine.core import timing
from engine.core.expressions import Compiled, Mappings, Text, compile_template, target_path
from engine.feel import FeelError
from engine.frozen import dataclass

T = TypeVar("T")


@dataclass(frozen=True, eq=False, slots=True)
class Flow:
    """A sequence flow. `condition` None is always taken."""

    id: str
    source: str
    target: str
    condition: Compiled | None


@dataclass(frozen=True, eq=False, slots=True)
class JobCode:
    type: Text
    retries: Text | None
    headers: Mapping[str, str]


@dataclass(frozen=True, eq=False, slots=True)
class DecisionCode:
    decision: Text
    result_variable: str


@dataclass(frozen=True, eq=False, slots=True)
class CallCode:
    process: Text
    propagate_all_parent: bool
    propagate_all_child: bool


@dataclass(frozen=True, eq=False, slots=True)
class UserTaskCode:
    name: str
    assignee: Text | None
    candidate_groups: Text | None
    candidate_users: Text | None
    due: Text | None
    follow_up: Text | None
    form: str


@dataclass(frozen=True, eq=False, slots=True)
class GatewayCode:
    """Choices of an exclusive or inclusive gateway: its flows in order without the default."""

    choices: tuple[Flow, ...]
    default: Flow | None
    package: str = ""  #: Rego package of a policy gateway
    policy_input: Compiled | None = None


@dataclass(frozen=True, eq=False, slots=True)
class LoopCode:
    sequential: bool
    input_collection: Compiled
    input_element: str
    output_collection: str
    output_element: Compiled | None
    output_variable: str  #: variable that `output_element` is read from when it is just a name
    completion_condition: Compiled | None


@dataclass(frozen=True, eq=False, slots=True)
class TimerCode:
    kind: timing.Kind
    value: Text


@dataclass(frozen=True, eq=False, slots=True)
class MessageCode:
    name: Text
    key: Compiled | None


@dataclass(frozen=True, eq=False, slots=True)
class SignalCode:
    name: Text


@dataclass(frozen=True, eq=False, slots=True)
class ConditionCode:
    condition: Compiled


@dataclass(frozen=True, eq=False, slots=True)
class CodeOf:
    """Error or escalation, thrown or caught; `code` None catches every code."""

    kind: str  #: error or escalation
    code: str | None
    expression: Compiled | None = None  #: gives the code that is thrown


EventCode = TimerCode | MessageCode | SignalCode | ConditionCode | CodeOf
Code = JobCode | DecisionCode | CallCode | UserTaskCode | GatewayCode | EventCode | None


@dataclass(eq=False, slots=True)
class Element:
    """One flow node, compiled. Filled while its process is compiled, never changed afterwards."""

    id: str
    node: Node
    code: Code = None
    inputs: Mappings = field(default_factory=lambda: Mappings(()))
    outputs: Mappings = field(default_factory=lambda: Mappings(()))
    outgoing: tuple[Flow, ...] = ()
    incoming: tuple[str, ...] = ()
    loop: LoopCode | None = None
    inner: Scope_ | None = None  #: of a sub-process
    boundaries: tuple[Element, ...] = ()
    interrupting: bool = True  #: of a boundary or start event
    sources: Mapping[str, frozenset[str]] = field(default_factory=dict)
    #: of an inclusive join: {incoming flow: elements from which a token can still reach it}

    @property
    def is_join(self) -> bool:
        """Whether tokens may have to wait for others here."""
        return len(self.incoming) > 1 and isinstance(self.node, ParallelGateway | InclusiveGateway)


@dataclass(eq=False, slots=True)
class Scope_:
    """A process or sub-process: `start` is its none start event; event sub-processes with their start events."""

    elements: dict[str, Element]
    start: Element | None = None
    event_subprocesses: tuple[tuple[Element, Element], ...] = ()


@dataclass(eq=False, slots=True, kw_only=True)
class CompiledProcess:
    """One executable process. `spec` belongs to `process.py`, which keeps its token specification there."""

    id: str
    file: str
    model: Process
    scope: Scope_
    root: Element  #: stands for the process itself
    elements: Mapping[str, Element]  #: of all scopes; ids are unique in a process
    spec: Any = None  # Any: SpiffWorkflow's, which only `process.py` may name

    @property
    def start_events(self) -> tuple[str, ...]:
        """Ids of the start events with a trigger: by these it starts when it has no none start event."""
        return tuple(
            element.id
            for element in self.scope.elements.values()
            if isinstance(element.node, StartEvent) and element.node.trigger is not None
        )


def first_event(process: CompiledProcess) -> str:
    """Return the start event of a process that is started by hand: "" for the plain one, else the first it has."""
    return "" if process.scope.start is not None else next(iter(process.start_events), "")


def compile_process(process: Process, findings: list[Finding]) -> CompiledProcess:
    """Return `process` ready to run; what is wrong with it is added to `findings`."""
    compiler = _Compiler(process, findings)
    scope = compiler.scope(process.scope)
    if scope.start is None and not any(
        isinstance(node, StartEvent) for node in process.scope.nodes.values()
    ):
        compiler.refuse(
            process.position, process.id, "start-event", "the process has no start event"
        )
    return CompiledProcess(
        id=process.id,
        file=process.position.file,
        model=process,
        scope=scope,
        root=Element(
            id="",  # the process itself has no flow node
            node=SubProcess(id=process.id, position=process.position, scope=process.scope),
        ),
        elements=dict(_all_elements(scope)),
    )


def _all_elements(scope: Scope_) -> Iterator[tuple[str, Element]]:
    for element in scope.elements.values():
        yield element.id, element
        if element.inner is not None:
            yield from _all_elements(element.inner)


class _Compiler:
    """Compiles the nodes of one process; one finding for each thing that cannot run."""

    def __init__(self, process: Process, findings: list[Finding]) -> None:
        self._process = process
        self._findings = findings
        self._seen: set[str] = set()

    def refuse(
        self, position: Position, element: str, rule: str, message: str, hint: str = ""
    ) -> None:
        self._findings.append(
            Finding(
                file=position.file,
                line=position.line,
                severity="error",
                rule=rule,
                element=element,
                message=message,
                hint=hint,
            )
        )

    # ---- graph

    def scope(self, scope: Scope) -> Scope_:
        flows = {flow.id: self._flow(flow, scope) for flow in scope.flows.values()}
        elements = {node.id: self._element(node, flows) for node in scope.nodes.values()}
        self._check_flows(scope, elements)
        self._attach_boundaries(scope, elements)
        for element in elements.values():
            if isinstance(element.node, InclusiveGateway) and element.is_join:
                element.sources = _sources(element, elements, flows)
        return Scope_(
            elements=elements,
            start=self._none_start(elements),
            event_subprocesses=self._event_subprocesses(elements),
        )

    def _element(self, node: Node, flows: Mapping[str, Flow]) -> Element:
        if node.id in self._seen:
            self.refuse(
                node.position, node.id, "duplicate-id", f"{node.label}: the id is used twice"
            )
        self._seen.add(node.id)
        element = Element(
            id=node.id,
            node=node,
            outgoing=tuple(flows[flow] for flow in node.outgoing if flow in flows),
            incoming=tuple(node.incoming),
        )
        element.code = self._code(node, element)
        element.inputs = self._mappings(node, getattr(node, "inputs", ()))
        element.outputs = self._mappings(node, getattr(node, "outputs", ()))
        if isinstance(node, Activity) and node.loop is not None:
            element.loop = self._loop(node, node.loop)
        if isinstance(node, SubProcess):
            element.inner = self.scope(node.scope)
            if element.inner.start is None and not node.triggered_by_event:
                self.refuse(
                    node.position, node.id, "start-event", f"{node.label} has no none start event"
                )
        if isinstance(node, BoundaryEvent | StartEvent):
            element.interrupting = node.interrupting
        return element

    def _flow(self, flow: SequenceFlow, scope: Scope) -> Flow:
        for end in (flow.source, flow.target):
            if end not in scope.nodes:
                self.refuse(
                    flow.position,
                    flow.id,
                    "dangling-reference",
                    f"flow {flow.id} leads to {end}, which is not in its scope",
                )
        condition = None
        if flow.condition is not None:
            condition = self._compile(flow.condition, flow.id, Compiled)
        return Flow(flow.id, flow.source, flow.target, condition)

    def _check_flows(self, scope: Scope, elements: Mapping[str, Element]) -> None:
        """Only exclusive and inclusive gateways choose; every other node passes its token on as it is."""
        for flow in scope.flows.values():
            node = scope.nodes.get(flow.source)
            if flow.condition is not None and not isinstance(
                node, ExclusiveGateway | InclusiveGateway
            ):
                self.refuse(
                    flow.position,
                    flow.id,
                    "condition-without-gateway",
                    f"flow {flow.id} has a condition but leaves {node.label if node else flow.source}, which is no gateway that chooses",
                    "Put an exclusive gateway before it.",
                )
        for element in elements.values():
            if isinstance(element.node, EventBasedGateway):
                self._check_event_gateway(element, elements)

    def _check_event_gateway(self, gateway: Element, elements: Mapping[str, Element]) -> None:
        for flow in gateway.outgoing:
            target = elements.get(flow.target)
            if target is not None and not isinstance(target.node, CatchEvent | ReceiveTask):
                self.refuse(
                    gateway.node.position,
                    gateway.id,
                    "event-gateway",
                    f"{gateway.node.label} leads to {target.node.label}, which does not wait for an event",
                    "Lead it to catch events and receive tasks only.",
                )

    def _attach_boundaries(self, scope: Scope, elements: Mapping[str, Element]) -> None:
        for element in elements.values():
            if not isinstance(element.node, BoundaryEvent):
                continue
            host = elements.get(element.node.attached_to)
            if host is None or not isinstance(host.node, Activity):
                self.refuse(
                    element.node.position,
                    element.id,
                    "boundary-event",
                    f"{element.node.label} is attached to {element.node.attached_to}, which is no activity of its scope",
                )
                continue
            host.boundaries = (*host.boundaries, element)

    def _none_start(self, elements: Mapping[str, Element]) -> Element | None:
        starts = [
            element
            for element in elements.values()
            if isinstance(element.node, StartEvent) and element.node.trigger is None
        ]
        for extra in starts[1:]:
            self.refuse(
                extra.node.position,
                extra.id,
                "start-event",
                f"{extra.node.label} is a second start event without a trigger, beside {starts[0].node.label}",
                "Keep one of them.",
            )
        return starts[0] if starts else None

    def _event_subprocesses(
        self, elements: Mapping[str, Element]
    ) -> tuple[tuple[Element, Element], ...]:
        found = []
        for element in elements.values():
            if not (isinstance(element.node, SubProcess) and element.node.triggered_by_event):
                continue
            assert element.inner is not None
            starts = [
                inner
                for inner in element.inner.elements.values()
                if isinstance(inner.node, StartEvent) and inner.node.trigger is not None
            ]
            if len(starts) != 1:
                self.refuse(
                    element.node.position,
                    element.id,
                    "event-sub-process",
                    f"{element.node.label}: expected one start event with a trigger, but there are {len(starts)}",
                )
            else:
                found.append((element, starts[0]))
        return tuple(found)

    # ---- what a node does

    def _code(self, node: Node, element: Element) -> Code:
        match node:
            case ServiceTask():
                return self._job(node, node.job)
            case BusinessRuleTask():
                decision = self._template(node, node.decision.decision_id)
                return DecisionCode(decision, node.decision.result_variable)
            case UserTask():
                return UserTaskCode(
                    node.name,
                    self._optional(node, node.assignee),
                    self._optional(node, node.candidate_groups),
                    self._optional(node, node.candidate_users),
                    self._optional(node, node.due_date),
                    self._optional(node, node.follow_up_date),
                    node.form,
                )
            case ReceiveTask():
                return self._trigger(node, node.message)
            case CallActivity():
                return CallCode(
                    self._template(node, node.called.process_id),
                    node.called.propagate_all_parent,
                    node.called.propagate_all_child,
                )
            case ExclusiveGateway() | InclusiveGateway():
                return self._gateway(node, element)
            case EndEvent() | ThrowEvent() if node.job is not None:
                return self._job(node, node.job)
            case StartEvent() | EndEvent() | ThrowEvent() | CatchEvent() | BoundaryEvent():
                return None if node.trigger is None else self._trigger(node, node.trigger)
            case _:
                return None

    def _job(self, node: Node, job: JobDefinition) -> JobCode:
        return JobCode(
            self._template(node, job.type), self._optional(node, job.retries), dict(job.headers)
        )

    def _gateway(self, node: ExclusiveGateway | InclusiveGateway, element: Element) -> GatewayCode:
        default = next((flow for flow in element.outgoing if flow.id == node.default), None)
        choices = tuple(flow for flow in element.outgoing if flow is not default)
        if len(element.outgoing) > 1:
            for flow in choices:
                if flow.condition is None:
                    self.refuse(
                        node.position,
                        node.id,
                        "flow-without-condition",
                        f"{node.label}: flow {flow.id} has neither a condition nor is it the default",
                        "Give it a condition, or make it the default flow.",
                    )
        policy = node.policy if isinstance(node, ExclusiveGateway) else None
        if policy is None:
            return GatewayCode(choices, default)
        if default is None:
            self.refuse(
                node.position,
                node.id,
                "policy-without-default",
                f"{node.label} asks policy {policy.package} but has no default flow",
                "Make the closed way its default flow.",
            )
        policy_input = None
        if policy.input is not None:
            policy_input = self._compile(policy.input, node.id, Compiled)
        return GatewayCode(choices, default, policy.package, policy_input)

    def _trigger(self, node: Node, trigger: Trigger) -> Code:
        match trigger:
            case Timer():
                if not trigger.value.is_feel and (
                    wrong := timing.check(trigger.kind, trigger.value.text)
                ):
                    self.refuse(trigger.value.position, node.id, "timer", f"{node.label}: {wrong}")
                return TimerCode(trigger.kind, self._template(node, trigger.value))
            case Message():
                key = trigger.correlation_key
                compiled = None if key is None else self._compile(key, node.id, Compiled)
                return MessageCode(self._template(node, trigger.name), compiled)
            case Signal():
                return SignalCode(self._template(node, trigger.name))
            case Conditional():
                condition = self._compile(trigger.condition, node.id, Compiled)
                return None if condition is None else ConditionCode(condition)
            case Error():
                return CodeOf("error", trigger.code, self._thrown_code(node, trigger))
            case Escalation():
                return CodeOf("escalation", trigger.code, self._thrown_code(node, trigger))
            case Compensate():
                self.refuse(
                    node.position,
                    node.id,
                    "compensation",
                    f"{node.label}: compensation is not supported",
                    "Draw the undoing as an ordinary path.",
                )
                return None
            case _:
                return None

    def _thrown_code(self, node: Node, trigger: Error | Escalation) -> Compiled | None:
        if trigger.expression is None:
            return None
        return self._compile(trigger.expression, node.id, Compiled)

    def _loop(self, node: Activity, loop: Loop) -> LoopCode | None:
        collection = self._compile(loop.input_collection, node.id, Compiled)
        if collection is None:
            return None
        element, condition = loop.output_element, loop.completion_condition
        return LoopCode(
            loop.sequential,
            collection,
            loop.input_element,
            loop.output_collection,
            None if element is None else self._compile(element, node.id, Compiled),
            _leading_name(element.text) if element is not None else "",
            None if condition is None else self._compile(condition, node.id, Compiled),
        )

    # ---- expressions

    def _mappings(self, node: Node, lines: tuple[Mapping_, ...]) -> Mappings:
        compiled = []
        for line in lines:
            source = self._compile(line.source, node.id, Compiled)
            if source is not None:
                compiled.append((target_path(line), source))
        return Mappings(tuple(compiled))

    def _optional(self, node: Node, template: Template | None) -> Text | None:
        return None if template is None else self._template(node, template)

    def _template(self, node: Node, template: Template) -> Text:
        compiled = self._compile(template, node.id, compile_template)
        return compiled or compile_template(
            Template(text="", is_feel=False, position=template.position)
        )

    def _compile(
        self, source: Expression | Template, element: str, compiler: Callable[..., T]
    ) -> T | None:
        try:
            return compiler(source)
        except FeelError as error:
            self.refuse(
                source.position, element, "feel-error", f"{element}: ={source.text}: {error}"
            )
            return None


def _leading_name(text: str) -> str:
    """Return the variable that an output element such as `result` or `result.score` reads, else nothing."""
    name = text.strip().split(".")[0].strip()
    names = text.replace(".", "").replace("_", "").strip()
    return name if names.isalnum() and not names[:1].isdigit() else ""


def _sources(
    join: Element, elements: Mapping[str, Element], flows: Mapping[str, Flow]
) -> Mapping[str, frozenset[str]]:
    """Return {incoming flow: elements from which a token can reach it without passing `join`}."""
    before: dict[str, set[str]] = {}
    for flow in flows.values():
        before.setdefault(flow.target, set()).add(flow.source)
    for element in elements.values():
        for boundary in element.boundaries:
            before.setdefault(boundary.id, set()).add(element.id)
    found = {}
    for flow_id in join.incoming:
        if flow_id not in flows:
            continue
        reached: set[str] = set()
        ahead = [flows[flow_id].source]
        while ahead:
            element_id = ahead.pop()
            if element_id in reached or element_id == join.id:
                continue
            reached.add(element_id)
            ahead.extend(before.get(element_id, ()))
        found[flow_id] = frozenset(reached)
    return found
