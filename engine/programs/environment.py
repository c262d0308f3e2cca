"""The environment a program gets, and text made safe for a terminal."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

_CONTROL = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]"  # CSI: colours, cursor moves
    r"|\x1b[\]PX^_].*?(?:\x07|\x1b\\|$)"  # OSC, DCS, SOS, PM, APC: titles, links, clipboard
    r"|\x1b[ -/]*[0-~]"  # other escapes
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)


def clean_environment(
    allow: Sequence[str] = (),
    extra: Mapping[str, str] | None = None,
    *,
    home: Path,
    temporary: Path | None = None,
    source: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Return the environment of a program: PATH, LANG, HOME, TMPDIR, the allowed names and `extra`; nothing else.

    `home` is a private folder, and TMPDIR too unless `temporary` is given; allowing "HOME" passes the real one
    (programs that keep a login there need it). `allow` holds exact names or prefixes that end in `*`.
    `source` is what is filtered: the engine's own environment unless given. PATH loses empty and relative
    entries, because a worker could put a program where they point.
    """
    source = os.environ if source is None else source
    env = {
        "PATH": _absolute_path(source.get("PATH", "")),
        "LANG": source.get("LANG") or "C.UTF-8",
        "HOME": str(home),
        "TMPDIR": str(temporary or home),
    }
    allowed = {name: source[name] for name in allowed_names(allow, source) if name != "PATH"}
    return env | allowed | dict(extra or {})


def allowed_names(allow: Sequence[str], source: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names in `source` that `allow` lets through."""
    return tuple(name for name in source if any(_allows(rule, name) for rule in allow))


def printable(text: str) -> str:
    """Return `text` without control characters, escape sequences and direction marks; tabs and line ends stay."""
    return _CONTROL.sub("", text)


def _allows(rule: str, name: str) -> bool:
    return name.startswith(rule[:-1]) if rule.endswith("*") and len(rule) > 1 else name == rule


def _absolute_path(path: str) -> str:
    kept = [entry for entry in path.split(os.pathsep) if entry.startswith("/")]
    return os.pathsep.join(kept) or "/usr/local/bin:/usr/bin:/bin"
