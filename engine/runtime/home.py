"""Making an engine home: configuration with comments, ignore rule, nothing clobbered."""

from __future__ import annotations

from pathlib import Path

from engine.errors import EnvironmentFailure, UsageError
from engine.frozen import dataclass
from engine.runtime.profiles import Profile, profile_of, written
from engine.settings import FILE_NAME, HOME_NAME
from engine.workers.examples import EXAMPLES


@dataclass(frozen=True, kw_only=True)
class Initialised:
    """What `initialise` did: files it wrote, files it left as they were, and the profile it found."""

    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    profile: Profile


def initialise(root: Path, *, force: bool = False) -> Initialised:
    """Write `.engine/engine.toml` and the ignore rule. Existing files stay unless `force` (configuration only).

    Raises UsageError when `root` is no git repository, EnvironmentFailure when it cannot be written.
    """
    if not (root / ".git").exists():
        is_bare = (root / "HEAD").is_file() and (root / "objects").is_dir()
        raise UsageError(
            "a bare repository has no files to work on" if is_bare else "not a git repository",
            where=str(root),
            hint="Clone it and work there."
            if is_bare
            else "Run `git init` and make a first commit.",
        )
    home = root / HOME_NAME
    profile = profile_of(root)
    made: list[Path] = []
    kept: list[Path] = []
    try:
        home.mkdir(exist_ok=True)
        (home / "specs").mkdir(exist_ok=True)
        config = home / FILE_NAME
        if config.exists() and not force:
            kept.append(config)
        else:
            config.write_text(configuration(profile), "utf-8")
            made.append(config)
        if ignore(home):
            made.append(home / ".gitignore")
    except OSError as error:
        raise EnvironmentFailure(
            "the engine home cannot be written", where=str(home), got=error.strerror or str(error)
        ) from error
    return Initialised(written=tuple(made), kept=tuple(kept), profile=profile)


def configuration(profile: Profile) -> str:
    """Return the text of a new engine.toml for `profile`; every value that is commented out is the default."""
    gates = "\n".join(map(written, profile.gates))
    return _TEMPLATE.replace("@GATES@", gates or _NO_GATES).replace("@WORKERS@", EXAMPLES)


def ignore(home: Path) -> bool:
    """Keep the engine home out of the user's diffs by an ignore file of its own; no tracked file changes."""
    file = home / ".gitignore"
    if file.is_file():
        return False
    file.write_text("*\n", "utf-8")
    return True


_NO_GATES = """\
# No gate command could be guessed for this repository. A gate is a command that must exit with 0:
# [[gates]]
# name = "tests"
# command = "make test"
# stage = "pre_merge"        # or "final"
# tier = "L0"                # runs when decisions/gate_tier.dmn asks for this level or more
# timeout_s = 600
"""

_TEMPLATE = """\
# Configuration of this project for `engine`. What is commented out is the default.
# Every key: docs/reference/configuration.md; where a value comes from: engine config show --origin

# bundle = "engine-bundle"   # own processes, tables and policies; made by `engine bundle copy DIR`

[run]
# workers = 4                # without it decisions/worker_count.dmn decides
# max_workers = 10
# mode = "waves"             # or "dag": dependencies alone decide
# base_branch = "main"       # without it the branch that is checked out
# promote = "none"           # or "ff": fast-forward the base branch after a completed run

[timeouts]
# task_s = 1800
# silence_s = 600
# verification_s = 600

[tasks]
# min_minutes = 5            # estimates outside the two do not start
# max_minutes = 30
# regression_command = "python3 -m pytest -q {files}"   # on each task's commit, with the files that it changed

[manifest]
# enforcement = "block"      # writes outside a task's declared files: off, warn or block

# Gates run on the very commit that is about to be merged, in a fresh workspace.
@GATES@
[doctor]
# command = "make smoke"     # run after each merge; decisions/rollback_trigger.dmn says what follows
# timeout_s = 600

[policy]
# backend = "embedded"       # or "opa" with url = "http://127.0.0.1:8181"

[security]
# level = "standard"         # minimal, standard or strict

[budgets]
# tokens_per_task = 200000
# cost_micros_per_run = 5000000
# mode = "block"             # or "warn"

@WORKERS@"""
