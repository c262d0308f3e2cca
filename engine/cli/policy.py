"""`engine policy`: ask a policy, check files, run their tests."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from engine.cli import show
from engine.cli.common import HERE, AsJson, ProjectFolder, open_engine

if TYPE_CHECKING:
    from engine.bpmn.model import Finding
    from engine.policy import ServerSettings
    from engine.policy.study import Explanation, Place
    from engine.settings import PolicySettings

app = typer.Typer(no_args_is_help=True)

Format = Annotated[
    Literal["text", "sarif", "github", "junit"],
    typer.Option("--format", help="How findings and results are printed."),
]

Folder = Annotated[
    Path | None, typer.Option("--policies", help="Folder of policies; the project's without.")
]
FolderArgument = Annotated[
    Path | None, typer.Argument(help="Folder of policies; the project's without.")
]
Server = Annotated[
    str | None,
    typer.Option(
        "--server",
        metavar="URL",
        help="Ask an OPA server of your own instead; it gets these policies in place of ours it had.",
    ),
]


@app.command("eval")
def evaluate(
    package: Annotated[str, typer.Option("--package", "-p", help="Rego package to ask.")],
    input_text: Annotated[str, typer.Option("--input", "-i", help="JSON, or @FILE.")] = "{}",
    policies: Folder = None,
    server: Server = None,
    project: ProjectFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Ask a policy and print its verdict. Exit 0 for pass, 1 for anything else."""
    from engine.policy import PolicySet

    given = _json(input_text)
    asked = PolicySet.load(_modules(project, policies), server=_server(project, server))
    with closing(asked):
        verdict = asked.decide(package, given, _time(given))
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
                "waived": [asdict(one) for one in verdict.waived],
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
        for one in verdict.waived:
            told = f"{one.code}: {one.message} (does not count: waiver {one.waiver})"
            show.line(f"  {show.plain(told)}")
    return 0 if verdict.ruling == "pass" else 1


@app.command()
def check(
    folder: FolderArgument = None,
    backend: Annotated[
        Literal["embedded", "opa"] | None,
        typer.Option(help="Who will judge; what the project's configuration says without."),
    ] = None,
    project: ProjectFolder = HERE,
    as_json: AsJson = False,
    style: Format = "text",
) -> int:
    """Check that every policy can be read, is pure, and closes by default. Exit 3 when one is not."""
    from engine.cli import finding_forms
    from engine.errors import DefinitionError
    from engine.policy.authoring import lint

    is_opa = (backend or _policy_settings(project).backend) == "opa"
    modules = _modules(project, folder)
    findings = lint(modules, for_opa=is_opa)
    if style != "text" and not as_json:
        from engine.cli import policy_formats

        if style == "junit":
            typer.echo(policy_formats.junit_of_findings(findings, list(modules)))
        else:
            _echo_placed(findings, folder, style, "engine policy check")
    elif as_json:
        show.as_json("policy-check", finding_forms.as_json(findings, list(modules)))
    is_text = style == "text" and not as_json
    for finding in findings if is_text else ():
        show.line(show.plain(finding))
    if not findings and is_text:
        show.line("every policy can be read, is pure and closes by default")
    return DefinitionError.exit_code if any(f.severity == "error" for f in findings) else 0


