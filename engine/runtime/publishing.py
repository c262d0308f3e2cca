"""Bringing the branches of the user's repository level with what was merged, and the record of it.

What is merged is safe in the vault whatever happens here; a branch that could not be moved stays where it is, the
report says why, and the next `engine run` of the feature tries again.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.ledger import Draft, EntryType, note
from engine.ledger.export import Exporter
from engine.runtime.forms import body_of
from engine.store import Store
from engine.workspaces import Base, Published, Repository


def publication(published: Published, at: datetime) -> Draft | None:
    """Return the entry about a branch that moved, or that did not; None when it was level already."""
    if published.state == "current":
        return None
    is_refused = published.state == "refused"
    return note(
        EntryType.PUBLISH_REFUSED if is_refused else EntryType.PUBLISH_COMPLETED,
        at,
        {"branch": published.branch, "commit": published.commit, "reason": published.reason},
    )


def publish_again(
    store: Store,
    run: str,
    repository: Repository,
    *,
    promote: bool,
    folder: Path,
    now: Callable[[], datetime],
) -> None:
    """Move the branches of a completed run that could not be moved when it ended, and record it.

    `promote`: the base branch as well. What a person has merged by hand meanwhile counts. Nothing is written when
    all is refused as before. The lock of the feature is held.
    """
    base = _base_of(store, run, repository)
    if base is None:
        return
    moves = [repository.publish, *([repository.promote] if promote else [])]
    done = [
        note(EntryType.PUBLISH_COMPLETED, now(), {"branch": one.branch, "commit": base.head})
        for one in (move(base) for move in moves)
        if one.state != "refused" or repository.shows(one.branch, base.head)
    ]
    if not done:
        return
    store.take_over(run, at=now(), body={"recovered": ["branches that could not be moved before"]})
    store.append(run, done, checkpoint=True)
    Exporter(folder, lambda after: store.lines(run, after=after))


def base_branch(store: Store, run: str) -> str | None:
    """Return the branch that `run` began on, as its first entry says; None for a detached HEAD."""
    created: Any = body_of(next(store.entries(run, types=(EntryType.RUN_CREATED,))).body)
    branch: str | None = created["base"]["branch"]
    return branch


def _base_of(store: Store, run: str, repository: Repository) -> Base | None:
    """Return where `run` started and what it built, as its first entry says; None when the vault lacks it."""
    created: Any = body_of(next(store.entries(run, types=(EntryType.RUN_CREATED,))).body)
    head = repository.head_of(created["ref"])
    if head is None:
        return None
    return Base(
        branch=created["base"]["branch"],
        commit=created["base"]["commit"],
        ref=created["ref"],
        head=head,
        integration_branch=created["integration_branch"],
    )
