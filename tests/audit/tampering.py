"""`python -m tests.audit.tampering --count 10000 --seed N`: tamper with a finished run at random; everything is found.

The auditor has one checkpoint kept elsewhere, and else only what the attacker shows. The table says for each kind how often
it was tried, found and missed, and at how many of them each level found something. L0 to L2 look at every change of
the ledger and its blobs, L4 at every change of git; L3, which costs most, at every `--deep` th of the ledger and blobs.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from engine.audit import Evidence, audit
from engine.audit.batches import read_batches
from engine.audit.findings import Finding
from engine.audit.git import audit_git
from engine.audit.keys import Keys
from engine.audit.verifier import Verification
from tests.audit import forging
from tests.audit.finished import Finished, finished_run
from tests.audit.forging import Attack, Shown

LEDGER: dict[str, Attack] = {
    "edit a byte": forging.edit_byte,
    "edit a value": forging.edit_value,
    "delete": forging.delete,
    "swap": forging.swap,
    "duplicate": forging.duplicate,
    "truncate": forging.truncate,
    "tear the last line": forging.tear,
    "foreign entry": forging.foreign_entry,
    "re-chain": forging.rechain,
    "re-chain, own key": forging.rechain_with_own_key,
    "re-chain, stolen key": forging.rechain_with_stolen_key,
    "roll back": forging.roll_back,
    "changed blob": forging.change_blob,
}
GIT: dict[str, Attack] = {
    "moved ref": forging.move_ref,
    "forged merge": forging.forge_merge,
    "altered object": forging.alter_object,
}
LEVELS = ("L0", "L1", "L2", "L3", "L4")


@dataclass
class Tally:
    """What came of one kind of tampering."""

    tried: int = 0
    missed: list[int] = field(default_factory=list)  #: seeds
    levels: Counter[str] = field(default_factory=Counter)
    deep: int = 0  #: at how many of them L3 looked

    @property
    def found(self) -> int:
        return self.tried - len(self.missed)


class Auditor:
    """Looks at what is shown, with one checkpoint of its own."""

    def __init__(self, finished: Finished, scratch: Path) -> None:
        self.finished = finished
        self.scratch = scratch
        honest = Verification(keys=Keys([finished.key_line]), keeps_levels=True)
        honest.read(read_batches(finished.lines))
        self.honest = honest

    def shown(self) -> Shown:
        finished = self.finished
        return Shown(
            lines=list(finished.lines),
            notes=list(finished.notes),
            key_line=finished.key_line,
            blobs=dict(finished.blobs),
            repository=finished.vault,
        )

    def look_at_ledger(self, shown: Shown, *, deep: bool) -> tuple[Finding, ...]:
        evidence = Evidence(
            lines=lambda: shown.lines,
            notes=[*shown.notes, self.finished.outside],
            keys=[shown.key_line],
            blob=shown.blobs.get,
        )
        return audit(evidence, LEVELS[: 4 if deep else 3]).findings

    def look_at_git(self, shown: Shown) -> tuple[Finding, ...]:
        """The ledger is as it was, so it was read once; only the repository is another."""
        return audit_git(
            shown.repository, self.finished.run, self.honest.course, self.honest.roots_at
        ).findings

    def tampered(self, attack: Attack, random: Random) -> Shown:
        """Return the evidence after `attack`, which has changed something."""
        while True:
            shown = self.shown()
            if attack in GIT.values():
                shown.repository = self.scratch / "vault.git"
                shutil.rmtree(shown.repository, ignore_errors=True)
                shutil.copytree(self.finished.vault, shown.repository)
                attack(shown, random, self.finished)
                return shown
            attack(shown, random, self.finished)
            if shown != self.shown():
                return shown


def campaign(
    finished: Finished,
    scratch: Path,
    *,
    count: int,
    seed: int,
    deep: int,
    progress: Callable[[int], None] = lambda done: None,
) -> dict[str, Tally]:
    """Tamper `count` times and return {kind: what came of it}. Every case can be made again from its seed."""
    auditor = Auditor(finished, scratch)
    assert auditor.look_at_ledger(auditor.shown(), deep=True) == ()
    assert auditor.look_at_git(auditor.shown()) == ()
    tallies = {kind: Tally() for kind in (*LEDGER, *GIT)}
    for number, (kind, attack) in enumerate(_kinds(count)):
        case = seed * 1_000_000 + number
        tally = tallies[kind]
        shown = auditor.tampered(attack, Random(case))
        if kind in GIT:
            findings = auditor.look_at_git(shown)
        else:
            is_deep = deep > 0 and tally.tried % deep == 0
            tally.deep += is_deep
            findings = auditor.look_at_ledger(shown, deep=is_deep)
        tally.tried += 1
        tally.levels.update({finding.level for finding in findings})
        if not findings:
            tally.missed.append(case)
        progress(number + 1)
    return tallies


def _kinds(count: int) -> Iterator[tuple[str, Attack]]:
    kinds = [*LEDGER.items(), *GIT.items()]
    for number in range(count):
        yield kinds[number % len(kinds)]


def table(tallies: Mapping[str, Tally]) -> str:
    """Return the result as a Markdown table."""
    rows = ["| kind | tried | found | missed | L0 | L1 | L2 | L3 | L4 |", f"|{'---|' * 9}"]
    for kind, tally in tallies.items():
        cells = [str(tally.levels[level]) for level in LEVELS]
        cells[3] = f"{cells[3]} of {tally.deep}" if tally.deep else "–"
        cells = ["–", "–", "–", "–", cells[4]] if kind in GIT else [*cells[:4], "–"]
        counts = (tally.tried, tally.found, len(tally.missed))
        rows.append(f"| {kind} | {' | '.join(map(str, counts))} | {' | '.join(cells)} |")
    total = [
        sum(values)
        for values in zip(
            *((t.tried, t.found, len(t.missed)) for t in tallies.values()), strict=True
        )
    ]
    rows.append(f"| **all** | {' | '.join(map(str, total))} | | | | | |")
    return "\n".join(rows)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument(
        "--deep", type=int, default=25, help="L3 looks at every so many-th; 0: at none"
    )
    given = parser.parse_args()
    began = time.monotonic()

    def tell(done: int) -> None:
        if done % 1000 == 0:
            print(f"{done} of {given.count}, {time.monotonic() - began:.0f} s", file=sys.stderr)

    with tempfile.TemporaryDirectory(prefix="poundlock-tampering-") as place:
        finished = finished_run(Path(place) / "run")
        scratch = Path(place) / "scratch"
        scratch.mkdir()
        tallies = campaign(
            finished, scratch, count=given.count, seed=given.seed, deep=given.deep, progress=tell
        )
    print(f"seed {given.seed}, {len(finished.lines)} entries, {time.monotonic() - began:.0f} s")
    print(table(tallies))
    missed = {kind: tally.missed for kind, tally in tallies.items() if tally.missed}
    for kind, cases in missed.items():
        print(f"MISSED {kind}: cases {cases[:20]}")
    return 1 if missed else 0


if __name__ == "__main__":
    raise SystemExit(main())
