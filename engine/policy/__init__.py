"""Policies: Rego that fails closed.

`PolicySet.decide` answers one package for one input. Only the ruling `pass` opens; a policy that is missing, contradicts
itself, gives another shape, fails or does not answer in time is `undefined` or `error`, never `pass`.
"""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

import orjson

from engine.core.model import Json, Verdict
from engine.policy.backends import Backend, RegoError, ServerSettings, policy_digest
from engine.policy.verdicts import failed, judge

__all__ = ["PolicySet", "ServerSettings"]

_PACKAGE = re.compile(r"[a-z_][A-Za-z0-9_]*(\.[a-z_][A-Za-z0-9_]*)*")
DEADLINE_S = 5.0


class PolicySet:
    """The policies of a bundle on one back end; `digest` is the SHA-256 (hex) over paths and texts."""

    def __init__(self, backend: Backend, digest: str, deadline_s: float) -> None:
        self.digest = digest
        self._backend = backend
        self._deadline_s = deadline_s
        self._thread: _Asker | None = None

    @classmethod
    def load(
        cls,
        modules: Mapping[str, str],
        data: Mapping[str, Json] | None = None,
        *,
        server: ServerSettings | None = None,
        deadline_s: float = DEADLINE_S,
    ) -> PolicySet:
        """Return the policies `modules` (path → Rego text) with `data`, in this process or on an OPA server.

        Raises DefinitionError naming file and line, EnvironmentFailure when the engine or the server is not there.
        """
        digest = policy_digest(modules)
        if server is None:
            from engine.policy.embedded import Embedded

            return cls(Embedded(modules, data or {}), digest, deadline_s)
        from engine.policy.opa import OpaServer

        return cls(OpaServer(modules, data or {}, digest, server), digest, deadline_s)

    def close(self) -> None:
        """Give up what the back end holds open."""
        self._backend.close()

    @property
    def packages(self) -> tuple[str, ...]:
        """Names of the packages that can be asked."""
        return self._backend.packages

    def decide(self, package: str, input: Json, now: datetime) -> Verdict:
        """Return the verdict of `package` on `input`, which policies see with `now` (RFC 3339) added."""
        name = self._backend.name
        if not _PACKAGE.fullmatch(package):
            return failed(
                "NO_PACKAGE_NAME",
                f"{package!r} is no name of a package",
                engine=name,
                bundle=self.digest,
            )
        began = time.perf_counter_ns()
        try:
            text = input_text(input, now)
            document = self._within_time(package, text)
        except (RegoError, TypeError, ValueError) as error:
            return failed(
                error.code if isinstance(error, RegoError) else "EVALUATION",
                str(error),
                engine=name,
                bundle=self.digest,
                duration_us=_since(began),
            )
        except TimeoutError:
            return failed(
                "TIMEOUT",
                f"no answer within {self._deadline_s:g} s",
                engine=name,
                bundle=self.digest,
                duration_us=_since(began),
            )
        return judge(document, engine=name, bundle=self.digest, duration_us=_since(began))

    def _within_time(self, package: str, text: str) -> Any:  # Any: the policy's document
        """Ask in a thread that is left behind at the deadline (the embedded engine lets go only when it has ended)."""
        try:
            return self._asker().ask(package, text, self._deadline_s)
        except _Lost:  # by another thread's question, while this one waited for its turn
            return self._asker().ask(package, text, self._deadline_s)

    def _asker(self) -> _Asker:
        if self._thread is None or self._thread.is_lost:
            self._thread = _Asker(self._backend)
        return self._thread


class _Lost(TimeoutError):
    """The question was not put: the thread owes the answer to an earlier one."""


class _Asker:
    """One thread that evaluates, one question at a time; lost once a question was not answered in time."""

    def __init__(self, backend: Backend) -> None:
        self.is_lost = False
        self._backend = backend
        self._question: tuple[str, str] | None = None
        self._answer: tuple[Any, Exception | None] | None = None
        self._asked = _signal()
        self._answered = _signal()
        self._turn = threading.Lock()
        threading.Thread(target=self._serve, name="policy", daemon=True).start()

    def ask(self, package: str, text: str, deadline_s: float) -> Any:
        with self._turn:
            if self.is_lost:  # its late answer would be taken for the answer to this question
                raise _Lost
            self._question = (package, text)
            self._asked.release()
            if not self._answered.acquire(timeout=deadline_s):
                self.is_lost = True
                raise TimeoutError
            assert self._answer is not None  # set before the release
            document, error = self._answer
        if error is not None:
            raise error
        return document

    def _serve(self) -> None:
        session = None  # lives in this frame only: regorus may not be dropped by another thread
        while not self.is_lost:
            self._asked.acquire()
            assert self._question is not None  # set before the release
            try:
                session = session or self._backend.session()
                self._answer = (session.document(*self._question), None)
            except Exception as error:  # told to the asking thread, which turns it into a verdict
                session = None
                self._answer = (None, _bare(error))
            self._answered.release()


def _signal() -> threading.Lock:
    """Return a lock that is held: `release` gives the signal, `acquire` awaits it."""
    lock = threading.Lock()
    lock.acquire()
    return lock


def _bare(error: Exception) -> RegoError:
    """Return the error without its traceback: the frames in it hold an engine, which only its own thread may drop."""
    text = " ".join(str(error).split())[:400] or type(error).__name__
    return RegoError(text, error.code if isinstance(error, RegoError) else "EVALUATION")


def input_text(input_: Json, now: datetime) -> str:
    given = dict(input_) if isinstance(input_, Mapping) else {"value": input_}
    given["now"] = now.isoformat()  # the fact's time, whatever the diagram calls now
    return orjson.dumps(given, default=_plain).decode()


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a policy input holds {type(value).__name__}, which is no JSON")


def _since(began_ns: int) -> int:
    return (time.perf_counter_ns() - began_ns) // 1000
