"""The demonstration: a small repository and a feature of six tasks in three waves, carried out by plain commands.

What is written here is what a user would write; nothing in the engine knows about it.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from engine.errors import EnvironmentFailure, UsageError

FEATURE = "greeter"

_CONFIG = """\
# Configuration of the demonstration. `engine config show --origin` explains every value.
[run]
workers = 2

[[gates]]
name = "compiles"
command = "python3 -m compileall -q greeter"
tier = "L0"
timeout_s = 60

[[gates]]
name = "tests"
command = "python3 -m unittest discover -q -s tests"
tier = "L0"
timeout_s = 120

[doctor]
command = "python3 -m greeter Ada"
timeout_s = 60
"""

_FILES = {
    "README.md": "# Greeter\n\nA sample repository. Six tasks will fill it.\n",
    ".gitignore": "__pycache__/\n*.pyc\n",
    "greeter/__init__.py": '"""Says hello."""\n',
    "greeter/__main__.py": (
        "import sys\n\ntry:\n    from greeter.cli import main\nexcept ImportError:\n"
        "    def main(names):\n        return 0\n\nraise SystemExit(main(sys.argv[1:]))\n"
    ),
    "tests/__init__.py": "",
}

_NAMES = '''\
def clean(name):
    """Return the name as it should be written."""
    return " ".join(part.capitalize() for part in name.split())
'''
_PHRASES = '''\
PHRASES = {"en": "Hello", "fr": "Bonjour", "de": "Guten Tag"}


def phrase(language):
    """Return the greeting of a language; English when it is unknown."""
    return PHRASES.get(language, PHRASES["en"])
'''
_GREET = """\
from greeter.names import clean
from greeter.phrases import phrase


def greet(name, language="en"):
    return f"{phrase(language)}, {clean(name)}!"
"""
_COUNT = '''\
from greeter.names import clean


def roll(names):
    """Return the distinct names in order of first appearance."""
    return list(dict.fromkeys(clean(name) for name in names))
'''
_CLI = """\
from greeter.greet import greet
from greeter.roll import roll


def main(names):
    for name in roll(names):
        print(greet(name))
    return 0
"""
_TESTS = """\
import unittest

from greeter.greet import greet
from greeter.roll import roll


class GreeterTest(unittest.TestCase):
    def test_greets_in_the_language(self):
        self.assertEqual(greet("ada lovelace", "fr"), "Bonjour, Ada Lovelace!")

    def test_rolls_each_name_once(self):
        self.assertEqual(roll(["ada", "Ada", "alan"]), ["Ada", "Alan"])
"""


def make_repository(folder: Path) -> Path:
    """Write the sample repository with its configuration and task graph into `folder`, which must be new or empty.

    Returns the folder. Raises UsageError when it holds something, EnvironmentFailure when git is not there.
    """
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            "the demonstration needs a new or empty folder",
            where=str(folder),
            hint="Name another one: engine demo DIR",
        )
    for name, text in _FILES.items():
        _write(folder / name, text)
    _git(folder, "init", "-q", "-b", "main")
    _git(folder, "add", "-A")
    _git(
        folder,
        "-c",
        "user.name=Demo",
        "-c",
        "user.email=demo@localhost",
        "-c",
        "commit.gpgsign=false",
        "commit",
        "-q",
        "-m",
        "A sample repository",
    )
    return folder


def write_feature(home: Path) -> None:
    """Write configuration and task graph of the demonstration into an engine home made by `engine init`."""
    _write(home / "engine.toml", _CONFIG)
    graph = json.dumps(task_graph(), indent=2) + "\n"
    _write(home / "specs" / FEATURE / "task-graph.json", graph)


def task_graph() -> dict[str, object]:
    """Return the demonstration's task graph (contract task-graph.v1)."""
    return {
        "feature": FEATURE,
        "version": "1.0",
        "tasks": [
            _task("names", 1, "Names", "greeter/names.py", _NAMES, ()),
            _task("phrases", 1, "Phrases in three languages", "greeter/phrases.py", _PHRASES, ()),
            _task("greet", 2, "The greeting", "greeter/greet.py", _GREET, ("names", "phrases")),
            _task("roll", 2, "Each name once", "greeter/roll.py", _COUNT, ("names",)),
            _task("cli", 3, "Command line", "greeter/cli.py", _CLI, ("greet", "roll")),
            _task("tests", 3, "Tests", "tests/test_greeter.py", _TESTS, ("greet", "roll")),
        ],
    }


def _task(
    identifier: str, level: int, title: str, path: str, text: str, needs: tuple[str, ...]
) -> dict[str, object]:
    check = (
        "python3 -m unittest -q tests.test_greeter"
        if path.startswith("tests/")
        else f"python3 -c 'import greeter.{Path(path).stem}'"
    )
    return {
        "id": identifier,
        "title": title,
        "level": level,
        "dependencies": list(needs),
        "files": {"create": [path]},
        "tool": "shell",
        "args": ["sh", "-c", f"cat > {path} <<'END'\n{text}END\n"],
        "verification": {"command": check, "timeout_seconds": 60},
    }


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _git(folder: Path, *arguments: str) -> None:
    try:
        subprocess.run(
            ["git", *arguments], cwd=folder, check=True, capture_output=True, text=True, timeout=60
        )
    except FileNotFoundError as error:
        raise EnvironmentFailure("git is not there", hint="Install git 2.38 or newer.") from error
    except subprocess.CalledProcessError as error:
        raise EnvironmentFailure(
            "git could not make the sample repository",
            where=str(folder),
            got=error.stderr.strip()[-300:],
        ) from error
