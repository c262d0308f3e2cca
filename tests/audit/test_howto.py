"""The page "audit a run": every command is run as the page shows it, in the repository that `engine demo` makes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import CLEAN

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "audit-a-run.md"
LEFT_OUT = "…"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    shell(tmp_path, "engine demo sample")
    return tmp_path / "sample"


def shell(root: Path, command: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{CLEAN['PATH']}"
    done = subprocess.run(
        command,
        shell=True,
        cwd=root,
        env={**CLEAN, "PATH": path, "HOME": str(root.parent)},
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout + done.stderr


def plain(text: str) -> list[str]:
    """Return the lines without what differs from run to run: ids and numbers."""
    text = re.sub(r"\d{8}-\d{6}-[0-9a-f]{6}", "RUN", text)
    text = re.sub(r"\b[0-9a-f]{12,64}\b", "HEX", text)
    text = re.sub(r"/\S*/(?=\.engine/)", "", text)
    return [
        re.sub(r"\d+", "N", " ".join(line.split())) for line in text.splitlines() if line.strip()
    ]


def commands() -> list[tuple[str, str]]:
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    steps = [step for block in blocks for step in re.split(r"^\$ ", block, flags=re.M) if step]
    return [(step.partition("\n")[0], step.partition("\n")[2]) for step in steps]


def test_the_page_shows_what_happens(project: Path) -> None:
    steps = commands()
    assert len(steps) > 12
    for command, shown in steps:
        printed, expected = plain(shell(project, command)), plain(shown)
        if LEFT_OUT in expected:
            assert [line for line in expected if line not in (*printed, LEFT_OUT)] == [], command
        else:
            assert printed == expected, command
