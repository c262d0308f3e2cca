"""Commands for plugins: list, new, test, run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import show
from engine.cli.common import HERE, AsJson, ProjectFolder

if TYPE_CHECKING:
    from engine.contracts import Contracts
    from engine.plugins import Conformance, Finding, Plugin, PluginResult, Plugins

app = typer.Typer(no_args_is_help=True)

Folders = Annotated[
    list[Path] | None,
    typer.Option("--folder", "-F", help="Another folder that holds plugins; may be repeated."),
]


@app.command("list")
def list_plugins(
    project: ProjectFolder = HERE, folder: Folders = None, as_json: AsJson = False
) -> int:
    """List the plugins there are, and what is wrong with those that cannot be used (exit 3)."""
    from engine.plugins import absent_tool

    found = _discover(project, folder, _contracts())
    if as_json:
        plugins = [_described(plugin) for plugin in found.plugins.values()]
        show.as_json("plugin-list", {"plugins": plugins, "findings": _listed(found.findings)})
    else:
        rows = [
            (
                show.plain(plugin.id),
                plugin.version,
                plugin.category,
                show.plain(", ".join(plugin.operations)),
                f"[yellow]needs {absent}[/]" if (absent := absent_tool(plugin)) else "ready",
            )
            for plugin in found.plugins.values()
        ]
        show.table(("plugin", "version", "category", "operations", "state"), rows)
        _tell_findings(found.findings)
    return 3 if found.findings else 0


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="Its id, and the name of its folder.")],
    directory: Annotated[
        Path | None,
        typer.Argument(help="Where its folder is made; .engine/plugins of the project without."),
    ] = None,
    category: Annotated[str, typer.Option("--category", "-c", help="One of the five.")] = "",
    project: ProjectFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Write a plugin that works: fill in one function, and test it with `engine plugin test`."""
    from engine.errors import UsageError
    from engine.plugins import CATEGORIES, write_plugin

    wanted = next((known for known in CATEGORIES if known == category), None)
    if wanted is None:
        raise UsageError(
            "every plugin has a category",
            where="--category",
            expected=f"one of {', '.join(CATEGORIES)}",
            got=category or "none",
        )
    place = write_plugin(name, wanted, directory or _own_folder(project))
    if as_json:
        show.as_json("plugin-new", {"plugin": name, "category": wanted, "folder": str(place)})
    else:
        show.line(f"wrote {show.plain(place)}; next: engine plugin test {show.plain(place)}")
    return 0


@app.command("test")
def check(
    plugins: Annotated[
        list[str] | None, typer.Argument(help="Ids or plugin folders; all without.")
    ] = None,
    project: ProjectFolder = HERE,
    folder: Folders = None,
    as_json: AsJson = False,
) -> int:
    """Check plugins' shape (L0) and play their golden cases (L1); exit 1 when one fails, 3 when one is malformed."""
    import asyncio
    import tempfile

    from engine.plugins import check_conformance

    contracts = _contracts()
    chosen, findings = _choose(plugins or [], project, folder, contracts)

    async def run_all(scratch: Path) -> list[Conformance]:
        return [await check_conformance(p, contracts, scratch / p.id) for p in chosen]

    with tempfile.TemporaryDirectory(prefix="engine-plugin-") as scratch:
        reports = asyncio.run(run_all(Path(scratch).resolve()))
    _print_reports(reports, findings, as_json=as_json)
    if findings:
        return 3
    return 0 if all(report.passed for report in reports) else 1


@app.command("run")
def run(
    plugin: Annotated[str, typer.Argument(help="Its id.")],
    operation: Annotated[str, typer.Argument(help="One of its operations.")],
    given: Annotated[
        str, typer.Option("--input", "-i", help="JSON, or @FILE, or - for standard input.")
    ] = "{}",
    workspace: Annotated[
        Path | None, typer.Option("--workspace", "-w", help="The folder it works in.")
    ] = None,
    what_if: Annotated[
        bool, typer.Option("--what-if", help="Say what would be done; do nothing.")
    ] = False,
    project: ProjectFolder = HERE,
    folder: Folders = None,
    as_json: AsJson = False,
) -> int:
    """Call one operation in an isolated process; exit 0 for ok, 1 for failed, 6 when a program it needs is absent."""
    import asyncio
    import tempfile

    from engine.plugins import call

    contracts = _contracts()
    found = _discover(project, folder, contracts)
    if workspace is not None:
        _must_be_folder(workspace)
    with tempfile.TemporaryDirectory(prefix="engine-plugin-") as scratch:
        result = asyncio.run(
            call(
                _find(found, plugin),
                operation,
                _input(given),
                contracts=contracts,
                key=f"command-line/{plugin}.{operation}",
                scratch=Path(scratch).resolve() / "call",
                workspace=workspace.resolve() if workspace else None,
                what_if=what_if,
            )
        )
    _print_result(result, as_json=as_json)
    if result.result == "ok":
        return 0
    return 6 if result.reason_code == "TOOL_ABSENT" else 1


def _contracts() -> Contracts:
    from engine.contracts import Contracts
    from engine.shipped import folder

    return Contracts(folder("contracts"))


