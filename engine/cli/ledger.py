"""`engine ledger show | export`: the book of a run, read and handed over; `proving` adds what checks it."""

from __future__ import annotations

import json
import os
import sys
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import proving
from engine.cli import show as out
from engine.cli.common import HERE, AsJson, ProjectFolder, RunOption
from engine.cli.opened import opened_run
from engine.cli.views import VIEWS, export_view
from engine.errors import UsageError

if TYPE_CHECKING:
    from engine.store import Run, Store

Record = Mapping[str, Any]  # Any: a parsed entry or a part of one

app = typer.Typer(no_args_is_help=True)
proving.register(app)

AsLines = Annotated[bool, typer.Option("--jsonl", help="Print the entries as they were sealed.")]


@app.command()
def show(
    project: ProjectFolder = HERE,
    run_id: RunOption = None,
    limit: Annotated[int, typer.Option(min=0, help="Newest entries to show; 0 shows all.")] = 50,
    type_: Annotated[
        list[str] | None, typer.Option("--type", "-t", help="Only this type of entry; repeatable.")
    ] = None,
    as_json: AsJson = False,
    as_lines: AsLines = False,
) -> int:
    """Print what happened, in order."""
    from engine.ledger.entries import EntryType

    known = {item.value: item for item in EntryType}
    unknown = [name for name in type_ or [] if name not in known]
    if unknown:
        raise UsageError(
            where=f"--type {unknown[0]}", expected=f"one of {', '.join(sorted(known))}"
        )
    with opened_run(project, run_id) as (store, run):
        wanted = tuple(known[name] for name in type_ or [])
        after = max(0, run.entries - limit) if limit and not wanted else 0
        lines = store.lines(run.id, after=after, types=wanted)
        _print_entries(run, _newest(lines, limit), as_json=as_json, as_lines=as_lines)
    return 0


