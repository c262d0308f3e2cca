"""Rego in this process: regorus, one engine for each thread, impure built-ins refused at load.

regorus 0.13 cannot be interrupted. A policy that never ends is therefore bounded where the engine is asked: see
`PolicySet` (a deadline, after which the verdict is `error`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import orjson
import regorus

from engine.bpmn.model import Finding
from engine.core.model import Json
from engine.errors import DefinitionError
from engine.policy.backends import IMPURE, RegoError, impure_finding


class Embedded:
    """Rego modules that were found good; each thread that asks opens a session of its own."""

    def __init__(self, modules: Mapping[str, str], data: Mapping[str, Json]) -> None:
        """Check `modules` (path → text). Raises DefinitionError naming file, line and column."""
        self.name = f"regorus {version('gordon-to-regorus')}"
        self._modules = dict(modules)
        self._data = json.dumps(data, default=str)
        engine = self._compile()
        self.packages = tuple(name.removeprefix("data.") for name in sorted(engine.get_packages()))
        findings = list(_impure(engine))
        if findings:
            raise DefinitionError("\n".join(str(finding) for finding in findings))

    def session(self) -> Session:
        """Return what answers questions in the calling thread, and in no other."""
        return Session(self._compile())

    def measured_session(self) -> Session:
        """Return a session that notes which lines are reached; it is slower."""
        engine = self._compile()
        engine.set_enable_coverage(True)
        return Session(engine)

    def close(self) -> None:
        """Nothing is held open."""

    def _compile(self) -> Any:  # Any: regorus has no types
        engine = regorus.Engine()
        for path, text in self._modules.items():
            try:
                engine.add_policy(path, text)
            except Exception as error:  # RuntimeError, and RecursionError for deep nesting
                raise DefinitionError(
                    f"the policy cannot be read: {first_lines(error)}",
                    where=path,
                    hint="Mend the file; `engine policy check` tells more.",
                ) from error
        engine.add_extension("crypto.sha256", 1, _sha256)
        engine.add_data_json(self._data)
        return engine


class Session:
    """A compiled engine, bound to the thread that made it."""

    def __init__(self, engine: Any) -> None:  # Any: regorus has no types
        self._engine = engine

    def document(self, package: str, input_text: str) -> Any:
        """Return the decision document of `package` for a JSON input, or None when it is undefined.

        Raises RegoError when the evaluation fails; the session cannot be used afterwards.
        """
        try:
            self._engine.set_input_json(input_text)
            answer = json.loads(self._engine.eval_query_as_json(f"data.{package}"))
        except BaseException as error:  # regorus raises its panics from BaseException
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
            raise RegoError(first_lines(error)) from error
        results = answer.get("result")
        return results[0]["expressions"][0]["value"] if results else None

    def covered(self) -> Any:  # Any: JSON of the engine
        """Return {files[{path, code, covered[], not_covered[]}]} of all questions so far."""
        return json.loads(self._engine.get_coverage_report_as_json())


def first_lines(error: BaseException) -> str:
    """Return an engine's message on one line, without the stack that some carry."""
    text = str(error).partition("Stack backtrace")[0]
    return " ".join(text.split())[:400] or type(error).__name__


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _impure(engine: Any) -> Iterator[Finding]:
    for module in orjson.loads(engine.get_ast_as_json()):
        file = module["source"]["file"]
        for name, line in _calls(module["ast"]):
            if name.startswith(IMPURE):
                yield impure_finding(file, line, name)


def _calls(node: Any) -> Iterator[tuple[str, int]]:
    """Yield (function name, line) of every call below `node` of the syntax tree."""
    if isinstance(node, dict):
        call = node.get("Call")
        if isinstance(call, dict):
            yield _dotted(call["fcn"]), int(call["span"]["line"])
        for item in node.values():
            yield from _calls(item)
    elif isinstance(node, list):
        for item in node:
            yield from _calls(item)


def _dotted(node: Any) -> str:
    if "Var" in node:
        return str(node["Var"]["value"])
    if "RefDot" in node:
        field = node["RefDot"]["field"]
        name = field[1] if isinstance(field, list) else ""
        return f"{_dotted(node['RefDot']['refr'])}.{name}"
    return ""
