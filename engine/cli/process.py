"""`engine process`: play scenarios, lint diagrams."""

from __future__ import annotations

import json
from collections.abc import Sequence
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from engine.cli import show
from engine.cli.common import HERE, AsJson, ProjectFolder, open_engine

if TYPE_CHECKING:
    from engine.cli.fixing import Repaired
    from engine.cli.scenario_files import Report
    from engine.core.model import Json
    from engine.core.scenario import Difference

app = typer.Typer(no_args_is_help=True)


@app.command()
def test(
    paths: Annotated[list[Path], typer.Argument(help="Scenarios, diagrams, or folders with both.")],
    as_json: AsJson = False,
) -> int:
    """Play scenarios with a virtual clock; exit 1 when something differs, 3 when one is invalid."""
    from engine.cli import scenario_files

    reports = [scenario_files.run(file) for file in scenario_files.find(paths)]
    if as_json:
        show.as_json("process-test", _as_json(reports))
    else:
        _tell(reports)
    if any(report.invalid for report in reports):
        return 3
    return 0 if all(report.is_ok for report in reports) else 1


class LintFormat(StrEnum):
    """How findings are printed."""

    text = "text"
    json = "json"
    sarif = "sarif"
    github = "github"


@app.command()
def lint(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(help="Diagrams, or folders that hold some; the bundle in use without."),
    ] = None,
    project: ProjectFolder = HERE,
    format_: Annotated[
        LintFormat, typer.Option("--format", help="text, json, sarif or github.")
    ] = LintFormat.text,
    fix: Annotated[
        bool, typer.Option("--fix", help="Mend what one can mend without changing the meaning.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="With --fix: show the changes and write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Find what cannot run, with file, line and what to do; exit 3 when there is an error."""
    from engine.cli import definition_files, finding_forms
    from engine.errors import UsageError

    if fix and not paths:
        raise UsageError("--fix", expected="the diagrams that it may change", got="no path")
    files = definition_files.diagrams(paths or [_bundle_in_use(project)])
    repaired = _mended(files, fix=fix, dry_run=dry_run)
    findings = definition_files.findings(files)
    names = [str(file) for file in files]
    match LintFormat.json if as_json else format_:
        case LintFormat.json:
            body = finding_forms.as_json(findings, names)
            fixed = [str(item.said) for file in repaired for item in file.done]
            show.as_json("process-lint", body | ({"fixed": fixed} if fix else {}))
        case LintFormat.sarif:
            typer.echo(
                json.dumps(
                    finding_forms.as_sarif(findings, "engine process lint"), ensure_ascii=False
                )
            )
        case LintFormat.github:
            typer.echo("\n".join(finding_forms.as_github(findings)), nl=bool(findings))
        case LintFormat.text:
            for file in repaired:
                typer.echo("\n".join(file.diff() if dry_run else map(str, file.done)))
            typer.echo(finding_forms.as_text(findings, names))
    return 3 if any(finding.severity == "error" for finding in findings) else 0


def _bundle_in_use(project: Path) -> Path:
    """Return the folder with the processes that runs of the project begin with."""
    from engine.shipped import folder

    root = open_engine(project).bundle_root()
    return folder("process") if root is None else root / "process"


def _mended(files: Sequence[Path], *, fix: bool, dry_run: bool) -> list[Repaired]:
    from engine.cli.fixing import repair
    from engine.errors import UsageError

    if dry_run and not fix:
        raise UsageError("--dry-run shows what --fix would do", expected="--fix --dry-run")
    return repair(files, dry_run=dry_run) if fix else []


@app.command()
def templates(
    folder: Annotated[Path, typer.Option("--output", "-o", help="Folder to write them to.")],
    as_json: AsJson = False,
) -> int:
    """Write an element template for each job type: what a designer picks from the modeller's menu."""
    from engine.errors import EnvironmentFailure
    from engine.runtime.jobs import load_handlers
    from engine.runtime.templates import templates as made

    written = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, template in made(load_handlers()).items():
            text = json.dumps(template, indent=2, ensure_ascii=False) + "\n"
            (folder / name).write_text(text, "utf-8")
            written.append(str(folder / name))
    except OSError as error:
        raise EnvironmentFailure(
            "the templates cannot be written", where=str(folder), got=error.strerror or ""
        ) from error
    if as_json:
        show.as_json("process-templates", {"written": written})
    else:
        show.line(f"wrote {len(written)} element templates to {show.plain(folder)}")
        show.line("Camunda Modeler reads them from .camunda/element-templates beside the diagram.")
    return 0


def _as_json(reports: Sequence[Report]) -> dict[str, object]:
    passed = sum(report.is_ok for report in reports)
    return {
        "scenarios": [
            {
                "file": str(report.file),
                "ok": report.is_ok,
                "differences": [
                    {
                        "what": difference.what,
                        "expected": _plain(difference.expected),
                        "got": _plain(difference.got),
                    }
                    for difference in report.differences
                ]
                or ([_invalid(report)] if report.invalid else []),
            }
            for report in reports
        ],
        "passed": passed,
        "failed": len(reports) - passed,
    }


def _invalid(report: Report) -> dict[str, object]:
    return {"what": "scenario", "expected": "it can be played", "got": report.invalid}


def _tell(reports: Sequence[Report]) -> None:
    for report in reports:
        word = "ok" if report.is_ok else "invalid" if report.invalid else "differs"
        show.line(f"{show.coloured(word)}  {report.file}")
        if report.invalid:
            for told in report.invalid.splitlines():
                show.line(show.plain(f"    {told}"))
        for difference in report.differences:
            for told in _difference(difference):
                show.line(show.plain(f"    {told}"))
        for note in report.notes:
            show.line(show.plain(f"    note: {note}"))
    passed = sum(report.is_ok for report in reports)
    show.line(f"{passed} of {len(reports)} scenarios hold")


def _difference(difference: Difference) -> list[str]:
    """Return what to print: one line, and for a path both ways from where they part."""
    expected, got = difference.expected, difference.got
    if difference.what != "path" or not isinstance(expected, list) or not isinstance(got, list):
        return [f"{difference.what}: expected {_text(expected)}, but got {_text(got)}"]
    same = next((n for n, (a, b) in enumerate(zip(expected, got, strict=False)) if a != b), None)
    at = min(len(expected), len(got)) if same is None else same
    after = f"after {got[at - 1]} " if at else ""
    wanted, came = (str(way[at]) if at < len(way) else "nothing more" for way in (expected, got))
    return [
        f"path: {after}expected {wanted}, but got {came}",
        f"  expected {' → '.join(map(str, expected))}",
        f"  got      {' → '.join(map(str, got))}",
    ]


def _plain(value: Json) -> object:
    """Return a value as a JSON writer takes it: Decimals as numbers."""
    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case list() | tuple():
            return [_plain(item) for item in value]
        case dict():
            return {name: _plain(item) for name, item in value.items()}
        case _:
            return value


def _text(value: Json) -> str:
    return json.dumps(_plain(value), ensure_ascii=False)