@app.command()
def export(
    run: Annotated[
        str | None, typer.Argument(help="Run id, or the start of one; the newest without.")
    ] = None,
    project: ProjectFolder = HERE,
    run_id: RunOption = None,
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            "-f",
            help="jsonl (the ledger itself), ocel, xes, prov, intoto, or opa-decision-log: the policy decisions for OPA's tools.",
        ),
    ] = "jsonl",
    output: Annotated[
        Path | None,
        typer.Option(
            "--output",
            "-o",
            help="Folder of the ledger (.engine/ledger/RUN without), or file of any other form (- or none: standard output).",
        ),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Write a run's ledger, checkpoints and public key as files that `python -m engine.audit` verifies.

    With --format ocel or xes: an event log for process mining; prov: W3C PROV-JSON; intoto: an attestation of each merge.
    With --format opa-decision-log: each policy decision as an event of OPA's decision log, a line of JSON, secrets masked.
    """
    if run and run_id and run != run_id:
        raise UsageError("two runs are named", expected="one run", got=f"{run} and {run_id}")
    if format_ not in ("jsonl", "opa-decision-log", *VIEWS):
        known = ", ".join(("jsonl", *VIEWS))
        raise UsageError(where=f"--format {format_}", expected=f"{known} or opa-decision-log")
    with opened_run(project, run or run_id) as (store, found):
        if format_ == "opa-decision-log":
            return _export_decisions(store, found, output, as_json=as_json)
        if format_ in VIEWS:
            return export_view(store, found, format_, output, as_json=as_json)
        return _export_ledger(store, found, output, as_json=as_json)


def _export_ledger(store: Store, run: Run, folder: Path | None, *, as_json: bool) -> int:
    from engine.ledger.export import Exporter

    target = folder or store.home / "ledger" / run.id
    exporter = Exporter(target, lambda after: store.lines(run.id, after=after))
    if as_json:
        body = {"run": run.id, "folder": str(target), "entries": exporter.seq}
        out.as_json("ledger-export", body)
    else:
        out.line(f"{exporter.seq} entries of run {run.id} are in {out.plain(target)}")
        out.line(f"verify them anywhere with: python -m engine.audit {out.plain(target)}")
    return 0


def _export_decisions(store: Store, run: Run, file: Path | None, *, as_json: bool) -> int:
    from engine import __version__
    from engine.programs import Redactor
    from engine.runtime.decision_log import decision_log

    redactor = Redactor.of_environment(os.environ, os.environ)
    lines = decision_log(store.entries(run.id), run=run.id, redactor=redactor, version=__version__)
    if file is None or str(file) == "-":
        events = list(lines)
        if as_json:
            body = {"run": run.id, "events": [json.loads(line) for line in events]}
            out.as_json("decision-log", body)
        else:
            sys.stdout.write("".join(f"{line.decode()}\n" for line in events))
        return 0
    count = _write_lines(file, lines)
    if as_json:
        out.as_json("decision-log", {"run": run.id, "file": str(file), "decisions": count})
    else:
        out.line(f"{count} decisions of run {run.id} are in {out.plain(file)}")
    return 0


def _write_lines(file: Path, lines: Iterator[bytes]) -> int:
    """Write the file in one step and return how many lines it has."""
    written = [line + b"\n" for line in lines]
    draft = file.with_name(f".{file.name}.new")
    try:
        draft.write_bytes(b"".join(written))
        draft.replace(file)
    except OSError as error:
        raise UsageError(
            "--output", expected="a file that can be written", got=f"{file}: {error.strerror}"
        ) from error
    return len(written)


# --- show --------------------------------------------------------------------------------------------


def _newest(lines: Iterator[bytes], limit: int) -> Iterator[bytes]:
    """Return the last `limit` lines, or all for 0."""
    return iter(deque(lines, maxlen=limit)) if limit else lines


def _print_entries(run: Run, lines: Iterator[bytes], *, as_json: bool, as_lines: bool) -> None:
    if as_json:
        entries = [json.loads(line) for line in lines]
        out.as_json("ledger-show", {"run": run.id, "total": run.entries, "entries": entries})
        return
    for line in lines:
        if as_lines:
            sys.stdout.write(line.decode() + "\n")
        else:
            out.line(_human(json.loads(line)))


def _human(entry: Record) -> str:
    """Return an entry as one line: number, time of day, who, what happened."""
    day, _, clock = str(entry["at"]).partition("T")
    who = entry.get("task") or entry.get("instance") or ""
    told = _turn_words(entry) if "fact" in entry else _body_words(str(entry["type"]), entry["body"])
    place = f"[cyan]{out.plain(who)}[/]  " if who else ""
    return f"{entry['seq']:>6}  {day} {clock[:12]}  {place}{out.plain(told.rstrip(' :'))}"


def _turn_words(entry: Record) -> str:
    fact = entry["fact"]
    caused = [_event_words(event) for event in entry.get("events", ())]
    told = [words for words in caused if words]
    follows = f" → {', '.join(told[:4])}{f' and {len(told) - 4} more' if len(told) > 4 else ''}"
    return _fact_words(fact) + (follows if told else "")


def _fact_words(fact: Record) -> str:
    """Return what a fact says: its kind in words, what it is about, why."""
    names = ("job", "process", "timer", "task", "request", "child", "incident", "name")
    about = next((str(fact[name]) for name in names if name in fact), "")
    told = f"{str(fact['kind']).replace('_', ' ')} {about}".strip()
    state = fact.get("state") or fact.get("verdict", {}).get("ruling") or fact.get("code")
    reason = fact.get("failure", {}).get("message") or fact.get("message") or fact.get("reason")
    return told + (f" ({state})" if state else "") + (f": {_short(reason)}" if reason else "")


def _event_words(event: Record) -> str:
    """Return what an event changes, or "" for those that only say where the token went."""
    match event["kind"]:
        case "element_activated" | "element_completed" | "element_terminated":
            return f"took {'/'.join(event['flows'])}" if event.get("flows") else ""
        case "job_created":
            return f"job {event['job']['type']}"
        case "decision_evaluated":
            return f"{event['decision']} says {_short(json.dumps(event.get('value')))}"
        case "incident_raised":
            return f"INCIDENT {event['code']}: {_short(event['message'])}"
        case kind:
            names = ("name", "task", "timer", "process", "package", "state")
            about = next((str(event[name]) for name in names if name in event), "")
            return f"{kind.replace('_', ' ')} {about}".strip()


def _body_words(kind: str, body: Record) -> str:
    """Return one of the engine's own records in words; what has no template shows its plain members."""
    template = _WORDS.get(kind)
    if template is not None:
        return template.format_map(_Gaps(body))
    members = ", ".join(
        f"{name} {_short(value)}" for name, value in body.items() if _is_plain(value)
    )
    return f"{kind.replace('.', ' ')} {members}".strip()


class _Gaps(dict[str, Any]):  # Any: members of a body
    """The members of a body for a template: short, and empty for what is not there."""

    def __getitem__(self, name: str) -> str:
        value = self.get(name)
        if isinstance(value, list):
            return "; ".join(map(_short, value))
        return "" if value is None else _short(value)

    def __missing__(self, name: str) -> str:
        return ""


def _is_plain(value: object) -> bool:
    return isinstance(value, str | int) and value != ""


def _short(value: object) -> str:
    """Return text fit for a line: object ids to 12 digits, the rest to 100 characters."""
    text = str(value)
    if len(text) in (40, 64) and all(character in "0123456789abcdef" for character in text):
        return text[:12]
    return text if len(text) <= 100 else f"{text[:99]}…"


_WORDS: Mapping[str, str] = {
    "run.created": "run created for feature {feature} under bundle {bundle}",
    "run.resumed": "run taken over by another engine",
    "run.stopped": "engine left the run: {status} {message}",
    "run.finished": "run ended: {status} {message}",
    "command.received": "command {kind}: {answer}",
    "workspace.created": "workspace {path} on {base}",
    "manifest.rescoped": "may also write {paths}: {reason}",
    "workspace.captured": "files captured as commit {commit}",
    "workspace.removed": "workspace removed",
    "worker.started": "worker {worker} started",
    "worker.finished": "worker {worker} ended with exit code {exit_code} {reason}",
    "plugin.called": "plugin {plugin} {operation}: {result} {reason}",
    "usage.recorded": "{tokens} tokens, {cost_micros} micro-units used",
    "gate.finished": "gate {name} ({stage}): {result} {reason}",
    "verdict.recorded": "verdict {kind}: {verdict} {reasons}",
    "merge.authorized": "merge of {commit} into {ref} authorised",
    "merge.completed": "merged {commit} into {ref}",
    "merge.voided": "merge not carried out: {reason}",
    "merge.refused": "merge refused: {reasons}",
    "rollback.authorized": "rollback by {commit} on {ref} authorised",
    "rollback.completed": "rolled {ref} back by {commit}",
    "rollback.voided": "rollback not carried out: {reason}",
    "publish.completed": "branch {branch} moved to {commit}",
    "publish.refused": "branch {branch} left alone: {reason}",
    "checkpoint.signed": "checkpoint signed over {size} entries, root {root}",
}
