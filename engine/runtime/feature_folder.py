"""Making the folder of a feature: two pages for people and a task graph that runs as it is, to be replaced."""

from __future__ import annotations

import json
from pathlib import Path

from engine.core.model import Json
from engine.errors import EnvironmentFailure, UsageError
from engine.frozen import dataclass
from engine.git import check_name
from engine.runtime.specs import OLDER_FOLDER, SPECS_FOLDER

_LONGEST = 64  #: of a feature's name, as contract task-graph.v1 has it


@dataclass(frozen=True, kw_only=True)
class FeatureMade:
    """What `make_feature` did in `folder`: files it wrote, files it left as they were."""

    folder: Path
    written: tuple[Path, ...]
    kept: tuple[Path, ...]


def refuse_feature(root: Path, feature: str) -> None:
    """Raise UsageError when `feature` cannot have a folder here: its name is bad, or an older tool has its folder."""
    check_name(feature, "feature")
    if len(feature) > _LONGEST:
        raise UsageError(
            "this feature's name is too long",
            expected=f"at most {_LONGEST} letters",
            got=str(len(feature)),
        )
    older = root / OLDER_FOLDER / feature
    if older.exists():
        raise UsageError(
            f"feature {feature} has a folder of an older layout",
            where=str(older),
            hint="Its task graph is read from there, and nothing is written there. Take another name, "
            f"or move the folder to {SPECS_FOLDER}.",
        )


def make_feature(root: Path, feature: str) -> FeatureMade:
    """Write what is missing in the folder of `feature`; a file that is there stays as it is.

    Raises UsageError as `refuse_feature`, EnvironmentFailure when the folder cannot be written.
    """
    refuse_feature(root, feature)
    folder = root / SPECS_FOLDER / feature
    made: list[Path] = []
    kept: list[Path] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, text in _files(feature).items():
            place = folder / name
            (made if _write_new(place, text) else kept).append(place)
    except OSError as error:
        raise EnvironmentFailure(
            "the folder of the feature cannot be written",
            where=error.filename or str(folder),
            got=error.strerror or str(error),
        ) from error
    return FeatureMade(folder=folder, written=tuple(made), kept=tuple(kept))


def _write_new(place: Path, text: str) -> bool:
    """Write a file that is not there yet; tell whether it was written."""
    try:
        with place.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    return True


def _files(feature: str) -> dict[str, str]:
    return {
        "requirements.md": _REQUIREMENTS.replace("@FEATURE@", feature),
        "design.md": _DESIGN.replace("@FEATURE@", feature),
        "task-graph.json": json.dumps(_graph(feature), indent=2) + "\n",
    }


def _graph(feature: str) -> dict[str, Json]:
    """Return a task graph of one small task with a real check."""
    file = f"{feature}.placeholder.txt"
    return {
        "feature": feature,
        "version": "1.0",
        "tasks": [
            {
                "id": "replace-me",
                "title": "Replace this task by your own",
                "description": "A placeholder that shows the form and runs as it is. Every key: docs/reference/task-graph.md.",
                "files": {"create": [file]},
                "tool": "shell",
                "args": ["sh", "-c", f"echo 'Feature {feature} begins here.' > {file}"],
                "verification": {"command": f"grep -q begins {file}", "timeout_seconds": 60},
                "acceptance_criteria": [
                    {
                        "id": "names-the-feature",
                        "text": "The file names the feature.",
                        "check": f"grep -qF {feature} {file}",
                    }
                ],
                "estimate_minutes": 5,
            }
        ],
    }


_REQUIREMENTS = """\
# @FEATURE@: requirements

This page is for people; the engine reads nothing of it. What must hold counts only as `acceptance_criteria` (each with a
`check`) and `verification` of the tasks in `task-graph.json`.

## What is wanted, and by whom

One paragraph: who needs it, what they can do afterwards that they cannot do now.

## What must hold

One line each, so that a command can find out. Copy each into `acceptance_criteria` of the task that brings it about.

- [ ] …

## What is left out on purpose

- …

## Open questions

- …
"""

_DESIGN = """\
# @FEATURE@: design

This page is for people; the engine reads nothing of it. It reads the tasks in `task-graph.json`, their `dependencies`, `files`,
`verification` and `acceptance_criteria`.

## How it is done

The idea in a few sentences, and what else was considered.

## Which files change

No two tasks that run together may own one file: list files here, then divide them among the tasks (`files.create`, `files.modify`).

| file | why | task |
|---|---|---|
| … | … | … |

## In which order

What must be merged before what: `dependencies` of the tasks.

## What can go wrong

And which check would show it.
"""
