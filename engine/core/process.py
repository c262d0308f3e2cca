"""One fact, one step: `start` and `advance` carry a process instance forward. Pure.

Invariants
- Equal arguments give equal steps. An `Instance` is the list of its facts; the live workflow behind it is only
  kept so that the next fact need not replay them. An older value of an instance is rebuilt when it is used again.
- SpiffWorkflow moves tokens and nothing else: its timers, script engine, DMN, multi-instance and task data are
  not used (docs/adr/0002-spec-from-model.md). No other module imports it.
- A step ends with the instance ended or with something open. Anything else is an error, never a stall.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from functools import partial

from SpiffWorkflow.bpmn.specs.bpmn_process_spec import BpmnProcessSpec
from SpiffWorkflow.bpmn.specs.bpmn_task_spec import BpmnTaskSpec
from SpiffWorkflow.bpmn.workflow import BpmnWorkflow
from SpiffWorkflow.task import Task
from SpiffWorkflow.util.task import TaskState

from engine.core import behaviour, catching, facts
from engine.core.activities import Items
from engine.core.compiled import CompiledProcess, Element, Flow, Scope_
from engine.core.definitions import Definitions
from engine.core.execution import KINDS, NOTHING, Execution, Fired, State, Wait, Waits
from engine.core.expressions import Moment, Trouble
from engine.core.model import Event, Fact, InstanceId, InstanceStarted, RunId, Variables
from engine.errors import DefinitionError, IntegrityError
from engine.frozen import dataclass

__all__ = ["Instance", "State", "Step", "Waiting", "Waits", "advance", "start"]

STEP_LIMIT = 100_000  #: element instances that one fact may begin; more is a loop without a way out


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """One open thing of an instance: what it waits for, the local key a fact must name, and the element it is for.

    `owner` is the element that waits: the host of a boundary event, the gateway before a catch event, "" for the
    process itself.
    """

    kind: Waits
    key: str
    element: str
    owner: str


class Instance:
    """A process instance after a number of facts; a value: equal run, id, bundle and facts are equal."""

    __slots__ = ("_history", "_live", "count", "definitions", "id", "process", "run", "state")

    def __init__(self, live: _Live, history: _History) -> None:
        execution = live.execution
        self.run: RunId = execution.run
        self.id: InstanceId = execution.id
        self.process: str = execution.process.id
        self.definitions: str = execution.definitions.digest  #: digest of the bundle
        self.state: State = execution.state
        self.count: int = history.count  #: facts taken so far
        self._live = live
        self._history = history

    def facts(self) -> Iterator[Fact]:
        """Yield the facts taken so far, oldest first."""
        return iter(self._history.facts())

    @property
    def variables(self) -> Variables:
        """Variables of the root scope."""
        return self._execution.root.variables or NOTHING

    @property
    def waiting(self) -> tuple[Waiting, ...]:
        """What is open, by kind and then in the order in which it was opened."""
        waits = self._execution.waits
        return tuple(
            Waiting(kind=kind, key=wait.key, element=wait.element.id, owner=wait.token.element.id)
            for kind in KINDS
            for wait in waits.get(kind, {}).values()
        )

    @property
    def active(self) -> tuple[str, ...]:
        """Ids of the elements that have begun and not ended, each once, in the order of their beginning."""
        return tuple(dict.fromkeys(self._live_now().active()))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Instance)
            and (self.run, self.id, self.definitions, self.count)
            == (other.run, other.id, other.definitions, other.count)
            and (self._history is other._history or self._history.facts() == other._history.facts())
        )

    def __hash__(self) -> int:
        return hash((self.run, self.id, self.definitions, self.count))

    def __repr__(self) -> str:
        return (
            f"<Instance {self.run}/{self.id} of {self.process}: {self.state}, {self.count} facts>"
        )

    @property
    def _execution(self) -> Execution:
        return self._live_now().execution

    def _live_now(self) -> _Live:
        """Return the live workflow at exactly this point, rebuilt when it has moved on."""
        if self._live.count != self.count:
            self._live = _replayed(self._live.execution.definitions, self)
        return self._live


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one fact did. `ignored`: it was late or doubled; nothing happened and `instance` is unchanged."""

    instance: Instance
    events: tuple[Event, ...]
    ignored: bool = False


