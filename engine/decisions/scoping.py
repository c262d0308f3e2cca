"""Which names a syntax tree uses that it does not define itself."""

from __future__ import annotations

from collections.abc import Iterator

from engine.feel import ast
from engine.feel.ast import Node


def free_names(node: Node, bound: frozenset[str]) -> Iterator[ast.Name]:
    """Yield the names that `node` uses and that neither it nor `bound` defines.

    Conditions of filters are left out: any name there may be an entry of the item.
    """
    match node:
        case ast.Name():
            if node.name not in bound and node.name != "?":
                yield node
        case ast.Filter():
            yield from free_names(node.source, bound)
        case ast.For(iterators=iterators, body=body):
            yield from _iterators(iterators, bound)
            yield from free_names(body, bound | {i.name for i in iterators} | {"partial"})
        case ast.Quantified(iterators=iterators, condition=condition):
            yield from _iterators(iterators, bound)
            yield from free_names(condition, bound | {i.name for i in iterators})
        case ast.FunctionDefinition(parameters=parameters, body=body):
            if not node.external:
                yield from free_names(body, bound | {p.name for p in parameters})
        case ast.ContextLiteral(entries=entries):
            for entry in entries:
                yield from free_names(entry.value, bound)
                bound |= {entry.key}
        case _:
            for child in ast.children(node):
                yield from free_names(child, bound)


def _iterators(iterators: tuple[ast.Iterator, ...], bound: frozenset[str]) -> Iterator[ast.Name]:
    """Yield the free names of iterators, each seeing those before."""
    for iterator in iterators:
        yield from free_names(iterator.domain, bound)
        if iterator.upto is not None:
            yield from free_names(iterator.upto, bound)
        bound |= {iterator.name}