def _discover(project: Path, folders: list[Path] | None, contracts: Contracts) -> Plugins:
    """Return what is found in the shipped, the project's and the given folders."""
    from engine.plugins import discover
    from engine.shipped import folder

    for given in folders or ():
        _must_be_folder(given)
    return discover([folder("plugins"), _own_folder(project), *(folders or ())], contracts)


def _choose(
    wanted: list[str], project: Path, folders: list[Path] | None, contracts: Contracts
) -> tuple[list[Plugin], Sequence[Finding]]:
    """Return the plugins named or at the paths `wanted`, all when there are none, and what is wrong with others."""
    from engine.plugins.specs import read_plugin

    found = _discover(project, folders, contracts)
    if not wanted:
        return list(found.plugins.values()), found.findings
    chosen, findings = [], []
    for name in wanted:
        if "/" not in name and not (Path(name) / "plugin.spec.json").is_file():
            chosen.append(_find(found, name))
            continue
        _must_be_folder(Path(name))
        plugin, wrong = read_plugin(Path(name).resolve(), contracts)
        chosen += [plugin] if plugin else []
        findings += wrong
    return chosen, findings


def _must_be_folder(path: Path) -> None:
    from engine.errors import UsageError

    if not path.is_dir():
        raise UsageError("the folder is not there", where=str(path))


def _own_folder(project: Path) -> Path:
    from engine.settings import HOME_NAME, find_project_root

    return find_project_root(project.resolve()) / HOME_NAME / "plugins"


def _find(found: Plugins, name: str) -> Plugin:
    from engine.errors import UsageError

    if name not in found.plugins:
        wrong = next((f.message for f in found.findings if f"/{name}/" in f.where), "")
        raise UsageError(
            f"there is no usable plugin {name}",
            expected=f"one of {', '.join(found.plugins)}",
            got=wrong or name,
            hint="See engine plugin list.",
        )
    return found.plugins[name]


def _input(given: str) -> Any:  # Any: JSON, checked against the operation's contract
    import json
    import sys
    from decimal import Decimal

    from engine.errors import UsageError

    text = given
    if given == "-":
        text = sys.stdin.read()
    elif given.startswith("@"):
        text = Path(given[1:]).read_text("utf-8")
    try:
        return json.loads(text, parse_float=Decimal)
    except ValueError as error:
        raise UsageError(
            "the input is no JSON", where="--input", expected="JSON, @FILE or -", got=str(error)
        ) from error


def _described(plugin: Plugin) -> dict[str, Any]:  # Any: JSON
    from engine.plugins import absent_tool

    return {
        "id": plugin.id,
        "version": plugin.version,
        "title": plugin.title,
        "category": plugin.category,
        "role": plugin.role,
        "lane": plugin.lane,
        "operations": {name: {"what_if": one.what_if} for name, one in plugin.operations.items()},
        "capabilities": plugin.capabilities,
        "requires": plugin.requires,
        "absent": absent_tool(plugin) or None,
        "folder": str(plugin.folder),
        "checksum": plugin.checksum,
    }


def _listed(findings: Sequence[Finding]) -> list[dict[str, str]]:
    return [{"where": finding.where, "message": finding.message} for finding in findings]


def _tell_findings(findings: Sequence[Finding]) -> None:
    for finding in findings:
        show.line(f"[red]unusable[/] {show.plain(finding.where)}: {show.plain(finding.message)}")


def _print_reports(
    reports: list[Conformance], findings: Sequence[Finding], *, as_json: bool
) -> None:
    if as_json:
        body = [
            {
                "plugin": report.plugin,
                "version": report.version,
                "checksum": report.checksum,
                "passed": report.passed,
                "cases": [vars(case) for case in report.cases],
            }
            for report in reports
        ]
        show.as_json("plugin-test", {"plugins": body, "findings": _listed(findings)})
        return
    for report in reports:
        word = show.coloured("ok" if report.passed else "failed")
        show.line(f"{word} {report.plugin} {report.version}: {len(report.cases)} checks")
        for case in (case for case in report.cases if case.result != "ok"):
            what = show.plain(f"{case.level} {case.name}: {case.message}")
            show.line(f"  {show.coloured(case.result)} {what}")
    _tell_findings(findings)


def _print_result(result: PluginResult, *, as_json: bool) -> None:
    import json

    body = vars(result) | {"output": _numbers(result.output), "seconds": round(result.seconds, 3)}
    if as_json:
        show.as_json("plugin-run", body)
        return
    code = f"({result.reason_code})" if result.reason_code else ""
    show.note(f"{show.coloured(result.result)}{code} {show.plain(result.reason)}".rstrip())
    if result.stderr:
        show.note(show.plain(result.stderr.rstrip()))
    if result.output is not None:
        show.line(show.plain(json.dumps(body["output"], indent=2, ensure_ascii=False)))


def _numbers(value: Any) -> Any:  # Any: JSON; Decimals become numbers that every writer knows
    from decimal import Decimal

    match value:
        case Decimal():
            return int(value) if value == value.to_integral_value() else float(value)
        case dict():
            return {name: _numbers(member) for name, member in value.items()}
        case list():
            return [_numbers(item) for item in value]
    return value
