"""Test a plugin the way its users see it: level L0 is its shape, level L1 its golden cases."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, Literal

from engine.contracts import Contracts
from engine.core.model import Json
from engine.errors import EngineError
from engine.frozen import dataclass
from engine.plugins.calls import PluginResult, absent_tool, call
from engine.plugins.specs import Plugin
from engine.programs import Program, clean_environment, run_program

_SETUP_TIMEOUT_S = 60


@dataclass(frozen=True, kw_only=True)
class CaseResult:
    """One check of one plugin. `na` says why a case could not run (a program that is not installed)."""

    level: Literal["L0", "L1"]
    name: str
    result: Literal["ok", "failed", "na"]
    message: str = ""


@dataclass(frozen=True, kw_only=True)
class Conformance:
    """The report of a plugin's conformance; it passes when nothing failed and something ran."""

    plugin: str
    version: str
    checksum: str
    cases: tuple[CaseResult, ...]

    @property
    def passed(self) -> bool:
        results = [case.result for case in self.cases]
        return "failed" not in results and "ok" in results


async def check_conformance(plugin: Plugin, contracts: Contracts, scratch: Path) -> Conformance:
    """Return the report for `plugin`; `scratch` is a folder for the cases' workspaces."""
    shape = list(_check_shape(plugin, contracts))
    cases = [
        await _run_case(plugin, contracts, file, scratch / str(number))
        for number, file in enumerate(_case_files(plugin))
    ]
    return Conformance(
        plugin=plugin.id,
        version=plugin.version,
        checksum=plugin.checksum,
        cases=(*shape, *cases),
    )


def _check_shape(plugin: Plugin, contracts: Contracts) -> Iterator[CaseResult]:
    """Yield the checks of level L0; the specification itself was checked when the plugin was found."""
    yield _shape("specification", "")
    readme = plugin.folder / "README_PLUGIN.md"
    yield _shape(
        "README_PLUGIN.md", "" if readme.is_file() else "expected the file, but it is missing."
    )
    covered = set()
    for file in _case_files(plugin):
        try:
            covered.add(_read_case(file, contracts)["operation"])
        except (EngineError, OSError, ValueError) as error:
            yield _shape(f"conformance/{file.name}", str(error))
    for name in sorted(set(plugin.operations) - covered):
        yield _shape(
            f"operation {name}", f"expected a case for {name} in conformance/, but got none."
        )


def _shape(name: str, message: str) -> CaseResult:
    return CaseResult(level="L0", name=name, result="failed" if message else "ok", message=message)


def _case_files(plugin: Plugin) -> list[Path]:
    return sorted((plugin.folder / "conformance").glob("*.json"))


def _read_case(file: Path, contracts: Contracts) -> dict[str, Any]:  # Any: checked JSON
    case = json.loads(file.read_bytes(), parse_float=Decimal)
    contracts.check("plugin-case.v1", case)
    return dict(case)


async def _run_case(plugin: Plugin, contracts: Contracts, file: Path, folder: Path) -> CaseResult:
    try:
        case = _read_case(file, contracts)
        if absent := absent_tool(plugin):
            return _case(file, "na", f"{absent} is not installed.")
        message = await _play(plugin, contracts, case, folder)
    except (EngineError, OSError, ValueError) as error:
        message = str(error)
    return _case(file, "failed" if message else "ok", message)


def _case(file: Path, result: Literal["ok", "failed", "na"], message: str) -> CaseResult:
    return CaseResult(level="L1", name=file.stem, result=result, message=message)


async def _play(plugin: Plugin, contracts: Contracts, case: Mapping[str, Any], folder: Path) -> str:
    """Return what is wrong with the case's outcome, or ""."""
    workspace = await _workspace(case, folder)
    result = await call(
        plugin,
        case["operation"],
        case["input"],
        contracts=contracts,
        key=f"conformance/{plugin.id}",
        scratch=folder / "scratch",
        workspace=workspace,
        what_if=case.get("what_if", False),
    )
    return next(_differences(case["expect"], result, workspace), "")


async def _workspace(case: Mapping[str, Any], folder: Path) -> Path | None:
    """Return the case's workspace, made from its files and setup, or None. Raises ValueError when that fails."""
    if "files" not in case and "setup" not in case:
        return None
    workspace = folder / "workspace"
    workspace.mkdir(parents=True)
    for name, text in case.get("files", {}).items():
        path = _member(workspace, name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    for line in case.get("setup", ()):
        program = Program(
            argv=line,
            cwd=workspace,
            env=clean_environment(extra=_FIXED, home=folder),
            key="conformance/setup",
            timeout_s=_SETUP_TIMEOUT_S,
        )
        outcome = await run_program(program)
        if not outcome.succeeded:
            raise ValueError(f"setup `{line}` {outcome.reason}: {outcome.stderr.text.strip()}")
    return workspace


# Fixed author, dates and configuration make git's object ids in a case the same everywhere.
_FIXED = {
    "GIT_AUTHOR_NAME": "Case",
    "GIT_AUTHOR_EMAIL": "case@example.org",
    "GIT_AUTHOR_DATE": "2024-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "Case",
    "GIT_COMMITTER_EMAIL": "case@example.org",
    "GIT_COMMITTER_DATE": "2024-01-01T00:00:00Z",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "TZ": "UTC",
}


def _differences(
    expect: Mapping[str, Any], result: PluginResult, workspace: Path | None
) -> Iterator[str]:
    said = f" ({result.reason_code}: {result.reason})" if result.reason_code else ""
    if result.result != expect["result"]:
        yield f"expected result {expect['result']}, but got {result.result}{said}"
    if "reason_code" in expect and result.reason_code != expect["reason_code"]:
        yield f"expected reason code {expect['reason_code']}, but got {result.reason_code}"
    if "output" in expect and result.output != expect["output"]:
        yield f"expected output {_shown(expect['output'])}, but got {_shown(result.output)}"
    for pointer, value in expect.get("output_at", {}).items():
        got = _at(result.output, pointer)
        if got != value:
            yield f"expected {_shown(value)} at {pointer} of the output, but got {_shown(got)}"
    for name, text in expect.get("files", {}).items():
        path = _member(workspace or Path("/nonexistent"), name)
        there = path.read_text("utf-8") if path.is_file() else None
        if there != text:
            yield f"expected file {name} to hold {_shown(text)}, but got {_shown(there)}"


def _member(workspace: Path, name: str) -> Path:
    path = workspace / name
    if Path(name).is_absolute() or ".." in Path(name).parts:
        raise ValueError(f"expected a path inside the workspace, but got {name}")
    return path


def _at(value: Json, pointer: str) -> Json:
    """Return what `pointer` leads to in `value`, or None."""
    for part in pointer.split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if isinstance(value, Mapping):
            value = value.get(name)
        elif isinstance(value, list) and name.isdecimal() and int(name) < len(value):
            value = value[int(name)]
        else:
            return None
    return value


def _shown(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)[:400]
