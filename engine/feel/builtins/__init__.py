"""The built-in functions of FEEL 1.5, and those that Camunda 8 adds."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from engine.feel.builtins import (
    camunda,
    contexts,
    conversions,
    dates,
    lists,
    numbers,
    ranges,
    strings,
)
from engine.feel.builtins.catalog import Builtin, Signature, collect
from engine.feel.names import KnownNames

__all__ = ["Builtin", "Signature", "builtins_of", "multi_word_names"]

_CATALOGS: Final = tuple(
    module.catalog
    for module in (conversions, strings, numbers, lists, contexts, dates, ranges, camunda)
)
_DMN: Final[Mapping[str, Builtin]] = MappingProxyType(collect(_CATALOGS, camunda=False))
_CAMUNDA: Final[Mapping[str, Builtin]] = MappingProxyType(collect(_CATALOGS, camunda=True))
_DMN_NAMES: Final = KnownNames(name for name in _DMN if " " in name)
_CAMUNDA_NAMES: Final = KnownNames(name for name in _CAMUNDA if " " in name)


def builtins_of(dialect: str) -> Mapping[str, Builtin]:
    """Return all functions of a dialect by name."""
    return _CAMUNDA if dialect == "camunda" else _DMN


def multi_word_names(dialect: str) -> KnownNames:
    """Return the names with spaces."""
    return _CAMUNDA_NAMES if dialect == "camunda" else _DMN_NAMES
