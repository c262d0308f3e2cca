"""Turn a schema into a function that says whether a value keeps it, for the keywords our contracts use.

The answer must be that of `jsonschema`; a keyword that is not here raises Unsupported, never is it skipped.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal

from engine.core.model import Json

Check = Callable[[Json], bool]
FindSchema = Callable[[str], Json]

_ANNOTATIONS = frozenset(
    (
        "$schema",
        "$id",
        "$defs",
        "$comment",
        "title",
        "description",
        "default",
        "examples",
        "deprecated",
        "format",
        "readOnly",
        "writeOnly",
    )
)


class Unsupported(Exception):
    """The schema uses something that only the full validator knows."""


def compile_schema(schema: Json, find: FindSchema) -> Check:
    """Return the check for `schema`; `find` gives the schema of another contract by its name."""
    return _Document(schema, find, {}).check(schema)


def is_number(value: object) -> bool:
    """Return whether `value` is a JSON number: int, finite Decimal or float; True is none."""
    if isinstance(value, Decimal):
        return value.is_finite()
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_integer(value: object) -> bool:
    """Return whether `value` is a number without fraction: 1, 1.0 and Decimal("1.00") are."""
    if isinstance(value, int):
        return not isinstance(value, bool)
    if isinstance(value, Decimal):
        return value.is_finite() and value == value.to_integral_value()
    return isinstance(value, float) and value.is_integer()


def is_array(value: object) -> bool:
    """Return whether `value` is a JSON array: a list or a tuple."""
    return isinstance(value, list | tuple)


def end_anchored(pattern: str) -> str:
    r"""Return `pattern` with `$` meaning the end of the text only.

    >>> end_anchored(r"^[$]\$x$")
    '^[$]\\$x\\Z'
    """
    parts = re.findall(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.", pattern, re.DOTALL)
    return "".join(r"\Z" if part == "$" else part for part in parts)


_TYPES: Mapping[str, Callable[[object], bool]] = {
    "object": lambda value: isinstance(value, Mapping),
    "array": is_array,
    "string": lambda value: isinstance(value, str),
    "integer": is_integer,
    "number": is_number,
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
}


class _Document:
    """One schema document while it is compiled; `$ref` may lead round in circles."""

    def __init__(self, root: Json, find: FindSchema, others: dict[str, _Document]) -> None:
        self._root = root
        self._find = find
        self._others = others
        self._refs: dict[str, Check] = {}

    def check(self, schema: Json) -> Check:
        if isinstance(schema, bool):
            return _always if schema else _never
        if not isinstance(schema, Mapping):
            raise Unsupported
        checks = [self._object(schema)] if schema.keys() & _OBJECT_KEYWORDS else []
        for keyword, argument in schema.items():
            if keyword in _OBJECT_KEYWORDS or keyword in _ANNOTATIONS:
                if keyword == "$id" and schema is not self._root:
                    raise Unsupported
            elif keyword in _SIMPLE:
                checks.insert(0 if keyword == "type" else len(checks), _SIMPLE[keyword](argument))
            else:
                checks.append(self._applicator(keyword, argument, schema))
        return _all_of(checks)

    def _object(self, schema: Mapping[str, Json]) -> Check:
        required = tuple(_texts(schema.get("required", ())))
        given = schema.get("properties", {})
        if not isinstance(given, Mapping):
            raise Unsupported
        properties = {name: self.check(part) for name, part in given.items()}
        rest = self.check(schema.get("additionalProperties", True))
        names = self.check(schema["propertyNames"]) if "propertyNames" in schema else None

        def check(value: Json) -> bool:
            if not isinstance(value, Mapping):
                return True
            for name in required:
                if name not in value:
                    return False
            for name, member in value.items():
                if not properties.get(name, rest)(member):
                    return False
            return names is None or all(names(name) for name in value)

        return check

    def _applicator(self, keyword: str, argument: Json, schema: Mapping[str, Json]) -> Check:
        match keyword:
            case "$ref":
                return self._reference(argument)
            case "items":
                return self._items(argument, schema)
            case "prefixItems":
                return self._prefix(self._checks(argument))
            case "allOf":
                return _all_of(self._checks(argument))
            case "anyOf":
                some = self._checks(argument)
                return lambda value: any(check(value) for check in some)
            case "oneOf":
                each = self._checks(argument)
                return lambda value: sum(check(value) for check in each) == 1
            case "not":
                refused = self.check(argument)
                return lambda value: not refused(value)
            case "if":
                return self._condition(argument, schema)
            case "then" | "else":
                return _always  # part of "if"; alone they say nothing
        raise Unsupported

    def _checks(self, schemas: Json) -> list[Check]:
        if not isinstance(schemas, list | tuple):
            raise Unsupported
        return [self.check(schema) for schema in schemas]

    def _items(self, argument: Json, schema: Mapping[str, Json]) -> Check:
        each = self.check(argument)
        prefix = schema.get("prefixItems", ())
        first = len(prefix) if isinstance(prefix, list | tuple) else 0

        def check(value: Json) -> bool:
            if not isinstance(value, list | tuple):
                return True
            return all(map(each, value[first:] if first else value))

        return check

    def _prefix(self, checks: list[Check]) -> Check:
        def check(value: Json) -> bool:
            if not isinstance(value, list | tuple):
                return True
            return all(one(item) for one, item in zip(checks, value, strict=False))

        return check

    def _condition(self, argument: Json, schema: Mapping[str, Json]) -> Check:
        question = self.check(argument)
        then, otherwise = self.check(schema.get("then", True)), self.check(schema.get("else", True))
        return lambda value: then(value) if question(value) else otherwise(value)

    def _reference(self, reference: Json) -> Check:
        if not isinstance(reference, str):
            raise Unsupported
        name, _, pointer = reference.partition("#")
        if name:
            return self._other(name)._pointed(pointer)
        return self._pointed(pointer)

    def _other(self, name: str) -> _Document:
        if "/" in name or ":" in name:
            raise Unsupported
        if name not in self._others:
            self._others[name] = _Document(self._find(name), self._find, self._others)
        return self._others[name]

    def _pointed(self, pointer: str) -> Check:
        """Return the check for the schema at `pointer`. It is compiled once; meanwhile it may refer to itself."""
        known = self._refs.get(pointer)
        if known is not None:
            return known
        compiled: list[Check] = []
        self._refs[pointer] = lambda value: compiled[0](value)
        compiled.append(self.check(_at(self._root, pointer)))
        self._refs[pointer] = compiled[0]
        return compiled[0]


def _at(schema: Json, pointer: str) -> Json:
    if pointer and not pointer.startswith("/"):
        raise Unsupported  # an anchor
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(schema, Mapping) or name not in schema or "%" in name:
            raise Unsupported
        schema = schema[name]
    return schema


def _always(value: Json) -> bool:
    return True


def _never(value: Json) -> bool:
    return False


def _all_of(checks: list[Check]) -> Check:
    if len(checks) == 1:
        return checks[0]

    def check(value: Json) -> bool:
        for one in checks:  # noqa: SIM110  # twice as fast as all(); this runs for every job
            if not one(value):
                return False
        return True

    return check


def _type(argument: Json) -> Check:
    names = (argument,) if isinstance(argument, str) else tuple(_texts(argument))
    if not set(names) <= set(_TYPES):
        raise Unsupported
    if names == ("string",):
        return lambda value: isinstance(value, str)
    if names == ("object",):
        return lambda value: type(value) is dict or isinstance(value, Mapping)
    tests = [_TYPES[name] for name in names]
    return tests[0] if len(tests) == 1 else lambda value: any(test(value) for test in tests)


def _enum(argument: Json) -> Check:
    if not isinstance(argument, list | tuple):
        raise Unsupported
    if all(isinstance(choice, str) for choice in argument):
        choices = frozenset(argument)
        return lambda value: isinstance(value, str) and value in choices
    return lambda value: any(_equal(value, choice) for choice in argument)


def _const(argument: Json) -> Check:
    return lambda value: _equal(value, argument)


def _pattern(argument: Json) -> Check:
    if not isinstance(argument, str):
        raise Unsupported
    try:
        search = re.compile(end_anchored(argument)).search
    except re.error as error:
        raise Unsupported from error
    return lambda value: not isinstance(value, str) or search(value) is not None


def _length(kind: tuple[type, ...], within: Callable[[int, int], bool]) -> Callable[[Json], Check]:
    def compile_limit(argument: Json) -> Check:
        if not is_integer(argument):
            raise Unsupported
        limit = int(argument)  # type: ignore[arg-type]  # a number: checked above
        return lambda value: not isinstance(value, kind) or within(len(value), limit)  # type: ignore[arg-type]  # all of `kind` have a length

    return compile_limit


def _bound(within: Callable[[Json, Json], bool]) -> Callable[[Json], Check]:
    def compile_limit(argument: Json) -> Check:
        if not is_number(argument):
            raise Unsupported
        return lambda value: not is_number(value) or within(value, argument)

    return compile_limit


def _unique(argument: Json) -> Check:
    def check(value: Json) -> bool:
        if not isinstance(value, list | tuple):
            return True
        if all(isinstance(item, str) for item in value):
            return len(set(value)) == len(value)
        return not any(_equal(a, b) for n, a in enumerate(value) for b in value[:n])

    return check if argument is True else _always


def _equal(a: Json, b: Json) -> bool:
    """Return whether two JSON values are equal: 1 equals 1.0, but not true; a tuple equals a list."""
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    if isinstance(a, list | tuple) and isinstance(b, list | tuple):
        return len(a) == len(b) and all(map(_equal, a, b))
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        return a.keys() == b.keys() and all(_equal(a[name], b[name]) for name in a)
    return a == b


def _texts(value: Json) -> list[str]:
    if not isinstance(value, list | tuple):
        raise Unsupported
    texts = [item for item in value if isinstance(item, str)]
    if len(texts) != len(value):
        raise Unsupported
    return texts


_OBJECT_KEYWORDS = frozenset(("properties", "required", "additionalProperties", "propertyNames"))
_SIMPLE: Mapping[str, Callable[[Json], Check]] = {
    "type": _type,
    "enum": _enum,
    "const": _const,
    "pattern": _pattern,
    "uniqueItems": _unique,
    "minLength": _length((str,), lambda size, limit: size >= limit),
    "maxLength": _length((str,), lambda size, limit: size <= limit),
    "minItems": _length((list, tuple), lambda size, limit: size >= limit),
    "maxItems": _length((list, tuple), lambda size, limit: size <= limit),
    "minProperties": _length((Mapping,), lambda size, limit: size >= limit),
    "maxProperties": _length((Mapping,), lambda size, limit: size <= limit),
    "minimum": _bound(lambda value, limit: value >= limit),  # type: ignore[operator]  # both are numbers
    "maximum": _bound(lambda value, limit: value <= limit),  # type: ignore[operator]  # both are numbers
    "exclusiveMinimum": _bound(lambda value, limit: value > limit),  # type: ignore[operator]  # both are numbers
    "exclusiveMaximum": _bound(lambda value, limit: value < limit),  # type: ignore[operator]  # both are numbers
}
