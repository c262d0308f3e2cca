"""Lint of a bundle's diagrams, seen together with its decisions and the handlers that are installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from engine.bpmn import BpmnDefinitionError
from engine.bpmn.lint import Outputs, Surroundings, lint, lint_file
from engine.bpmn.model import Finding
from engine.core.definitions import BundleError, Decision, Definitions
from engine.decisions import analyse
from engine.decisions.model import DecisionTable, HitPolicy, Text
from engine.feel import FeelError, evaluate
from engine.handlers import Handlers

_ONE_ANSWER = (HitPolicy.UNIQUE, HitPolicy.FIRST, HitPolicy.ANY, HitPolicy.PRIORITY)


def lint_findings(definitions: Definitions, handlers: Handlers) -> Iterator[Finding]:
    """Yield what the rules of `engine.bpmn.lint` find in the processes of `definitions`."""
    surroundings = Surroundings(
        gives={name: spec.gives for name, spec in handlers.specs.items()},
        decisions={id_: outputs(decision) for id_, decision in definitions.decisions.items()},
    )
    yield from _of_decisions(definitions)
    yield from lint((process.model for process in definitions.processes.values()), surroundings)


def check_lint(definitions: Definitions, handlers: Handlers) -> None:
    """Refuse a bundle that lint has an error about. Raises BundleError with every error."""
    found = [item for item in lint_findings(definitions, handlers) if item.severity == "error"]
    if found:
        raise BundleError(found)


def file_findings(files: Mapping[str, bytes]) -> Iterator[Finding]:
    """Yield what lint finds about the picture of each diagram and about what its processes share."""
    for path in sorted(path for path in files if path.endswith(".bpmn")):
        with suppress(BpmnDefinitionError):  # refused as a whole, and said already
            yield from lint_file(files[path], path)


def _of_decisions(definitions: Definitions) -> Iterator[Finding]:
    """Yield what is wrong with the tables: a name that is nowhere would be null, and no rule would match."""
    models = {decision.file: decision.model for decision in definitions.decisions.values()}
    for file, model in models.items():
        for found in analyse(model):
            yield Finding(
                file=file,
                line=found.line,
                severity=found.severity,
                rule=found.rule,
                element=found.element,
                message=found.message,
                hint=found.hint,
            )


def outputs(decision: Decision) -> Outputs:
    """Return the texts that the outputs of a decision table can be; of any other logic nothing is known."""
    elements = decision.model.definitions.decisions
    logic = next((element.logic for element in elements if element.id == decision.id), None)
    if not isinstance(logic, DecisionTable) or logic.hit_policy not in _ONE_ANSWER:
        return Outputs()
    found: dict[str, frozenset[str]] = {}
    for column, clause in enumerate(logic.outputs):
        cells = [rule.outputs[column] for rule in logic.rules]
        cells += [clause.default] if clause.default else []
        texts = [_text(cell) for cell in cells]
        if texts and all(text is not None for text in texts):
            name = clause.name if len(logic.outputs) > 1 else ""
            found[name] = frozenset(text for text in texts if text is not None)
    return Outputs(texts=found)


def _text(cell: Text) -> str | None:
    """Return the text that a cell always answers, or None when it is something else or depends on variables."""
    if not cell.text.startswith('"'):
        return None
    try:
        value = evaluate(cell.text, {})
    except FeelError:
        return None
    return value if isinstance(value, str) else None
