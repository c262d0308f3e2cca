"""Rego in this process: regorus, one engine for each thread, impure built-ins refused at load.

regorus 0.13 cannot be interrupted and holds Python's lock while it evaluates: nothing else in the engine's process runs
meanwhile. An answer after the deadline is `error` (see `PolicySet`), but it is awaited. Rego always ends; policies whose
cost nobody has looked at belong on an OPA server.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import orjson

from engine.bpmn.model import Finding
from engine.core.model import Json
from engine.errors import DefinitionError, EnvironmentFailure
from engine.policy.backends import RegoError, policy_digest
from engine.policy.built_ins import ADDED, KNOWN, REFUSED
from engine.policy.inspected import INSPECTED

if TYPE_CHECKING:
    from engine.policy.tree import Tree

try:
    import regorus
except ImportError as error:
    raise EnvironmentFailure(
        "the embedded Rego engine cannot be used",
        where="gordon-to-regorus",
        got=str(error),
        hint='Install it, or set policy.backend = "opa".',
    ) from error

_PLAIN = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


class FindingsError(DefinitionError):
    """Policies that cannot be used; `findings` says where and why."""

    def __init__(self, findings: Sequence[Finding]) -> None:
        super().__init__("\n".join(str(finding) for finding in findings))
        self.findings = tuple(findings)


class Embedded:
    """Rego modules that were found good; each thread that asks opens a session of its own."""

    def __init__(self, modules: Mapping[str, str], data: Mapping[str, Json]) -> None:
        """Check `modules` (path → text). Raises DefinitionError naming file, line and column."""
        self.name = _engine_name()
        self._modules = dict(modules)
        self._data = json.dumps(data, default=str)
        self.packages = INSPECTED.get(name_of(modules)) or self._inspected()

    def _inspected(self) -> tuple[str, ...]:
        """Return the names of the packages, when nothing is wrong with any rule."""
        engine = _compile(self._modules)
        engine.add_data_json(self._data)
        from engine.policy.inspection import findings  # the shipped policies need none

        wrong = findings(orjson.loads(engine.get_ast_as_json()), _built_ins())
        if wrong:
            raise FindingsError(wrong)
        _compiled(engine, self._modules)
        return tuple(sorted({name.removeprefix("data.") for name in engine.get_packages()}))

    def session(self) -> Session:
        """Return what answers questions in the calling thread, and in no other."""
        engine = _compile(self._modules)
        engine.add_data_json(self._data)
        return Session(engine, _add_questions(engine, self.packages))

    def close(self) -> None:
        """Nothing is held open."""


def name_of(modules: Mapping[str, str]) -> str:
    """Return what a set of policies that this engine has inspected is called in INSPECTED."""
    return f"{_engine_name()} {policy_digest(modules)}"


def _engine_name() -> str:
    return f"regorus {version('gordon-to-regorus')}"


def syntax_tree(modules: Mapping[str, str]) -> Tree:
    """Return what the engine reads in `modules`, good or not. Raises FindingsError for what it cannot read."""
    return orjson.loads(_compile(modules).get_ast_as_json())


def session_of(modules: Mapping[str, str], *, measured: bool = False) -> Session:
    """Return a session of policies that were found good before; a measured one notes which lines it reaches."""
    engine = _compile(modules)
    engine.set_enable_coverage(measured)
    return Session(engine)


class Session:
    """A compiled engine, bound to the thread that made it."""

    def __init__(self, engine: Any, questions: Mapping[str, str] | None = None) -> None:
        """`questions` names, for packages, the rule that holds [document]; others are asked by a query."""
        # Any: regorus has no types
        self._engine = engine
        self._questions = questions or {}

    def document(self, package: str, input_text: str) -> Any:
        """Return the decision document of `package` for a JSON input, or None when it is undefined.

        Raises RegoError when the evaluation fails; the session cannot be used afterwards.
        """
        try:
            self._engine.set_input_json(input_text)
            return self._answer(package)
        except BaseException as error:  # regorus raises its panics from BaseException
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise RegoError(first_lines(error)) from error

    def _answer(self, package: str) -> Any:  # Any: the policy's document
        rule = self._questions.get(package)
        if rule is not None:
            held = orjson.loads(self._engine.eval_rule_as_json(rule))
            return held[0] if held else None
        answer = json.loads(self._engine.eval_query_as_json(f"data.{package}"))
        results = answer.get("result")
        return results[0]["expressions"][0]["value"] if results else None

    def covered(self) -> Any:  # Any: JSON of the engine
        """Return {files[{path, code, covered[], not_covered[]}]} of all questions so far."""
        return json.loads(self._engine.get_coverage_report_as_json())


def first_lines(error: BaseException) -> str:
    """Return an engine's message on one line, without the stack that some carry."""
    text = str(error).partition("Stack backtrace")[0]
    return " ".join(text.split())[:400] or type(error).__name__


