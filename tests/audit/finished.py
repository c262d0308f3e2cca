"""A finished run with all that an auditor may be shown: two merges, a gate, a large value, blobs, keys and a repository."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from engine.ledger.checkpoints import SigningKey, ensure_key
from engine.runtime.engine import Engine
from tests.acceptance.conftest import Project, task

GATES = """\
[[gates]]
name = "tests"
command = "true"
tier = "L0"
"""


@dataclass(frozen=True, kw_only=True)
class Finished:
    """What the engine left of one run, and what an attacker may have besides."""

    run: str
    project: Path
    folder: Path  #: the exported ledger
    lines: tuple[bytes, ...]
    notes: tuple[str, ...]  #: exported checkpoints, oldest first
    key_line: str
    blobs: dict[str, bytes]
    vault: Path
    key: SigningKey  #: what only the engine should have
    foreign: tuple[bytes, ...]  #: entries of another run of the same engine

    @property
    def outside(self) -> str:
        """The one checkpoint that somebody else has kept: the newest."""
        return self.notes[-1]


def finished_run(place: Path) -> Finished:
    """Carry out a feature in a new repository below `place`, and another one for its entries."""
    root = place / "shop"
    root.mkdir(parents=True)
    project = Project(root)
    project.git("init", "-q", "-b", "main")
    project.git(
        *("-c", "user.name=T", "-c", "user.email=t@example.org"),
        *("commit", "-q", "--allow-empty", "-m", "first"),
    )
    project.configure(GATES)
    many_lines = "seq 1 20000 > stock.txt"
    project.write_graph(
        [
            task("price"),
            task("stock", script=many_lines, level=1),
            task("order", dependencies=["price"], level=2),
        ]
    )
    project.write_graph([task("other")], feature="side")
    run = Engine.open(root).run_feature("shop").run
    other = Engine.open(root).run_feature("side").run
    home = root / ".engine"
    folder = home / "ledger" / run
    return Finished(
        run=run,
        project=root,
        folder=folder,
        lines=_lines(folder),
        notes=tuple(path.read_text() for path in sorted(folder.glob("checkpoints/[0-9]*"))),
        key_line=(folder / "key.pub").read_text().strip(),
        blobs=_blobs(home / "blobs" / "sha256"),
        vault=home / "vault.git",
        key=ensure_key(home),
        foreign=_lines(home / "ledger" / other),
    )


def _lines(folder: Path) -> tuple[bytes, ...]:
    files = sorted(folder.glob("*.jsonl"))
    return tuple(line for path in files for line in path.read_bytes().splitlines())


def _blobs(folder: Path) -> dict[str, bytes]:
    return {
        f"sha256:{path.parent.name}{path.name}": path.read_bytes() for path in folder.glob("*/*")
    }
