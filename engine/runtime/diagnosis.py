"""What `engine doctor` checks: the machine, the project, its definitions."""

from __future__ import annotations

import platform
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

from engine.core.model import Outcome
from engine.errors import EngineError
from engine.frozen import dataclass
from engine.runtime.engine import Engine
from engine.workspaces import Repository

_SQLITE_WAL_RESET_FIXED = (3, 51, 3)


@dataclass(frozen=True, kw_only=True)
class Check:
    """One thing that was looked at: ok, failed, or na when it does not matter here."""

    name: str
    result: Outcome
    text: str
    hint: str = ""


def diagnose(start: Path) -> list[Check]:
    """Return every check, in the order in which a person would mend them."""
    checks = [_python(), _git(), _sqlite(), _workers_die_with_engine()]
    try:
        engine = Engine.open(start)
    except EngineError as error:
        return [*checks, Check(name="configuration", result=Outcome.FAILED, text=str(error))]
    checks.append(Check(name="configuration", result=Outcome.OK, text=str(engine.project.root)))
    return [
        *checks,
        _repository(engine),
        _definitions(engine),
        _policies(engine),
        _disk(engine.project.root),
    ]


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    good = sys.version_info >= (3, 11)
    return Check(
        name="python",
        result=Outcome.OK if good else Outcome.FAILED,
        text=version,
        hint="Python 3.11 or newer is needed.",
    )


def _git() -> Check:
    program = shutil.which("git")
    if program is None:
        return Check(
            name="git", result=Outcome.FAILED, text="not found", hint="Install git 2.38 or newer."
        )
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    words = said.stdout.split()
    text = words[2] if len(words) > 2 else said.stdout
    numbers = tuple(int(part) for part in text.split(".")[:2] if part.isdigit())
    return Check(
        name="git",
        result=Outcome.OK if numbers >= (2, 38) else Outcome.FAILED,
        text=text,
        hint="git 2.38 or newer is needed (merge-tree --write-tree).",
    )


def _sqlite() -> Check:
    version = sqlite3.sqlite_version_info
    known = version >= _SQLITE_WAL_RESET_FIXED
    text = sqlite3.sqlite_version
    if not known:
        text += " (older than 3.51.3: safe here, because exactly one connection writes)"
    return Check(name="sqlite", result=Outcome.OK, text=text)


def _workers_die_with_engine() -> Check:
    linux = platform.system() == "Linux"
    return Check(
        name="workers",
        result=Outcome.OK if linux else Outcome.NA,
        text="die with the engine (PDEATHSIG)"
        if linux
        else "cannot be tied to the engine on this system; leftovers are killed at the next start",
    )


def _repository(engine: Engine) -> Check:
    home = engine.project.home
    if not home.is_dir():
        return Check(
            name="project", result=Outcome.NA, text="no engine home yet", hint="Run `engine init`."
        )
    try:
        Repository.open(home, engine.project.root, None).close()
    except EngineError as error:
        return Check(name="project", result=Outcome.FAILED, text=str(error))
    return Check(name="project", result=Outcome.OK, text=str(home))


def _definitions(engine: Engine) -> Check:
    try:
        definitions = engine.definitions()
    except EngineError as error:
        return Check(name="definitions", result=Outcome.FAILED, text=str(error))
    return Check(
        name="definitions",
        result=Outcome.OK,
        text=f"{len(definitions.files)} files, bundle {definitions.digest[:12]}",
    )


def _policies(engine: Engine) -> Check:
    try:
        policies = engine.policies(engine.definitions())
    except EngineError as error:
        return Check(name="policies", result=Outcome.FAILED, text=str(error))
    return Check(
        name="policies",
        result=Outcome.OK,
        text=f"{engine.settings.policy.backend}, bundle {policies.digest[:12]}",
    )


def _disk(root: Path) -> Check:
    free = shutil.disk_usage(root).free // 2**20
    return Check(
        name="disk",
        result=Outcome.OK if free > 200 else Outcome.FAILED,
        text=f"{free} MiB free",
        hint="Make room: the ledger must be able to grow.",
    )
