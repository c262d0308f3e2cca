"""`engine policy`: ask a policy, check files, run their tests."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from engine.cli import show
from engine.cli.common import HERE, AsJson, ProjectFolder, open_engine

app = typer.Typer(no_args_is_help=True)

CheckFormat = Annotated[
    Literal["text", "sarif", "github"], typer.Option("--format", help="How findings are printed.")
]
TestFormat = Annotated[
    Literal["text", "junit"], typer.Option("--format", help="How results are printed.")
]

Folder = Annotated[
    Path | None, typer.Option("--policies", help="Folder of policies; the project's without.")
]
FolderArgument = Annotated[
    Path | None, typer.Argument(help="Folder of policies; the project's without.")
]


@app.command("eval")
def evaluate(
    package: Annotated[str, typer.Option("--package", "-p", help="Rego package to ask.")],
    input_text: Annotated[str, typer.Option("--input", "-i", help="JSON, or @FILE.")] = "{}",
    policies: Folder = None,
    project: ProjectFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Ask a policy and print its verdict. Exit 0 for pass, 1 for anything else."""
    from engine.policy import PolicySet

    given = _json(input_text)
    verdict = PolicySet.load(_modules(project, policies)).decide(package, given, _time(given))
    if as_json:
        show.as_json(
            "verdict",
            {
                "package": package,
                "ruling": verdict.ruling.value,
                "reasons": [
                    {"code": r.code, "message": r.message, "path": r.path, "location": r.location}
                    for r in verdict.reasons
                ],
                "engine": verdict.engine,
                "bundle": verdict.bundle,
                "duration_us": verdict.duration_us,
            },
        )
    else:
        show.line(f"{show.plain(package)}: {show.coloured(verdict.ruling.value)}")
        for reason in verdict.reasons:
            at = f" ({reason.path})" if reason.path else ""
            show.line(f"  {show.plain(reason.code)}: {show.plain(reason.message + at)}")
    return 0 if verdict.ruling == "pass" else 1


@app.command()
def check(
    folder: FolderArgument = None,
    project: ProjectFolder = HERE,
    as_json: AsJson = False,
    style: CheckFormat = "text",
) -> int:
    """Check that every policy can be read, is pure, and closes by default. Exit 3 when one is not."""
    from engine.errors import DefinitionError
    from engine.policy.authoring import lint

    findings = lint(_modules(project, folder))
    if style != "text" and not as_json:
        from engine.cli import policy_formats

        placed = [replace(f, file=str(folder / f.file)) if folder else f for f in findings]
        typer.echo(
            policy_formats.sarif(placed) if style == "sarif" else policy_formats.github(placed)
        )
    elif as_json:
        show.as_json(
            "policy-check",
            {
                "findings": [
                    {"file": f.file, "line": f.line, "severity": f.severity, "rule": f.rule,
                     "message": f.message, "hint": f.hint}
                    for f in findings
                ]
            },
        )  # fmt: skip
    is_text = style == "text" and not as_json
    for finding in findings if is_text else ():
        show.line(show.plain(finding))
    if not findings and is_text:
        show.line("every policy can be read, is pure and closes by default")
    return DefinitionError.exit_code if any(f.severity == "error" for f in findings) else 0


