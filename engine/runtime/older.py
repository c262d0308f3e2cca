"""Before a run goes on: what was exported, signed and merged must still be in the database.

A database that was replaced by an older copy is whole in itself. What betrays it lies elsewhere: lines already exported,
a checkpoint already signed, a branch that stands at a merge the database knows nothing of. Nothing is written before
this was looked at, so that all of it stays as evidence.
"""

from __future__ import annotations

from pathlib import Path

from engine.errors import IntegrityError
from engine.ledger import EntryType
from engine.ledger.export import refuse_mismatch
from engine.store import Store

_KEEP = "Keep the engine home as it is, find the newer database, and run: engine ledger verify"


def refuse_older_database(store: Store, run: str, folder: Path) -> None:
    """Raise IntegrityError unless the exported ledger in `folder` is a prefix of what `store` holds of `run`."""
    refuse_mismatch(folder, lambda after: store.lines(run, after=after))


def refuse_forgotten_runs(store: Store) -> None:
    """Raise IntegrityError when the database has fewer entries of a run than an exported checkpoint was signed over, or
    does not know a run that was exported.

    Otherwise an engine on a database restored from an old copy would do again what is merged already. Runs that have
    not ended are looked at more closely when they go on.
    """
    lines = sorted((store.home / "ledger").glob("*/*.jsonl"))
    sizes = {path.parent: 0 for path in lines if path.stat().st_size}
    for note in sorted((store.home / "ledger").glob("*/checkpoint")):
        sizes[note.parent] = _signed_size(note)
    runs = store.runs()  # afterwards: other engines go on
    entries = {run.id: run.entries for run in runs}
    unfinished = {run.id for run in runs if not run.is_finished}
    for folder, signed in sizes.items():
        run = folder.name
        if run not in unfinished and (run not in entries or signed > entries[run]):
            raise IntegrityError(
                "the database is older than the ledger that was exported from it",
                where=str(folder),
                expected=f"the {signed} entries of run {run} that a checkpoint was signed over"
                if signed
                else f"run {run}, of which lines were exported",
                got=f"{entries[run]}" if run in entries else "a database without that run",
                hint="Put the newer database back; or move that folder away to start without it.",
            )


def refuse_unknown_merge(store: Store, run: str, ref: str, commit: str) -> None:
    """Raise IntegrityError unless the run's branch `ref` stands where it began or at a merge that it authorised."""
    known = {EntryType.MERGE_AUTHORIZED, EntryType.ROLLBACK_AUTHORIZED}
    authorised = {
        (entry.body or {}).get("commit") for entry in store.entries(run, types=tuple(known))
    }
    created = next(store.entries(run, types=(EntryType.RUN_CREATED,)))
    base = (created.body or {}).get("base")
    begun = base.get("head") if isinstance(base, dict) else None
    if commit not in authorised and commit != begun:
        raise IntegrityError(
            "the branch stands at a commit that the ledger has not authorised: the database is older than"
            " the repository, or the branch was moved by somebody else",
            where=ref,
            expected=" or ".join(sorted(map(str, authorised))) or str(begun),
            got=commit,
            hint=_KEEP,
        )


def _signed_size(note: Path) -> int:
    """Return the number of entries a checkpoint file says; 0 when it cannot be read (verify says more)."""
    try:
        return int(note.read_text("utf-8").split("\n")[1])
    except (OSError, ValueError, IndexError):
        return 0
