"""What is wrong with policies before anything is asked: found on the syntax tree of the embedded engine.

Invariants
- A call that reaches outside its input is found however it is written: `time.now_ns()`, `time["now_ns"]()`.
- A function that the engine does not have is found at load, not when the first token arrives.
- A variable that occurs only under `not` is found: OPA refuses it, regorus 0.13 reads it as undefined, and then a
  denial that should hold says nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Final

from engine.bpmn.model import Finding
from engine.policy.backends import impure_finding, is_impure
from engine.policy.tree import Module, Tree, dotted, module_of, nodes, position, roots, rule_names

_POSITION: Final = frozenset({"line", "col", "start", "end"})
_INNER: Final = frozenset({"SetCompr", "ArrayCompr", "ObjectCompr", "Every"})


def findings(tree: Tree, is_built_in: Callable[[str], bool]) -> list[Finding]:
    """Return what is wrong with the modules of `tree` (of regorus' get_ast_as_json), in file order.

    `is_built_in` tells whether the engine has a function of that name.
    """
    modules = [module_of(item) for item in tree]
    defined = {f"{module.package}.{name}" for module in modules for name in rule_names(module)}
    found: list[Finding] = []
    for module in modules:
        found.extend(_of_calls(module, defined, is_built_in))
        found.extend(_of_negations(module, roots(modules, module.package)))
    return sorted(found)


# --- calls --------------------------------------------------------------------------------------------


def _of_calls(
    module: Module, defined: set[str], is_built_in: Callable[[str], bool]
) -> Iterator[Finding]:
    for name, at in _calls(module.tree["rules"]):
        full = _resolved(name, module, defined)
        if full in defined:
            continue
        if is_impure(full):
            yield impure_finding(module.file, at["line"], at["col"], full)
        elif full.startswith(("data.", "input.")) or not is_built_in(full):
            yield _finding(
                module,
                at,
                "unknown-function",
                full,
                f"there is no function {full}",
                "docs/reference/policy-backends.md lists what the embedded engine lacks.",
            )


def _resolved(name: str, module: Module, defined: set[str]) -> str:
    """Return the full name of what is called: `data.…` for functions of policies, else a built-in's."""
    root, dot, rest = name.partition(".")
    if root in module.imports:
        return f"{module.imports[root]}{dot}{rest}"
    local = f"{module.package}.{name}"
    return local if local in defined else name


def _calls(node: Tree) -> Iterator[tuple[str, Mapping[str, int]]]:
    """Yield (function name, position) of every call below `node`."""
    for call in nodes(node, "Call"):
        yield dotted(call["fcn"]), position(call["fcn"])


# --- negations ----------------------------------------------------------------------------------------


def _of_negations(module: Module, rules: set[str]) -> Iterator[Finding]:
    known = set(module.imports) | rules | {"input", "data"}
    for rule in module.tree["rules"]:
        negations = list(nodes(rule, "NotExpr"))
        bound = set(_names(rule, module.text, in_negations=False)) if negations else set()
        for negation in negations:
            for name, at in _plain_variables(negation):
                if name not in known | bound:
                    yield _finding(
                        module,
                        at,
                        "unsafe-variable",
                        name,
                        f"the variable {name} occurs only under `not`, so it has no value there",
                        "Bind it outside (some … in …), or write a rule of its own and negate that.",
                    )


def _names(node: Tree, text: bytes, *, in_negations: bool) -> Iterator[str]:
    """Yield every name that stands below `node`: variables, and what `some` and `every` declare."""
    if isinstance(node, dict):
        if node.keys() == _POSITION:
            yield text[node["start"] : node["end"]].decode("utf-8", "replace")
        for kind, part in node.items():
            if kind == "Var":
                yield str(part["value"])
            elif kind != "span" and (in_negations or kind != "NotExpr"):
                yield from _names(part, text, in_negations=in_negations)
    elif isinstance(node, list):
        for part in node:
            yield from _names(part, text, in_negations=in_negations)


def _plain_variables(node: Tree) -> Iterator[tuple[str, Mapping[str, int]]]:
    """Yield (name, position) of the variables below a negation that nothing inside it binds; no function's name."""
    if isinstance(node, dict):
        for kind, part in node.items():
            if kind == "Var":
                yield str(part["value"]), part["span"]
            elif kind == "Call":
                yield from _plain_variables(part["params"])
            elif kind not in _INNER:
                yield from _plain_variables(part)
    elif isinstance(node, list):
        for part in node:
            yield from _plain_variables(part)


def _finding(
    module: Module, at: Mapping[str, int], rule: str, element: str, message: str, hint: str
) -> Finding:
    return Finding(
        file=module.file,
        line=at["line"],
        severity="error",
        rule=rule,
        element=element,
        message=message,
        hint=hint,
        column=at["col"],
    )
