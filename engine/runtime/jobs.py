"""Job types and diagrams: who can do what a service task asks for, and what it must say."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import get_close_matches
from importlib.metadata import entry_points

from engine.bpmn.model import Finding, ServiceTask
from engine.core.definitions import BundleError, Definitions
from engine.handlers import Handlers, HandlerSpec

ENTRY_POINTS = "engine.service_tasks"


def load_handlers() -> Handlers:
    """Return every installed job type. Raises DefinitionError when two packages declare the same."""
    joined = Handlers()
    found = sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name)
    for point in found:
        joined.join(point.load())
    if not found:  # a checkout that is not installed
        from service_tasks import handlers

        joined.join(handlers)
    return joined


def check_jobs(definitions: Definitions, handlers: Handlers, *, delivers: bool) -> None:
    """Refuse a bundle whose service tasks nobody can do. Raises BundleError with every finding.

    `delivers`: the run has a feature's repository to work on.
    """
    if findings := [*job_findings(definitions, handlers, delivers=delivers)]:
        raise BundleError(findings)


def job_findings(
    definitions: Definitions, handlers: Handlers, *, delivers: bool
) -> Iterator[Finding]:
    """Yield what is wrong with the service tasks of `definitions`: unknown job types, headers that are missing or
    not among the choices, and, without a repository, job types that work on one."""
    for process in definitions.processes.values():
        for element in process.elements.values():
            node = element.node
            if isinstance(node, ServiceTask) and not node.job.type.is_feel:
                yield from _of_task(node, handlers, definitions, delivers=delivers)


def _of_task(
    node: ServiceTask, handlers: Handlers, definitions: Definitions, *, delivers: bool
) -> Iterator[Finding]:
    spec = handlers.find(node.job.type.text)
    if spec is None:
        near = get_close_matches(node.job.type.text, handlers.specs, n=3) or sorted(handlers.specs)
        yield _finding(
            node,
            "unknown-job-type",
            f"asks for job type {node.job.type.text}, which nobody can do",
            f"Choose one of {', '.join(near)}, or install the package that has it.",
        )
        return
    if spec.delivers and not delivers:
        yield _finding(
            node,
            "needs-a-feature",
            f"asks for job type {spec.type}, which works on the repository of a feature",
            "Start the bundle with `engine run --feature NAME`, or choose another job type.",
        )
    yield from _of_headers(node, spec)
    yield from _of_references(node, spec, definitions)


def _of_headers(node: ServiceTask, spec: HandlerSpec) -> Iterator[Finding]:
    given = node.job.headers
    mapped = {mapping.target for mapping in node.inputs}
    for header in spec.headers:
        if header.required and header.name not in given and header.name not in mapped:
            yield _finding(
                node,
                "missing-header",
                f'does not say "{header.name}", which {spec.type} needs',
                f"Add the header. {header.help}",
            )
        elif header.choices and given.get(header.name, header.choices[0]) not in header.choices:
            yield _finding(
                node,
                "header-choice",
                f'says "{header.name}" = "{given[header.name]}", which {spec.type} does not know',
                f"Choose one of {', '.join(header.choices)}.",
            )


def _of_references(
    node: ServiceTask, spec: HandlerSpec, definitions: Definitions
) -> Iterator[Finding]:
    known = {"decision": definitions.decisions.keys(), "policy": definitions.packages}
    for header in spec.headers:
        name = node.job.headers.get(header.name)
        if header.refers and name is not None and name not in known[header.refers]:
            yield _finding(
                node,
                f"unknown-{header.refers}",
                f"asks for {header.refers} {name}, which is not there",
                f"There is {', '.join(sorted(known[header.refers])) or 'none'}.",
            )


def _finding(node: ServiceTask, rule: str, message: str, hint: str) -> Finding:
    return Finding(
        file=node.position.file,
        line=node.position.line,
        severity="error",
        rule=rule,
        element=node.id,
        message=f"{node.label} {message}",
        hint=hint,
    )
