"""For authors of policies: findings about Rego files, and their tests."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from engine.bpmn.model import Finding
from engine.policy.advice import advice
from engine.policy.backends import RegoError
from engine.policy.embedded import Embedded, FindingsError, syntax_tree
from engine.policy.tree import module_of

_PACKAGE = re.compile(r"^package\s+([\w.]+)", re.MULTILINE)
_TEST = re.compile(r"^(test_\w+)", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """One test rule: passed means it is defined and true."""

    package: str
    name: str
    passed: bool
    message: str = ""


def lint(modules: Mapping[str, str]) -> list[Finding]:
    """Return every finding about `modules` (path → text), in file order."""
    try:
        read = [module_of(item) for item in syntax_tree(modules)]
    except FindingsError as error:
        return sorted(error.findings)
    found = advice(read)
    try:
        Embedded(modules, {})
    except FindingsError as error:
        found += error.findings
    return sorted(found)


def run_tests(modules: Mapping[str, str]) -> list[TestResult]:
    """Return the result of every rule `test_…`, in the order of files and rules. Raises DefinitionError."""
    session = Embedded(modules, {}).session()
    results = []
    for path in sorted(modules):
        package = _package(modules[path])
        names = list(dict.fromkeys(_TEST.findall(modules[path])))
        if not names:
            continue
        message = ""
        try:
            document = session.document(package, "{}") or {}
        except RegoError as error:
            document, message = {}, str(error)
        results += [
            TestResult(
                package=package, name=name, passed=document.get(name) is True, message=message
            )
            for name in names
        ]
    return results


def _package(text: str) -> str:
    found = _PACKAGE.search(text)
    return found[1] if found else ""
