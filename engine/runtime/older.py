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
