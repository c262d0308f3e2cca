"""For authors of policies: findings about Rego files, and their tests."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Final

from engine.bpmn.model import Finding
from engine.frozen import dataclass
from engine.policy.advice import advice
from engine.policy.backends import RegoError, ServerSettings, Session, policy_digest
from engine.policy.embedded import Embedded, FindingsError, syntax_tree
from engine.policy.study import stops
from engine.policy.tree import module_of

_PACKAGE = re.compile(r"^package\s+([\w.]+)", re.MULTILINE)
_TEST = re.compile(r"^(test_\w+)", re.MULTILINE)


_EMBEDDED_ONLY: Final = {"unknown-function", "unreadable"}


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """One test rule: passed means it is defined and true. `message` says at which statement a failed one stopped."""

    package: str
    name: str
    passed: bool
    message: str = ""
    file: str = ""
    line: int = 0


def lint(modules: Mapping[str, str], *, for_opa: bool = False) -> list[Finding]:
    """Return every finding about `modules` (path → text), in file order.

    `for_opa`: a server will judge, so what only the embedded engine lacks is a warning.
    """
    try:
        read = [module_of(item) for item in syntax_tree(modules)]
    except FindingsError as error:
        return sorted(_softened(error.findings) if for_opa else error.findings)
    found = advice(read)
    try:
        Embedded(modules, {})
    except FindingsError as error:
        found += _softened(error.findings) if for_opa else error.findings
    return sorted(found)


def _softened(findings: Iterable[Finding]) -> list[Finding]:
    return [
        replace(
            one,
            severity="warning",
            hint="Only the embedded engine says so; ask OPA itself: opa check.",
        )
        if one.rule in _EMBEDDED_ONLY
        else one
        for one in findings
    ]


def run_tests(modules: Mapping[str, str], server: ServerSettings | None = None) -> list[TestResult]:
    """Return the result of every rule `test_…`, in the order of files and rules, here or on an OPA server.

    Raises DefinitionError, EnvironmentFailure.
    """
    session: Session = Embedded(modules, {}).session() if server is None else _on(server, modules)
    results: list[TestResult] = []
    for path in sorted(modules):
        lines = {name: line for line, name in reversed(_tests(modules[path]))}
        if not lines:
            continue
        package = _package(modules[path])
        message = ""
        try:
            document = session.document(package, "{}") or {}
        except RegoError as error:
            document, message = {}, str(error)
        results += [
            TestResult(
                package=package,
                name=name,
                passed=document.get(name) is True,
                message=message,
                file=path,
                line=line,
            )
            for name, line in sorted(lines.items(), key=lambda one: one[1])
        ]
    return results


def with_places(modules: Mapping[str, str], results: Iterable[TestResult]) -> list[TestResult]:
    """Return `results` with the statement at which each failed test stops on the embedded engine."""
    results = list(results)
    failed = {(one.file, one.package) for one in results if not one.passed and not one.message}
    places = {file: stops(modules, file, package) for file, package in sorted(failed)}
    return [
        one
        if one.passed or one.message
        else replace(one, message=places[one.file].get(one.name, ""))
        for one in results
    ]


def _tests(text: str) -> list[tuple[int, str]]:
    """Return (line, name) of every rule that is a test, in order."""
    return [(text.count("\n", 0, found.start()) + 1, found[1]) for found in _TEST.finditer(text)]


def _on(server: ServerSettings, modules: Mapping[str, str]) -> Session:
    from engine.policy.opa import OpaServer

    return OpaServer(modules, {}, policy_digest(modules), server)


def _package(text: str) -> str:
    found = _PACKAGE.search(text)
    return found[1] if found else ""
