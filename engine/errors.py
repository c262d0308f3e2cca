"""Every failure a person can meet, by who can act on it.

A sentence says where, what was expected, what was found and what to do; the same four are fields, so that
`--json` and the ledger need not parse prose. Three branches carry an exit code of their own (see `exit_code`).
No other exception may reach a user.
"""

from __future__ import annotations


class EngineError(Exception):
    """Base of all errors of this package.

    `where` is a file, `file:line`, element id, job key or JSON pointer; `expected` and `got` are noun phrases;
    `hint` is one imperative sentence. `str(error)` joins those that are given.
    """

    exit_code = 1

    def __init__(
        self,
        message: str = "",
        *,
        where: str = "",
        expected: str = "",
        got: str = "",
        hint: str = "",
    ) -> None:
        self.message = message
        self.where = where
        self.expected = expected
        self.got = got
        self.hint = hint
        super().__init__(self.sentence())

    def sentence(self) -> str:
        """Return the whole message as one line for people."""
        parts = [self.message] if self.message else []
        if self.expected or self.got:
            parts.append(
                f"expected {self.expected}, but got {self.got}"
                if self.expected and self.got
                else f"expected {self.expected}"
                if self.expected
                else f"got {self.got}"
            )
        text = ": ".join(parts)
        if self.where:
            text = f"{self.where}: {text}" if text else self.where
        if self.hint:
            text = f"{text.rstrip('.')}. {self.hint}" if text else self.hint
        return text


class UsageError(EngineError):
    """The command line or the configuration is wrong."""

    exit_code = 2


class DefinitionError(EngineError):
    """A definition (BPMN, DMN, FEEL, Rego, scenario) is invalid."""

    exit_code = 3


class ContractError(EngineError):
    """A value breaks a contract; `where` is a JSON pointer into it, `contract` its name."""

    exit_code = 3

    def __init__(self, message: str = "", *, contract: str = "", **fields: str) -> None:
        self.contract = contract
        super().__init__(message, **fields)


class IntegrityError(EngineError):
    """Ledger, blobs, database or git contradict each other. Never repaired silently."""

    exit_code = 5


class LedgerError(IntegrityError):
    """An entry cannot be written, or a written one is not what it should be; `where` names its sequence number."""


class StoreError(EngineError):
    """The database cannot be opened, read or written (locked, full, damaged, newer version)."""

    exit_code = 6


class EnvironmentFailure(EngineError):
    """Something outside is missing or broken: git, disk, container runtime, OPA."""

    exit_code = 6


class GitError(EnvironmentFailure):
    """A git command failed; `got` holds its exit code and the end of its standard error."""


class BpmnError(EngineError):
    """An outcome that the diagram handles: a handler raises it to throw the BPMN error `code`.

    Any other exception of a handler is a failed attempt, which is retried and then becomes an incident.
    """

    def __init__(
        self, code: str, message: str = "", variables: dict[str, object] | None = None
    ) -> None:
        self.code = code
        self.variables = variables or {}
        super().__init__(message or code)
