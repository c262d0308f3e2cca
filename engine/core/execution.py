"""The state of one process instance and the few moves everything else is made of.

Invariants
- Tokens form a tree by scope: the root token is the process, a running sub-process is a token with the tokens
  inside it as children. Its depth is the nesting of the diagram, never the length of the path, so loops may run
  as long as they like.
- A token waits for nothing that is not in `waits`; closing a wait tells the outside (`JobCancelled` …).
- Variable scopes are replaced, never changed in place: a view that went out in an event stays what it was.
- An element that cannot go on raises `Trouble` before it changed anything that its retry would repeat.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

from engine.core.compiled import CompiledProcess, Element, Flow
from engine.core.expressions import Moment, Trouble, View
from engine.core.model import (
    ChildCancelled,
    ElementActivated,
    ElementCompleted,
    ElementTerminated,
    Event,
    IncidentCancelled,
    IncidentRaised,
    InstanceEnded,
    InstanceId,
    JobCancelled,
    Json,
    MessageUnsubscribed,
    RunId,
    TimerCancelled,
    UserTaskCancelled,
    Variables,
    VerdictCancelled,
)

if TYPE_CHECKING:
    from engine.core.definitions import Definitions
    from engine.core.process import Token

State = Literal["active", "completed", "failed", "cancelled"]
Waits = Literal[
    "job", "user_task", "timer", "message", "signal", "condition", "verdict", "child", "incident"
]
KINDS: tuple[Waits, ...] = (
    "job",
    "user_task",
    "timer",
    "message",
    "signal",
    "condition",
    "verdict",
    "child",
    "incident",
)
NOTHING: Variables = {}

_CANCELLED: Mapping[Waits, Callable[[str], Event]] = {
    "job": lambda key: JobCancelled(job=key),
    "user_task": lambda key: UserTaskCancelled(task=key),
    "timer": lambda key: TimerCancelled(timer=key),
    "message": lambda key: MessageUnsubscribed(subscription=key),
    "verdict": lambda key: VerdictCancelled(request=key),
    "child": lambda key: ChildCancelled(child=InstanceId(key)),
    "incident": lambda key: IncidentCancelled(incident=key),
}


class Wait:
    """One open thing. `token` owns it and closes it when it leaves; `element` is what it makes happen."""

    __slots__ = ("detail", "element", "key", "kind", "token", "visit", "was_true", "within")

    def __init__(
        self,
        kind: Waits,
        key: str,
        token: Token,
        element: Element,
        detail: Any = None,  # Any: one type for each kind, known to the module that opened it
        visit: int = 0,
        within: Element | None = None,
    ) -> None:
        self.kind = kind
        self.key = key
        self.token = token
        self.element = element
        self.detail = detail
        self.visit = visit  #: of `element`, once it is triggered
        self.within = within  #: the event sub-process that `element` starts
        self.was_true = False  #: of a condition: it fires when it becomes true


class Fired:
    """What a catch event was triggered with: `visit` is the event's, 0 takes the next one."""

    __slots__ = ("variables", "visit")

    def __init__(self, variables: Variables, visit: int = 0) -> None:
        self.variables = variables
        self.visit = visit


class Tokens(Protocol):
    """What moves tokens; keeps the library that does it out of every other module."""

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
        """Put a token on `element` inside `scope`; it runs, or joins, when its turn comes."""

    def again(self, token: Token) -> None:
        """Let the waiting token run once more, when its turn comes: what it waited for has fired."""

    def finish(self, token: Token, flows: tuple[Flow, ...]) -> None:
        """Take the token along `flows`; with none it ends here."""

    def drop(self, token: Token) -> None:
        """Remove the token: it was interrupted."""


