"""Take each line of a shipped policy, of the safety kernel, of what reads a policy's answer and of the function that merges
away, or turn it round: some test must fail.

    python -m tests.policy.mutation            every mutant; prints the counts and the survivors, exit 1 for any
    python -m tests.policy.mutation merge      this policy only, or another by its name; also: kernel, verdict, branch

A policy is judged by its own `_test.rego`, the kernel by tests/core/test_safety.py, what reads a decision document
(engine/policy/verdicts.py) by tests/policy/test_judging.py, and what moves the integration
branch (`Repository.merge`, and in the vault `merge` with all that it asks) by tests/workspaces/test_merging.py; each
mutant of Python in a process of its own. A mutant that cannot be loaded is dead: what does not load opens nothing.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import importlib.abc
import importlib.machinery
import importlib.util
import os
import re
import sys
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

ROOT = Path(__file__).parents[2]
POLICIES = sorted(
    path.stem for path in (ROOT / "policies").glob("*.rego") if not path.stem.endswith("_test")
)
SPEED = "# for speed"  #: ends a line whose absence changes no verdict; turned round it must be noticed all the same
_ORIGINAL = {"==": "!=", "!=": "==", ">": "<=", "<": ">="}


@dataclass(frozen=True, kw_only=True)
class Target:
    """Python that is mutated: its module, the functions (all of them without), the tests that judge it."""

    module: str
    tests: tuple[str, ...]
    functions: frozenset[str] = frozenset()

    @property
    def path(self) -> Path:
        return ROOT / f"{self.module.replace('.', '/')}.py"


KERNEL = (Target(module="engine.core.safety", tests=("tests/core/test_safety.py",)),)
VERDICT = (Target(module="engine.policy.verdicts", tests=("tests/policy/test_judging.py",)),)
_MERGING = tuple(
    f"tests/workspaces/test_merging.py::{name}"
    for name in ("TestMerge", "TestRecovery", "TestRollback")
)
BRANCH = (
    Target(
        module="engine.workspaces.vault",
        tests=_MERGING,
        functions=frozenset({"merge", "recover", "is_ancestor", "_check_authorised"}),
    ),
    Target(module="engine.workspaces.repository", tests=_MERGING, functions=frozenset({"merge"})),
)


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """A changed text: where and how."""

    line: int
    change: str
    text: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.change}"


def rego_mutants(text: str) -> Iterator[Mutant]:
    """Yield `text` with each statement line removed, but for those for speed, and with each one turned round."""
    written = text.split("\n")
    lines = [line.partition(" # ")[0] for line in written]
    for index, line in enumerate(lines):
        content = line.strip()
        if not content or content.startswith(("#", "package", "import")) or content == "}":
            continue
        block = _block_end(lines, index)
        if not written[index].endswith(SPEED):
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
        return line.replace("false", "true") if "false" in line else None
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


def rego_survivors(name: str = "merge", *, every: int = 1) -> tuple[int, list[Mutant]]:
    """Return (how many mutants, those that no `_test.rego` noticed) of a shipped policy; `every` 6: of each sixth."""
    from engine.policy.authoring import run_tests
    from tests.policy.shipped import shipped

    modules = shipped()
    modules[f"{name}_test.rego"] = (ROOT / "policies" / f"{name}_test.rego").read_text("utf-8")
    if not all(result.passed for result in run_tests(modules)):
        raise SystemExit(f"the tests of {name} do not pass unchanged")
    mutants = list(islice(rego_mutants(modules[f"{name}.rego"]), 0, None, every))
    return len(mutants), [one for one in mutants if _survives(modules, name, one)]


def _survives(modules: Mapping[str, str], name: str, mutant: Mutant) -> bool:
    """Say whether every test holds of a mutant that can be loaded; what is checked at load takes long, so it comes last."""
    from engine.errors import DefinitionError
    from engine.policy.authoring import run_tests
    from engine.policy.backends import RegoError
    from engine.policy.embedded import session_of

    texts = {**modules, f"{name}.rego": mutant.text}
    tests = set(re.findall(r"^(test_\w+)", texts[f"{name}_test.rego"], re.MULTILINE))
    try:
        document = session_of(texts).document(f"{name}_test", "{}") or {}
        if not all(document.get(test) is True for test in tests):
            return False
        return all(result.passed for result in run_tests(texts))
    except (DefinitionError, RegoError):
        return False


def python_mutants(text: str, functions: frozenset[str] = frozenset()) -> Iterator[Mutant]:
    """Yield `text` with each statement of a function removed, each condition turned round, each argument left out.

    With `functions`, only inside those.
    """
    tree = ast.parse(text)
    inside = _inside(tree, functions)
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in inside:
            yield from _statements(tree, number, node)
            yield from _conditions(tree, number, node)
            if functions:
                yield from _arguments(tree, number, node)


def _inside(tree: ast.Module, functions: frozenset[str]) -> set[int]:
    """Return the identities of the nodes that may be changed."""
    found = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and node.name in functions
    ]
    return {id(part) for top in (found if functions else [tree]) for part in ast.walk(top)}


def _statements(tree: ast.AST, number: int, node: ast.AST) -> Iterator[Mutant]:
    if isinstance(node, ast.FunctionDef | ast.If | ast.For):
        for position, statement in enumerate(node.body):
            if not _is_docstring(statement):
                yield _edited(tree, number, "body", position, statement)


def _conditions(tree: ast.AST, number: int, node: ast.AST) -> Iterator[Mutant]:
    if isinstance(node, ast.If | ast.IfExp):
        yield _negated(tree, number, "test", None, node.test)
    elif isinstance(node, ast.comprehension):
        for position, condition in enumerate(node.ifs):
            yield _negated(tree, number, "ifs", position, condition)
    elif isinstance(node, ast.BoolOp):
        for position, value in enumerate(node.values):
            yield _negated(tree, number, "values", position, value)
    elif isinstance(node, ast.Return) and isinstance(node.value, ast.Compare):
        yield _negated(tree, number, "value", None, node.value)


def _arguments(tree: ast.AST, number: int, node: ast.AST) -> Iterator[Mutant]:
    if isinstance(node, ast.Call):
        for position, argument in enumerate(node.args):
            changed = copy.deepcopy(tree)
            del _nth(changed, number).args[position]  # type: ignore[attr-defined]  # a Call, as above
            yield _mutant(changed, argument, f"{ast.unparse(node.func)} without")


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


def python_survivors(targets: Sequence[Target]) -> tuple[int, list[Mutant]]:
    """Return (how many mutants, those that no test noticed)."""
    count, alive = 0, []
    for target in targets:
        if not _passes(target, target.path.read_text("utf-8")):
            raise SystemExit(f"the tests of {target.module} do not pass unchanged")
        for mutant in python_mutants(target.path.read_text("utf-8"), target.functions):
            count += 1
            if _passes(target, mutant.text):
                alive.append(mutant)
    return count, alive


class _Instead(importlib.machinery.SourceFileLoader):
    """Loads another text in place of a module's."""

    def __init__(self, target: Target, text: str) -> None:
        super().__init__(target.module, str(target.path))
        self._text = text

    def get_code(self, fullname: str) -> types.CodeType:
        return compile(self._text, self.path, "exec")


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, target: Target, text: str) -> None:
        self._target = target
        self._loader = _Instead(target, text)

    def find_spec(
        self, fullname: str, path: object, target: object = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname != self._target.module:
            return None
        return importlib.util.spec_from_file_location(
            fullname, self._target.path, loader=self._loader
        )


def _passes(target: Target, text: str) -> bool:
    """Say whether the tests pass with `text` in place of the module, in a child process."""
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException), open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
            ours = (
                "engine",
                "tests.core",
                "tests.workspaces",
                "tests.policy.test_",
                "tests.conftest",
            )
            for name in [name for name in sys.modules if name.startswith(ours)]:
                del sys.modules[name]
            sys.meta_path.insert(0, _Finder(target, text))
            code = _tested(target.tests)
        os._exit(min(code, 255))
    return os.waitpid(child, 0)[1] == 0


def _tested(tests: tuple[str, ...]) -> int:
    import pytest

    options = ("-x", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "addopts=")
    return int(pytest.main([*options, *(str(ROOT / test) for test in tests)]))


def main(arguments: list[str]) -> int:
    runs: dict[str, Callable[[], tuple[int, list[Mutant]]]] = {
        **{name: partial(rego_survivors, name) for name in POLICIES},
        "kernel": lambda: python_survivors(KERNEL),
        "verdict": lambda: python_survivors(VERDICT),
        "branch": lambda: python_survivors(BRANCH),
    }
    bad = False
    for name in arguments or runs:
        count, alive = runs[name]()
        print(f"{name}: {count} mutants, {len(alive)} survivors", flush=True)
        for mutant in alive:
            print(f"  {mutant}")
        bad = bad or bool(alive) or not count
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
