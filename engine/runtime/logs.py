"""The logs that workers leave, one file for each attempt: which there are, and how grave a line is."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from engine.errors import UsageError
from engine.ledger import EntryType
from engine.store import Store

LEVELS: Final = ("debug", "info", "warning", "error")
_WORDS: Final = {
    "trace": 0,
    "debug": 0,
    "info": 1,
    "notice": 1,
    "warn": 2,
    "warning": 2,
    "error": 3,
    "err": 3,
    "critical": 3,
    "fatal": 3,
    "panic": 3,
}
_PREFIX: Final = re.compile(
    r"^[\[(<]?(?:[\d:T.,Z+/-]+\]? +[\[(<]?){0,2}"  # a date and a time, in brackets or not
    rf"({'|'.join(_WORDS)})\b[\])>]?(?:[:\s|-]|$)",
    re.IGNORECASE,
)
_RAISED: Final = re.compile(r"Traceback \(|[\w.]+(?:Error|Exception)\b")  # Python, Java, JavaScript
_FILE: Final = re.compile(r"(?P<task>.+)\.(?P<attempt>\d+)\.log")


@dataclass(frozen=True, kw_only=True)
class LogFile:
    """What one attempt of a task wrote. `slot` and `worker` are those that carried it out, when that is recorded."""

    path: Path
    task: str
    attempt: int
    worker: str = ""
    slot: int = 0

    def is_named(self, name: str) -> bool:
        """Return whether a person may mean this by `name`: its task, its worker, or the worker's number."""
        return name in {self.task, self.worker, str(self.slot) if self.worker else ""}


def log_files(store: Store, run: str, folder: Path, name: str | None = None) -> list[LogFile]:
    """Return the logs of `run` in `folder`, by task and attempt; those that `name` means: a task before a worker.

    Raises UsageError when `name` means nothing that the run has.
    """
    began: dict[tuple[str, int], Any] = {}  # Any: JSON of our own entries
    for entry in store.entries(run, types=(EntryType.WORKER_STARTED,)):
        body: Any = entry.body
        began[entry.task, body["attempt"]] = body
    found = [_log_file(path, began) for path in folder.glob("*.log") if _FILE.fullmatch(path.name)]
    found.sort(key=lambda file: (file.task, file.attempt))
    if name is None:
        return found
    tasks = {row.task for row in store.tasks(run)}
    if name in tasks:
        return [file for file in found if file.task == name]
    meant = [file for file in found if file.is_named(name)]
    if not meant:
        raise UsageError(
            f"there are no logs of {name}",
            where=f"run {run}",
            expected=f"a task ({_some(sorted(tasks))}) or a worker ({_some(_workers(found))})",
            hint="See `engine status`.",
        )
    return meant


class Sieve:
    """Lets through the lines of one log that are at least as grave as `level`; all of them without a level.

    What is indented goes with the line before it; what says nothing of its gravity is info.
    """

    def __init__(self, level: str | None) -> None:
        self._least = 0 if level is None else LEVELS.index(level)
        self._grave = LEVELS.index("info")

    def takes(self, line: str) -> bool:
        """Return whether the next line of the log goes through."""
        if not line[:1].isspace() or line.lstrip().startswith("{"):
            self._grave = gravity_of(line)
        return self._grave >= self._least


def gravity_of(line: str) -> int:
    """Return the index in LEVELS of what a line says of itself: a JSON line's level, or the word that it begins with.

    >>> lines = ('{"level": "WARN", "msg": "x"}', "2026-01-01 10:00:00 ERROR x", "ValueError: x", "x")
    >>> [LEVELS[gravity_of(line)] for line in lines]
    ['warning', 'error', 'error', 'info']
    """
    info = LEVELS.index("info")
    if line.lstrip().startswith("{"):
        try:
            found: Any = json.loads(line)  # Any: whatever a worker printed
        except (ValueError, RecursionError):
            return info
        said = found.get("level") or found.get("severity") if isinstance(found, dict) else None
        return _WORDS.get(str(said).casefold(), info)
    if _RAISED.match(line):
        return LEVELS.index("error")
    match = _PREFIX.match(line[:200])
    return _WORDS[match[1].casefold()] if match else info


def _log_file(path: Path, began: dict[tuple[str, int], Any]) -> LogFile:  # Any: as above
    match = _FILE.fullmatch(path.name)
    assert match is not None  # looked at above
    task, attempt = match["task"], int(match["attempt"])
    body = began.get((task, attempt), {})
    return LogFile(
        path=path,
        task=task,
        attempt=attempt,
        worker=str(body.get("worker", "")),
        slot=int(body.get("slot", 0)),
    )


def _workers(files: list[LogFile]) -> list[str]:
    return sorted({text for file in files if file.worker for text in (file.worker, str(file.slot))})


def _some(names: list[str]) -> str:
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "") if names else "none yet"
