"""The compiled check and the full validator give the same answer for every schema and value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from engine.contracts.compiled import Unsupported, compile_schema
from engine.contracts.violations import Validator
from engine.errors import DefinitionError

NAMES = st.sampled_from(["a", "b", "c"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([Decimal("1"), Decimal("1.0"), Decimal("1.5"), Decimal("-2")]),
    st.sampled_from(["", "a", "ab", "b\n", "é"]),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(NAMES, inner, max_size=3),
    ),
    max_leaves=8,
)
TYPES = st.sampled_from(["object", "array", "string", "integer", "number", "boolean", "null"])
SIZES = st.integers(0, 3)


def _schemas(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    some = st.lists(inner, min_size=1, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            "type": st.one_of(TYPES, st.lists(TYPES, min_size=1, max_size=2, unique=True)),
            "enum": st.lists(VALUES, min_size=1, max_size=3),
            "const": VALUES,
            "properties": st.dictionaries(NAMES, inner, max_size=2),
            "required": st.lists(NAMES, max_size=2, unique=True),
            "additionalProperties": inner,
            "propertyNames": inner,
            "items": inner,
            "prefixItems": some,
            "minItems": SIZES,
            "maxItems": SIZES,
            "uniqueItems": st.booleans(),
            "minLength": SIZES,
            "maxLength": SIZES,
            "minProperties": SIZES,
            "maxProperties": SIZES,
            "pattern": st.sampled_from(["^a", "b$", "^$", "[$]"]),
            "minimum": st.integers(-2, 2),
            "maximum": st.integers(-2, 2),
            "exclusiveMinimum": st.integers(-2, 2),
            "exclusiveMaximum": st.integers(-2, 2),
            "allOf": some,
            "anyOf": some,
            "oneOf": some,
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
            "title": st.just("t"),
            "$ref": st.just("#/$defs/d"),
        },
    )


SCHEMAS = st.recursive(st.booleans(), _schemas, max_leaves=6)


POOL: list[Any] = [
    None, True, False, 0, 1, 2, 3, -1, Decimal("1"), Decimal("1.0"), Decimal("1.5"), Decimal("NaN"),
    "", "a", "ab", "abc", "b\n", [], [1], [1, 1], [1, True], [1, "1"], (1, 2), [[1], [1]], [{"a": 1}, {"a": 1}],
    {}, {"a": 1}, {"a": "x", "b": 2}, {"c": None},
]  # fmt: skip
KEYWORDS: list[tuple[str, Any]] = [
    *(("type", name) for name in ["object", "array", "string", "integer", "number", "boolean", "null"]),
    ("type", ["string", "null"]), ("enum", [1, "a", [1], {"a": 1}]), ("enum", ["a", "ab"]), ("enum", [True]),
    ("const", 1), ("const", True), ("const", [1, 2]), ("const", {"a": 1}),
    ("properties", {"a": {"type": "integer"}}), ("required", ["a"]), ("additionalProperties", False),
    ("additionalProperties", {"type": "integer"}), ("propertyNames", {"pattern": "^a"}),
    ("items", {"type": "integer"}), ("items", False), ("prefixItems", [{"const": 1}, {"const": 2}]),
    ("minItems", 1), ("maxItems", 1), ("uniqueItems", True), ("uniqueItems", False),
    ("minLength", 2), ("maxLength", 1), ("minProperties", 1), ("maxProperties", 1), ("pattern", "b$"),
    ("minimum", 1), ("maximum", 1), ("exclusiveMinimum", 1), ("exclusiveMaximum", 1),
    ("allOf", [{"type": "integer"}, {"minimum": 1}]), ("anyOf", [{"type": "string"}, {"minimum": 2}]),
    ("oneOf", [{"type": "integer"}, {"minimum": 2}]), ("not", {"type": "integer"}), ("title", "t"),
]  # fmt: skip


@pytest.mark.parametrize(("keyword", "argument"), KEYWORDS)
def test_both_agree_on_each_keyword(keyword: str, argument: Any) -> None:
    schema = {keyword: argument}
    is_kept = compile_schema(schema, _no_others)
    full = Validator("any.v1", schema, _no_others)
    kept = [is_kept(value) for value in POOL]
    assert kept == [full.violations(value) == () for value in POOL]
    assert any(kept), "the pool has no value that this keyword keeps, so nothing was compared"
    assert (False in kept) == (schema not in ({"title": "t"}, {"uniqueItems": False}))


@pytest.mark.parametrize(
    "schema",
    [
        {"items": {"type": "integer"}, "prefixItems": [{"type": "string"}]},
        {"if": {"type": "integer"}, "then": {"minimum": 1}, "else": {"type": "string"}},
        {"if": {"required": ["a"]}, "then": {"required": ["b"]}},
        {"then": False, "else": False},
        {"properties": {"a": True}, "additionalProperties": False},
    ],
)
def test_both_agree_on_keywords_that_belong_together(schema: Any) -> None:
    is_kept = compile_schema(schema, _no_others)
    full = Validator("any.v1", schema, _no_others)
    assert [is_kept(value) for value in POOL] == [full.violations(v) == () for v in POOL]


@pytest.mark.parametrize("keyword", ["contains", "patternProperties", "multipleOf", "dependentRequired", "unheard"])  # fmt: skip
def test_what_the_compiler_does_not_know_is_never_skipped(keyword: str) -> None:
    with pytest.raises(Unsupported):
        compile_schema({keyword: {}}, _no_others)


def _no_others(name: str) -> Any:
    raise DefinitionError(name)


@given(schema=SCHEMAS, part=SCHEMAS, values=st.lists(VALUES, min_size=1, max_size=5))
@settings(max_examples=60, deadline=None)
def test_both_agree(schema: Any, part: Any, values: list[Any]) -> None:
    assume(isinstance(schema, dict) and "$ref" not in str(part))
    schema = {**schema, "$defs": {"d": part}}
    try:
        is_kept = compile_schema(schema, _no_others)
    except Unsupported:
        assume(False)
    full = Validator("any.v1", schema, _no_others)
    for value in values:
        assert is_kept(value) == (full.violations(value) == ())
        assert (full.first(value) == ()) == (full.violations(value) == ())
