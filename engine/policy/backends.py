"""What the two back ends of policies share: the protocol, its error, the built-ins that are refused."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, Final, Protocol

from engine.bpmn.model import Finding
from engine.frozen import dataclass

#: functions whose answer is not in the input, or that reach outside; a name that ends in a dot stands for all below it
IMPURE: Final = (
    "http.",
    "net.",
    "rand.",
    "opa.runtime",
    "io.jwt.decode_verify",  # asks the clock when no time is given
    "rego.parse_module",
    "time.now_ns",
    "trace",
    "uuid.rfc4122",
)


def is_impure(name: str) -> bool:
    """Tell whether the built-in `name` gives answers that replay cannot repeat.

    >>> is_impure("time.now_ns"), is_impure("http.send"), is_impure("traces"), is_impure("time.clock")
    (True, True, False, False)
    """
    return any(name.startswith(one) if one.endswith(".") else name == one for one in IMPURE)


class RegoError(Exception):
    """A policy could not be asked or gave no answer that can be read; the message is one line for people."""

    def __init__(self, message: str, code: str = "EVALUATION") -> None:
        super().__init__(message)
        self.code = code


class Session(Protocol):
    """What answers questions, in the thread that opened it."""

    def document(self, package: str, input_text: str) -> Any:  # Any: the policy's document
        """Return the decision document of `package`, or None when it is undefined. Raises RegoError."""


class Backend(Protocol):
    """Policies that were found good. `name` is engine and version; `packages` what can be asked."""

    name: str
    packages: tuple[str, ...]

    def session(self) -> Session: ...
    def close(self) -> None:
        """Give up what the back end holds open."""


@dataclass(frozen=True, kw_only=True)
class ServerSettings:
    """Where the OPA server is; `ca_file` is a PEM file for https, `token` goes into Authorization: Bearer."""

    url: str
    timeout_s: float = 2.0
    token: str = ""
    ca_file: str = ""


def impure_finding(file: str, line: int, column: int, name: str) -> Finding:
    """Return the finding about a built-in that replay cannot repeat."""
    return Finding(
        file=file,
        line=line,
        severity="error",
        rule="impure-builtin",
        element=name,
        message=f"{name} gives answers that replay cannot repeat",
        hint="Let the diagram pass what you need as input.",
        column=column,
    )


def policy_digest(modules: Mapping[str, str]) -> str:
    """Return the hex SHA-256 over `path NUL text NUL` in path order."""
    parts = (f"{path}\0{modules[path]}\0" for path in sorted(modules))
    return hashlib.sha256("".join(parts).encode()).hexdigest()