def start(
    definitions: Definitions, run: RunId, instance_id: InstanceId, fact: InstanceStarted
) -> Step:
    """Return the first step of a new instance of process `fact.process`.

    Raises DefinitionError when the bundle has no such process, or the process no such start event.
    """
    live = _Live(definitions, run, instance_id, fact)
    live.settle()
    return _step(live, _History(fact, None))


def advance(definitions: Definitions, instance: Instance, fact: Fact) -> Step:
    """Return what `fact` does to `instance`. Pure: equal arguments give equal steps; `instance` stays valid.

    A fact that names nothing open (late, doubled, cancelled) gives a step with `ignored`, not an error.
    Raises IntegrityError when the instance would stall, or `instance` was made from other definitions.
    """
    if instance.definitions != definitions.digest:
        raise IntegrityError(
            f"instance {instance.id} of run {instance.run} belongs to another bundle",
            expected=instance.definitions,
            got=definitions.digest,
        )
    live = instance._live_now()
    if not live.take(fact):
        return Step(instance=instance, events=(), ignored=True)
    return _step(live, _History(fact, instance._history))


def _step(live: _Live, history: _History) -> Step:
    events = tuple(live.execution.events)
    live.execution.events = []
    return Step(instance=Instance(live, history), events=events)


def _replayed(definitions: Definitions, instance: Instance) -> _Live:
    """Return a fresh workflow that has taken the facts of `instance`."""
    first, *rest = instance.facts()
    assert isinstance(first, InstanceStarted)
    live = _Live(definitions, instance.run, instance.id, first)
    live.settle()
    for fact in rest:
        live.execution.events = []
        live.take(fact)
    live.execution.events = []
    return live


class _History:
    """The facts of an instance as a list that shares its tail with every earlier value."""

    __slots__ = ("before", "count", "fact")

    def __init__(self, fact: Fact, before: _History | None) -> None:
        self.fact = fact
        self.before = before
        self.count: int = 1 if before is None else before.count + 1

    def facts(self) -> list[Fact]:
        found: list[Fact] = []
        link: _History | None = self
        while link is not None:
            found.append(link.fact)
            link = link.before
        return found[::-1]


# --- tokens: SpiffWorkflow ----------------------------------------------------------------------------


