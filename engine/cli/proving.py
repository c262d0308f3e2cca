"""`engine ledger verify | prove | verifier`: what an auditor asks for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import show as out
from engine.cli.common import HERE, AsJson, ProjectFolder, RunOption
from engine.cli.opened import opened_run, text_of
from engine.errors import EngineError, IntegrityError, UsageError

if TYPE_CHECKING:
    from engine.audit import Evidence, Report
    from engine.store import Run, Store

LEVELS = ("L0", "L1", "L2", "L3", "L4")
Checkpoints = Annotated[
    list[Path] | None, typer.Option(help="A signed checkpoint kept elsewhere; repeatable.")
]


def register(app: typer.Typer) -> None:
    """Add the commands to `engine ledger`."""
    app.command()(verify)
    app.command()(prove)
    app.command()(verifier)
    app.command("rotate-key")(rotate_key)


def verify(
    project: ProjectFolder = HERE,
    run_id: RunOption = None,
    checkpoint: Checkpoints = None,
    git: Annotated[
        Path | None,
        typer.Option("--git", help="Repository to compare with; the engine's own without."),
    ] = None,
    ref: Annotated[str, typer.Option(help="Its branch, when it is not the published one.")] = "",
    level: Annotated[str, typer.Option(help="The last level to look at, L0 to L4.")] = "L4",
    as_json: AsJson = False,
) -> int:
    """Check a run's ledger: bytes, signatures, course, decisions and git. Exit 5 when anything does not hold."""
    from engine.audit import audit

    if level not in LEVELS:
        raise UsageError(where=f"--level {level}", expected=f"one of {', '.join(LEVELS)}")
    with opened_run(project, run_id) as (store, run):
        notes = [text_of(path, "the checkpoint") for path in checkpoint or []]
        evidence = replace(_evidence(store, run, notes), **_repository(store, git), ref=ref)
        report = _settled(audit(evidence, LEVELS[: LEVELS.index(level) + 1]), store, run)
        report = replace(report, findings=(*report.findings, *_disagreements(store, run, report)))
    if as_json:
        out.as_json("ledger-verify", report.to_json())
    else:
        _tell(report)
    return 0 if report.ok else IntegrityError.exit_code


def prove(
    seq: Annotated[
        int | None, typer.Argument(help="The entry to prove.", show_default=False)
    ] = None,
    project: ProjectFolder = HERE,
    run_id: RunOption = None,
    since: Annotated[
        Path | None, typer.Option(help="A checkpoint you hold: prove that the ledger only grew.")
    ] = None,
    checkpoint: Annotated[
        Path | None, typer.Option(help="A checkpoint you hold: prove the entry under that one.")
    ] = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="File to write.")] = None,
) -> int:
    """Print a proof that one entry is in the ledger, or that the ledger continues an older checkpoint."""
    from engine.ledger.proofs import consistency, inclusion

    if (seq is None) == (since is None):
        raise UsageError(
            expected="an entry number or --since FILE", got="both" if since else "none"
        )
    with opened_run(project, run_id) as (store, run):
        lines = list(islice(store.lines(run.id), run.entries))
        notes = store.checkpoints(run.id)
    if since is not None:
        proof = consistency(run.id, lines, notes, text_of(since, "the checkpoint"))
    else:
        held = [text_of(checkpoint, "the checkpoint")] if checkpoint else notes
        proof = inclusion(run.id, lines, held, seq or 0)
    _write(output, proof + b"\n")
    return 0


def verifier(
    output: Annotated[Path, typer.Argument(help="File to write, for example audit.pyz.")],
) -> int:
    """Write the verifier as one file that needs only Python, `cryptography` and git."""
    from engine.audit.single import single_file

    _write(output, single_file())
    out.line(f"run it anywhere with: python {out.plain(output)} FOLDER")
    return 0


def rotate_key(project: ProjectFolder = HERE) -> int:
    """Sign with a new key from now on; both keys sign the change, and runs that go on record it."""
    from datetime import UTC, datetime

    from engine.ledger.rotation import rotate_key as rotate
    from engine.settings import load_project
    from engine.store.lock import EngineLock

    if not project.is_dir():
        raise UsageError("the project folder is not there", where=str(project))
    home = load_project(project.resolve()).home
    if not home.is_dir():
        raise UsageError("there is no engine home here", where=str(home), hint="Run: engine init")
    with ExitStack() as stack:
        for path in sorted((home / "locks").glob("*.lock")):
            stack.enter_context(EngineLock.acquire(home, path.stem))
        note = rotate(home, datetime.now(UTC))
    out.line(f"signing with a new key; the change, signed by both, is {out.plain(note)}")
    out.line("give it to whoever keeps checkpoints or the old key line")
    return 0


