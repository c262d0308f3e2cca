"""What handler authors need: declare a job type, read a job, act on the world, answer or fail.

A handler is an async function from an `Activation` to output variables. It is named by its job type
(`area.verb_object`), which BPMN service tasks carry, and reaches the engine through the entry-point group
`engine.service_tasks`: each entry point is a `Handlers` object.

Rules that hold for every handler
- It may run twice with the same `job.key` (after a kill). The world's methods make the second run harmless.
- `BpmnError(code)` is an outcome the diagram handles. Any other exception is a failed attempt: it is tried
  again while retries are left and then becomes an incident.
- It takes no decision that belongs to a table, a policy or the diagram.

>>> handlers = Handlers()
>>> @handlers.job("mail.send_letter", title="Send letter", needs=("to",))
... async def send_letter(activation: Activation) -> Variables:
...     return {"sent": True}
>>> sorted(handlers.specs)
['mail.send_letter']
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import field
from typing import Literal, Protocol

from engine.core.model import Job, Json, Variables
from engine.errors import BpmnError, ContractError, DefinitionError
from engine.frozen import dataclass

__all__ = [
    "Activation",
    "BpmnError",
    "ContractError",
    "DeliveryWorld",
    "Handler",
    "HandlerSpec",
    "Handlers",
    "Header",
    "Job",
    "Json",
    "Variables",
    "World",
]


class World(Protocol):
    """Every effect a handler of any process may have, one method each; JSON values in and out.

    Each effect is idempotent under the key of the job it is called for and recorded in the ledger before it is
    answered. Errors: ContractError, BpmnError; see engine/runtime/world.py for what each method returns.
    """

    @property
    def settings(self) -> Variables: ...
    @property
    def run(self) -> str: ...

    async def notify(self, job: Job, subject: str, text: str) -> Variables: ...
    async def write_report(self, job: Job, outcome: str) -> Variables: ...
    async def run_command(self, job: Job, command: str, timeout_s: int) -> Variables: ...
    async def send_request(self, job: Job, request: Variables) -> Variables: ...
    async def evaluate_decision(self, job: Job, decision: str, inputs: Variables) -> Variables: ...
    async def check_policy(self, job: Job, policy: str, given: Variables) -> Variables: ...
    async def publish(
        self, job: Job, name: str, key: Json, variables: Variables, ttl_s: int
    ) -> Variables: ...
    def check_contract(self, name: str, value: Json) -> None: ...
    def tool_results(self, tool: str) -> Variables: ...


class DeliveryWorld(World, Protocol):
    """The effects of delivering a feature, on a repository with an integration branch.

    Verdicts that guard a merge are recorded here and nowhere else, so that no handler can forge one.
    Errors: GitError beside those of `World`; see engine/runtime/tasks.py and engine/runtime/delivery.py.
    """

    @property
    def feature(self) -> str: ...

    async def read_task_graph(self, *, anew: bool, level: int | None = None) -> Variables: ...
    async def machine(self) -> Variables: ...
    async def needed_plugins(self, tools: Sequence[str], workers: Sequence[str]) -> list[Json]: ...
    async def announce_plan(self, waves: Sequence[Variables]) -> None: ...
    async def acquire_workspace(self, job: Job, task: Variables) -> Variables: ...
    async def run_worker(self, job: Job, task: Variables, selection: Variables) -> Variables: ...
    async def verify(self, job: Job, task: Variables) -> Variables: ...
    async def rescope(
        self, job: Job, task: Variables, rescope: Variables, reason: str
    ) -> Variables: ...
    async def quarantine(self, job: Job, task: Variables, reason: str) -> Variables: ...
    async def build_candidate(
        self, job: Job, sources: Sequence[Variables], wave: Variables
    ) -> Variables: ...
    async def run_gates(self, job: Job, commit: str, stage: str, max_level: int) -> Variables: ...
    async def merge(self, job: Job, candidate: Variables, wave: Variables) -> Variables: ...
    async def run_doctor(self, job: Job, commit: str) -> Variables: ...
    async def roll_back(self, job: Job, merge: Variables, reason: str) -> Variables: ...


@dataclass(frozen=True, kw_only=True)
class Activation:
    """One activation of a handler: the job, and the world it may act on.

    `delivery` is that world with the effects of delivering a feature; a job type that declares `delivers` has it.
    """

    job: Job
    world: World
    delivered: DeliveryWorld | None = None

    @property
    def delivery(self) -> DeliveryWorld:
        """Raises DefinitionError in a run without a feature."""
        if self.delivered is None:
            raise DefinitionError(
                f"job type {self.job.type} works on the repository of a feature",
                where=self.job.key,
                hint="Start it with `engine run --feature`, or declare the handler with delivers=True.",
            )
        return self.delivered

    def variable(self, name: str) -> Json:
        """Return input variable `name`. Raises ContractError when the diagram does not provide it."""
        try:
            return self.job.variables[name]
        except KeyError:
            raise ContractError(
                f'variable "{name}" is not there',
                where=self.job.key,
                expected=f"an input mapping for {name} on {self.job.element}",
                hint="Add the mapping in the diagram, or let an earlier task set it.",
            ) from None

    def mapping(self, name: str) -> Variables:
        """Return input variable `name`, which must be a context. Raises ContractError otherwise."""
        value = self.variable(name)
        if not isinstance(value, Mapping):
            raise self.wrong(name, "a context", value)
        return value

    def items(self, name: str) -> Sequence[Variables]:
        """Return input variable `name`, which must be a list of contexts. Raises ContractError otherwise."""
        value = self.variable(name)
        if not isinstance(value, list | tuple) or not all(isinstance(v, Mapping) for v in value):
            raise self.wrong(name, "a list of contexts", value)
        return value

    def text(self, name: str, default: str | None = None) -> str:
        """Return header or variable `name` (the header wins). Raises ContractError when it is no text."""
        value = self.job.headers.get(name, self.job.variables.get(name, default))
        if not isinstance(value, str):
            raise self.wrong(name, "text", value)
        return value

    def whole(self, name: str, default: int | None = None) -> int:
        """Return header or variable `name` as a whole number. Raises ContractError otherwise."""
        value = self.job.headers.get(name, self.job.variables.get(name, default))
        if isinstance(value, str) and value.isdecimal():
            return int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self.wrong(name, "a whole number", value)
        return value

    def wrong(self, name: str, expected: str, got: Json) -> ContractError:
        """Return the error for input `name` that is not what it should be."""
        return ContractError(
            f'variable "{name}"', where=self.job.key, expected=expected, got=repr(got)[:200]
        )


Handler = Callable[[Activation], Awaitable[Variables]]


@dataclass(frozen=True, kw_only=True)
class Header:
    """A task header that a designer fills in: name, what it is for, choices if closed.

    `refers`: it names a decision or a policy, which then has to be among the definitions.
    """

    name: str
    help: str
    required: bool = False
    choices: tuple[str, ...] = ()
    refers: Literal["", "decision", "policy"] = ""


@dataclass(frozen=True, kw_only=True)
class HandlerSpec:
    """One job type: its handler and what a designer needs to know to use it."""

    type: str
    title: str
    handler: Handler
    help: str = ""
    headers: tuple[Header, ...] = ()
    needs: tuple[str, ...] = ()  #: names of variables it reads
    gives: tuple[str, ...] = ()  #: names of variables it answers with
    delivers: bool = False  #: works on a feature's repository; refused in a run that has none


@dataclass
class Handlers:
    """A set of job types. Declared on a leaf object by handler modules, joined by the runtime."""

    specs: dict[str, HandlerSpec] = field(default_factory=dict)

    def job(
        self,
        type_: str,
        *,
        title: str,
        headers: tuple[Header, ...] = (),
        needs: tuple[str, ...] = (),
        gives: tuple[str, ...] = (),
        delivers: bool = False,
    ) -> Callable[[Handler], Handler]:
        """Declare the decorated function as the handler of job type `type_`."""

        def declare(handler: Handler) -> Handler:
            self.add(
                HandlerSpec(
                    type=type_,
                    title=title,
                    handler=handler,
                    help=(handler.__doc__ or "").strip(),
                    headers=headers,
                    needs=needs,
                    gives=gives,
                    delivers=delivers,
                )
            )
            return handler

        return declare

    def add(self, spec: HandlerSpec) -> None:
        """Add one job type. Raises DefinitionError when it is declared already."""
        if spec.type in self.specs:
            raise DefinitionError(
                f"job type {spec.type} is declared twice",
                hint="Rename one of the two handlers, or uninstall one of the packages.",
            )
        self.specs[spec.type] = spec

    def join(self, other: Handlers) -> None:
        """Add every job type of `other`."""
        for spec in other.specs.values():
            self.add(spec)

    def find(self, type_: str) -> HandlerSpec | None:
        """Return the job type, or None when no handler is installed for it."""
        return self.specs.get(type_)
