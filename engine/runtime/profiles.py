"""Gate profiles: the gate commands that suit a repository, by the language it is written in.

A profile is a file `profiles/<language>.toml`: `markers` are names or patterns of files at the top of a repository
that is written in it; `gates` are entries of `engine.toml` with what they need: `programs` on the path, `files` in the
repository, `any_of` some patterns there, a `script` of package.json. Of several gates with one name the first that has all it needs is taken; when
none has, the first is written as a comment with what is missing, so that nobody takes a gate that cannot run for one
that is open.
"""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

_FOLDER: Final = Path(__file__).with_name("profiles")
_ORDER: Final = (
    "python",
    "rust",
    "go",
    "javascript",
    "dotnet",
)  #: the first that fits, when several do
_NEEDS: Final = ("programs", "files", "any_of", "script")
Which = Callable[[str], str | None]


@dataclass(frozen=True, kw_only=True)
class Gate:
    """One gate of a profile, as it is written; `missing` names what it needs and is not there."""

    entry: Mapping[str, Any]  # Any: values of TOML
    missing: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return str(self.entry["name"])


@dataclass(frozen=True, kw_only=True)
class Profile:
    """The gates for one repository."""

    language: str
    gates: tuple[Gate, ...] = ()


def profile_of(root: Path, which: Which = shutil.which) -> Profile:
    """Return the profile of the repository `root`; one without gates when its language is not known."""
    for language in _ORDER:
        given = tomllib.loads((_FOLDER / f"{language}.toml").read_text("utf-8"))
        if any(next(root.glob(marker), None) for marker in given["markers"]):
            return Profile(language=language, gates=_chosen(root, given["gates"], which))
    return Profile(language="unknown")


def written(gate: Gate) -> str:
    """Return the text of a gate for `engine.toml`: a comment when something is missing."""
    lines = ["[[gates]]", *(f"{key} = {json.dumps(value)}" for key, value in gate.entry.items())]
    if not gate.missing:
        return "\n".join(lines) + "\n"
    told = f"# Not used: {', '.join(gate.missing)}."
    return "\n".join([told, *(f"# {line}" for line in lines)]) + "\n"


def _chosen(
    root: Path, given: Sequence[Mapping[str, Any]], which: Which
) -> tuple[Gate, ...]:  # Any: values of TOML
    found: dict[str, Gate] = {}
    scripts = _scripts(root)
    for one in given:
        gate = Gate(
            entry={key: value for key, value in one.items() if key not in _NEEDS},
            missing=(
                *(f"{name} is not installed" for name in one.get("programs", ()) if not which(name)),
                *(f"there is no {name}" for name in one.get("files", ()) if not (root / name).is_file()),
                *_none_of(root, one.get("any_of", ())),
                *_no_script(one.get("script"), scripts),
            ),
        )  # fmt: skip
        known = found.get(gate.name)
        if known is None or (known.missing and not gate.missing):
            found[gate.name] = gate
    return tuple(found.values())


def _none_of(root: Path, patterns: Sequence[str]) -> tuple[str, ...]:
    if not patterns or any(next(root.glob(pattern), None) for pattern in patterns):
        return ()
    return (f"there is nothing like {' or '.join(patterns)}",)


def _no_script(name: str | None, scripts: Mapping[str, object]) -> tuple[str, ...]:
    return () if name is None or name in scripts else (f"package.json has no script {name}",)


def _scripts(root: Path) -> Mapping[str, object]:
    try:
        scripts = json.loads((root / "package.json").read_text("utf-8")).get("scripts", {})
    except (OSError, ValueError, AttributeError):
        return {}
    return scripts if isinstance(scripts, dict) else {}
