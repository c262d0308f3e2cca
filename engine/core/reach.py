"""Which definition files a diagram needs of those that lie around it, so that a run holds these and no others. Pure.

A called process is looked up by its id, a decision by the file that has it, policies all together, because they
import each other. A name that is FEEL can be any, so then everything of its kind is needed. What is missing is not
found here: loading the bundle says so.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from engine import bpmn
from engine.bpmn.checks import scopes
from engine.bpmn.model import (
    BusinessRuleTask,
    CallActivity,
    Document,
    ExclusiveGateway,
    Node,
    ServiceTask,
    Template,
)
from engine.errors import DefinitionError

_PROCESS: Final = re.compile(rb"<(?:\w+:)?process\s[^>]*?\bid=[\"']([^\"']+)[\"']")
_DECISION: Final = re.compile(rb"<(?:\w+:)?decision\s[^>]*?\bid=[\"']([^\"']+)[\"']")
_IMPORT: Final = re.compile(rb"<(?:\w+:)?import\s")
_POLICY_ENDINGS: Final = (".rego", ".yml", ".yaml")
_ASKS: Final = {"decision.evaluate": "decision", "policy.check": "policy"}  #: jobs that name one


def reach(main: str, files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return those of `files` (path → content) that the diagram `main` needs, itself first."""
    found = {main: files[main]}
    ahead = [main]
    while ahead:
        for path in _needed(files[ahead.pop()], files):
            if path not in found:
                found[path] = files[path]
                ahead += [path] if path.endswith(".bpmn") else []
    return found


def _needed(content: bytes, files: Mapping[str, bytes]) -> Iterator[str]:
    try:
        document = bpmn.read(content, "")
    except DefinitionError:
        return  # loading it says what is wrong
    names = _names(document)
    yield from _having(_PROCESS, names["process"], _ending(files, ".bpmn"), files)
    yield from _decision_files(names["decision"], files)
    if names["policy"]:
        yield from _ending(files, *_POLICY_ENDINGS)


def _decision_files(wanted: set[str | None], files: Mapping[str, bytes]) -> Iterator[str]:
    every = _ending(files, ".dmn")
    having = list(_having(_DECISION, wanted, every, files))
    yield from every if any(_IMPORT.search(files[path]) for path in having) else having


def _having(
    pattern: re.Pattern[bytes],
    wanted: set[str | None],
    paths: Iterable[str],
    files: Mapping[str, bytes],
) -> Iterator[str]:
    """Yield the files that hold an element of a wanted id; None wants any."""
    for path in paths:
        ids = {found.decode("utf-8", "replace") for found in pattern.findall(files[path])}
        if (None in wanted and ids) or ids & wanted:
            yield path


def _names(document: Document) -> dict[str, set[str | None]]:
    """Return {process, decision, policy: names that the diagrams give}; None stands for a name that is FEEL."""
    found: dict[str, set[str | None]] = {"process": set(), "decision": set(), "policy": set()}
    for process in document.processes:
        for _, scope in scopes(process):
            for node in scope.nodes.values():
                for kind, name in _named(node):
                    found[kind].add(name)
    return found


def _named(node: Node) -> Iterator[tuple[str, str | None]]:
    match node:
        case CallActivity():
            yield "process", _text(node.called.process_id)
        case BusinessRuleTask():
            yield "decision", _text(node.decision.decision_id)
        case ExclusiveGateway() if node.policy:
            yield "policy", node.policy.package
        case ServiceTask() if node.job.type.text in _ASKS:
            yield _ASKS[node.job.type.text], None
        case _:
            pass


def _text(name: Template) -> str | None:
    return None if name.is_feel else name.text


def _ending(files: Mapping[str, bytes], *endings: str) -> list[str]:
    return sorted(path for path in files if path.endswith(endings))
