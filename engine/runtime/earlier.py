"""What earlier runs of a feature have merged, as its tasks are written now."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from engine.store import Store


def merged_before(
    store: Store,
    feature: str,
    written: Mapping[str, str],
    *,
    holds: Callable[[str], bool],
    but: str = "",
) -> dict[str, tuple[str, str]]:
    """Return {task: (run, commit)} of the tasks that a run of `feature` other than `but` has merged as they are written
    now, and that are part of what the next one starts from: after a roll-back, or on another branch, they are not.

    `written`: {task: digest of its definition}. `holds` tells whether a commit is part of that start.
    """
    found: dict[str, tuple[str, str]] = {}
    for run in store.runs():
        if run.feature != feature or run.id == but:
            continue
        for row in store.tasks(run.id):
            commit = str(row.body.get("commit"))
            is_same = row.body.get("definition") == written.get(row.task, "")
            if row.state == "merged" and is_same and holds(commit):
                found[row.task] = (run.id, commit)
    return found
