"""Functions on lists (DMN 1.5, section 10.3.4.4). Positions count from 1, or from -1 at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Final

from engine.feel import operations, traversal
from engine.feel.builtins.catalog import Catalog
from engine.feel.errors import NoValue
from engine.feel.run import Run
from engine.feel.values import CONTEXT, NUMBERS, Function, Value, kind

catalog = Catalog()
Items = list[Value]

_HASHED: Final = frozenset({str, Decimal, int, bool, type(None)})
MAX_FLATTENED_DEPTH: Final = 200


@catalog.add("list contains(list: list, element: any)")
def list_contains(run: Run, items: Items, element: Value) -> Value:
    run.spend(len(items) >> 3)
    return any(operations.equal_items(run, item, element) for item in items)


@catalog.add("count(list: list)")
def count(run: Run, items: Items) -> Value:
    return Decimal(len(items))


@catalog.add("min(list: list)")
@catalog.add("min(values…: any)")
def min_(run: Run, items: Items) -> Value:
    return _extreme(run, items, -1)


@catalog.add("max(list: list)")
@catalog.add("max(values…: any)")
def max_(run: Run, items: Items) -> Value:
    return _extreme(run, items, 1)


@catalog.add("sum(list: list)")
@catalog.add("sum(numbers…: any)")
def sum_(run: Run, items: Items) -> Value:
    if not items:
        raise NoValue("the list is empty")
    total: Value = items[0]
    if type(total) in NUMBERS:
        total = CONTEXT.plus(total)
    for item in _same(run, items)[1:]:
        total = operations.add(run, total, item)
    return total


@catalog.add("mean(list: list)")
@catalog.add("mean(numbers…: any)")
def mean(run: Run, items: Items) -> Value:
    return _mean(_numbers(run, items))


@catalog.add("product(list: list)")
@catalog.add("product(numbers…: any)")
def product(run: Run, items: Items) -> Value:
    result = Decimal(1)
    for item in _numbers(run, items):
        result = CONTEXT.multiply(result, item)
    return result


@catalog.add("median(list: list)")
@catalog.add("median(numbers…: any)")
def median(run: Run, items: Items) -> Value:
    values = sorted(_numbers(run, items))
    middle = len(values) // 2
    return values[middle] if len(values) % 2 else _mean(values[middle - 1 : middle + 1])


@catalog.add("stddev(list: list)")
@catalog.add("stddev(numbers…: any)")
def stddev(run: Run, items: Items) -> Value:
    values = _numbers(run, items)
    if len(values) < 2:
        raise NoValue("a standard deviation takes at least two numbers")
    mean = _mean(values)
    squares = Decimal(0)
    for value in values:
        difference = CONTEXT.subtract(value, mean)
        squares = CONTEXT.add(squares, CONTEXT.multiply(difference, difference))
    return CONTEXT.sqrt(CONTEXT.divide(squares, Decimal(len(values) - 1)))


@catalog.add("mode(list: list)")
@catalog.add("mode(numbers…: any)")
def mode(run: Run, items: Items) -> Value:
    counts: dict[Decimal, int] = {}
    for item in _numbers(run, items) if items else ():
        counts[item] = counts.get(item, 0) + 1
    most = max(counts.values(), default=0)
    return sorted(item for item, number in counts.items() if number == most)


@catalog.add("all(list: list)")
@catalog.add("all(values…: any)")
def all_(run: Run, items: Items) -> Value:
    return _verdict(run, items, False)


@catalog.add("any(list: list)")
@catalog.add("any(values…: any)")
def any_(run: Run, items: Items) -> Value:
    return _verdict(run, items, True)


@catalog.add("sublist(list: list, start position: number, length: number?)")
def sublist(run: Run, items: Items, start: Decimal, length: Decimal | None = None) -> Value:
    begin = _index(items, start)
    if length is None:
        return items[begin:]
    end = begin + int(length)
    if length < 1 or end > len(items):
        raise NoValue(f"there are no {length} items from position {start}")
    return items[begin:end]


@catalog.add("append(list: list, items…: any)")
def append(run: Run, items: Items, new: Items) -> Value:
    return items + new


@catalog.add("concatenate(lists…: list)")
def concatenate(run: Run, lists: list[Items]) -> Value:
    return [item for items in lists for item in items]


@catalog.add("insert before(list: list, position: number, newItem: any)")
def insert_before(run: Run, items: Items, position: Decimal, item: Value) -> Value:
    index = _index(items, position)
    return [*items[:index], item, *items[index:]]


@catalog.add("remove(list: list, position: number)")
def remove(run: Run, items: Items, position: Decimal) -> Value:
    index = _index(items, position)
    return items[:index] + items[index + 1 :]


@catalog.add("list replace(list: list, position: number, newItem: any)")
def list_replace(run: Run, items: Items, position: Decimal, item: Value) -> Value:
    index = _index(items, position)
    return [*items[:index], item, *items[index + 1 :]]


@catalog.add("list replace(list: list, match: function, newItem: any)")
def list_replace_matching(run: Run, items: Items, match: Function, new: Value) -> Value:
    if len(match.parameters) != 2:
        raise NoValue("expected a function with two parameters, the item and the new item")
    result = []
    for item in items:
        chosen = traversal.call(run, match, [item, new])
        if type(chosen) is not bool:
            raise NoValue(f"expected the function to answer true or false, but got {kind(chosen)}")
        result.append(new if chosen else item)
    return result


@catalog.add("reverse(list: list)")
def reverse(run: Run, items: Items) -> Value:
    return items[::-1]


@catalog.add("index of(list: list, match: any)")
def index_of(run: Run, items: Items, match: Value) -> Value:
    run.spend(len(items) >> 3)
    return [
        Decimal(position)
        for position, item in enumerate(items, 1)
        if operations.equal_items(run, item, match)
    ]


@catalog.add("union(lists…: list)")
def union(run: Run, lists: list[Items]) -> Value:
    return distinct(run, [item for items in lists for item in items])


@catalog.add("distinct values(list: list)")
def distinct_values(run: Run, items: Items) -> Value:
    return distinct(run, items)


@catalog.add("flatten(list: list)")
def flatten(run: Run, items: Items) -> Value:
    return list(_flat(run, items, 0))


@catalog.add("sort(list: list, precedes: function?)")
def sort(run: Run, items: Items, precedes: Function | None = None) -> Value:
    if precedes is None:
        before: Callable[[Value, Value], bool] = lambda a, b: _order(a, b) < 0  # noqa: E731
    else:
        function = precedes
        before = lambda a, b: traversal.call(run, function, [a, b]) is True  # noqa: E731

    class Ranked:
        __slots__ = ("item",)

        def __init__(self, item: Value) -> None:
            self.item = item

        def __lt__(self, other: Ranked) -> bool:
            run.spend(1)
            return before(self.item, other.item)

    return [ranked.item for ranked in sorted(map(Ranked, items))]


def distinct(run: Run, items: Items) -> Items:
    """Return every value once, in the order of the first."""
    seen: set[tuple[str, Value]] = set()
    others: Items = []
    result: Items = []
    for item in items:
        run.spend(1)
        if type(item) in _HASHED:
            key = (kind(item), item)
            if key in seen:
                continue
            seen.add(key)
        elif _among(run, item, others):
            continue
        else:
            others.append(item)
        result.append(item)
    return result


def _among(run: Run, item: Value, others: Items) -> bool:
    run.spend(len(others) >> 2)
    return any(operations.equal_items(run, item, other) for other in others)


def _flat(run: Run, items: Items, depth: int) -> Iterator[Value]:
    if depth > MAX_FLATTENED_DEPTH:
        raise NoValue(f"the lists nest deeper than {MAX_FLATTENED_DEPTH} levels")
    run.spend(len(items))
    for item in items:
        if type(item) is list:
            yield from _flat(run, item, depth + 1)
        else:
            yield item


def _index(items: Items, position: Decimal) -> int:
    """Return the index of a position. Raises NoValue if there is no such item."""
    number = int(position)
    if not number or abs(number) > len(items):
        raise NoValue(f"there is no item {number} in a list of {len(items)}")
    return number - 1 if number > 0 else len(items) + number


def _extreme(run: Run, items: Items, sign: int) -> Value:
    if not items:
        raise NoValue("the list is empty")
    best = items[0]
    for item in items:
        if _order(item, best) * sign > 0:
            best = item
    run.spend(len(items) >> 3)
    return best


def _order(a: Value, b: Value) -> int:
    order = operations.compare(a, b)
    if order is None:
        raise NoValue(f"{kind(a)} and {kind(b)} have no order")
    return order


def _verdict(run: Run, items: Items, decisive: bool) -> Value:
    run.spend(len(items) >> 3)
    if any(item is decisive for item in items):
        return decisive
    for item in items:
        if type(item) is not bool:
            raise NoValue(f"expected true or false, but got {kind(item)}")
    return not decisive


def _numbers(run: Run, items: Items) -> list[Decimal]:
    if not items:
        raise NoValue("the list is empty")
    run.spend(len(items) >> 2)
    for item in items:
        if type(item) not in NUMBERS:
            raise NoValue(f"expected numbers, but got {kind(item)}")
    return [CONTEXT.create_decimal(item) for item in items]


def _same(run: Run, items: Items) -> Items:
    """Return the items if they are all numbers, or all durations of one kind. Raises NoValue."""
    run.spend(len(items) >> 2)
    if len({kind(item) for item in items}) > 1 or kind(items[0]) not in (
        "number",
        "days and time duration",
        "years and months duration",
    ):
        _refuse(items)
    return items


def _refuse(items: Items) -> Value:
    kinds = " and ".join(sorted({kind(item) for item in items}))
    raise NoValue(f"expected numbers, or durations of one kind, but got {kinds}")


def _mean(values: list[Decimal]) -> Decimal:
    total = Decimal(0)
    for value in values:
        total = CONTEXT.add(total, value)
    return CONTEXT.divide(total, Decimal(len(values)))