def _write(path: Path | None, content: bytes) -> None:
    if path is None:
        sys.stdout.write(content.decode())
        return
    try:
        path.write_bytes(content)
    except OSError as error:
        raise UsageError(
            f"the file cannot be written: {error.strerror}", where=str(path)
        ) from error


def _evidence(store: Store, run: Run, notes: list[str]) -> Evidence:
    """Return the run's rows, its key, the exported checkpoints and those given."""
    from engine.audit import Evidence
    from engine.ledger.checkpoints import KEY_FILE, ensure_key
    from engine.ledger.rotation import rotations

    exported = sorted((store.home / "ledger" / run.id / "checkpoints").glob("[0-9]*"))
    known = [text_of(path, "the checkpoint") for path in exported]
    has_key = (store.home / KEY_FILE).exists()
    return Evidence(
        lines=lambda: islice(store.lines(run.id), run.entries),
        entries=run.entries,
        notes=[*known, *notes],
        keys=[ensure_key(store.home).key_line(run.id)] if has_key else [],
        rotations=rotations(store.home),
        blob=_blob_reader(store),
    )


def _settled(report: Report, store: Store, run: Run) -> Report:
    """Return the report without what git says of a run that has gone on while it was looked at."""
    if "L4" not in report.levels or store.run(run.id).entries == run.entries:
        return report
    return replace(
        report,
        levels=tuple(level for level in report.levels if level != "L4"),
        findings=tuple(finding for finding in report.findings if finding.level != "L4"),
        left_out=(*report.left_out, "L4 was not looked at: the run went on meanwhile, try again"),
    )


def _repository(store: Store, given: Path | None) -> dict[str, Any]:  # Any: a field of Evidence
    vault = store.home / "vault.git"
    return {"repository": given or (vault if vault.is_dir() else None)}


def _blob_reader(store: Store) -> Callable[[str], bytes | None]:
    def read(digest: str) -> bytes | None:
        try:
            return store.get_blob(digest)
        except IntegrityError:
            return None

    return read


def _disagreements(store: Store, run: Run, report: Report) -> Iterator[Any]:
    """Yield where the database, its own summary of the run and the exported files do not say the same."""
    # Any: findings; their module is imported when the command runs
    from engine.audit import Finding
    from engine.ledger.export import segments

    try:
        store.check()
        for seq, message in store.disagreements(run.id):
            yield Finding(seq, "L0", message)
    except EngineError as error:  # what breaks the reading is a finding like any other
        yield Finding(0, "L0", error.sentence())
    if (run.entries, run.head.hex()) != (report.entries, report.head):
        message = "the run's own record of its end is not that of its entries"
        yield Finding(report.entries, "L1", message)
    size, root = store.root(run.id)
    if size == report.entries and root.hex() != report.root:
        yield Finding(report.entries, "L1", "the run's own Merkle tree is not that of its entries")
    for path in segments(store.home / "ledger" / run.id):
        first = int(path.stem)
        rows = store.lines(run.id, after=first - 1)
        for seq, line in enumerate(path.read_bytes().split(b"\n")[:-1], first):
            if line != next(rows, None):
                yield Finding(seq, "L0", f"{path.name} differs from the database")
                break


def _tell(report: Report) -> None:
    for finding in report.findings:
        place = f"entry {finding.seq}" if finding.seq else "the ledger"
        out.line(f"[red]{finding.level}[/] {place}: {out.plain(finding.message)}")
    found = len(report.findings)
    verdict = (
        "[green]holds[/]"
        if report.ok
        else f"[red]does not hold[/]: {found} finding{'s'[: found > 1]}"
    )
    out.line(f"the ledger of run {report.run} {verdict}")
    out.line(
        f"{report.entries} entries ending in {report.head[:16]}, {report.checkpoints} signed checkpoints, "
        f"the newest over {report.witnessed} entries"
    )
    looked_at = [f"{count} {what}" for what, count in report.counts if count]
    if looked_at:
        out.line(", ".join(looked_at))
    for sentence in report.left_out:
        out.line(sentence)
