"""Say what is wrong with a value that breaks its contract, in our words; `jsonschema` finds it."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import jsonschema
import referencing
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError, best_match
from referencing.jsonschema import DRAFT202012

from engine.contracts.compiled import end_anchored, is_array, is_integer, is_number
from engine.core.model import Json
from engine.errors import ContractError, DefinitionError, EngineError

Error = Any  # jsonschema's ValidationError; its types say that each field may be unset
_SHOWN = 120  # characters of a wrong value in a message


def _pattern(
    validator: object, pattern: str, value: object, schema: object
) -> Iterator[ValidationError]:
    if isinstance(value, str) and not re.search(end_anchored(pattern), value):
        yield ValidationError(f"{value!r} does not match {pattern!r}")


_Validator: Any = jsonschema.validators.extend(  # type: ignore[no-untyped-call]  # untyped there; Any: a class made at run time
    Draft202012Validator,
    {"pattern": _pattern},
    type_checker=Draft202012Validator.TYPE_CHECKER.redefine_many(
        {
            "array": lambda _, value: is_array(value),
            "object": lambda _, value: isinstance(value, Mapping),
            "number": lambda _, value: is_number(value),
            "integer": lambda _, value: is_integer(value),
        }
    ),
)


class Validator:
    """The full check of one contract. Raises DefinitionError when the contract itself is no valid schema."""

    def __init__(self, name: str, schema: Json, find: Callable[[str], Json]) -> None:
        self._name = name
        try:
            Draft202012Validator.check_schema(schema)  # type: ignore[arg-type]  # a schema may be a boolean
        except jsonschema.SchemaError as error:
            raise DefinitionError(
                f"contract {name} is no valid JSON Schema",
                where=_pointer(error.absolute_path),
                got=error.message[:300],
            ) from error
        registry: referencing.Registry[Any] = referencing.Registry(  # Any: the library's own type
            retrieve=lambda uri: DRAFT202012.create_resource(_found(find, uri))  # type: ignore[call-arg]  # an attrs field that its stub hides
        )
        self._validator = _Validator(_without_dialect(schema), registry=registry)

    def first(self, value: Json) -> tuple[ContractError, ...]:
        """Return the most telling violation by `value`, or nothing."""
        best = best_match(self._errors(value))
        return self._sentences(best)[:1] if best else ()

    def violations(self, value: Json) -> tuple[ContractError, ...]:
        """Return every violation by `value`, ordered by place."""
        errors = sorted(self._errors(value), key=_place)
        return tuple(sentence for error in errors for sentence in self._sentences(error))

    def _errors(self, value: Json) -> list[Error]:
        try:
            return list(self._validator.iter_errors(value))
        except referencing.exceptions.Unresolvable as error:
            raise DefinitionError(
                f"contract {self._name} refers to what is not there", got=str(error.ref)
            ) from error
        except RecursionError as error:
            raise ContractError(
                "the value is nested too deeply", contract=self._name, expected="fewer levels"
            ) from error

    def _sentences(self, error: Error) -> tuple[ContractError, ...]:
        if error.context:
            error = best_match(iter([error])) or error
        where = _pointer(error.absolute_path)
        if error.validator == "additionalProperties" and isinstance(error.instance, Mapping):
            return tuple(self._unknown(where, name, error) for name in _extra_names(error))
        return (self._violation(where, _expected(error), _got(error), _hint(error)),)

    def _unknown(self, where: str, name: str, error: Error) -> ContractError:
        known = sorted(error.schema.get("properties", ()))
        close = difflib.get_close_matches(name, known, n=1)
        hint = f"Did you mean {close[0]}?" if close else f"Known here: {', '.join(known)}."
        return self._violation(f"{where}/{_escaped(name)}", "no property of this name", "one", hint)

    def _violation(self, where: str, expected: str, got: str, hint: str) -> ContractError:
        return ContractError(
            f"breaks contract {self._name}",
            contract=self._name,
            where=where,
            expected=expected,
            got=got,
            hint=hint,
        )


def _found(find: Callable[[str], Json], uri: str) -> Any:  # Any: what referencing takes
    try:
        return _without_dialect(find(uri))
    except EngineError as error:
        raise referencing.exceptions.NoSuchResource(uri) from error


def _without_dialect(schema: Json) -> Json:
    """Return `schema` without `$schema`: jsonschema would take its own validator class for it instead of ours."""
    if not isinstance(schema, Mapping):
        return schema
    return {name: part for name, part in schema.items() if name != "$schema"}


def _place(error: Error) -> list[tuple[int, str]]:
    """Return what sorts errors by place: item 2 before item 10."""
    return [(part, "") if isinstance(part, int) else (-1, part) for part in error.absolute_path]


def _pointer(path: Any) -> str:  # Any: jsonschema's deque of names and numbers
    return "".join(f"/{_escaped(str(part))}" for part in path)


def _escaped(part: str) -> str:
    return part.replace("~", "~0").replace("/", "~1")


def _extra_names(error: Error) -> list[str]:
    known = error.schema.get("properties", {})
    patterns = error.schema.get("patternProperties", {})
    return [
        str(name)
        for name in error.instance
        if name not in known and not any(re.search(pattern, name) for pattern in patterns)
    ]


def _expected(error: Error) -> str:
    rule: Any = error.validator_value  # Any: what the schema holds at this keyword
    match error.validator:
        case "type":
            return " or ".join(rule) if isinstance(rule, list) else str(rule)
        case "required":
            return f"property {_missing(error)}"
        case "enum":
            return "one of " + ", ".join(map(_shown, rule))
        case "const":
            return _shown(rule)
        case "pattern":
            return f"text that matches {rule}"
        case "minimum":
            return f"at least {rule}"
        case "maximum":
            return f"at most {rule}"
        case "exclusiveMinimum":
            return f"more than {rule}"
        case "exclusiveMaximum":
            return f"less than {rule}"
        case "minLength":
            return f"text of at least {rule} characters" if rule > 1 else "text that is not empty"
        case "maxLength":
            return f"text of at most {rule} characters"
        case "minItems":
            return f"at least {rule} items"
        case "maxItems":
            return f"at most {rule} items"
        case "minProperties":
            return f"at least {rule} properties"
        case "maxProperties":
            return f"at most {rule} properties"
        case "uniqueItems":
            return "items that differ"
        case "oneOf" | "anyOf":
            return f"{'exactly one' if error.validator == 'oneOf' else 'one'} of {len(rule)} forms"
        case "not":
            return "another form"
        case None:
            return "nothing here"  # the schema `false`
    return f"{error.validator} {_shown(rule)}"


def _missing(error: Error) -> str:
    """Return the name of the property that is missing: jsonschema reports one at a time, but only in its text."""
    named = [name for name in error.validator_value if error.message.startswith(repr(name))]
    return max(named, key=len, default="")


def _got(error: Error) -> str:
    match error.validator:
        case "required":
            return "none"
        case "minItems" | "maxItems":
            return str(len(error.instance))
        case "minProperties" | "maxProperties":
            return str(len(error.instance))
        case "maxLength":
            return f"{len(error.instance)}"
    return _shown(error.instance)


def _hint(error: Error) -> str:
    if error.validator == "enum" and isinstance(error.instance, str):
        choices = [choice for choice in error.validator_value if isinstance(choice, str)]
        close = difflib.get_close_matches(error.instance, choices, n=1)
        return f"Did you mean {close[0]}?" if close else ""
    return ""


def _shown(value: object) -> str:
    if isinstance(value, Decimal):
        return str(value)
    text = json.dumps(value, ensure_ascii=False, default=_plain)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _plain(value: object) -> object:
    return dict(value) if isinstance(value, Mapping) else str(value)