@app.command()
def test(
    folder: FolderArgument = None,
    server: Server = None,
    project: ProjectFolder = HERE,
    as_json: AsJson = False,
    style: Format = "text",
) -> int:
    """Run every rule named test_*; one that is not true has failed. Exit 1 when one failed or none was found."""
    from engine.policy.authoring import run_tests, with_places

    modules = _modules(project, folder, tests=True)
    results = run_tests(modules, _server(project, server))
    if server is None:
        results = with_places(modules, results)
    failed = [result for result in results if not result.passed]
    if style != "text" and not as_json:
        from engine.cli import policy_formats

        if style == "junit":
            typer.echo(policy_formats.junit(results))
        else:
            _echo_placed(policy_formats.failures(results), folder, style, "engine policy test")
    elif as_json:
        show.as_json(
            "policy-test",
            {
                "passed": len(results) - len(failed),
                "failed": len(failed),
                "tests": [
                    {
                        "package": r.package,
                        "name": r.name,
                        "passed": r.passed,
                        "message": r.message,
                        "file": r.file,
                        "line": r.line,
                    }
                    for r in results
                ],
            },
        )
    else:
        for result in failed:
            why = f": {show.plain(result.message)}" if result.message else ""
            place = show.plain(f"{result.file}:{result.line}: {result.package}.{result.name}")
            show.line(f"[red]failed[/] {place}{why}")
        show.line(f"{len(results) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed or not results else 0


def _echo_placed(findings: Sequence[Finding], folder: Path | None, style: str, tool: str) -> None:
    """Print findings as SARIF or for GitHub, with files as seen from here."""
    import orjson

    from engine.cli import finding_forms

    placed = [replace(f, file=str(folder / f.file)) if folder else f for f in findings]
    if style == "sarif":
        typer.echo(orjson.dumps(finding_forms.as_sarif(placed, tool)).decode())
    elif placed:
        typer.echo("\n".join(finding_forms.as_github(placed)))


@app.command()
def coverage(
    folder: FolderArgument = None, project: ProjectFolder = HERE, as_json: AsJson = False
) -> int:
    """Show which rules, lines and statements of each policy its tests reach. Exit 1 when a rule never holds."""
    from engine.policy.study import coverage as measure

    files = measure(_modules(project, folder, tests=True))
    unreached = [rule for file in files for rule in file.rules if not rule.reached]
    if as_json:
        show.as_json(
            "policy-coverage",
            {
                "files": [
                    {"file": f.file, "percent": f.percent, "missed_lines": list(f.missed),
                     "rules": [
                         {"name": r.name, "line": r.line, "column": r.column, "reached": r.reached,
                          "missed": [{"line": m.line, "column": m.column, "text": m.text} for m in r.missed]}
                         for r in f.rules
                     ]}
                    for f in files
                ]
            },
        )  # fmt: skip
    for file in () if as_json else files:
        show.line(f"{show.plain(file.file)}: {file.percent} % of lines")
        for rule in file.rules:
            if not rule.reached:
                show.line(
                    f"  {show.plain(f'{file.file}:{rule.line}:{rule.column}: {rule.name}')} never held"
                )
            for part in rule.missed:
                place = f"{file.file}:{part.line}:{part.column}: {part.text}"
                show.line(f"    {show.plain(place)} was never looked at")
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
    from engine.policy.study import explain as study

    given = _json(input_text)
    told = study(_modules(project, policies), package, given, _time(given))
    if as_json:
        show.as_json("policy-explanation", {"package": package, **_explanation(told)})
    else:
        _tell(package, told)
    return 0 if told.verdict.ruling == "pass" else 1


def _explanation(told: Explanation) -> dict[str, Any]:  # Any: JSON
    return {
        "allowed": told.verdict.ruling == "pass",
        "ruling": told.verdict.ruling.value,
        "reasons": [{"code": r.code, "message": r.message} for r in told.verdict.reasons],
        "rules": [asdict(place) for place in told.rules],
        "denials": [asdict(denial) for denial in told.denials],
        "stopped": [asdict(place) for place in told.stopped],
    }


def _tell(package: str, told: Explanation) -> None:
    is_open = told.verdict.ruling == "pass"
    show.line(f"{show.plain(package)} {'opens' if is_open else 'stays closed'}")
    for place in (place for place in told.rules if is_open and place.name == "allow"):
        show.line(f"  {_at(place)} held")
    for denial in told.denials:
        at = f" ({denial.path})" if denial.path else ""
        show.line(f"  {show.plain(f'{denial.code}: {denial.message}{at}')}")
        for place in denial.by:
            show.line(f"    {_at(place)} held")
        for place in denial.because:
            show.line(f"    {_at(place)} stopped at: {show.plain(place.statement)}")
    for reason in () if told.denials else told.verdict.reasons:
        show.line(f"  {show.plain(f'{reason.code}: {reason.message}')}")
    for place in told.stopped:
        show.line(f"  {_at(place)} stops at: {show.plain(place.statement)}")
    if told.denials:
        gone = "this denial goes" if len(told.denials) == 1 else "all of these denials go"
        show.line(
            f"It opens when {gone} and allow holds." if told.stopped else f"It opens when {gone}."
        )


def _at(place: Place) -> str:
    return show.plain(f"{place.file}:{place.line}:{place.column}: {place.name}")


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
        texts = {file.relative_to(folder).as_posix(): file.read_text("utf-8") for file in kept}
        return texts | _values(folder)
    except UnicodeDecodeError as error:
        raise UsageError("a policy is not UTF-8", where=str(folder), got=str(error)) from error


def _policy_settings(project: Path) -> PolicySettings:
    from engine.settings import load_project

    return load_project(project.resolve()).settings.policy


def _server(project: Path, url: str | None) -> ServerSettings | None:
    """Return the OPA server at `url`, with the token and the authority that the project's configuration names."""
    import os

    from engine.policy import ServerSettings

    if url is None:
        return None
    policy = _policy_settings(project)
    return ServerSettings(
        url=url,
        timeout_s=policy.timeout_s,
        token=os.environ.get(policy.token_env, "") if policy.token_env else "",
        ca_file=policy.ca_file,
    )


def _values(folder: Path) -> dict[str, str]:
    """Return the rules that files of values beside the policies stand for."""
    from engine.core.policy_values import ENDINGS, rules_of

    found = [file for ending in ENDINGS for file in sorted(folder.rglob(f"*{ending}"))]
    return {
        name: rules_of(name, file.read_bytes())
        for file in found
        for name in [file.relative_to(folder).as_posix()]
    }


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
