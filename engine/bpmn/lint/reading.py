"""What FEEL in a diagram reads, and what simple conditions say, without evaluating them. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from typing import Final

from engine.feel import FeelError, ast, compile_expression, parse

__all__ = ["compared_texts", "cover_everything", "holds_for", "names", "null_checked"]

_OPPOSITE: Final = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_CALL: Final = re.compile(r"^not\s*\((.*)\)$", re.DOTALL)


@functools.lru_cache(maxsize=4096)
def names(feel: str) -> frozenset[str]:
    """Return the variables that a FEEL text reads for certain; nothing when it is no FEEL."""
    try:
        return compile_expression(feel, dialect="camunda").names_read
    except FeelError:
        return frozenset()


@functools.lru_cache(maxsize=4096)
def null_checked(feel: str) -> frozenset[str]:
    """Return the variables that a FEEL text is prepared to find missing: it compares them with null, or asks."""
    tree = _tree(feel)
    found: set[str] = set()
    for node in ast.walk(tree) if tree is not None else ():
        match node:
            case ast.Comparison(left=left, right=right):
                sides = (left, right)
                if any(isinstance(side, ast.Literal) and side.value is None for side in sides):
                    found |= {root for side in sides if (root := _root(side))}
            case ast.Call(function=ast.Name(name=name), arguments=arguments):
                if name in {"is defined", "get or else", "is empty", "is blank"} and arguments:
                    found |= {root for argument in arguments[:1] if (root := _root(argument))}
            case ast.InstanceOf(value=value) if root := _root(value):
                found.add(root)
    return frozenset(found)


def compared_texts(feel: str) -> dict[str, frozenset[str]] | None:
    """Return {path: texts} when a condition holds exactly if a path is one of some texts, else None.

    >>> compared_texts('route.to = "mail"')
    {'route.to': frozenset({'mail'})}
    >>> compared_texts("amount > 3") is None
    True
    """
    tree = _tree(feel)
    found = _compared(tree) if tree is not None else None
    return None if found is None else {found[0]: found[1]}


def cover_everything(conditions: Sequence[str]) -> bool:
    """Whether one of some conditions always holds, as far as their text says: one is `true`, or the opposite of another."""
    plain = [" ".join(text.split()) for text in conditions]
    if "true" in plain:
        return True
    denied = {match[1].strip() for text in plain if (match := _CALL.match(text))}
    return bool(denied & set(plain)) or _has_opposites(conditions)


def holds_for(feel: str, verdict: str) -> bool:
    """Whether a condition opens for a verdict when nothing else is known."""
    try:
        expression = compile_expression(feel, names=["verdict", "reasons"], dialect="camunda")
        return expression({"verdict": verdict, "reasons": []}) is True
    except FeelError:
        return False


@functools.lru_cache(maxsize=4096)
def _tree(feel: str) -> ast.Node | None:
    try:
        return parse(feel, dialect="camunda")
    except FeelError:
        return None


def _has_opposites(conditions: Sequence[str]) -> bool:
    compared = [tree for text in conditions if isinstance(tree := _tree(text), ast.Comparison)]
    said = {(_said(t.left), t.operator, _said(t.right)) for t in compared}
    return any((left, _OPPOSITE[operator], right) in said for left, operator, right in said)


def _said(node: ast.Node) -> str:
    """Return what tells two parts of expressions apart, wherever they stand."""
    match node:
        case ast.Literal(value=value):
            return f"{type(value).__name__} {value!r}"
        case ast.Name(name=name):
            return f"name {name}"
        case ast.Path(source=source, name=name):
            return f"{_said(source)}.{name}"
        case _:
            return f"at {id(node)}"


def _compared(tree: ast.Node) -> tuple[str, frozenset[str]] | None:
    match tree:
        case ast.Comparison(operator="=", left=left, right=ast.Literal(value=str() as text)):
            path = _path(left)
            return (path, frozenset({text})) if path else None
        case ast.In(value=value, tests=tests):
            return _member(value, tests)
        case ast.Logic(operator="or", operands=operands):
            parts = [_compared(operand) for operand in operands]
            known = [part for part in parts if part is not None]
            if len(known) < len(parts) or len({path for path, _ in known}) != 1:
                return None
            return known[0][0], frozenset().union(*(texts for _, texts in known))
        case _:
            return None


def _member(value: ast.Node, tests: tuple[ast.Node, ...]) -> tuple[str, frozenset[str]] | None:
    path = _path(value)
    items: list[ast.Node] = []
    for test in tests:
        items += test.items if isinstance(test, ast.ListLiteral) else [test]
    texts = [item.value for item in items if isinstance(item, ast.Literal)]
    if not path or len(texts) < len(items) or not all(isinstance(text, str) for text in texts):
        return None
    return path, frozenset(map(str, texts))


def _path(node: ast.Node) -> str:
    match node:
        case ast.Name(name=name):
            return str(name)
        case ast.Path(source=source, name=name):
            root = _path(source)
            return f"{root}.{name}" if root else ""
        case _:
            return ""


def _root(node: ast.Node) -> str:
    return _path(node).partition(".")[0]
