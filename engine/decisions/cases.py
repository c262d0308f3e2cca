"""Test cases for decisions, in the XML of the DMN test kit and in a simple YAML table.

YAML, beside the model as `NAME.test.yaml`:

    decision: retry_policy            # asked unless a case names another
    cases:
      - name: a first timeout is tried again
        inputs: {failure_class: timeout, failure_count: 1}
        expect: {action: retry, delay_seconds: 5}    # the whole answer
        contains: {action: retry}                    # or a part of it
        rules: [10]                                  # optional: the rows that must match
        outcome: matched                             # optional

Dates and times in YAML are text as FEEL writes them; an input with a temporal type reads them as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

import yaml
from lxml import etree

from engine.decisions.evaluation import DecisionModel
from engine.decisions.explanation import Explanation, show
from engine.decisions.xml import parse_xml
from engine.errors import DefinitionError, EngineError
from engine.feel import Value, evaluate, from_json, to_json
from engine.frozen import dataclass

TCK: Final = "{http://www.omg.org/spec/DMN/20160719/testcase}"
XSI: Final = "{http://www.w3.org/2001/XMLSchema-instance}"
TOLERANCE: Final = Decimal("1e-8")  #: how far numbers may lie apart, as in the kit
MAX_CASES: Final = 100_000

NUMBERS: Final = frozenset({"decimal", "double", "float", "integer", "int", "long"})
TEMPORALS: Final = {
    "date": "date",
    "time": "time",
    "dateTime": "date and time",
    "duration": "duration",
    "dayTimeDuration": "duration",
    "yearMonthDuration": "duration",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Expectation:
    """What one decision must answer."""

    decision: str
    value: Value = None
    part: bool = False  #: `value` is a context of which only the named entries count
    rows: tuple[int, ...] | None = None  #: rows that must match, in order; None: any
    outcome: str = ""  #: empty: any
    error: bool = False  #: an error is as good as null


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """Inputs and what must follow from them."""

    name: str
    where: str  #: file, or `file:line`
    inputs: Mapping[str, Value]
    expectations: tuple[Expectation, ...]
    service: str = ""  #: the decision service to ask; empty: the decisions themselves


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """All cases of one file."""

    source: str
    model: str  #: file name of the model, empty when the file does not say
    cases: tuple[Case, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """How one case went."""

    case: Case
    problems: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether everything was as expected."""
        return not self.problems


def read_cases(content: bytes, source: str) -> Suite:
    """Return the cases of a YAML or TCK XML file; which of the two is seen from the first character.

    Raises DefinitionError with `file:line`.
    """
    if content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<"):
        return _read_tck(content, source)
    return _read_yaml(content, source)


def play(model: DecisionModel, suite: Suite, now: object = None) -> tuple[Result, ...]:
    """Return how each case of `suite` goes on `model`, in order; `now` is what `now()` and `today()` answer."""
    return tuple(
        Result(case=case, problems=tuple(_problems(model, case, now))) for case in suite.cases
    )


# --- playing ---


def _problems(model: DecisionModel, case: Case, now: object) -> Iterator[str]:
    for wanted in case.expectations:
        try:
            answer = _ask(model, case, wanted, now)
        except EngineError as error:
            if not wanted.error:
                yield f"{wanted.decision}: expected {show(wanted.value)}, but got an error: {error}"
            continue
        yield from _differences(wanted, *answer)


def _ask(
    model: DecisionModel, case: Case, wanted: Expectation, now: object
) -> tuple[Value, Explanation | None]:
    if not case.service:
        explanation = model.explain(wanted.decision, case.inputs, now=now)
        return explanation.value, explanation
    value = model.evaluate_service(case.service, case.inputs, now=now)
    if isinstance(value, Mapping) and model.service_outputs(case.service) > 1:
        return value.get(wanted.decision), None
    return value, None


