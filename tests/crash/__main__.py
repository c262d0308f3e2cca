"""`python -m tests.crash [CAMPAIGN …] [--rounds N] [--seed S] [--only N] [--short] [--keep DIR] [--json FILE]`: all faults.

Every round has its number; `--only 17` plays one again, with the seed that is printed. Exit 1 when anything was lost, doubled,
barred, wrong, stuck, orphaned or unspoken.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import platform
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

from tests.crash import nursery, steps
from tests.crash.campaigns import CAMPAIGNS, Campaign
from tests.crash.judge import BAD, MEANING, Tally
from tests.crash.project import Nest, git_version, is_root, nest, warm_up

SLOW_S = 8.0


def main(arguments: list[str] | None = None) -> int:
    """Play the chosen campaigns and print the table."""
    given = _parser().parse_args(arguments)
    if not steps.is_supported():
        print("this system does not announce system calls (Linux 5.5 or later)", file=sys.stderr)
        return 2
    nursery.prepare()
    with tempfile.TemporaryDirectory(prefix="engine-chaos-") as folder:
        warm_up(Path(folder).resolve() / "warm")
    given.stop = Event()
    for number in (signal.SIGINT, signal.SIGTERM):  # after this round, with the table so far
        signal.signal(number, lambda *_: given.stop.set())
    with nest() as made:
        tallies = [_play(name, made, given) for name in given.campaigns or _default(given)]
        print(_table(tallies, _machine(made.folder)))
    if given.json is not None:
        given.json.write_text(json.dumps([_as_json(tally) for tally in tallies], indent=1), "utf-8")
    return 0 if all(tally.is_good for tally in tallies) else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tests.crash",
        description="Faults injected into a running engine, and what is left afterwards.",
        epilog="\n".join(f"{name:10} {one.what}" for name, one in CAMPAIGNS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("campaigns", nargs="*", choices=[[], *CAMPAIGNS], metavar="CAMPAIGN")
    parser.add_argument("--rounds", type=int, help="rounds of each; 0: as many as there are")
    parser.add_argument("--seed", type=int, default=2026)
    parser.add_argument("--first", type=int, default=1, help="begin with this round")
    parser.add_argument("--step", type=int, default=1, help="play every STEP-th round")
    parser.add_argument("--only", type=int, help="play this round alone")
    parser.add_argument("--short", action="store_true", help="the few rounds of the test suite")
    parser.add_argument("--keep", type=Path, help="copy the projects of bad rounds to this folder")
    parser.add_argument("--json", type=Path, help="write counts and notes to this file too")
    return parser


def _default(given: argparse.Namespace) -> list[str]:
    if not given.short:
        return list(CAMPAIGNS)
    return [n for n, one in CAMPAIGNS.items() if one.short and (is_root() or not one.needs_root)]


def _play(name: str, made: Nest, given: argparse.Namespace) -> Tally:
    campaign = CAMPAIGNS[name]
    tally = Tally(campaign=name, seed=given.seed, keep=given.keep)
    started = time.monotonic()
    if campaign.needs_root and not is_root():
        tally.counts["left out: needs root"] = 1
    else:
        campaign.play(made, tally, _told(name, _rounds(campaign, given), given.stop))
    tally.counts["seconds"] = round(time.monotonic() - started)
    return tally


def _rounds(campaign: Campaign, given: argparse.Namespace) -> Iterator[int]:
    if given.only is not None:
        return iter([given.only])
    planned = campaign.short if given.short else campaign.full
    count = planned if given.rounds is None else given.rounds
    numbers = itertools.count(given.first, given.step)
    return itertools.islice(numbers, count) if count else numbers


def _told(name: str, rounds: Iterator[int], stop: Event) -> Iterator[int]:
    for number in rounds:
        if stop.is_set():
            return
        if number % 100 == 0:
            print(f"[{name}] round {number}", file=sys.stderr, flush=True)
        started = time.monotonic()
        yield number
        if time.monotonic() - started > SLOW_S:
            took = f"{time.monotonic() - started:.0f} s"
            print(f"[{name}] round {number} took {took}", file=sys.stderr, flush=True)


def _table(tallies: list[Tally], machine: str) -> str:
    lines = [
        f"{datetime.now(UTC):%Y-%m-%d}, {machine}",
        "",
        f"| campaign | seed | rounds | faults | {' | '.join(BAD)} | seconds |",
        "|---|---|---|---|" + "---|" * (len(BAD) + 1),
    ]
    for tally in tallies:
        counts = tally.counts
        others = {k: v for k, v in counts.items() if k not in (*BAD, "rounds", "seconds") and v}
        faults = ", ".join(f"{value} {key}" for key, value in others.items())
        bad = " | ".join(str(counts[kind]) for kind in BAD)
        lines.append(
            f"| {tally.campaign} | {tally.seed} | {counts['rounds']} | {faults} | {bad} | {counts['seconds']} |"
        )
    return "\n".join([*lines, "", *(f"{kind}: {MEANING[kind]}" for kind in BAD)])


def _machine(folder: Path) -> str:
    mounts = [line.split() for line in Path("/proc/mounts").read_text("utf-8").splitlines()]
    inside = [(m[1], m[2]) for m in mounts if folder.is_relative_to(m[1])]
    system = max(inside, key=lambda m: len(m[0]))[1] if inside else "?"
    cores = os.cpu_count()
    return (
        f"{platform.system()} {platform.release().split('-')[0]}, {cores} cores, {system}, "
        f"Python {platform.python_version()}, {git_version()}"
    )


def _as_json(tally: Tally) -> dict[str, object]:
    return {
        "campaign": tally.campaign,
        "seed": tally.seed,
        "counts": {**dict.fromkeys(BAD, 0), **tally.counts},
        "notes": tally.notes,
    }


if __name__ == "__main__":
    raise SystemExit(main())
