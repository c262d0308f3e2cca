"""What authors should mend although the engines would load it: found on the syntax tree, file by file.

Each rule is a function from the modules to findings; `engine policy check` shows them beside what is refused at load.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final, Literal

from engine.bpmn.model import Finding
from engine.policy.tree import Module, Tree, dotted, roots

_DECISION: Final = ("allow", "deny")
_CLOSURES: Final = frozenset({"SetCompr", "ArrayCompr", "ObjectCompr"})
_REFERENCES: Final = frozenset({"RefDot", "RefBrack"})


def advice(modules: Sequence[Module]) -> list[Finding]:
    """Return every finding about `modules`, in file order."""
    found = [one for module in modules for one in (*_package_name(module), *_negations(module))]
    by_package = sorted(modules, key=lambda module: module.package)
    for package, group in groupby(by_package, key=lambda module: module.package):
        found += _decision_keys(package, list(group))
    return sorted([*found, *_unused(modules)])


# --- packages and the keys of a decision --------------------------------------------------------------


def _package_name(module: Module) -> Iterator[Finding]:
    stem = module.file.rpartition("/")[2].removesuffix(".rego")
    if module.file.endswith((".yml", ".yaml")):
        return  # values beside the policies, under the name of their file
    if module.package.rpartition(".")[2] != stem:
        yield _finding(
            module,
            module.tree["package"]["span"],
            "wrong-package",
            f"package {module.package.removeprefix('data.')} stands in a file named {stem}.rego",
            "Give file and package one name.",
        )


def _decision_keys(package: str, modules: list[Module]) -> Iterator[Finding]:
    """Yield what can leave a key of the decision document undefined, or open."""
    rules = {key: [(m, rule) for m in modules for rule in _named(m, key)] for key in _DECISION}
    for key, found in rules.items():
        if not found:
            continue
        yield from _without_default(key, found)
        other = _DECISION[key == "allow"]
        if not rules[other]:
            yield _finding(
                found[0][0],
                _span(found[0][1]),
                "missing-decision-key",
                f"package {package.removeprefix('data.')} says {key} and never {other}: "
                "asked at a gateway, it is always an error",
                "Write: deny contains …" if other == "deny" else "Write: default allow := false",
                severity="error" if key == "allow" else "warning",
            )


def _without_default(key: str, found: list[tuple[Module, Tree]]) -> Iterator[Finding]:
    defaults = [(module, rule["Default"]) for module, rule in found if "Default" in rule]
    for module, default in defaults:
        if key == "allow" and default["value"].get("Bool", {}).get("value") is not False:
            yield _finding(
                module,
                default["span"],
                "open-default",
                "allow is open by default",
                "Write: default allow := false",
            )
    first = next(((m, rule["Spec"]) for m, rule in found if _can_be_undefined(rule)), None)
    is_constant = any("Spec" in rule and not rule["Spec"]["bodies"] for _, rule in found)
    if first is not None and not defaults and not is_constant:
        yield _finding(
            first[0],
            first[1]["span"],
            "missing-default",
            f"{key} has no default, so it can be undefined",
            f"Write: default {key} := {'false' if key == 'allow' else '[]'}",
        )


def _named(module: Module, key: str) -> Iterator[Tree]:
    for rule in module.tree["rules"]:
        if _name(rule) == key:
            yield rule


def _can_be_undefined(rule: Tree) -> bool:
    """Tell whether a rule gives one value under conditions; `deny contains …` is a set, empty at least."""
    return "Compr" in rule.get("Spec", {}).get("head", {})


# --- negations that the two engines read differently --------------------------------------------------


def _negations(module: Module) -> Iterator[Finding]:
    """Yield negations of what is computed from a member that may be missing.

    OPA takes the member out of the negation and finds it undefined: the rule says nothing, where regorus denies.
    A reference by itself, and two of them compared with ==, are the same on both.
    """
    for rule in module.tree["rules"]:
        for expression, at in _negated(rule):
            if _is_computed(expression):
                yield _finding(
                    module,
                    at,
                    "negated-call",
                    "this is undefined, and denies nothing, when a member that it looks at is missing",
                    "Write a rule of its own (known if …) and: not known",
                )


def _negated(node: Tree) -> Iterator[tuple[Tree, Mapping[str, int]]]:
    if isinstance(node, dict):
        if isinstance(node.get("NotExpr"), dict):
            yield node["NotExpr"]["expr"], node["NotExpr"]["span"]
        for part in node.values():
            yield from _negated(part)
    elif isinstance(node, list):
        for part in node:
            yield from _negated(part)


def _is_computed(expression: Tree) -> bool:
    match expression:
        case {"BoolExpr": {"op": "Eq", "lhs": left, "rhs": right}}:
            return _is_computed_side(left) or _is_computed_side(right)
        case {"AssignExpr": {"lhs": left, "rhs": right}}:
            return _is_computed_side(left) or _is_computed_side(right)
        case _:
            return _is_computed_side(expression)


def _is_computed_side(expression: Tree) -> bool:
    """Tell whether something else than a plain reference looks at a member."""
    match expression:
        case {"RefDot": {"refr": inner}}:
            return _is_computed_side(inner)
        case {"RefBrack": {"refr": inner, "index": index}}:
            return _is_computed_side(inner) or _has_reference(index)
        case {"Call": {"params": params}}:
            return _has_reference(params)
        case _:
            return _has_reference(expression)


def _has_reference(node: Tree) -> bool:
    if isinstance(node, dict):
        if not _REFERENCES.isdisjoint(node):
            return True
        return any(_has_reference(part) for kind, part in node.items() if kind not in _CLOSURES)
    return isinstance(node, list) and any(map(_has_reference, node))


# --- rules that nothing refers to ---------------------------------------------------------------------


def _unused(modules: Sequence[Module]) -> Iterator[Finding]:
    used = {name for module in modules for name in _used(module, roots(modules, module.package))}
    for module in modules:
        told: set[str] = set()
        for rule in module.tree["rules"]:
            name = _name(rule)
            full = f"{module.package}.{name}"
            if (
                name in (*_DECISION, "waived", *told)
                or name.startswith("test_")
                or _is_used(full, used)
            ):
                continue
            told.add(name)
            yield _finding(
                module,
                _span(rule),
                "unused-rule",
                f"nothing refers to {name}",
                "Take it away, or use it.",
                severity="warning",
            )


def _is_used(full: str, used: set[str]) -> bool:
    """Tell whether a rule, a member of it, or all of what it is in is referred to."""
    return any(
        f"{name}.".startswith(f"{full}.") or f"{full}.".startswith(f"{name}.") for name in used
    )


def _used(module: Module, own: set[str]) -> Iterator[str]:
    """Yield the full name of everything that a file refers to; local variables may be among them."""
    for rule in module.tree["rules"]:
        for name in _referred(_without_head_name(rule)):
            root, dot, rest = name.rstrip(".").partition(".")
            if root == "data":
                yield name.rstrip(".")
            elif root in module.imports:
                yield f"{module.imports[root]}{dot}{rest}"
            elif root in own:
                yield f"{module.package}.{root}{dot}{rest}"


def _without_head_name(rule: Tree) -> list[Tree]:
    if "Default" in rule:
        return [rule["Default"]["value"]]
    spec = rule["Spec"]
    (head,) = spec["head"].values()
    return [spec["bodies"], *(part for name, part in head.items() if name != "refr")]


def _referred(node: Tree) -> Iterator[str]:
    """Yield every reference below `node` with dots, as far as it is not computed."""
    if isinstance(node, dict):
        if name := dotted(node):
            yield name
        for part in node.values():
            yield from _referred(part)
    elif isinstance(node, list):
        for part in node:
            yield from _referred(part)


# --- common -------------------------------------------------------------------------------------------


def _name(rule: Tree) -> str:
    """Return the name of a rule without what is computed in it."""
    if "Default" in rule:
        return dotted(rule["Default"]["refr"]).rstrip(".")
    (head,) = rule["Spec"]["head"].values()
    return dotted(head["refr"]).rstrip(".")


def _span(rule: Tree) -> Mapping[str, int]:
    (part,) = rule.values()
    found: Mapping[str, int] = part["span"]
    return found


def _finding(
    module: Module,
    at: Mapping[str, int],
    rule: str,
    message: str,
    hint: str,
    *,
    severity: Literal["error", "warning"] = "error",
) -> Finding:
    return Finding(
        file=module.file,
        line=at["line"],
        severity=severity,
        rule=rule,
        element="",
        message=message,
        hint=hint,
        column=at["col"],
    )