def _differences(
    wanted: Expectation, value: Value, explanation: Explanation | None
) -> Iterator[str]:
    name = wanted.decision
    if wanted.part and isinstance(wanted.value, Mapping):
        found = value if isinstance(value, Mapping) else {}
        for key, part in wanted.value.items():
            if key not in found or not same(part, found[key]):
                got = show(found[key]) if key in found else "no such output"
                yield f"{name}.{key}: expected {show(part)}, but got {got}"
    elif not same(wanted.value, value):
        yield f"{name}: expected {show(wanted.value)}, but got {show(value)}"
    if explanation is None:
        return
    asked = explanation.decisions[-1]
    rows = tuple(rule.row for rule in asked.rules)
    if wanted.rows is not None and wanted.rows != rows:
        yield f"{name}: expected rows {list(wanted.rows)} to match, but got {list(rows)}"
    if wanted.outcome and wanted.outcome != explanation.outcome.value:
        yield f"{name}: expected outcome {wanted.outcome}, but got {explanation.outcome.value}"


def same(wanted: Value, found: Value) -> bool:
    """Compare as the kit does: numbers within 1e-8, text with anything by its text, the rest by value."""
    if wanted is None or found is None:
        return wanted is None and found is None
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if isinstance(wanted, int | Decimal) and isinstance(found, int | Decimal):
        return abs(Decimal(wanted) - Decimal(found)) < TOLERANCE
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        return len(wanted) == len(found) and all(
            key in found and same(part, found[key]) for key, part in wanted.items()
        )
    if isinstance(wanted, list | tuple) and isinstance(found, list | tuple):
        return len(wanted) == len(found) and all(map(same, wanted, found))
    if isinstance(wanted, str) or isinstance(found, str):
        return str(to_json(wanted)) == str(to_json(found))
    return bool(wanted == found)


# --- the XML of the test kit ---


def _read_tck(content: bytes, source: str) -> Suite:
    root = parse_xml(content, source)
    if root.tag != f"{TCK}testCases":
        raise DefinitionError(
            where=f"{source}:{root.sourceline}",
            expected="<testCases> of the DMN test kit",
            got=f"<{etree.QName(root).localname}>",
        )
    return Suite(
        source=source,
        model=(root.findtext(f"{TCK}modelName") or "").strip(),
        cases=tuple(_tck_case(e, source) for e in root.findall(f"{TCK}testCase")),
    )


def _tck_case(e: etree._Element, source: str) -> Case:
    return Case(
        name=e.get("id", "") or (e.findtext(f"{TCK}description") or "").strip(),
        where=f"{source}:{e.sourceline}",
        inputs={n.get("name", ""): _tck_value(n, source) for n in e.findall(f"{TCK}inputNode")},
        service=e.get("invocableName", "") if e.get("type") == "decisionService" else "",
        expectations=tuple(
            Expectation(
                decision=n.get("name", ""),
                value=_tck_value(n.find(f"{TCK}expected"), source),
                error=n.get("errorResult") == "true",
            )
            for n in e.findall(f"{TCK}resultNode")
        ),
    )


def _tck_value(e: etree._Element | None, source: str) -> Value:
    if e is None or _is_nil(e):
        return None
    items = e.find(f"{TCK}list")
    if items is not None:
        if _is_nil(items):
            return None
        return [_tck_value(i, source) for i in items.findall(f"{TCK}item")]
    components = e.findall(f"{TCK}component")
    if components:
        return {c.get("name", ""): _tck_value(c, source) for c in components}
    leaf = e.find(f"{TCK}value")
    return None if leaf is None or _is_nil(leaf) else _tck_leaf(leaf, source)


def _is_nil(e: etree._Element) -> bool:
    return e.get(f"{XSI}nil") in ("true", "1")


def _tck_leaf(e: etree._Element, source: str) -> Value:
    text = e.text or ""
    kind = e.get(f"{XSI}type", "string").rpartition(":")[2]
    if kind == "boolean":
        return text.strip() in ("true", "1")
    if kind in NUMBERS:
        return _number(text.strip(), f"{source}:{e.sourceline}")
    if kind in TEMPORALS:
        return evaluate(f"{TEMPORALS[kind]}(text)", {"text": text.strip()})
    return text


def _number(text: str, where: str) -> Decimal:
    try:
        return Decimal(text)
    except InvalidOperation:
        raise DefinitionError(where=where, expected="a number", got=repr(text)) from None


# --- YAML ---


