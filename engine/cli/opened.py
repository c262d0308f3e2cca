"""Opening the ledger of a run to read, without the rest of the engine: an audit needs none of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from engine.errors import UsageError

if TYPE_CHECKING:
    from engine.store import Run, Store


@contextmanager
def opened_run(project: Path, run_id: str | None) -> Iterator[tuple[Store, Run]]:
    """Yield the project's store and the run of that id, the only one that starts so, or the newest without.

    Raises UsageError when there is no project, no run yet, or not one run of that name.
    """
    from engine.settings import load_project
    from engine.store import Store

    if not project.is_dir():
        raise UsageError("the project folder is not there", where=str(project))
    found = load_project(project.resolve())
    url = found.settings.store.url or found.home / "engine.db"
    if isinstance(url, Path) and not url.is_file():
        raise UsageError("there are no runs here yet", where=str(found.home))
    with Store.open(url, home=found.home, create=False, read_only=True) as store:
        yield store, _chosen(store.runs(), run_id)


def text_of(path: Path, what: str) -> str:
    """Return the text of a file. Raises UsageError saying that `what` cannot be read."""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{what} cannot be read", where=str(path)) from error


def _chosen(runs: list[Run], run_id: str | None) -> Run:
    named = [run for run in runs if run_id is None or run.id == run_id]
    matching = named or [run for run in runs if run.id.startswith(str(run_id))]
    if not matching or (run_id is not None and len(matching) > 1):
        known = ", ".join(run.id for run in (matching or runs)[-10:])
        raise UsageError(
            where=f"run {run_id or ''}".strip(), expected="one run", got=known or "none"
        )
    return matching[-1]
