"""Which run of a feature a call is about: its unfinished one, the one that has done everything already, or a new one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from engine.errors import UsageError
from engine.ledger import EntryType
from engine.runtime.forms import body_of
from engine.store import Run, Store


def to_go_on(store: Store, feature: str, *, level: int | None, must: bool) -> Run | None:
    """Return the unfinished run of `feature`, if there is one.

    `level`: the one asked for, None for none. Raises UsageError when the run was begun for another one, or when there
    is no such run and `must` is set.
    """
    run = store.unfinished_run(feature)
    if run is None and must:
        raise nothing_unfinished(feature, _newest(store, feature))
    if run is None or level is None or level == level_of_run(store, run):
        return run
    begun = level_of_run(store, run)
    raise UsageError(
        f"run {run.id} of feature {feature} is unfinished",
        expected=f"--level {begun}, which it began with" if begun else "no --level, as it began",
        got=f"--level {level}",
        hint=f"`engine run --feature {feature} --continue` goes on with it; with `--new` another one starts.",
    )


def level_of_run(store: Store, run: Run) -> int | None:
    """Return the level above which `run` leaves tasks for later; None when it leaves none."""
    level: int | None = _begun(store, run).get("level")
    return level


def has_done(store: Store, feature: str, *, graph: str, level: int | None) -> str | None:
    """Return the newest run of `feature` when nothing of this very task graph is left to do, up to `level`; else None.

    `graph`: digest of the task graph's file.
    """
    newest = _newest(store, feature)
    if newest is None or _begun(store, newest).get("graph") != graph:
        return None
    reached = level_of_run(store, newest)
    is_enough = level is not None and reached is not None and level <= reached
    is_done = newest.status == "completed" or (newest.status == "partial" and is_enough)
    return newest.id if is_done else None


def nothing_unfinished(feature: str, newest: Run | None = None) -> UsageError:
    """Return the refusal to go on where there is nothing to go on with."""
    return UsageError(
        f"feature {feature} has no unfinished run to continue",
        got=f"run {newest.id}, which has ended ({newest.status})" if newest else "no run at all",
        hint=f"`engine run --feature {feature}` starts one.",
    )


def _newest(store: Store, feature: str) -> Run | None:
    runs = [row for row in store.runs() if row.feature == feature]
    return max(runs, key=lambda row: (row.created_at, row.id), default=None)


def _begun(store: Store, run: Run) -> Mapping[str, Any]:  # Any: JSON of our own entry
    """Return what the first entry of a run says."""
    return body_of(next(store.entries(run.id, types=(EntryType.RUN_CREATED,))).body)
