"""Record a history: `python -m tests.histories.make NAME` runs one task and keeps its ledger under ledger/NAME and its blobs.

`first` was recorded by version 0.1.0 and is never made again; `tampered` and `diverging` were made from it by `spoil`.
"""

from __future__ import annotations

import json
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from engine.ledger import canonical
from engine.ledger.entries import entry_hash
from engine.runtime.engine import Engine
from tests.acceptance.conftest import Project, task

HERE = Path(__file__).parent
LEDGER = HERE / "ledger"
SEGMENT = "000000000001.jsonl"


def record(name: str) -> None:
    """Carry out a feature of one task and keep what an auditor would be given."""
    with tempfile.TemporaryDirectory() as place:
        root = Path(place) / "shop"
        root.mkdir()
        project = Project(root)
        project.git("init", "-q", "-b", "main")
        project.git(
            *("-c", "user.name=T", "-c", "user.email=t@example.org"),
            *("commit", "-q", "--allow-empty", "-m", "first"),
        )
        project.write_graph([task("price")])
        run = Engine.open(root).run_feature("shop").run
        home = root / ".engine"
        shutil.copytree(home / "ledger" / run, LEDGER / name)
        shutil.copytree(home / "blobs", HERE / "blobs", dirs_exist_ok=True)


def spoil(name: str, change: Callable[[list[dict[str, Any]]], None], *, chained: bool) -> None:
    """Make history `name` from `first` by `change`; `chained` repairs the chain afterwards, as a forger would."""
    lines = (LEDGER / "first" / SEGMENT).read_bytes().splitlines()
    entries = [json.loads(line) for line in lines]
    change(entries)
    folder = LEDGER / name
    shutil.copytree(LEDGER / "first", folder)
    previous = bytes(32)
    written = []
    for entry in entries:
        if chained:
            entry["prev"] = previous.hex()
        line = canonical.encode_tagged(entry)
        previous = entry_hash(previous, line)
        written.append(line)
    (folder / SEGMENT).write_bytes(b"\n".join(written) + b"\n")


def another_commit(entries: list[dict[str, Any]]) -> None:
    """The merge is said to be of another commit."""
    merged = next(entry for entry in entries if entry["type"] == "merge.completed")
    merged["body"]["commit"] = "f" * 40


def another_row(entries: list[dict[str, Any]]) -> None:
    """The gate tier table is said to have answered otherwise."""
    for entry in entries:
        for event in entry.get("events", ()):
            if event["kind"] == "decision_evaluated" and "gate_tier" in json.dumps(event):
                event["record"]["value"] = {"tier": "L0", "max_level": 9}
                return
    raise SystemExit("there is no such decision")


if __name__ == "__main__":
    if sys.argv[1] == "spoilt":
        spoil("tampered", another_commit, chained=False)
        spoil("diverging", another_row, chained=True)
    else:
        record(sys.argv[1])
