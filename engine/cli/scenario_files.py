"""Scenario files on disk: which there are, what stands in them, the definitions they need."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from engine.cli.scenario_notes import notes
from engine.contracts import Contracts
from engine.core.definitions import Definitions
from engine.core.process import Step
from engine.core.scenario import Difference, Scenario, play
from engine.errors import DefinitionError, UsageError
from engine.frozen import dataclass
from engine.shipped import folder

if TYPE_CHECKING:
    from engine.core.model import Json, Verdict

CONTRACT = "process-test.v1"
ENDINGS = (".json", ".yaml", ".yml")


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came of one scenario file. `invalid` says why it could not be played at all."""

    file: Path
    differences: tuple[Difference, ...] = ()
    notes: tuple[str, ...] = ()  #: what may have led to the differences
    invalid: str = ""

    @property
    def is_ok(self) -> bool:
        return not self.differences and not self.invalid


def find(paths: Sequence[Path]) -> list[Path]:
    """Return the scenario files that `paths` mean: files, those beside a diagram, all in a folder.

    Raises UsageError when a path is not there or means no scenario.
    """
    found: dict[Path, None] = {}
    for path in paths:
        if not path.exists():
            raise UsageError("there is no such file or folder", where=str(path))
        scenarios = sorted(_of(path))
        if not scenarios:
            raise UsageError(
                "there are no scenarios",
                where=str(path),
                expected="NAME.json, NAME.case.json or the same as .yaml beside NAME.bpmn",
            )
        found.update(dict.fromkeys(scenarios))
    return list(found)


def run(file: Path) -> Report:
    """Play one scenario file."""
    try:
        scenario = read(file)
        definitions, judge = load(file, scenario)
        steps: list[Step] = []
        differences = play(scenario, definitions, judge, steps.append)
        why = notes(scenario, definitions, steps) if differences else ()
        return Report(file=file, differences=differences, notes=why)
    except (DefinitionError, UsageError) as error:
        return Report(file=file, invalid=str(error))


def read(file: Path) -> Scenario:
    """Return the scenario in `file`. Raises DefinitionError naming every violation of its contract."""
    value = _parsed(file)
    violations = Contracts(folder("contracts")).violations(CONTRACT, value)
    if violations or not isinstance(value, Mapping):
        raise DefinitionError("\n".join(map(str, violations)), where=str(file))
    return Scenario.from_json(value)


def load(
    file: Path, scenario: Scenario
) -> tuple[Definitions, Callable[[str, Json, datetime], Verdict]]:
    """Return the definitions a scenario is played on, and what judges its policy gateways."""
    diagram = file.parent / (scenario.diagram or f"{file.name.partition('.')[0]}.bpmn")
    files: dict[str, bytes] = {}
    for path in (diagram, *(file.parent / name for name in scenario.also)):
        try:
            files[str(path)] = path.read_bytes()
        except OSError as error:
            raise DefinitionError(
                f"cannot be read: {error.strerror}", where=str(path), hint=f"{file} names it."
            ) from error
    definitions = Definitions.load(files, needs_policies=False)
    return definitions, _judge(definitions)


def _judge(definitions: Definitions) -> Callable[[str, Json, datetime], Verdict]:
    from engine.policy import PolicySet

    policies = PolicySet.load(definitions.policies)
    return lambda package, given, now: policies.decide(package, given, now=now)


def _of(path: Path) -> Iterator[Path]:
    """Yield the scenarios that one path means."""
    if path.is_dir():
        for diagram in path.rglob("*.bpmn"):
            yield from _beside(diagram)
    elif path.suffix == ".bpmn":
        yield from _beside(path)
    else:
        yield path


def _beside(diagram: Path) -> Iterator[Path]:
    name = diagram.name.partition(".")[0]
    for path in diagram.parent.iterdir():
        if path.suffix in ENDINGS and path.name.partition(".")[0] == name:
            yield path


# --- JSON and YAML ------------------------------------------------------------------------------------


def _parsed(file: Path) -> Json:
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise DefinitionError(f"cannot be read: {error}", where=str(file)) from error
    try:
        if file.suffix == ".json":
            value: Json = json.loads(text, parse_float=Decimal, parse_constant=_no_constant)
            return value
        return _without_floats(yaml.load(text, _Loader))
    except (ValueError, yaml.YAMLError, RecursionError) as error:
        kind = "JSON" if file.suffix == ".json" else "YAML"
        raise DefinitionError(f"expected {kind}, but {error}", where=str(file)) from error


def _no_constant(name: str) -> Json:
    raise ValueError(f"{name} is no JSON number")


class _Loader(yaml.SafeLoader):
    """Safe YAML in which 2026-01-01 stays text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


def _without_floats(value: object) -> Json:
    match value:
        case bool() | None | int() | str():
            return value
        case float():
            return Decimal(repr(value))
        case list():
            return [_without_floats(item) for item in value]
        case dict():
            return {str(key): _without_floats(item) for key, item in value.items()}
        case _:
            raise ValueError(f"{type(value).__name__} is no JSON value")
