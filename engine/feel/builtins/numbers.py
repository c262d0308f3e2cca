"""Functions on numbers (DMN 1.5, section 10.3.4.5)."""

from __future__ import annotations

import decimal
from decimal import Decimal
from typing import Final

from engine.feel.builtins.catalog import Catalog
from engine.feel.errors import NoValue
from engine.feel.run import Run
from engine.feel.values import CONTEXT, Value, whole

catalog = Catalog()

LEAST_SCALE: Final = -6111
GREATEST_SCALE: Final = 6176


@catalog.add("decimal(n: number, scale: number)")
def decimal_(run: Run, n: Decimal, scale: Decimal) -> Value:
    return rounded(n, scale, decimal.ROUND_HALF_EVEN)


@catalog.add("floor(n: number, scale: number?)")
def floor(run: Run, n: Decimal, scale: Decimal = Decimal(0)) -> Value:
    return rounded(n, scale, decimal.ROUND_FLOOR)


@catalog.add("ceiling(n: number, scale: number?)")
def ceiling(run: Run, n: Decimal, scale: Decimal = Decimal(0)) -> Value:
    return rounded(n, scale, decimal.ROUND_CEILING)


@catalog.add("round up(n: number, scale: number)")
def round_up(run: Run, n: Decimal, scale: Decimal) -> Value:
    return rounded(n, scale, decimal.ROUND_UP)


@catalog.add("round down(n: number, scale: number)")
def round_down(run: Run, n: Decimal, scale: Decimal) -> Value:
    return rounded(n, scale, decimal.ROUND_DOWN)


@catalog.add("round half up(n: number, scale: number)")
def round_half_up(run: Run, n: Decimal, scale: Decimal) -> Value:
    return rounded(n, scale, decimal.ROUND_HALF_UP)


@catalog.add("round half down(n: number, scale: number)")
def round_half_down(run: Run, n: Decimal, scale: Decimal) -> Value:
    return rounded(n, scale, decimal.ROUND_HALF_DOWN)


@catalog.add("abs(n: number|duration)")
def abs_(run: Run, n: Value) -> Value:
    if isinstance(n, Decimal):
        return CONTEXT.abs(n)
    amount = n.nanoseconds if hasattr(n, "nanoseconds") else n.months
    return type(n)(abs(amount))


@catalog.add("modulo(dividend: number, divisor: number)")
def modulo(run: Run, dividend: Decimal, divisor: Decimal) -> Value:
    if not divisor:
        raise NoValue("the divisor is zero")
    quotient = CONTEXT.divide(dividend, divisor).to_integral_value(decimal.ROUND_FLOOR)
    return CONTEXT.subtract(dividend, CONTEXT.multiply(divisor, quotient))


@catalog.add("sqrt(number: number)")
def sqrt(run: Run, number: Decimal) -> Value:
    return CONTEXT.sqrt(number)


@catalog.add("log(number: number)")
def log(run: Run, number: Decimal) -> Value:
    if number <= 0:
        raise NoValue("only positive numbers have a logarithm")
    return CONTEXT.ln(number)


@catalog.add("exp(number: number)")
def exp(run: Run, number: Decimal) -> Value:
    return CONTEXT.exp(number)


@catalog.add("odd(number: number)")
def odd(run: Run, number: Decimal) -> Value:
    return _is_whole(number) and CONTEXT.remainder(CONTEXT.abs(number), Decimal(2)) == 1


@catalog.add("even(number: number)")
def even(run: Run, number: Decimal) -> Value:
    return _is_whole(number) and not CONTEXT.remainder(CONTEXT.abs(number), Decimal(2))


def _is_whole(number: Decimal) -> bool:
    return whole(number) is not None


def rounded(n: Decimal, scale: Decimal | None, rounding: str) -> Decimal:
    """Return `n` with so many decimals. Raises NoValue for a scale that the standard does not allow."""
    digits = 0 if scale is None else whole(scale)
    if digits is None:
        assert scale is not None
        digits = int(scale)
    if not LEAST_SCALE <= digits <= GREATEST_SCALE:
        raise NoValue(f"a scale lies between {LEAST_SCALE} and {GREATEST_SCALE}")
    exponent = n.as_tuple().exponent
    assert isinstance(exponent, int)
    if exponent >= -digits:
        return n
    step = Decimal((0, (1,), -digits))
    return n.quantize(step, rounding, CONTEXT)
