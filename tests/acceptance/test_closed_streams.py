"""Started by somebody who closed its standard streams, the engine does its work, and prints into no file of its own."""

from __future__ import annotations

import subprocess

import pytest

from tests.acceptance.conftest import CLEAN, ENGINE, Project, task


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_feature_is_delivered(project: Project, closed: str) -> None:
    project.write_graph([task("a")])
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" run --feature shop {closed}', ENGINE],
        cwd=project.root,
        env={**CLEAN, "HOME": str(project.root.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (0, False)
    assert project.engine("ledger", "verify").code == 0
    assert project.git("show", "engine/shop:a.txt") == "a"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_the_exit_code_says_what_nobody_reads(project: Project, closed: str) -> None:
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" run --feature nothing {closed}', ENGINE],
        cwd=project.root,
        env={**CLEAN, "HOME": str(project.root.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "Traceback" in done.stderr) == (2, False)
