"""For authors of policies: findings about Rego files, and their tests."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from engine.bpmn.model import Finding
from engine.policy.backends import RegoError
from engine.policy.embedded import Embedded, FindingsError

_PACKAGE = re.compile(r"^package\s+([\w.]+)", re.MULTILINE)
_TEST = re.compile(r"^(test_\w+)", re.MULTILINE)
_NEGATED = re.compile(  # a call, or `in`, which is one, with a member that may be missing
    r"^\s*not\s+(?:[\w.]+\([^#\n]*\b\w+[.\[]|\w+[.\[][^#\n]*\sin\s)"
)
_DECIDES = re.compile(r"^(default\s+)?(allow|deny)\b", re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class TestResult:
    """One test rule: passed means it is defined and true."""

    package: str
    name: str
    passed: bool
    message: str = ""


def lint(modules: Mapping[str, str]) -> list[Finding]:
    """Return every finding about `modules` (path → text), in file order."""
    findings: list[Finding] = []
    for path, text in modules.items():
        findings.extend(_shape(path, text))
    try:
        Embedded(modules, {})
    except FindingsError as error:
        findings.extend(error.findings)
    return sorted(findings)


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


def _shape(path: str, text: str) -> Iterator[Finding]:
    package = _package(text)
    if not package:
        yield _finding(path, 1, "missing-package", "the file names no package")
        return
    stem = path.rpartition("/")[2].removesuffix(".rego")
    if package.rpartition(".")[2] != stem:
        yield _finding(
            path, 1, "wrong-package", f"package {package} stands in a file named {stem}.rego"
        )
    decides = {(bool(default), name) for default, name in _DECIDES.findall(text)}
    if (False, "allow") in decides and (True, "allow") not in decides:
        yield _finding(
            path, 1, "missing-default", "allow has no default, so it can be undefined",
            "Write: default allow := false",
        )  # fmt: skip
    for number, line in enumerate(text.splitlines(), 1):
        if _NEGATED.match(line):
            yield _finding(
                path,
                number,
                "negated-call",
                "this is undefined, and denies nothing, when a member that it looks at is missing",
                "Write a rule of its own (known if …) and: not known",
            )
    if re.search(r"^default\s+allow\s*:?=\s*true", text, re.MULTILINE):
        yield _finding(
            path, 1, "open-default", "allow is true by default", "Write: default allow := false"
        )


def _package(text: str) -> str:
    found = _PACKAGE.search(text)
    return found[1] if found else ""


def _finding(path: str, line: int, rule: str, message: str, hint: str = "") -> Finding:
    return Finding(
        file=path, line=line, severity="error", rule=rule, element="", message=message, hint=hint
    )
