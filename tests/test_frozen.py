"""Frozen classes of the engine behave as those of the standard library; only when their methods are made differs."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, field, replace
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.frozen import dataclass

Decorator = Callable[..., Any]  # Any: a class of either kind
FLAGS = ("kw_only eq slots", "kw_only eq", "eq slots", "eq", "kw_only", "")


@dataclass(frozen=True, kw_only=True)
class Named:
    """A value at module level, as `pickle` wants it."""

    name: str
    parts: list[int] = field(default_factory=list)
    note: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Slotted:
    """The same with slots."""

    name: str
    size: int = 1


@dataclass(frozen=True, kw_only=True)
class Longer(Named):
    """A value that adds to another."""

    length: int = 0


@cache
def pair(flags: str) -> tuple[Any, Any]:
    """Return one class made by the standard library and one by us, of one text."""
    given = {name: name in flags.split() for name in ("kw_only", "eq", "slots")}

    def made(decorator: Decorator) -> Any:
        @decorator(frozen=True, **given)
        class Point:
            x: Any
            y: Any = 2
            tags: list[str] = field(default_factory=list)
            hidden: Any = field(default=None, repr=False, compare=False)
            fixed: int = field(default=7, init=False)

        return Point

    return made(dataclasses.dataclass), made(dataclass)


def outcome(of: Callable[[], Any]) -> Any:
    """Return what comes out: a value, or the class and the first words of the error."""
    try:
        return of()
    except Exception as error:
        return type(error), str(error).partition("(")[0].rpartition(".")[2]


@pytest.mark.parametrize("flags", FLAGS, ids=lambda flags: flags or "none")
@settings(max_examples=60)
@given(
    values=st.lists(st.integers(), max_size=3),
    named=st.dictionaries(
        st.sampled_from(["x", "y", "tags", "hidden", "fixed", "other"]), st.integers(), max_size=4
    ),
)
def test_arguments_and_words_are_those_of_the_standard_library(
    flags: str, values: list[int], named: dict[str, int]
) -> None:
    theirs, ours = pair(flags)
    told = [outcome(lambda cls=cls: repr(cls(*values, **named))) for cls in (theirs, ours)]
    assert told[1] == told[0]


@pytest.mark.parametrize("flags", FLAGS, ids=lambda flags: flags or "none")
@settings(max_examples=30)
@given(one=st.tuples(*[st.integers(0, 1)] * 3), other=st.tuples(*[st.integers(0, 1)] * 3))
def test_equality_and_hash_are_those_of_the_standard_library(
    flags: str, one: tuple[int, int, int], other: tuple[int, int, int]
) -> None:
    told = []
    for cls in pair(flags):
        first, second = (cls(x=x, y=y, tags=(), hidden=h) for x, y, h in (one, other))
        told.append((first == second, first != second, first == one, first == copy.copy(first)))
        if "eq" in flags.split():
            told[-1] += (hash(first),)
    assert told[1] == told[0]


@pytest.mark.parametrize("flags", FLAGS, ids=lambda flags: flags or "none")
def test_fields_defaults_and_patterns_are_those_of_the_standard_library(
    flags: str,
) -> None:
    theirs, ours = pair(flags)
    assert ours.__match_args__ == theirs.__match_args__
    assert [f.name for f in dataclasses.fields(ours)] == [
        f.name for f in dataclasses.fields(theirs)
    ]
    assert hasattr(ours(x=1), "__dict__") == hasattr(theirs(x=1), "__dict__")
    assert ours(x=1).tags is not ours(x=1).tags
    assert dataclasses.asdict(replace(ours(x=1), y=5)) == dataclasses.asdict(theirs(x=1, y=5))


@pytest.mark.parametrize("cls", [Named, Slotted, Longer], ids=lambda cls: cls.__name__)
def test_a_value_never_changes(cls: Any) -> None:
    value = cls(name="a")
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'name'"):
        value.name = "b"
    with pytest.raises(FrozenInstanceError, match="cannot assign to field 'new'"):
        value.new = "b"
    with pytest.raises(FrozenInstanceError, match="cannot delete field 'name'"):
        del value.name
    assert value == cls(name="a")


@pytest.mark.parametrize("value", [Named(name="a", parts=[1]), Slotted(name="b"), Longer(name="c")])
def test_copies_are_equal(value: Any) -> None:
    copies = [copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))]
    assert copies == [value] * 3


def test_a_copy_is_compared_before_anything_was_made_of_its_class() -> None:
    """Equality must not wait for the first `__init__`: a value may come without one."""

    @dataclass(frozen=True, kw_only=True)
    class Fresh:
        x: int

    one, other = object.__new__(Fresh), object.__new__(Fresh)
    object.__setattr__(one, "x", 1)
    object.__setattr__(other, "x", 1)
    assert (one == other, len({one, other})) == (True, 1)


@pytest.mark.parametrize(
    "asked",
    [
        pytest.param(lambda cls: [f.name for f in dataclasses.fields(cls)], id="fields"),
        pytest.param(lambda cls: cls.__match_args__, id="patterns"),
        pytest.param(dataclasses.is_dataclass, id="whether it is one"),
        pytest.param(lambda cls: repr(cls(1, inner=2)), id="instance"),
        pytest.param(lambda cls: repr(replace(cls(1), inner=3)), id="copy"),
    ],
)
def test_fields_are_worked_out_whatever_is_asked_for_first(asked: Callable[[Any], Any]) -> None:
    """And of a base too, of which nothing was asked yet; also when many threads ask at once."""

    def made(decorator: Decorator) -> Any:
        @decorator(frozen=True)
        class Base:
            outer: Any
            tags: list[str] = field(default_factory=list)

        @decorator(frozen=True)
        class Inner(Base):
            inner: Any = 1

        return Inner

    theirs, ours = asked(made(dataclasses.dataclass)), made(dataclass)
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(asked, [ours] * 8)) == [theirs] * 8


def test_a_subclass_adds_to_what_it_inherits() -> None:
    assert Longer(name="a", length=2) == Longer(name="a", parts=[], length=2)
    assert Longer(name="a") != Named(name="a")
    assert repr(Longer(name="a")) == "Longer(name='a', parts=[], length=0)"


def test_methods_that_a_class_writes_itself_stay() -> None:
    @dataclass(frozen=True)
    class Own:
        x: int

        def __repr__(self) -> str:
            return f"<{self.x}>"

        def __eq__(self, other: object) -> bool:
            return True

    assert (repr(Own(1)), Own(1) == Own(2), hash(Own(1)) == hash((1,))) == ("<1>", True, True)


def test_a_class_may_call_the_init_that_it_inherits() -> None:
    @dataclass(frozen=True)
    class Sized:
        size: int

    class Square(Sized):
        def __init__(self, side: int) -> None:
            super().__init__(side * side)

    assert (Square(3).size, Square(4).size, Sized(5).size) == (9, 16, 5)


def test_what_comes_after_init_is_called() -> None:
    @dataclass(frozen=True)
    class Checked:
        x: int

        def __post_init__(self) -> None:
            if self.x < 0:
                raise ValueError("below zero")

    with pytest.raises(ValueError, match="below zero"):
        Checked(-1)
