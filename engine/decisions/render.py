"""A DMN file as text or Markdown: what it asks, what it needs, and its logic as a grid."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from itertools import zip_longest
from typing import Final, Literal

from engine.decisions.model import (
    BoxedContext,
    BoxedFilter,
    BoxedFor,
    BoxedList,
    Conditional,
    DecisionElement,
    DecisionTable,
    Definitions,
    Expression,
    FunctionDefinition,
    Invocation,
    LiteralExpression,
    Quantified,
    Relation,
)

Format = Literal["text", "markdown"]
WIDTH: Final = 32  #: of a cell in text; longer ones wrap

#: The letter that the standard puts into the corner of a table.
LETTERS = {
    "UNIQUE": "U",
    "FIRST": "F",
    "PRIORITY": "P",
    "ANY": "A",
    "COLLECT": "C",
    "RULE ORDER": "R",
    "OUTPUT ORDER": "O",
}
AGGREGATORS = {"SUM": "+", "MIN": "<", "MAX": ">", "COUNT": "#"}


def render(definitions: Definitions, style: Format = "text") -> str:
    """Return the whole file, decisions in file order, ending with a newline."""
    blocks = [_title(definitions.name or definitions.source, 1, style)]
    for decision in definitions.decisions:
        blocks.append(_decision(decision, definitions, style))
    for model in definitions.knowledge:
        blocks.append(_title(f"{model.name} (knowledge model)", 2, style))
        if model.function is not None:
            blocks.append(_logic(model.function, style))
    return "\n\n".join(blocks) + "\n"


def render_table(table: DecisionTable, style: Format = "text") -> str:
    """Return one decision table as a grid without a final newline."""
    corner = LETTERS[table.hit_policy.value]
    if table.aggregator is not None:
        corner += AGGREGATORS[table.aggregator.value]
    head = [
        corner,
        *(i.label or i.expression.text for i in table.inputs),
        *(f"→ {o.label or o.name or table.output_label or 'output'}" for o in table.outputs),
    ]
    rows = [
        [
            str(rule.row),
            *(t.text or "-" for t in rule.inputs),
            *(t.text for t in rule.outputs),
            "; ".join(rule.annotations),
        ]
        for rule in table.rules
    ]
    head.append("Why")
    if not any(row[-1] for row in rows):
        head, rows = head[:-1], [row[:-1] for row in rows]
    return _markdown(head, rows) if style == "markdown" else _grid(head, rows)


def _decision(decision: DecisionElement, definitions: Definitions, style: Format) -> str:
    names = {element.id: element.name for element in definitions.elements()}
    needs = [
        names.get(r.id, r.id)
        for r in (
            *decision.requires_inputs,
            *decision.requires_decisions,
            *decision.requires_knowledge,
        )
    ]
    parts = [_title(decision.name, 2, style)]
    parts += [text for text in (decision.question, decision.description) if text]
    if needs:
        parts.append("Needs: " + ", ".join(needs))
    if decision.logic is not None:
        parts.append(_logic(decision.logic, style))
    return "\n\n".join(parts)


def _logic(expression: Expression, style: Format) -> str:
    if isinstance(expression, DecisionTable):
        return render_table(expression, style)
    body = "\n".join(_lines(expression, ""))
    return f"```text\n{body}\n```" if style == "markdown" else body


def _lines(expression: Expression, indent: str) -> Iterator[str]:
    """Yield the lines of a boxed expression; what is inside another is indented."""
    deeper = indent + "  "
    match expression:
        case LiteralExpression():
            yield from (indent + line for line in expression.text.splitlines() or [""])
        case DecisionTable():
            yield from (indent + line for line in render_table(expression).splitlines())
        case BoxedContext():
            for entry in expression.entries:
                name = entry.variable.name if entry.variable else "result"
                yield from _named(name, entry.value, indent)
        case BoxedList():
            for item in expression.items:
                yield from _named("-", item, indent)
        case Relation():
            head = [column.name for column in expression.columns]
            rows = [[" ".join(_lines(cell, "")) for cell in row] for row in expression.rows]
            yield from (indent + line for line in _grid(head, rows).splitlines())
        case FunctionDefinition():
            names = ", ".join(p.name for p in expression.parameters)
            yield f"{indent}function({names})"
            if expression.body is not None:
                yield from _lines(expression.body, deeper)
        case Invocation():
            yield f"{indent}call " + " ".join(_lines(expression.function, ""))
            for binding in expression.bindings:
                if binding.value is not None:
                    yield from _named(binding.parameter, binding.value, deeper)
        case Conditional():
            yield from _named("if", expression.condition, indent)
            yield from _named("then", expression.then, indent)
            yield from _named("else", expression.otherwise, indent)
        case BoxedFor():
            yield from _named(f"for {expression.iterator} in", expression.source, indent)
            yield from _named("return", expression.body, indent)
        case Quantified():
            word = "every" if expression.every else "some"
            yield from _named(f"{word} {expression.iterator} in", expression.source, indent)
            yield from _named("satisfies", expression.satisfies, indent)
        case BoxedFilter():
            yield from _named("filter", expression.source, indent)
            yield from _named("where", expression.match, indent)


def _named(name: str, value: Expression, indent: str) -> Iterator[str]:
    lines = list(_lines(value, ""))
    if len(lines) == 1:
        yield f"{indent}{name}: {lines[0]}"
        return
    yield f"{indent}{name}:"
    yield from (f"{indent}  {line}" for line in lines)


def _title(text: str, level: int, style: Format) -> str:
    if style == "markdown":
        return f"{'#' * level} {text}"
    return f"{text}\n{('=' if level == 1 else '-') * len(text)}"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    def line(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.replace("|", "\\|").replace("\n", " ") for c in cells) + " |"

    return "\n".join([line(head), "|" + "---|" * len(head), *map(line, rows)])


def _grid(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Return a grid whose cells wrap at WIDTH characters."""
    wrapped = [[_wrap(cell) for cell in row] for row in (head, *rows)]
    widths = [max(len(line) for row in wrapped for line in row[c]) for c in range(len(head))]

    def lines(row: Sequence[Sequence[str]]) -> Iterator[str]:
        for parts in zip_longest(*row, fillvalue=""):
            cells = (part.ljust(width) for part, width in zip(parts, widths, strict=True))
            yield " | ".join(cells).rstrip()

    ruler = "-+-".join("-" * width for width in widths)
    tall = any(len(cell) > 1 for row in wrapped[1:] for cell in row)
    body = [line for row in wrapped[1:] for line in (*lines(row), *([ruler] if tall else []))]
    return "\n".join([*lines(wrapped[0]), ruler, *body])


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(
        " ".join(text.split()), WIDTH, break_on_hyphens=False, break_long_words=False
    ) or [""]
