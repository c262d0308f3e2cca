"""Take each line of the merge policy and of the safety kernel away, or turn it round: some test must fail.

    python -m tests.policy.mutation            every mutant of both; prints the count and the survivors, exit 1 for any
    python -m tests.policy.mutation merge      the policy only

The policy is judged by its own `_test.rego`; the kernel by tests/core/test_safety.py, each mutant in a process of its
own. A mutant that cannot be loaded is dead: what does not load opens nothing.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import os
import re
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
KERNEL = ROOT / "engine" / "core" / "safety.py"
KERNEL_MODULE = "engine.core.safety"
KERNEL_TESTS = ("tests/core/test_safety.py",)
_ORIGINAL = {"==": "!=", "!=": "==", ">": "<=", "<": ">="}


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A changed text: where and how."""

    line: int
    change: str
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.change}"


def rego_mutants(text: str) -> Iterator[Mutant]:
    """Yield `text` with each statement line removed, and with each one turned round."""
    lines = text.split("\n")
    for index, line in enumerate(lines):
        content = line.strip()
        if not content or content.startswith(("#", "package", "import")) or content == "}":
            continue
        block = _block_end(lines, index)
        yield _with(lines, index, block, "", f"without `{content[:60]}`")
        turned = _turned(line)
        if turned is not None:
            yield _with(lines, index, index, turned, f"`{turned.strip()[:60]}`")


def _block_end(lines: list[str], index: int) -> int:
    """Return the last line of the rule that starts at `index`, or `index` for a statement inside a body."""
    if lines[index].startswith("\t") or not lines[index].endswith("{"):
        return index
    return next(at for at in range(index, len(lines)) if lines[at] == "}")


def _with(lines: list[str], first: int, last: int, new: str, change: str) -> Mutant:
    text = "\n".join([*lines[:first], new, *lines[last + 1 :]])
    return Mutant(line=first + 1, change=change, text=text)


def _turned(line: str) -> str | None:
    """Return the line with its meaning negated, or None when it only binds a name."""
    indent, content = re.match(r"(\s*)(.*)", line).groups()  # type: ignore[union-attr]  # always matches
    if content.startswith("default "):
        return line.replace("false", "true")
    if not indent:
        head, found, tail = line.partition(" if ")
        return f"{head} if not {tail}" if found and not tail.endswith("{") else None
    if content.startswith("not "):
        return indent + content.removeprefix("not ")
    if content.startswith("some ") or ":=" in content:
        return None
    for sign, opposite in _ORIGINAL.items():
        if f" {sign} " in content:
            return line.replace(f" {sign} ", f" {opposite} ", 1)
    return f"{indent}not {content}"


def rego_survivors(name: str = "merge") -> tuple[int, list[Mutant]]:
    """Return (how many mutants, those that no `_test.rego` noticed) of a shipped policy."""
    from engine.errors import DefinitionError
    from engine.policy.authoring import run_tests

    folder = ROOT / "policies"
    modules = {
        f.name: f.read_text("utf-8") for f in folder.glob("*.rego") if not f.stem.endswith("_test")
    }
    modules[f"{name}_test.rego"] = (folder / f"{name}_test.rego").read_text("utf-8")
    if not all(result.passed for result in run_tests(modules)):
        raise SystemExit(f"the tests of {name} do not pass unchanged")
    count, alive = 0, []
    for mutant in rego_mutants(modules[f"{name}.rego"]):
        count += 1
        try:
            results = run_tests({**modules, f"{name}.rego": mutant.text})
        except DefinitionError:
            continue
        if all(result.passed for result in results):
            alive.append(mutant)
    return count, alive


def python_mutants(text: str) -> Iterator[Mutant]:
    """Yield `text` with each statement of a function removed, and each condition turned round."""
    tree = ast.parse(text)
    for number, node in enumerate(ast.walk(tree)):
        if isinstance(node, ast.FunctionDef):
            for position, statement in enumerate(node.body):
                if not _is_docstring(statement):
                    yield _edited(tree, number, "body", position, statement)
        elif isinstance(node, ast.If | ast.For):
            for position, statement in enumerate(node.body):
                yield _edited(tree, number, "body", position, statement)
        if isinstance(node, ast.If | ast.IfExp):
            yield _negated(tree, number, "test", None, node.test)
        elif isinstance(node, ast.comprehension):
            for position, condition in enumerate(node.ifs):
                yield _negated(tree, number, "ifs", position, condition)
        elif isinstance(node, ast.BoolOp):
            for position, value in enumerate(node.values):
                yield _negated(tree, number, "values", position, value)


def _is_docstring(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _edited(tree: ast.AST, number: int, field: str, position: int, statement: ast.stmt) -> Mutant:
    changed = copy.deepcopy(tree)
    getattr(_nth(changed, number), field)[position] = ast.Pass()
    return _mutant(changed, statement, "without")


def _negated(
    tree: ast.AST, number: int, field: str, position: int | None, condition: ast.expr
) -> Mutant:
    changed = copy.deepcopy(tree)
    node = _nth(changed, number)
    if position is None:
        setattr(node, field, ast.UnaryOp(op=ast.Not(), operand=getattr(node, field)))
    else:
        values = getattr(node, field)
        values[position] = ast.UnaryOp(op=ast.Not(), operand=values[position])
    return _mutant(changed, condition, "not")


def _nth(tree: ast.AST, number: int) -> ast.AST:
    return next(node for at, node in enumerate(ast.walk(tree)) if at == number)


def _mutant(tree: ast.AST, node: ast.stmt | ast.expr, how: str) -> Mutant:
    text = ast.unparse(ast.fix_missing_locations(tree))
    said = ast.unparse(node).split("\n")[0][:60]
    return Mutant(line=node.lineno, change=f"{how} `{said}`", text=text)


def kernel_survivors(every: int = 1) -> tuple[int, list[Mutant]]:
    """Return (how many mutants, those that no test noticed) of the kernel; one of `every` is tried."""
    import pytest

    mutants = list(python_mutants(KERNEL.read_text("utf-8")))[::every]
    return len(mutants), [mutant for mutant in mutants if _passes(mutant, pytest)]


def _passes(mutant: Mutant, pytest: types.ModuleType) -> bool:
    """Say whether the kernel's tests pass on `mutant`, in a child process."""
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException), open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
            module = types.ModuleType(KERNEL_MODULE)
            module.__file__ = str(KERNEL)
            for name in [name for name in sys.modules if name.startswith(("engine", "tests.core"))]:
                del sys.modules[name]
            import engine.core

            sys.modules[KERNEL_MODULE] = module
            engine.core.safety = module
            exec(compile(mutant.text, str(KERNEL), "exec"), module.__dict__)
            code = int(
                pytest.main(["-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist",
                             "-o", "addopts=", *(str(ROOT / test) for test in KERNEL_TESTS)])
            )  # fmt: skip
        os._exit(min(code, 255))
    return os.waitpid(child, 0)[1] == 0


def main(arguments: list[str]) -> int:
    runs = {"merge": rego_survivors, "kernel": kernel_survivors}
    bad = False
    for name in arguments or runs:
        count, alive = runs[name]()
        print(f"{name}: {count} mutants, {len(alive)} survivors")
        for mutant in alive:
            print(f"  {mutant}")
        bad = bad or bool(alive) or not count
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
