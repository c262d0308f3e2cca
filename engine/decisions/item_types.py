"""Item definitions as FEEL types, looked up by name from the file that uses them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from engine.decisions.model import Definitions, ItemDefinition, Text
from engine.errors import DefinitionError
from engine.feel.types import (
    ANY,
    SIMPLE_TYPES,
    ContextOf,
    FunctionOf,
    ListOf,
    Named,
    Restricted,
    Type,
)
from engine.feel.values import Value

#: Makes a test of allowed values: the text, and where it stands.
Constraint = Callable[[Text], Callable[[Value], bool | None]]


class ItemTypes(Mapping[str, Type]):
    """The types that the expressions of one file can name: its own, and imported ones as `import.name`."""

    def __init__(
        self,
        file: Definitions,
        imported: Mapping[str, ItemTypes],
        constraint: Constraint,
    ) -> None:
        """`imported` holds the types of imported files by import name; "" merges them into this file's."""
        self.file = file
        self.imported = imported
        self._constraint = constraint
        self._items = {item.name: item for item in file.items}
        self._found: dict[str, Type | None] = {}
        for item in file.items:
            self._check_alias(item)

    def find(self, name: str) -> Type | None:
        """Return the type called `name` or `import.name`, or None."""
        if name in SIMPLE_TYPES:
            return SIMPLE_TYPES[name]
        if name not in self._found:
            self._found[name] = self._look_up(name)
        return self._found[name]

    def refer(self, type_ref: str, line: int, id: str = "") -> Type | None:
        """Return the type a `typeRef` names; None when it is empty or Any.

        Raises DefinitionError for a name that nothing defines.
        """
        if not type_ref or type_ref in ("Any", "any"):
            return None
        if self.find(type_ref) is None:
            raise DefinitionError(
                where=self.file.at(line, id),
                expected="a type of FEEL or an item definition",
                got=repr(type_ref),
            )
        return self.find(type_ref)

    def __getitem__(self, name: str) -> Type:
        found = self.find(name)
        if found is None:
            raise KeyError(name)
        return found

    def __iter__(self) -> Iterator[str]:
        yield from self._items
        for prefix, types in self.imported.items():
            yield from (f"{prefix}.{name}" if prefix else name for name in types)

    def __len__(self) -> int:
        return len(self._items) + sum(map(len, self.imported.values()))

    def item(self, name: str) -> ItemDefinition | None:
        """Return the item definition of this name, own or imported."""
        if name in self._items:
            return self._items[name]
        for prefix, types in self.imported.items():
            if prefix and name.startswith(f"{prefix}."):
                return types.item(name[len(prefix) + 1 :])
            if not prefix and (found := types.item(name)):
                return found
        return None

    def _check_alias(self, item: ItemDefinition) -> None:
        """Refuse a type that is only another name for itself."""
        seen = [item.name]
        while not item.components and item.function is None and item.type_ref in self._items:
            item = self._items[item.type_ref]
            seen.append(item.name)
            if item.name in seen[:-1]:
                raise DefinitionError(
                    where=self.file.at(item.line, item.id),
                    expected="a type that does not refer to itself",
                    got=" → ".join(seen),
                )

    def _look_up(self, name: str) -> Type | None:
        if name in self._items:
            return self._build(self._items[name])
        for prefix, types in self.imported.items():
            if prefix and name.startswith(f"{prefix}."):
                return types.find(name[len(prefix) + 1 :])
            if not prefix and (found := types.find(name)):
                return found
        return None

    def _build(self, item: ItemDefinition) -> Type:
        built = self._base(item)
        if item.allowed_values is not None:
            built = self._restricted(built, item.allowed_values)
        if item.is_collection:
            built = ListOf(built)
        if item.type_constraint is not None:
            built = self._restricted(built, item.type_constraint)
        return built

    def _base(self, item: ItemDefinition) -> Type:
        if item.components:
            return ContextOf(tuple((part.name, self._build(part)) for part in item.components))
        if item.function is not None:
            return FunctionOf(
                tuple(self._reference(p.type_ref) for p in item.function.parameters),
                self._reference(item.function.result),
            )
        return self._reference(item.type_ref)

    def _reference(self, name: str) -> Type:
        """Return a type by name; item definitions stay names, so that they may refer to each other."""
        if not name:
            return ANY
        return SIMPLE_TYPES.get(name) or Named(name, self.find)

    def _restricted(self, base: Type, text: Text) -> Type:
        return Restricted(base, self._constraint(text), text.text)