def _compile(modules: Mapping[str, str]) -> Any:  # Any: regorus has no types
    engine = regorus.Engine()
    for path, text in modules.items():
        try:
            engine.add_policy(path, text)
        except Exception as error:  # RuntimeError, and RecursionError for deep nesting
            raise _unreadable(path, error) from error
    _extend(engine)
    return engine


def _add_questions(engine: Any, packages: Sequence[str]) -> dict[str, str]:
    """Add a rule for the document of each package; return {package: path of the rule}.

    A query is read and planned each time it is asked, 0.1 ms with the shipped policies; a rule once. It holds the document in a
    list, empty for undefined: regorus answers the string "<undefined>" for a rule that is.
    """
    asked = "asked"
    while asked in {package.partition(".")[0] for package in packages}:
        asked += "_"
    names = {
        package: f"document_{number}"
        for number, package in enumerate(packages)
        if _PLAIN.fullmatch(package)
    }
    rules = (
        f"{name} := [document | document := data.{package}]" for package, name in names.items()
    )
    engine.add_policy(f"<{asked}>", "\n\n".join([f"package {asked}", *rules]))
    return {package: f"data.{asked}.{name}" for package, name in names.items()}


def _extend(engine: Any) -> None:
    """Add what regorus lacks, and put an error in the place of what is refused: no spelling gets around it."""
    for name, (arity, function) in ADDED.items():
        engine.add_extension(name, arity, function)
    for name, arity in REFUSED.items():
        engine.add_extension(name, arity, _refusal(name))


def _refusal(name: str) -> Callable[..., Any]:
    def refuse(*_: object) -> None:
        raise ValueError(f"{name} gives answers that replay cannot repeat")

    return refuse


def _built_ins() -> Callable[[str], bool]:
    """Return who tells whether the engine has a built-in: the engine, which counts the arguments only of what it has."""
    engine = regorus.Engine()
    _extend(engine)

    @cache
    def is_built_in(name: str) -> bool:
        if name in KNOWN or name in ADDED:
            return True
        try:
            engine.eval_query_as_json(f"{name}()")
        except Exception as error:
            return "could not find function" not in str(error)
        return True

    return is_built_in


def _compiled(engine: Any, modules: Mapping[str, str]) -> None:
    """Make the engine look at every rule; it does so at the first question, whatever that is."""
    try:
        engine.clone().eval_query_as_json("true")
    except Exception as error:
        raise _unreadable(next(iter(modules), ""), error) from error


def _unreadable(path: str, error: Exception) -> FindingsError:
    """Return the one finding that regorus' message `--> file:line:column | … error: text` holds."""
    text = first_lines(error)
    place = re.search(r"--> (?P<file>\S+):(?P<line>\d+):(?P<column>\d+)", text)
    said = text.rpartition("error: ")[2]
    finding = Finding(
        file=place["file"] if place else path,
        line=int(place["line"]) if place else 1,
        severity="error",
        rule="unreadable",
        element="",
        message=f"the policy cannot be read: {said}",
        hint="Mend the file; docs/reference/policy-backends.md lists what the embedded engine lacks.",
        column=int(place["column"]) if place else 0,
    )
    return FindingsError([finding])
