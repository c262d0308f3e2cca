"""DMN files for tests, written in a few words."""

from __future__ import annotations

from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

NAMESPACE = "https://www.omg.org/spec/DMN/20230324/MODEL/"


def dmn(
    *elements: str, namespace: str = "urn:test", ns: str = NAMESPACE, attributes: str = ""
) -> bytes:
    """Return a file with these elements, each on lines of its own."""
    body = "\n".join(elements)
    return (
        f'<definitions xmlns="{ns}" id="file" name="file" namespace="{namespace}" {attributes}>\n'
        f"{body}\n</definitions>"
    ).encode()


def input_data(name: str, type_ref: str = "") -> str:
    """Return an input data element `in_NAME`."""
    return f'<inputData id="in_{name}" name="{name}">{variable(name, type_ref)}</inputData>'


def variable(name: str, type_ref: str = "") -> str:
    typed = f' typeRef="{type_ref}"' if type_ref else ""
    return f'<variable name="{name}"{typed}/>'


def literal(text: str, type_ref: str = "") -> str:
    typed = f' typeRef="{type_ref}"' if type_ref else ""
    return f"<literalExpression{typed}><text>{escape(text)}</text></literalExpression>"


def decision(
    name: str,
    logic: str = "",
    *,
    inputs: Sequence[str] = (),
    decisions: Sequence[str] = (),
    knowledge: Sequence[str] = (),
    type_ref: str = "",
) -> str:
    """Return a decision whose id is its name; requirements are names, or hrefs when they hold a '#'."""
    needs = "".join(
        f"<{group}><{kind} href={quoteattr(n if '#' in n else f'#{prefix}{n}')}/></{group}>"
        for names, group, kind, prefix in (
            (inputs, "informationRequirement", "requiredInput", "in_"),
            (decisions, "informationRequirement", "requiredDecision", ""),
            (knowledge, "knowledgeRequirement", "requiredKnowledge", ""),
        )
        for n in names
    )
    return (
        f'<decision id="{name}" name="{name}">{variable(name, type_ref)}{needs}{logic}</decision>'
    )


def knowledge_model(
    name: str, parameters: Sequence[str], logic: str, knowledge: Sequence[str] = ()
) -> str:
    formal = "".join(f'<formalParameter name="{p}"/>' for p in parameters)
    needs = "".join(
        f'<knowledgeRequirement><requiredKnowledge href="#{n}"/></knowledgeRequirement>'
        for n in knowledge
    )
    return (
        f'<businessKnowledgeModel id="{name}" name="{name}">{variable(name)}'
        f"<encapsulatedLogic>{formal}{logic}</encapsulatedLogic>{needs}</businessKnowledgeModel>"
    )


def table(
    inputs: Sequence[str],
    outputs: Sequence[str],
    rules: Sequence[str],
    *,
    hit: str = "UNIQUE",
    aggregation: str = "",
) -> str:
    """Return a decision table.

    An input is `expression: type [allowed]`, an output `name: type [allowed] default`, type and the rest optional;
    a rule is its cells with `|` between columns and `||` before the first output.
    """
    folded = f' aggregation="{aggregation}"' if aggregation else ""
    head = "".join(map(_input, inputs)) + "".join(map(_output, outputs))
    rows = "".join(_rule(n, rule) for n, rule in enumerate(rules, start=1))
    return f'<decisionTable id="table" hitPolicy="{hit}"{folded}>{head}{rows}</decisionTable>'


def _parts(text: str) -> tuple[str, str, str, str]:
    name, _, rest = text.partition(":")
    type_ref, bracket, rest = rest.partition("[")
    allowed, _, default = rest.rpartition("]") if bracket else ("", "", "")
    return name.strip(), type_ref.strip(), allowed.strip(), default.strip()


def _input(text: str) -> str:
    name, type_ref, allowed, _ = _parts(text)
    typed = f' typeRef="{type_ref}"' if type_ref else ""
    values = f"<inputValues><text>{escape(allowed)}</text></inputValues>" if allowed else ""
    return f"<input><inputExpression{typed}><text>{escape(name)}</text></inputExpression>{values}</input>"


def _output(text: str) -> str:
    name, type_ref, allowed, default = _parts(text)
    typed = f' typeRef="{type_ref}"' if type_ref else ""
    values = f"<outputValues><text>{escape(allowed)}</text></outputValues>" if allowed else ""
    fallback = (
        f"<defaultOutputEntry><text>{escape(default)}</text></defaultOutputEntry>"
        if default
        else ""
    )
    return f'<output name="{name}"{typed}>{values}{fallback}</output>'


def _rule(number: int, text: str) -> str:
    tests, _, answers = text.partition("||")
    cells = [
        f"<{kind}><text>{escape(cell.strip())}</text></{kind}>"
        for kind, half in (("inputEntry", tests), ("outputEntry", answers))
        for cell in half.split("|")
        if half.strip()
    ]
    return f'<rule id="r{number}">{"".join(cells)}</rule>'
