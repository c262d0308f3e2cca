"""The compiled check and the full validator give the same answer for every schema and value."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

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


def _no_others(name: str) -> Any:
    raise DefinitionError(name)


@given(schema=SCHEMAS, part=SCHEMAS, values=st.lists(VALUES, min_size=1, max_size=5))
@settings(max_examples=100, deadline=None)
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
