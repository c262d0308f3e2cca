"""The runbook "debug a failed run": every file is written and every command run as the page shows it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import CLEAN

PAGE = Path(__file__).parents[2] / "docs" / "howto" / "debug-a-failed-run.md"
LEFT_OUT = "…"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """The example of the page, before anything was run."""
    root = tmp_path / "shop"
    root.mkdir()
    shell(root, "git init -q -b main")
    shell(root, "git -c user.name=T -c user.email=t@e.org commit -q --allow-empty -m first")
    for name, content in re.findall(
        r"```(?:toml|json) (\S+)\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL
    ):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content, "utf-8")
    return root


def shell(root: Path, command: str) -> str:
    path = f"{Path(sys.executable).parent}{os.pathsep}{CLEAN['PATH']}"
    done = subprocess.run(
        command,
        shell=True,
        cwd=root,
        env={**CLEAN, "PATH": path, "HOME": str(root.parent)},
        capture_output=True,
        text=True,
        timeout=90,
        stdin=subprocess.DEVNULL,
    )
    assert "Traceback" not in done.stdout + done.stderr
    return done.stdout


def plain(text: str) -> list[str]:
    """Return the lines without what differs from run to run: ids, times, entry numbers, how wide columns are."""
    text = re.sub(r"\d{8}-\d{6}-[0-9a-f]{6}", "RUN", text)
    text = re.sub(r"\b[0-9a-f]{12,64}\b", "HEX", text)
    text = re.sub(r"\d{4}-\d\d-\d\d[T ][\d:.]+Z?", "TIME", text)
    text = re.sub(r"\b\d+ s\b|\d{2,}", "N", text)
    text = re.sub(r"─+", "─", text)
    return [re.sub(r"\s+", " ", line).strip() for line in text.splitlines() if line.strip()]


def commands() -> list[tuple[str, str]]:
    """Return (command, what it prints) in the order of the page."""
    blocks = re.findall(r"```console\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)
    steps = [step for block in blocks for step in re.split(r"^\$ ", block, flags=re.M) if step]
    return [(step.partition("\n")[0], step.partition("\n")[2]) for step in steps]


def test_the_page_shows_what_happens_and_what_it_points_to_is_there(project: Path) -> None:
    steps = commands()
    assert len(steps) > 12
    for command, shown in steps:
        printed, expected = plain(shell(project, command)), plain(shown)
        if LEFT_OUT in expected:
            assert [line for line in expected if line not in (*printed, LEFT_OUT)] == [], command
        else:
            assert sorted(printed) == sorted(expected), command

    reports = sorted((project / ".engine" / "runs").iterdir())
    for report in reports:
        assert sorted(file.name for file in report.iterdir()) == ["report.json", "report.md"]
    assert "no_prices" in (reports[0] / "report.md").read_text("utf-8")