class Token(Task):  # type: ignore[misc]  # SpiffWorkflow has no types
    """A token on an element. Its parent is the token of its scope, so the tree is as deep as the diagram nests."""

    element: Element
    scope: Token | None
    visit = 0
    flow = ""  #: incoming flow by which it came
    inner: Scope_ | None = None  #: what runs inside: the process or sub-process
    variables: Variables | None = None  #: of its own scope
    waits: dict[tuple[Waits, str], Wait] | None = None
    fired: Fired | None = None  #: what its event was triggered with
    index: int | None = None  #: of the item, inside a multi-instance body
    items: Items | None = None  #: of a multi-instance body
    retried: dict[int, int] | None = None  #: {item: visit} of children that were asked for again
    arrived: dict[str, int] | None = None  #: {incoming flow: tokens} at a join
    is_prepared = (
        False  #: its scope and boundary events are there; at a policy gateway: so is the verdict
    )
    is_interrupted = False  #: an interrupting event sub-process has taken over this scope
    is_closed = False  #: its completion or interruption has been said
    _state: int

    def __init__(self, flow: _Workflow, spec: _NodeSpec, scope: Token | None, number: int) -> None:
        self.scope = scope
        self.element = spec.element
        super().__init__(flow, spec, scope, TaskState.FUTURE, number)
        self._children: dict[int, Token] = {}
        self._joins: dict[str, Token] | None = None

    @property
    def parent(self) -> Token | None:
        return self.scope

    @property
    def children(self) -> list[Token]:
        return list(self._children.values())

    def _child_added_notify(self, child: Token) -> None:
        self._children[child.id] = child

    def _set_state(self, value: int) -> None:
        # SpiffWorkflow 3.2.0 builds a dict for its log at every change, with logging off too (15 % of the time),
        # and would make a cancelled task completed. Here a state is never taken back.
        if value > self._state:
            self._state = value

    @property
    def outer(self) -> Token:
        """The token of the scope it is in; every token but the root has one."""
        assert self.scope is not None
        return self.scope

    @property
    def inner_scope(self) -> Scope_:
        """What runs inside: the process or sub-process of this token."""
        assert self.inner is not None
        return self.inner

    @property
    def joins(self) -> dict[str, Token]:
        """{gateway: token that waits there} of this scope."""
        if self._joins is None:
            self._joins = {}
        return self._joins

    def inside(self) -> list[Token]:
        return list(self._children.values())

    @property
    def is_empty(self) -> bool:
        return not self._children

    @property
    def is_open(self) -> bool:
        return bool(self._state & TaskState.NOT_FINISHED_MASK)

    @property
    def is_body(self) -> bool:
        """Whether it is a multi-instance activity as a whole, not one of its items."""
        return self.element.loop is not None and self.index is None


class _NodeSpec(BpmnTaskSpec):  # type: ignore[misc]  # SpiffWorkflow has no types
    """The task specification of one element. What the element does is `behaviour`'s."""

    def __init__(self, spec: BpmnProcessSpec, element: Element) -> None:
        super().__init__(spec, _spec_name(element), inputs=[], outputs=[])
        self.element = element

    def test(self) -> None:
        """The graph was checked when the process was compiled."""

    def _predict(self, *_: object, **__: object) -> None:
        """Nothing is predicted: a token is made when it arrives."""

    def _update_hook(self, token: Token) -> bool:
        return True

    def _on_ready(self, token: Token) -> None:
        token.workflow.ready.append(token)

    def _run_hook(self, token: Token) -> None:
        """Run the element; None leaves it STARTED until it is finished or dropped."""
        token.workflow.enter(token)

    def _run(self, token: Token) -> None:
        # SpiffWorkflow 3.2.0 marks the task as failed on any exception here; ours has its own way of failing
        self._run_hook(token)


class _JoinSpec(_NodeSpec):
    """A gateway at which tokens wait for each other."""

    def _update_hook(self, token: Token) -> bool:
        """Add the token to those that wait; one token stays and stands for all of them."""
        waiting = token.outer.joins.pop(token.element.id, None)
        arrived = dict(waiting.arrived or {}) if waiting is not None else {}
        arrived[token.flow] = arrived.get(token.flow, 0) + 1
        token.arrived = arrived
        if waiting is not None:
            token.workflow.drop(waiting)
        return self.let_through(token, is_complete=len(arrived) == len(token.element.incoming))

    def let_through(self, token: Token, *, is_complete: bool) -> bool:
        """Make the token go on when `is_complete`, leaving behind those that came twice; else it waits."""
        assert token.arrived is not None
        if not is_complete:
            token._set_state(TaskState.WAITING)
            token.outer.joins[token.element.id] = token
            return False
        left = {flow: count - 1 for flow, count in token.arrived.items() if count > 1}
        token.arrived = None
        if left:
            rest = token.workflow.place(token.element, token.outer)
            rest.arrived = left
            self.let_through(rest, is_complete=False)
        return True


