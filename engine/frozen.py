"""`dataclass` for the frozen values of the engine: the standard one's behaviour, at a thirtieth of its cost at import.

The standard decorator writes six methods of every class as text and compiles them one by one when the class is made,
0.7 to 1 ms each time: for the 350 classes of the engine that was a third of the start of every command. Here the methods are
compiled when the first instance is made, which most classes of a run never see. All else (fields, `replace`, `match`,
equality, hash, order of arguments, errors) is as the standard library has it. What is not frozen, has a `__post_init__`
or asks for more than `kw_only`, `eq` and `slots` goes to the standard decorator.
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, Field, FrozenInstanceError
from typing import TYPE_CHECKING, Any

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:

    def dataclass(cls=None, /, *, frozen=False, kw_only=False, eq=True, slots=False, **more):
        """Make a data class of `cls`; arguments as those of `dataclasses.dataclass`."""

        def make(cls):
            given = {"frozen": frozen, "kw_only": kw_only, "eq": eq, "slots": slots, **more}
            is_plain = frozen and not more and not hasattr(cls, "__post_init__")
            return _lazy(cls, given) if is_plain else dataclasses.dataclass(**given)(cls)

        return make if cls is None else make(cls)


# Any below: classes and values of every type pass through.


def _lazy(cls: Any, given: dict[str, Any]) -> Any:
    own = {name for name, member in cls.__dict__.items() if member is not None}
    made = dataclasses.dataclass(
        init=False, repr=False, eq=False, kw_only=given["kw_only"], slots=given["slots"]
    )(cls)
    methods = {
        "__init__": _first_init,
        "__repr__": _repr,
        "__setattr__": _refuse_to_set,
        "__delattr__": _refuse_to_delete,
    }
    if given["eq"]:
        methods |= {"__eq__": _first_eq, "__hash__": _first_hash}
    if given["slots"]:
        methods |= {"__getstate__": _state, "__setstate__": _set_state}
    for name, method in methods.items():
        if name not in own:
            setattr(made, name, method)
    return made


def _first_init(self: Any, /, *values: Any, **named: Any) -> None:
    _complete(type(self), "__init__")(self, *values, **named)


def _first_eq(self: Any, other: Any) -> Any:
    return _complete(type(self), "__eq__")(self, other)


def _first_hash(self: Any) -> Any:
    return _complete(type(self), "__hash__")(self)


def _complete(cls: type, wanted: str) -> Any:
    """Compile the methods of the class that `cls` has `wanted` from; return that method."""
    owner = next(base for base in cls.__mro__ if wanted in base.__dict__)
    space: dict[str, Any] = {"_set": object.__setattr__, "_MISSING": MISSING}
    exec("\n".join(_source(owner, space)), space)  # as the standard library does
    for name, stub in _STUBS.items():
        if owner.__dict__.get(name) is stub:
            method = space[name]
            method.__qualname__ = f"{owner.__qualname__}.{name}"
            method.__module__ = owner.__module__
            setattr(owner, name, method)
    return owner.__dict__[wanted]


_STUBS = {"__init__": _first_init, "__eq__": _first_eq, "__hash__": _first_hash}


def _source(owner: type, space: dict[str, Any]) -> list[str]:
    """Return the lines of the methods; the defaults that they name are put into `space`."""
    fields = dataclasses.fields(owner)
    compared = "".join(f"self.{field.name}, " for field in fields if field.compare)
    hashed = "".join(
        f"self.{field.name}, "
        for field in fields
        if (field.compare if field.hash is None else field.hash)
    )
    taken = [field for field in fields if field.init]
    ordered = [_parameter(field, space) for field in taken if not field.kw_only]
    named = [_parameter(field, space) for field in taken if field.kw_only]
    return [
        f"def __init__({', '.join(['self', *ordered, *(['*', *named] if named else [])])}):",
        *(f"    {line}" for field in fields if (line := _assignment(field, space))),
        "    return",
        "def __eq__(self, other):",
        "    if other.__class__ is not self.__class__:",
        "        return NotImplemented",
        f"    return ({compared}) == ({compared.replace('self.', 'other.')})",
        "def __hash__(self):",
        f"    return hash(({hashed}))",
    ]


def _parameter(field: Field[Any], space: dict[str, Any]) -> str:
    if field.default is not MISSING:
        space[f"_default_{field.name}"] = field.default
        return f"{field.name}=_default_{field.name}"
    return f"{field.name}=_MISSING" if field.default_factory is not MISSING else field.name


def _assignment(field: Field[Any], space: dict[str, Any]) -> str:
    name = field.name
    if field.default_factory is MISSING:
        if not field.init and field.default is not MISSING:
            space[name] = field.default  # no parameter of that name hides it
        has_value = field.init or field.default is not MISSING
        return f"_set(self, {name!r}, {name})" if has_value else ""
    space[f"_make_{name}"] = field.default_factory
    made = f"_make_{name}()"
    value = f"{made} if {name} is _MISSING else {name}" if field.init else made
    return f"_set(self, {name!r}, {value})"


def _repr(self: Any) -> str:
    shown = [field.name for field in dataclasses.fields(self) if field.repr]
    parts = ", ".join(f"{name}={getattr(self, name)!r}" for name in shown)
    return f"{type(self).__qualname__}({parts})"


def _refuse_to_set(self: Any, name: str, value: Any) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _state(self: Any) -> list[Any]:
    return [getattr(self, field.name) for field in dataclasses.fields(self)]


def _set_state(self: Any, state: list[Any]) -> None:
    for field, value in zip(dataclasses.fields(self), state, strict=True):
        object.__setattr__(self, field.name, value)