@app.command()
def test(
    folder: FolderArgument = None,
    project: ProjectFolder = HERE,
    as_json: AsJson = False,
    style: TestFormat = "text",
) -> int:
    """Run every rule named test_*; one that is not true has failed. Exit 1 when one failed or none was found."""
    from engine.policy.authoring import run_tests

    results = run_tests(_modules(project, folder, tests=True))
    failed = [result for result in results if not result.passed]
    if style == "junit" and not as_json:
        from engine.cli.policy_formats import junit

        typer.echo(junit(results))
    elif as_json:
        show.as_json(
            "policy-test",
            {
                "passed": len(results) - len(failed),
                "failed": len(failed),
                "tests": [
                    {"package": r.package, "name": r.name, "passed": r.passed, "message": r.message}
                    for r in results
                ],
            },
        )
    else:
        for result in failed:
            why = f": {show.plain(result.message)}" if result.message else ""
            show.line(f"[red]failed[/] {show.plain(result.package)}.{show.plain(result.name)}{why}")
        show.line(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not results else 0


@app.command()
def coverage(
    folder: FolderArgument = None, project: ProjectFolder = HERE, as_json: AsJson = False
) -> int:
    """Show which rules and lines of each policy its tests reach. Exit 1 when a rule is never reached."""
    from engine.policy.study import coverage as measure

    files = measure(_modules(project, folder, tests=True))
    unreached = [rule for file in files for rule in file.rules if not rule.reached]
    if as_json:
        show.as_json(
            "policy-coverage",
            {
                "files": [
                    {"file": f.file, "percent": f.percent, "missed_lines": list(f.missed),
                     "rules": [{"name": r.name, "line": r.first, "reached": r.reached} for r in f.rules]}
                    for f in files
                ]
            },
        )  # fmt: skip
    for file in () if as_json else files:
        show.line(f"{show.plain(file.file)}: {file.percent} % of lines")
        for rule in file.rules:
            if not rule.reached:
                show.line(
                    f"  {show.plain(file.file)}:{rule.first}: {show.plain(rule.name)} never held"
                )
    return 1 if unreached else 0


@app.command()
def explain(
    package: Annotated[str, typer.Option("--package", "-p", help="Rego package to ask.")],
    input_text: Annotated[str, typer.Option("--input", "-i", help="JSON, or @FILE.")] = "{}",
    policies: Folder = None,
    project: ProjectFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Show the rules that decided and what must go for the gateway to open. Exit 0 when it is open, else 1."""
    from engine.errors import UsageError
    from engine.policy.backends import RegoError
    from engine.policy.study import explain as study

    try:
        told = study(_modules(project, policies), package, _json(input_text))
    except RegoError as error:
        raise UsageError("the policy cannot be evaluated", where=package, got=str(error)) from error
    if as_json:
        show.as_json(
            "policy-explanation",
            {
                "package": package,
                "allowed": told.allowed,
                "denials": list(told.denials),
                "rules": [{"file": f, "line": r.first, "name": r.name} for f, r in told.rules],
            },
        )
        return 0 if told.allowed else 1
    show.line(f"{show.plain(package)} {'opens' if told.allowed else 'stays closed'}")
    for file, rule in told.rules:
        show.line(f"  {show.plain(file)}:{rule.first}: {show.plain(rule.name)} held")
    for denial in told.denials:
        show.line(f"  {show.plain(denial['code'])}: {show.plain(denial['msg'])}")
    if told.denials:
        show.line(
            f"It opens when {'this denial goes' if len(told.denials) == 1 else 'all of these go'}."
        )
    return 0 if told.allowed else 1


def _modules(project: Path, folder: Path | None, *, tests: bool = False) -> dict[str, str]:
    from engine.errors import UsageError
    from engine.shipped import folder as shipped

    if folder is None:
        root = open_engine(project).bundle_root()
        folder = root / "policies" if root else shipped("policies")
    files = sorted(folder.rglob("*.rego")) if folder.is_dir() else []
    kept = [file for file in files if tests or not file.stem.endswith("_test")]
    if not kept:
        raise UsageError("there are no policies", where=str(folder), expected="*.rego files")
    try:
        return {file.relative_to(folder).as_posix(): file.read_text("utf-8") for file in kept}
    except UnicodeDecodeError as error:
        raise UsageError("a policy is not UTF-8", where=str(folder), got=str(error)) from error


def _time(given: Any) -> datetime:  # Any: JSON given by a person
    """Return the moment that the input names as `now`, or this one."""
    from engine.errors import UsageError

    if not isinstance(given, dict) or "now" not in given:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(given["now"])
    except (TypeError, ValueError) as error:
        raise UsageError(
            "--input", expected="now as RFC 3339 text", got=str(given["now"])
        ) from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _json(text: str) -> Any:  # Any: JSON given by a person
    import json
    from decimal import Decimal

    from engine.errors import UsageError

    try:
        if text.startswith("@"):
            text = Path(text[1:]).read_text("utf-8")
        return json.loads(text, parse_float=Decimal)
    except ValueError as error:
        raise UsageError("--input", expected="JSON or @FILE", got=str(error)) from error
