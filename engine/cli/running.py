"""Commands that carry on runs of any kind: `engine process run`, `engine resume`."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from engine.cli import interrupts, people, show
from engine.cli.common import HERE, AsJson, ProjectFolder, begin, open_engine

if TYPE_CHECKING:
    from engine.runtime.carrying import Watch
    from engine.runtime.engine import RunResult
    from engine.runtime.pending import Waiting

EXIT = {"completed": 0, "partial": 0, "failed": 1, "blocked": 1, "stopped": 1, "waiting": 4}

Timeout = Annotated[
    int | None, typer.Option(help="Stop after so many seconds; `engine resume` goes on.")
]


def run_process(
    file: Annotated[Path, typer.Argument(help="A BPMN diagram.")],
    process: Annotated[
        str | None, typer.Option("--process", help="Which process, when the file has several.")
    ] = None,
    variable: Annotated[
        list[str] | None, typer.Option("--var", help="Variable as name=JSON; repeat for more.")
    ] = None,
    variables: Annotated[
        str | None, typer.Option("--vars", help="Variables as a JSON object, or @FILE.")
    ] = None,
    timeout: Timeout = None,
    project: ProjectFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Run a process with some variables; its ledger, replay and resume are those of a feature's run."""
    given = {**_object(variables), **people.variables(variable or ())}
    engine = open_engine(project)
    result = engine.run_process(
        file,
        process=process,
        variables=given,
        timeout_s=timeout,
        watch=watch(as_json=as_json),
        on_start=begin,
    )
    return tell(result, as_json=as_json)


def resume(
    run_id: Annotated[str | None, typer.Argument(help="Run id; the newest without.")] = None,
    timeout: Timeout = None,
    project: ProjectFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Go on with a run that waits or was stopped, under the definitions it began with."""
    engine = open_engine(project)
    result = engine.resume(run_id, timeout_s=timeout, watch=watch(as_json=as_json), on_start=begin)
    return tell(result, as_json=as_json)


def watch(*, as_json: bool) -> Watch | None:
    """Return what tells people the turns of a run while it goes on; nothing when one JSON object is wanted."""
    if as_json:
        return None
    from engine.cli import progress

    return progress.tell


def code_of(result: RunResult) -> int:
    """Return the exit code of a run; done is only what the branches of the repository show."""
    code = EXIT[result.status]
    return 1 if code == 0 and result.report.get("unpublished") else code


def tell(result: RunResult, *, as_json: bool) -> int:
    """Print how a run ended, and return the exit code."""
    if as_json:
        import orjson

        from engine.runtime.report import plain

        sys.stdout.write(orjson.dumps(dict(result.report), default=plain).decode() + "\n")
    else:
        show.run(result.report)
        if result.is_old:
            show.line(
                "Nothing was left to merge, but a branch is behind (above)."
                if result.report.get("unpublished")
                else "Nothing was left to do. `--new` starts another run."
            )
        _tell_unpublished(result)
        if result.status == "partial":
            show.line(
                "What stands above the level is left for later; go on with: "
                f"engine run --feature {show.plain(result.report['feature'])}"
            )
        if result.status == "stopped":
            show.line(f"paused: workspaces are kept; go on with: engine resume {result.run}")
        _tell_waiting(result)
    if result.notice:
        show.note(f"[red]note[/] {show.plain(result.notice)}")
    return 130 if interrupts.count() else code_of(result)


def _tell_unpublished(result: RunResult) -> None:
    """Say what to do about branches that could not be moved; what was merged is kept, whatever happens to them."""
    if result.status == "completed" and result.report.get("unpublished"):
        show.line(
            "Everything is merged and kept in the engine home, but your repository does not show it all. When what "
            "the notes say is mended, the same command moves the branches; nothing is done twice."
        )


def _tell_waiting(result: RunResult) -> None:
    for item in result.waiting:
        show.line(
            f"[yellow]waiting[/] {item.kind} {show.plain(item.element)}: {show.plain(item.text)}"
        )
        show.line(show.plain(f"        engine {_VERBS[item.kind]}{_named(item)}"))
    if result.waiting:
        show.line(f"then: engine resume {result.run}")


_VERBS: Final = {
    "approval": "complete ",
    "incident": "resolve ",
    "message": "message NAME --key KEY",
    "event": "signal NAME",
}


def _named(item: Waiting) -> str:
    return "" if item.kind in ("message", "event") else f"{item.instance}/{item.key}"


def _object(text: str | None) -> Mapping[str, Any]:
    """Return the variables of `--vars`. Raises UsageError."""
    from engine.errors import UsageError

    if text is None:
        return {}
    try:
        source = Path(text[1:]).read_text("utf-8") if text.startswith("@") else text
        found = json.loads(source, parse_float=Decimal)
    except OSError as error:
        raise UsageError(
            "--vars cannot be read", where=text[1:], got=error.strerror or ""
        ) from error
    except ValueError as error:
        raise UsageError("--vars", expected="a JSON object", got=str(error)) from error
    if not isinstance(found, dict):
        raise UsageError("--vars", expected="a JSON object", got=text[:80])
    return found