class Execution:
    """One process instance at work. `events` collects what the current fact causes."""

    __slots__ = (
        "definitions",
        "emptied",
        "end_event",
        "events",
        "id",
        "is_dirty",
        "is_root",
        "moment",
        "process",
        "root",
        "run",
        "state",
        "tokens",
        "visits",
        "waits",
    )

    def __init__(
        self,
        definitions: Definitions,
        process: CompiledProcess,
        run: RunId,
        instance: InstanceId,
        tokens: Tokens,
    ) -> None:
        self.definitions = definitions
        self.process = process
        self.run = run
        self.id = instance
        self.tokens = tokens
        self.root: Token
        self.is_root = True
        self.moment: Moment
        self.state: State = "active"
        self.events: list[Event] = []
        self.visits: dict[str, int] = {}
        self.waits: dict[Waits, dict[str, Wait]] = {}
        self.emptied: deque[Token] = deque()
        self.end_event = ""
        self.is_dirty = False

    # ---- elements

    def emit(self, event: Event) -> None:
        self.events.append(event)

    def next_visit(self, element: Element) -> int:
        """Return the number of the next element instance of `element`, from 1."""
        visit = self.visits.get(element.id, 0) + 1
        self.visits[element.id] = visit
        return visit

    def activate(self, token: Token) -> None:
        """Give the token its visit and say that it has arrived."""
        fired = token.fired
        token.visit = (fired.visit if fired else 0) or self.next_visit(token.element)
        self.emit(ElementActivated(element=token.element.id, visit=token.visit, body=token.is_body))

    def complete(
        self, token: Token, flows: tuple[Flow, ...] | None = None, *, chosen: bool = False
    ) -> None:
        """Complete the token's element and go on along `flows` (default: all that leave it).

        `chosen`: the flows are an answer of a gateway and belong in the event.
        """
        self.leave(token, flows, chosen=chosen)
        self.go_on(token, flows)

    def leave(
        self, token: Token, flows: tuple[Flow, ...] | None = None, *, chosen: bool = False
    ) -> None:
        """Say that the element is complete and stop waiting; the token is still there."""
        self.close_all(token)
        taken = tuple(flow.id for flow in flows) if chosen and flows else ()
        token.is_closed = True
        self.emit(
            ElementCompleted(
                element=token.element.id, visit=token.visit, flows=taken, body=token.is_body
            )
        )

    def go_on(self, token: Token, flows: tuple[Flow, ...] | None = None) -> None:
        """Take the token along `flows` (default: all that leave its element)."""
        if token.is_open:
            self.tokens.finish(token, token.element.outgoing if flows is None else flows)
            self.note_left(token.scope)

    def terminate(self, token: Token) -> None:
        """Interrupt the token and everything inside it."""
        self.terminate_inside(token)
        self.close_all(token)
        if token.visit and not token.is_closed and token is not self.root:
            token.is_closed = True
            self.emit(
                ElementTerminated(element=token.element.id, visit=token.visit, body=token.is_body)
            )
        scope = token.scope
        self.tokens.drop(token)
        self.note_left(scope)

    def terminate_inside(self, scope: Token, *, but: Token | None = None) -> None:
        """Interrupt every token of `scope` except `but`."""
        for token in scope.inside():
            if token is not but:
                self.terminate(token)

    def note_left(self, scope: Token | None) -> None:
        if scope is not None and scope.is_empty:
            self.emptied.append(scope)

    # ---- waits

    def open(self, wait: Wait) -> None:
        self.waits.setdefault(wait.kind, {})[wait.key] = wait
        if wait.token.waits is None:
            wait.token.waits = {}
        wait.token.waits[wait.kind, wait.key] = wait

    def take(self, kind: Waits, key: str) -> Wait | None:
        """Return the open wait of that name, no longer open; None when it was answered or cancelled before."""
        wait = self.waits.get(kind, {}).pop(key, None)
        if wait is not None and wait.token.waits is not None:
            del wait.token.waits[kind, key]
        return wait

    def close(self, wait: Wait) -> None:
        """Stop waiting, and tell whoever is asked outside."""
        if self.take(wait.kind, wait.key) is not None:
            cancelled = _CANCELLED.get(wait.kind)
            if cancelled is not None:
                self.emit(cancelled(wait.key))

    def close_all(self, token: Token) -> None:
        if token.waits:
            for wait in list(token.waits.values()):
                self.close(wait)

    @property
    def now(self) -> datetime:
        """Time of the fact."""
        return self.moment.now

    @property
    def is_waiting(self) -> bool:
        return any(self.waits.values())

    # ---- incidents

    def attempt(self, token: Token, action: Callable[[], None], *, key: str = "") -> None:
        """Do `action`; when it meets trouble, raise an incident whose resolution does it again."""
        try:
            action()
        except Trouble as trouble:
            self.raise_incident(token, trouble, action, key=key)

    def raise_incident(
        self, token: Token, trouble: Trouble, retry: Callable[[], None], *, key: str = ""
    ) -> None:
        key = key or f"{token.element.id}#{token.visit}"
        self.open(Wait("incident", key, token, token.element, retry))
        self.emit(
            IncidentRaised(
                incident=key,
                element=token.element.id,
                code=trouble.code,
                message=f"{token.element.node.label}: {trouble.message}",
            )
        )

    # ---- variables

    def visible(self, token: Token) -> Variables:
        """Return what the token's scope sees: the nearest value of every name. Never changed afterwards."""
        layers = []
        level: Token | None = token
        while level is not None:
            if level.variables:
                layers.append(level.variables)
            level = level.scope
        if len(layers) == 1:
            return layers[0]
        merged: dict[str, Json] = {}
        for layer in reversed(layers):
            merged.update(layer)
        return merged

    def view(self, token: Token) -> View:
        """Return what an expression at the token sees."""
        return View(self.visible(token), self.moment)

    def set_local(self, token: Token, values: Variables) -> None:
        if values:
            token.variables = {**(token.variables or NOTHING), **values}
            self.is_dirty = True

    def propagate(self, token: Token, values: Variables) -> None:
        """Set each value in the nearest scope from `token` outwards that has the name, else in the root scope."""
        found: dict[Token, dict[str, Json]] = {}
        for name, value in values.items():
            level = token
            while level.scope is not None and name not in (level.variables or NOTHING):
                level = level.scope
            found.setdefault(level, {})[name] = value
        for level, held in found.items():
            self.set_local(level, held)

    # ---- end

    def end(
        self, state: State, *, variables: Variables = NOTHING, code: str = "", message: str = ""
    ) -> None:
        """End the instance: whatever is open is cancelled first."""
        self.terminate_inside(self.root)
        self.close_all(self.root)
        self.emptied.clear()
        self.state = state
        end_event = self.end_event if state == "completed" else ""
        self.emit(
            InstanceEnded(
                state=state, end_event=end_event, variables=variables, code=code, message=message
            )
        )