class _Workflow(BpmnWorkflow):  # type: ignore[misc]  # SpiffWorkflow has no types
    """SpiffWorkflow's workflow with flat storage: finished tokens leave the tree at once."""

    def __init__(self, spec: BpmnProcessSpec, execution: Execution | None = None) -> None:
        super().__init__(spec, script_engine=_NO_SCRIPTS, deserializing=True)
        self.ready: deque[Token] = deque()
        self.numbers = 0
        self.begun = 0
        self.execution: Execution

    # ---- Tokens, as the rest of the core sees them

    def offer(
        self,
        element: Element,
        scope: Token,
        *,
        flow: str = "",
        fired: Fired | None = None,
        index: int | None = None,
        variables: Variables | None = None,
    ) -> None:
        token = self.place(element, scope)
        token.flow = flow
        token.fired = fired
        token.index = index
        token.variables = variables
        token.task_spec._update(token)

    def again(self, token: Token) -> None:
        self.ready.append(token)

    def finish(self, token: Token, flows: tuple[Flow, ...]) -> None:
        for flow in flows:
            self.offer(token.outer.inner_scope.elements[flow.target], token.outer, flow=flow.id)
        token.complete()

    def drop(self, token: Token) -> None:
        token.cancel()
        self._forget(token)

    # ---- the workflow

    def place(self, element: Element, scope: Token | None) -> Token:
        self.numbers += 1
        return Token(self, self.spec.task_specs[_spec_name(element)], scope, self.numbers)

    def enter(self, token: Token) -> None:
        self.begun += 1
        if self.begun > STEP_LIMIT:
            self.execution.activate(token)
            trouble = Trouble(
                "LOOP_LIMIT", f"more than {STEP_LIMIT} elements began without anything from outside"
            )
            self.execution.raise_incident(
                token, trouble, partial(behaviour.begin, self.execution, token)
            )
            return
        behaviour.enter(self.execution, token)

    def update_waiting_tasks(self) -> None:
        """Joins are looked at when a token arrives; see `_settled_joins` for the inclusive ones."""

    def _task_completed_notify(self, token: Token) -> None:
        self._forget(token)

    def _forget(self, token: Token) -> None:
        self.tasks.pop(token.id, None)
        scope = token.scope
        if scope is not None:
            scope._children.pop(token.id, None)
            if token.arrived is not None and scope.joins.get(token.element.id) is token:
                del scope.joins[token.element.id]


class _NoScripts:
    """Stands where SpiffWorkflow expects a script engine; anything it is asked is a mistake of ours."""

    def __getattr__(self, name: str) -> object:
        raise IntegrityError(f"SpiffWorkflow asked its script engine for {name}")


_NO_SCRIPTS = _NoScripts()


def _spec_name(element: Element) -> str:
    """Return a name that none of SpiffWorkflow's own specifications has (`Start`, `End` …)."""
    return f"node {element.id}"


def _spec_of(process: CompiledProcess) -> BpmnProcessSpec:
    """Return the token specification of a process, made once from the compiled model."""
    if process.spec is None:
        spec = BpmnProcessSpec(process.id, filename=process.file)
        nodes = {element.id: element for element in process.elements.values()}
        nodes[process.root.id] = process.root
        made = {
            node.id: (_JoinSpec if node.is_join else _NodeSpec)(spec, node)
            for node in nodes.values()
        }
        for node in nodes.values():
            for flow in node.outgoing:
                made[node.id].connect(made[flow.target])
        process.spec = spec
    return process.spec


