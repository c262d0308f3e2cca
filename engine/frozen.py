"""`dataclass` for the frozen values of the engine: the standard one's behaviour, at a thirtieth of its cost at import.

The standard decorator writes six methods of every class as text and compiles them one by one when the class is made,
0.7 to 1 ms each time: for the 350 classes of the engine that was a third of the start of every command. Here each
method is compiled at its first use, and without slots the fields are worked out when somebody first asks for them: of most
classes no instance is made, and of most others none is compared. A mistake in a class is told then too. All else
(fields, `replace`, `match`, equality, hash, order of arguments, errors) is as the standard library has it. What is not
frozen, has a `__post_init__` or asks for more than `kw_only`, `eq` and `slots` goes to the standard decorator.
"""

from __future__ import annotations

import dataclasses
from dataclasses import MISSING, Field, FrozenInstanceError
from threading import RLock
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

Fields = tuple[Field[Any], ...]


def _lazy(cls: Any, given: dict[str, Any]) -> Any:
    own = {name for name, member in cls.__dict__.items() if member is not None}
    if cls.__doc__ is None:
        cls.__doc__ = cls.__name__  # else the standard decorator would work its signature out
    made = _slotted(cls, given["kw_only"]) if given["slots"] else _Late.at(cls, given["kw_only"])
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


def _slotted(cls: Any, kw_only: bool) -> Any:
    return dataclasses.dataclass(init=False, repr=False, eq=False, kw_only=kw_only, slots=True)(cls)


class _Late:
    """`__dataclass_fields__` or `__match_args__` of a class, until somebody asks for either."""

    _lock = RLock()  # a base has its fields before the class has

    def __init__(self, name: str, cls: Any, kw_only: bool) -> None:
        self._name = name
        self._cls = cls
        self._kw_only = kw_only

    @classmethod
    def at(cls, made: Any, kw_only: bool) -> Any:
        for name in ("__dataclass_fields__", "__match_args__"):
            setattr(made, name, cls(name, made, kw_only))
        return made

    def __get__(self, instance: Any, owner: Any) -> Any:
        with self._lock:
            if isinstance(vars(self._cls)["__match_args__"], _Late):  # what is made last
                made = dataclasses.dataclass(
                    init=False, repr=False, eq=False, kw_only=self._kw_only
                )(self._cls)
                taken = [field for field in dataclasses.fields(made) if field.init]
                ordered = tuple(field.name for field in taken if not field.kw_only)
                made.__match_args__ = ordered  # type: ignore[misc]  # as the standard library sets it
        return getattr(owner, self._name)


def _first_init(self: Any, /, *values: Any, **named: Any) -> None:
    _compiled(type(self), "__init__")(self, *values, **named)


def _first_eq(self: Any, other: Any) -> Any:
    return _compiled(type(self), "__eq__")(self, other)


def _first_hash(self: Any) -> Any:
    return _compiled(type(self), "__hash__")(self)


def _compiled(cls: type, name: str) -> Any:
    """Compile the method `name` of the class whose first call this is, put it there and return it."""
    having = [base for base in cls.__mro__ if name in base.__dict__]
    stubs = (_first_init, _first_eq, _first_hash)
    owner = next((base for base in having if base.__dict__[name] in stubs), None)
    if owner is None:  # another thread was faster
        return having[0].__dict__[name]
    space: dict[str, Any] = {"_set": object.__setattr__, "_MISSING": MISSING}
    lines = _SOURCES[name](dataclasses.fields(owner), space)
    exec("\n".join(lines), space)  # as the standard library does
    method = space[name]
    method.__qualname__ = f"{owner.__qualname__}.{name}"
    method.__module__ = owner.__module__
    setattr(owner, name, method)
    return method


def _init_source(fields: Fields, space: dict[str, Any]) -> list[str]:
    """Return the lines of `__init__`; the defaults that they name are put into `space`."""
    taken = [field for field in fields if field.init]
    ordered = [_parameter(field, space) for field in taken if not field.kw_only]
    named = [_parameter(field, space) for field in taken if field.kw_only]
    return [
        f"def __init__({', '.join(['self', *ordered, *(['*', *named] if named else [])])}):",
        *(f"    {line}" for field in fields if (line := _assignment(field, space))),
        "    return",
    ]


def _eq_source(fields: Fields, _: dict[str, Any]) -> list[str]:
    compared = "".join(f"self.{field.name}, " for field in fields if field.compare)
    return [
        "def __eq__(self, other):",
        "    if other.__class__ is not self.__class__:",
        "        return NotImplemented",
        f"    return ({compared}) == ({compared.replace('self.', 'other.')})",
    ]


def _hash_source(fields: Fields, _: dict[str, Any]) -> list[str]:
    hashed = (f for f in fields if (f.compare if f.hash is None else f.hash))
    return [
        "def __hash__(self):",
        f"    return hash(({''.join(f'self.{field.name}, ' for field in hashed)}))",
    ]


_SOURCES = {"__init__": _init_source, "__eq__": _eq_source, "__hash__": _hash_source}


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
