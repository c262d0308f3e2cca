"""The example workers of the configuration are valid settings once uncommented."""

from __future__ import annotations

import tomllib

from pydantic import TypeAdapter

from engine.settings import Settings
from engine.workers.examples import EXAMPLES


def test_the_examples_are_valid_settings() -> None:
    settings = [line.removeprefix("# ") for line in EXAMPLES.splitlines() if line.startswith(("# [", "# command", "# env"))]  # fmt: skip
    workers = TypeAdapter(Settings).validate_python(tomllib.loads("\n".join(settings))).workers
    assert {name: worker.command[0] for name, worker in workers.items()} == {
        "claude": "claude",
        "codex": "codex",
        "aider": "aider",
    }


def test_the_examples_are_all_commented_out() -> None:
    assert tomllib.loads(EXAMPLES) == {}