class _Loader(yaml.SafeLoader):
    """YAML without its surprises: decimal numbers; no dates, aliases or doubled keys; yes and no are text."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            event = self.peek_event()  # type: ignore[no-untyped-call]  # types-PyYAML leaves it out
            raise yaml.composer.ComposerError(None, None, "aliases are not read", event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        seen: set[object] = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if not isinstance(name, str) or name in seen:
                problem = "a key twice" if name in seen else "a key that is not text"
                raise yaml.constructor.ConstructorError(None, None, problem, key.start_mark)
            seen.add(name)
        return super().construct_mapping(node, deep=deep)

    def construct_decimal(self, node: yaml.ScalarNode) -> Decimal:
        try:
            return Decimal(node.value.replace("_", ""))
        except InvalidOperation:
            raise yaml.constructor.ConstructorError(
                None, None, f"expected a number, but got {node.value!r}", node.start_mark
            ) from None


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in found if not tag.endswith((":timestamp", ":bool"))]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("(?:true|false)$"), list("tf"))
_Loader.add_constructor("tag:yaml.org,2002:float", _Loader.construct_decimal)


def _read_yaml(content: bytes, source: str) -> Suite:
    try:
        loaded = yaml.load(content, Loader=_Loader)
    except (yaml.YAMLError, RecursionError, UnicodeDecodeError) as cause:
        mark = getattr(cause, "problem_mark", None)
        where = f"{source}:{mark.line + 1}" if mark else source
        got = getattr(cause, "problem", None) or str(cause)
        raise DefinitionError(where=where, expected="readable YAML", got=got) from cause
    top = _fields(loaded, source, {"decision", "service", "model", "cases"})
    rows = top.get("cases")
    if not isinstance(rows, list) or not rows or len(rows) > MAX_CASES:
        raise DefinitionError(
            where=source,
            expected="'cases', a list with at least one case",
            got=f"{type(rows).__name__}",
        )
    return Suite(
        source=source,
        model=str(top.get("model", "")),
        cases=tuple(_yaml_case(row, n, top, source) for n, row in enumerate(rows, start=1)),
    )


def _yaml_case(row: object, number: int, top: Mapping[str, object], source: str) -> Case:
    where = f"{source} case {number}"
    keys = {"name", "decision", "service", "inputs", "expect", "contains", "rules", "outcome"}
    fields = _fields(row, where, keys)
    service = str(fields.get("service", top.get("service", "")))
    decision = str(fields.get("decision", top.get("decision", service)))
    if not decision:
        raise DefinitionError(where=where, expected="'decision'", got="none")
    if (
        not {"expect", "contains", "rules", "outcome"} & fields.keys()
        or {
            "expect",
            "contains",
        }
        <= fields.keys()
    ):
        raise DefinitionError(
            where=where,
            expected="'expect' or 'contains' (or 'rules', 'outcome')",
            got=f"{sorted(fields)}",
        )
    return Case(
        name=str(fields.get("name", f"case {number}")),
        where=where,
        inputs=_values(_fields(fields.get("inputs") or {}, f"{where} inputs")),
        service=service,
        expectations=(_yaml_expectation(fields, decision, where),),
    )


def _yaml_expectation(fields: Mapping[str, object], decision: str, where: str) -> Expectation:
    part = "expect" not in fields
    rules = fields.get("rules")
    rows = rules if isinstance(rules, list) and all(type(r) is int for r in rules) else None
    if "rules" in fields and rows is None:
        raise DefinitionError(
            where=where, expected="'rules', a list of row numbers", got=repr(rules)
        )
    value = _fields(fields.get("contains") or {}, f"{where} contains") if part else fields["expect"]
    return Expectation(
        decision=decision,
        value=_value(value),
        part=part,
        rows=None if rows is None else tuple(rows),
        outcome=str(fields.get("outcome", "")),
    )


def _fields(value: object, where: str, known: set[str] | None = None) -> dict[str, object]:
    if not isinstance(value, dict):
        raise DefinitionError(where=where, expected="named entries", got=type(value).__name__)
    unknown = sorted(value.keys() - known) if known is not None else []
    if unknown:
        raise DefinitionError(
            where=where, expected=f"one of {', '.join(sorted(known or ()))}", got=f"{unknown[0]!r}"
        )
    return value


def _values(fields: Mapping[str, object]) -> dict[str, Value]:
    return {name: _value(value) for name, value in fields.items()}


def _value(value: object) -> Value:
    """Return what YAML held as a FEEL value."""
    return from_json(value)