class _Live:
    """A workflow at work, and the pump that runs it until only the outside can go on."""

    __slots__ = ("count", "execution", "workflow")

    def __init__(
        self, definitions: Definitions, run: RunId, instance: InstanceId, fact: InstanceStarted
    ) -> None:
        process = definitions.process(fact.process)
        self.workflow = _Workflow(_spec_of(process))
        x = Execution(definitions, process, run, instance, self.workflow)
        self.execution = self.workflow.execution = x
        self.count = 1
        x.moment = Moment(fact.at, f"{run}/{instance}@{self.count}")
        x.is_root = not fact.parent
        x.root = self.workflow.place(process.root, None)
        x.root.inner = process.scope
        x.root.variables = dict(fact.variables)
        x.root._set_state(TaskState.STARTED)
        self.workflow.task_tree = x.root
        first = _first_event(process, fact.start_event)
        x.attempt(x.root, partial(catching.subscribe_event_subprocesses, x, x.root))
        self.workflow.offer(first, x.root)

    def take(self, fact: Fact) -> bool:
        """Apply one fact and settle; False when it had no effect. After an exception the value is rebuilt."""
        x = self.execution
        if x.state != "active":
            return False
        count, self.count = self.count, -1
        x.moment = Moment(fact.at, f"{x.run}/{x.id}@{count + 1}")
        if not facts.take(x, fact):
            self.count = count
            return False
        self.settle()
        self.count = count + 1
        return True

    def settle(self) -> None:
        """Run everything that can run. Raises IntegrityError when nothing is open and nothing has ended."""
        x = self.execution
        self.workflow.begun = 0
        while x.state == "active":
            if x.emptied:
                behaviour.left_empty(x, x.emptied.popleft())
            elif self.workflow.ready:
                self._run(self.workflow.ready.popleft())
            elif x.is_dirty:
                x.is_dirty = False
                catching.check_conditions(x)
            elif not self._settled_joins():
                break
        if x.state == "active" and not x.is_waiting:
            self._stuck()

    def active(self) -> Iterator[str]:
        """Yield the elements that have begun and not ended."""
        for token in self.workflow.tasks.values():
            if token.visit and not token.is_closed:
                yield token.element.id

    def _run(self, token: Token) -> None:
        if token.state == TaskState.READY:
            token.run()
        elif token.state == TaskState.STARTED and not token.is_closed:
            self.execution.attempt(token, partial(behaviour.begin, self.execution, token))

    def _settled_joins(self) -> bool:
        """Let one inclusive join go on that no other token can reach any more; return whether there was one."""
        for token in list(self.workflow.tasks.values()):
            if token.arrived is not None and token.element.sources and _is_settled(token):
                del token.outer.joins[token.element.id]
                token.task_spec.let_through(token, is_complete=True)
                token._ready()
                return True
        return False

    def _stuck(self) -> None:
        """Nothing is open: a join that waits for ever is a person's case, anything else a mistake of ours."""
        x = self.execution
        for token in self.workflow.tasks.values():
            if token.arrived is not None:
                missing = [flow for flow in token.element.incoming if flow not in token.arrived]
                x.activate(token)
                trouble = Trouble(
                    "JOIN_STUCK",
                    f"no token can come any more by {', '.join(missing)}; the join would wait for ever",
                )
                x.raise_incident(token, trouble, partial(_raise, trouble))
                return
        raise IntegrityError(
            f"instance {x.id} of run {x.run} has nothing open and has not ended",
            where=x.process.id,
            hint="This is a bug of the engine: please report it with the diagram.",
        )


def _first_event(process: CompiledProcess, start_event: str) -> Element:
    first = process.scope.elements.get(start_event) if start_event else process.scope.start
    if first is None:
        wanted = f"start event {start_event}" if start_event else "none start event"
        raise DefinitionError(f"process {process.id} has no {wanted}", where=process.file)
    return first


def _is_settled(join: Token) -> bool:
    """Return whether an inclusive join has all tokens that can still come (BPMN 2.0.2, section 13.4.3)."""
    assert join.arrived is not None
    sources: Mapping[str, frozenset[str]] = join.element.sources
    arrived = [places for flow, places in sources.items() if flow in join.arrived]
    missing = [places for flow, places in sources.items() if flow not in join.arrived]
    for token in join.outer.inside():
        place = token.element.id
        if token is join or place == join.element.id:
            continue
        can_come = any(place in places for places in missing)
        if can_come and not any(place in places for places in arrived):
            return False
    return True


def _raise(trouble: Trouble) -> None:
    raise trouble
