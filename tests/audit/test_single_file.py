"""The verifier as one file: copied away, it runs with the standard library and `cryptography`, and nothing else."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from engine.audit.single import single_file
from engine.cli.ledger import app
from engine.errors import UsageError
from tests.audit.finished import Finished

#: run a file as `python FILE` would, with every import refused that is neither standard, cryptography nor its own
ALONE = """
import runpy, sys
class Refuse:
    allowed = sys.stdlib_module_names | {"cryptography", "_cffi_backend", "cffi", "engine", "__main__"}
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in self.allowed:
            raise ImportError(f"{name} is not to be had here")
sys.meta_path.insert(0, Refuse())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture
def copied(finished: Finished, tmp_path: Path) -> Path:
    """The ledger, its blobs and the verifier, in a folder far from the engine."""
    shutil.copytree(finished.folder, tmp_path / "ledger")
    shutil.copytree(finished.project / ".engine" / "blobs", tmp_path / "ledger" / "blobs")
    (tmp_path / "audit.pyz").write_bytes(single_file())
    (tmp_path / "kept").write_text(finished.outside)
    return tmp_path


def alone(folder: Path, *arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, str(folder / "audit.pyz"), *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


def test_it_verifies_a_copied_ledger_and_says_what_it_cannot(finished: Finished, copied: Path):
    code, told = alone(copied, "ledger", "--checkpoint", "kept", "--git", str(finished.project))
    size = len(finished.lines)
    assert (code, told.splitlines()[0]) == (0, "2 merges compared")
    assert told.splitlines()[2:] == [
        "L3 was not looked at: the interpreters of BPMN, DMN and Rego are not installed here",
        f"run {finished.run}: {size} entries, {len(finished.notes)} signed checkpoints"
        f" (the newest covers {size - 1}), levels L0 L1 L2 L4: the ledger holds",
    ]


def test_it_finds_what_was_altered(copied: Path):
    segment = copied / "ledger" / "000000000001.jsonl"
    segment.write_bytes(segment.read_bytes().replace(b'"pass"', b'"fail"', 1))
    code, told = alone(copied, "ledger", "--checkpoint", "kept")
    assert (code, "does NOT hold" in told, "Traceback" in told) == (5, True, False)


def test_equal_sources_give_equal_bytes():
    assert single_file() == single_file()


def test_a_place_that_cannot_be_written_is_said():

    with pytest.raises(UsageError, match="the file cannot be written: No such file or directory"):
        CliRunner().invoke(
            app, ["verifier", "/nowhere/x"], standalone_mode=False, catch_exceptions=False
        )
