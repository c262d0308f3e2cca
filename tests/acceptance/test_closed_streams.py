"""Started by somebody who closed its standard streams, the engine does its work, and prints into no file of its own."""

from __future__ import annotations

import subprocess

import pytest

from tests.acceptance.conftest import CLEAN, ENGINE, Project, task


def run(project: Project, feature: str, closed: str) -> tuple[int, bool]:
    """Return the exit code of a run that is started with streams `closed`, and whether it printed a traceback."""
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" run --feature {feature} {closed}', ENGINE],
        cwd=project.root,
        env={**CLEAN, "HOME": str(project.root.parent)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, "Traceback" in done.stderr


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_a_feature_is_delivered(project: Project, closed: str) -> None:
    project.write_graph([task("a")])
    assert run(project, "shop", closed) == (0, False)
    assert project.engine("ledger", "verify").code == 0
    assert project.git("show", "engine/shop:a.txt") == "a"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_the_exit_code_says_what_nobody_reads(project: Project, closed: str) -> None:
    assert run(project, "nothing", closed) == (2, False)
