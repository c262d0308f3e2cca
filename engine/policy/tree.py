"""The syntax tree of Rego files as regorus 0.13 gives it, read so that the rest need not know its shape."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from engine.frozen import dataclass

Tree = Any  # Any: JSON of regorus; objects with one member that names their kind


@dataclass(frozen=True, kw_only=True)
class Module:
    """One file: its syntax tree, its text in bytes (positions are offsets into it), {alias: path} of its imports."""

    file: str
    package: str
    text: bytes
    tree: Tree
    imports: Mapping[str, str]


def module_of(item: Tree) -> Module:
    """Return one file of what get_ast_as_json lists."""
    tree = item["ast"]
    text = str(item["source"]["contents"]).encode()
    imports = {}
    for part in tree["imports"]:
        path = dotted(part["refr"])
        alias = part.get("as")
        name = text[alias["start"] : alias["end"]].decode() if alias else path.rpartition(".")[2]
        if path.startswith(("data.", "input.")):
            imports[name] = path
    return Module(
        file=str(item["source"]["file"]),
        package=f"data.{dotted(tree['package']['refr'])}",
        text=text,
        tree=tree,
        imports=imports,
    )


def rule_names(module: Module) -> Iterator[str]:
    """Yield the names that the rules of a file define, with dots and without the package."""
    for rule in module.tree["rules"]:
        for kind, part in rule.items():
            if kind == "Default":
                yield dotted(part["refr"])
            elif kind == "Spec":
                for head in part["head"].values():
                    yield dotted(head["refr"])


def roots(modules: Iterable[Module], package: str) -> set[str]:
    """Return the names that rules of `package` begin with, in whichever file: a for a.b."""
    return {
        name.partition(".")[0]
        for module in modules
        if module.package == package
        for name in rule_names(module)
    }


def nodes(node: Tree, kind: str) -> Iterator[Tree]:
    """Yield every node of `kind` below `node`, the outer ones first."""
    ahead = [node]
    while ahead:
        here = ahead.pop()
        if isinstance(here, dict):
            if isinstance(here.get(kind), dict):
                yield here[kind]
            ahead += [part for name, part in reversed(here.items()) if name != "span"]
        elif isinstance(here, list):
            ahead += reversed(here)


def dotted(node: Tree) -> str:
    """Return a reference with dots, whichever way its members are written; "" stands for a computed one."""
    match node:
        case {"Var": {"value": name}}:
            return str(name)
        case {"RefDot": {"refr": inner, "field": [_, name]}}:
            return f"{dotted(inner)}.{name}"
        case {"RefBrack": {"refr": inner, "index": {"String": {"value": name}}}}:
            return f"{dotted(inner)}.{name}"
        case {"RefBrack": {"refr": inner}}:
            return f"{dotted(inner)}."
        case _:
            return ""


def position(node: Tree) -> Mapping[str, int]:
    """Return where a reference begins."""
    (part,) = node.values()
    inner = part.get("refr")
    if inner:
        return position(inner)
    found: Mapping[str, int] = part["span"]
    return found
