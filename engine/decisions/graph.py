"""The requirement graph: one file with its imports, every reference resolved.

Invariants:
- Every reference points to an element of the right kind; every import names a file that was given.
- No decision depends on itself, directly or through decisions, knowledge models and services.
  Knowledge models alone may call each other in a circle: that is recursion, and bounded when it runs.
- Names and ids are unique inside a file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import NamedTuple

from engine.decisions.model import (
    DecisionElement,
    Definitions,
    Element,
    InputElement,
    ItemDefinition,
    KnowledgeModel,
    Reference,
    ServiceElement,
)
from engine.decisions.reader import VERSIONS
from engine.errors import DefinitionError
from engine.frozen import dataclass


class Key(NamedTuple):
    """Identity of an element across files."""

    namespace: str
    id: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    """One element with its file and what it needs."""

    key: Key
    element: Element
    file: Definitions
    requires: tuple[Key, ...]  #: information and knowledge requirements, in file order

    @property
    def where(self) -> str:
        """Return `file:line (id)`."""
        return self.file.at(self.element.line, self.element.id)


@dataclass(frozen=True, kw_only=True, slots=True)
class Graph:
    """All elements that the main file can reach."""

    main: Definitions
    files: Mapping[str, Definitions]  #: by namespace
    nodes: Mapping[Key, Node]
    names: Mapping[str, tuple[Key, ...]] = field(
        default_factory=dict
    )  #: of the main file, by name and by id

    def find(self, name: str) -> tuple[Node, ...]:
        """Return the elements of the main file with this name or id."""
        return tuple(self.nodes[key] for key in self.names.get(name, ()))

    def type_named(self, name: str, file: Definitions) -> tuple[ItemDefinition, Definitions] | None:
        """Return the item definition `name` or `import.name` as seen from `file`, with its own file."""
        for item in file.items:
            if item.name == name:
                return item, file
        for imported in file.imports:
            other = self.files[imported.namespace]
            prefix = f"{imported.name}." if imported.name else ""
            if name.startswith(prefix):
                rest = name[len(prefix) :]
                for item in other.items:
                    if item.name == rest:
                        return item, other
        return None

    def order(
        self, targets: Iterable[Key], given: frozenset[Key] = frozenset()
    ) -> tuple[Node, ...]:
        """Return what must be known to answer `targets`, each after everything it needs.

        Elements in `given` are taken as they are: they are left out, and so is what only they need.
        """
        done: dict[Key, Node] = {}
        stack: list[tuple[Key, Iterator[Key]]] = []
        for target in targets:
            stack.append((target, iter(self.nodes[target].requires)))
            while stack:
                key, rest = stack[-1]
                following = next(
                    (k for k in rest if k not in done and k not in given and self._runs_before(k)),
                    None,
                )
                if following is None:
                    stack.pop()
                    done.setdefault(key, self.nodes[key])
                else:
                    stack.append((following, iter(self.nodes[following].requires)))
        return tuple(done.values())

    def _runs_before(self, key: Key) -> bool:
        """Functions are bound, not evaluated, so they put nothing into the order."""
        return isinstance(self.nodes[key].element, DecisionElement | InputElement)


def link(main: Definitions, imports: Iterable[Definitions] = ()) -> Graph:
    """Resolve every reference of `main` and of the files it imports.

    `imports` may hold more files than are needed. Raises DefinitionError: duplicate, dangling, cyclic.
    """
    files = _imported(main, list(imports))
    for file in files.values():
        _check_unique(file)
    nodes = {
        Key(file.namespace, element.id): element
        for file in files.values()
        for element in file.elements()
    }
    linked = {
        key: Node(
            key=key,
            element=element,
            file=files[key.namespace],
            requires=tuple(_requirements(element, files[key.namespace], nodes)),
        )
        for key, element in nodes.items()
    }
    _check_cycles(linked)
    names: dict[str, tuple[Key, ...]] = {}
    for element in main.elements():
        for name in dict.fromkeys((element.name, element.id)):
            names[name] = (*names.get(name, ()), Key(main.namespace, element.id))
    return Graph(main=main, files=files, nodes=linked, names=names)


def _imported(main: Definitions, offered: list[Definitions]) -> dict[str, Definitions]:
    """Return the files reached from `main` by namespace, `main` first."""
    found = {main.namespace: main}
    waiting = [main]
    while waiting:
        file = waiting.pop()
        for wanted in file.imports:
            if wanted.kind and wanted.kind not in VERSIONS:
                raise DefinitionError(
                    where=file.at(wanted.line),
                    expected="an import of DMN",
                    got=f"import type {wanted.kind!r}",
                )
            if wanted.namespace in found:
                continue
            other = next((d for d in offered if d.namespace == wanted.namespace), None)
            if other is None:
                raise DefinitionError(
                    where=file.at(wanted.line),
                    expected=f"a file with namespace {wanted.namespace!r} (import {wanted.name!r})",
                    got="none",
                    hint="Give it as an import.",
                )
            found[other.namespace] = other
            waiting.append(other)
    return found


def _check_unique(file: Definitions) -> None:
    elements = file.elements()
    for what, values in (
        ("id", [(e.id, e.line) for e in elements]),
        ("name", [(e.name, e.line) for e in elements]),
        ("type name", [(i.name, i.line) for i in file.items]),
        ("import name", [(i.name, i.line) for i in file.imports if i.name]),
    ):
        counts = Counter(value for value, _ in values)
        for value, line in sorted(values, key=lambda v: -v[1]):
            if counts[value] > 1:
                raise DefinitionError(
                    where=file.at(line), expected=f"a unique {what}", got=f"{value!r} a second time"
                )


def _requirements(
    element: Element, file: Definitions, nodes: Mapping[Key, Element]
) -> Iterator[Key]:
    wanted: tuple[tuple[tuple[Reference, ...], tuple[type, ...], str], ...]
    match element:
        case InputElement():
            return
        case DecisionElement():
            wanted = (
                (element.requires_inputs, (InputElement,), "an input"),
                (element.requires_decisions, (DecisionElement,), "a decision"),
                (element.requires_knowledge, (KnowledgeModel, ServiceElement), "knowledge"),
            )
        case KnowledgeModel():
            wanted = ((element.requires_knowledge, (KnowledgeModel, ServiceElement), "knowledge"),)
        case ServiceElement():
            wanted = (
                (element.outputs, (DecisionElement,), "a decision"),
                (element.encapsulated, (DecisionElement,), "a decision"),
                (element.input_decisions, (DecisionElement,), "a decision"),
                (element.input_data, (InputElement,), "an input"),
            )
    for references, kinds, noun in wanted:
        for reference in references:
            yield _resolve(reference, kinds, noun, element, file, nodes)


def _resolve(
    reference: Reference,
    kinds: tuple[type, ...],
    noun: str,
    element: Element,
    file: Definitions,
    nodes: Mapping[Key, Element],
) -> Key:
    key = Key(reference.namespace or file.namespace, reference.id)
    target = nodes.get(key)
    if not isinstance(target, kinds):
        written = f"{reference.namespace}#{reference.id}"
        raise DefinitionError(
            where=file.at(reference.line, element.id),
            expected=f"{noun} with id {written!r}",
            got="no such element" if target is None else f"{type(target).__name__} {target.name!r}",
        )
    return key


def _check_cycles(nodes: Mapping[Key, Node]) -> None:
    """Raise for a cycle that contains a decision, naming the whole cycle."""
    done: set[Key] = set()
    for start in nodes:
        path: dict[Key, Iterator[Key]] = {}
        following: Key | None = start if start not in done else None
        while following is not None or path:
            if following is not None:
                path[following] = _edges(nodes[following])
            key = next(reversed(path))
            following = next((k for k in path[key] if k not in done), None)
            if following is None:
                done.add(key)
                del path[key]
            elif following in path:
                _refuse_cycle([*path, following], nodes)
                following = None


def _edges(node: Node) -> Iterator[Key]:
    """What runs when `node` runs; the inputs of a service are given, so they do not run."""
    if isinstance(node.element, ServiceElement):
        runs = len(node.element.outputs) + len(node.element.encapsulated)
        return iter(node.requires[:runs])
    return iter(node.requires)


def _refuse_cycle(path: list[Key], nodes: Mapping[Key, Node]) -> None:
    cycle = path[path.index(path[-1]) :]
    if not any(isinstance(nodes[k].element, DecisionElement) for k in cycle):
        return
    names = " → ".join(nodes[k].element.name for k in cycle)
    raise DefinitionError(
        where=nodes[cycle[0]].where, expected="requirements without a cycle", got=names
    )
