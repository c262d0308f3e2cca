"""Functions outside of FEEL that a caller may allow: the harmless part of `java.lang` that models in the wild use.

Nothing is allowed by itself. Give `JAVA_LANG`, or a mapping of your own, as `externals`:

>>> from engine.feel import evaluate
>>> text = '{max: function(a, b) external {java: {class: "java.lang.Math", method signature: "max(int, int)"}}, x: max(3, 4)}.x'
>>> evaluate(text, externals=JAVA_LANG)
Decimal('4')

A key is `class.method(types)` without spaces. The function gets FEEL values and returns one; ArithmeticError, TypeError,
ValueError or LookupError make the result null.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from engine.feel.values import NUMBERS, Value, whole

_WIDTHS: Final = {"byte": 8, "short": 16, "int": 32, "long": 64}


def _number(value: Value) -> Decimal:
    if type(value) not in NUMBERS:
        raise TypeError("expected a number")
    return Decimal(value)


def _integer(value: Value, width: int) -> Decimal:
    number = whole(value)
    if number is None or not -(1 << width - 1) <= number < 1 << width - 1:
        raise ValueError(f"expected a whole number of {width} bits")
    return Decimal(number)


def _text(value: Value) -> str:
    if type(value) is not str:
        raise TypeError("expected a string")
    return value


def _character(value: Value) -> str:
    text = _text(value)
    if len(text) != 1:
        raise ValueError("expected a single character")
    return text


def _floating(value: float) -> Decimal:
    if not math.isfinite(value):
        raise ValueError("the result is no number")
    return Decimal(repr(value))


def _format(pattern: Value, *arguments: Value) -> str:
    """Replace each `%s` and `%d` by the next argument, and `%%` by a percent sign."""
    parts = _text(pattern).split("%")
    values = iter(arguments[0] if arguments and type(arguments[0]) is list else arguments)
    result, rest = parts[0], parts[1:]
    while rest:
        part = rest.pop(0)
        if not part and rest:
            result += "%" + rest.pop(0)
        elif part[:1] in ("s", "d"):
            value = next(values, None)
            if value is None:
                raise LookupError("fewer arguments than places")
            result += (str(value) if part[0] == "s" else str(_integer(value, 64))) + part[1:]
        else:
            raise ValueError("expected %s, %d or %% in the pattern")
    return result


def _of_java(signatures: Mapping[str, Callable[..., Value]]) -> Mapping[str, Callable[..., Value]]:
    return MappingProxyType({f"java.lang.{name}": body for name, body in signatures.items()})


#: functions of java.lang without effects
JAVA_LANG: Final[Mapping[str, Callable[..., Value]]] = _of_java(
    {
        **{f"Math.max({t},{t})": lambda a, b: max(_number(a), _number(b)) for t in ("double", "float")},
        **{f"Math.min({t},{t})": lambda a, b: min(_number(a), _number(b)) for t in ("double", "float")},
        **{
            f"Math.max({t},{t})": lambda a, b, t=t: max(
                _integer(a, _WIDTHS[t]), _integer(b, _WIDTHS[t])
            )
            for t in ("int", "long")
        },
        **{
            f"Math.min({t},{t})": lambda a, b, t=t: min(
                _integer(a, _WIDTHS[t]), _integer(b, _WIDTHS[t])
            )
            for t in ("int", "long")
        },
        "Math.cos(double)": lambda a: _floating(math.cos(_number(a))),
        "Math.sin(double)": lambda a: _floating(math.sin(_number(a))),
        "Math.tan(double)": lambda a: _floating(math.tan(_number(a))),
        "Byte.valueOf(byte)": lambda a: _integer(a, 8),
        "Short.valueOf(short)": lambda a: _integer(a, 16),
        "Integer.valueOf(int)": lambda a: _integer(a, 32),
        "Long.valueOf(long)": lambda a: _integer(a, 64),
        "Integer.valueOf(java.lang.String)": lambda a: _integer(int(_text(a)[:20]), 32),
        "Long.valueOf(java.lang.String)": lambda a: _integer(int(_text(a)[:20]), 64),
        "Float.valueOf(java.lang.String)": lambda a: _floating(float(_text(a))),
        "Double.valueOf(java.lang.String)": lambda a: _floating(float(_text(a))),
        "String.valueOf(char)": _character,
        "String.format(java.lang.String,[Ljava.lang.Object;)": _format,
    }
)  # fmt: skip
