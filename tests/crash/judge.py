"""What is left after a round, counted apart: lost, doubled, barred, wrong, stuck, orphans, unspoken."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from engine.errors import StoreError
from engine.store import Run, Store
from tests.crash import nursery
from tests.crash.nursery import Started
from tests.crash.project import BRANCH, RUN, Shape, git, shown

#: what must stay 0
BAD = ("lost", "doubled", "barred", "wrong", "stuck", "orphans", "unspoken")
MEANING = {
    "lost": "an effect of a merged task is missing",
    "doubled": "an effect or a merge is there twice",
    "barred": "what a gate blocked was merged",
    "wrong": "another end than expected, a ledger that does not verify or replay, git and ledger that disagree",
    "stuck": "not finished within 30 s",
    "orphans": "processes left running 10 s after the last engine ended",
    "unspoken": "an error shown as a traceback, as a bug, or without a sentence",
}


@dataclass(kw_only=True)
class Tally:
    """Counts of one campaign. `faults` were injected, `rounds` played; `notes` say what went wrong, with the seed."""

    campaign: str
    seed: int
    counts: Counter[str] = field(default_factory=Counter)
    notes: list[str] = field(default_factory=list)
    keep: Path | None = None  #: where the projects of bad rounds are copied to

    def bad(self, kind: str, what: str) -> None:
        """Count one fault of the product and keep what was seen."""
        self.counts[kind] += 1
        self.notes.append(f"{kind}: {what}")
        print(f"[{self.campaign}] {kind}: {what}", file=sys.stderr, flush=True)

    @property
    def is_good(self) -> bool:
        return not any(self.counts[kind] for kind in BAD)


def finish(root: Path, shape: Shape, tally: Tally, what: str) -> None:
    """Let the feature finish undisturbed, then judge. `what` names the fault for the notes.

    A run that has ended is left alone: another call would start another run.
    """
    if is_over(root):
        judge(root, shape, tally, what)
        return
    engine = nursery.call(root, *RUN, log="finish")
    if engine.code is None or engine.code < 0:
        tally.bad("stuck", f"{what}: {engine.said()}")
        return
    judge(root, shape, tally, what, engine)


def judge(root: Path, shape: Shape, tally: Tally, what: str, engine: Started | None = None) -> None:
    """Count what is lost, doubled, barred or wrong in a project whose last `engine` was left alone."""
    known = len(tally.notes)
    said = f"exit {engine.code}: {engine.said()[-1500:]}" if engine else "it had ended before"
    if engine is not None:
        check_spoken(engine, tally, what)
    left = nursery.orphans()
    if left:
        tally.bad("orphans", f"{what}: {left}")
    report = report_of(root)
    if report is None or report["status"] not in shape.status:
        state = report and report["status"]
        tally.bad("wrong", f"{what}: status {state}, {said}")
    if report is not None:
        _judge_effects(root, shape, tally, what, report)
        _judge_merges(root, shape, tally, what, report)
    answer = nursery.call(root, "ledger", "verify")  # it folds every turn, as replay does
    if answer.code != 0:
        tally.bad("wrong", f"{what}: ledger verify exit {answer.code}: {answer.said()}")
    if tally.keep is not None and len(tally.notes) > known:
        kept = tally.keep / f"{tally.campaign}-{what.split(' (')[0].replace(' ', '-')}"
        shutil.copytree(root, kept, symlinks=True, dirs_exist_ok=True)


def check_spoken(engine: Started, tally: Tally, what: str) -> None:
    """Count an error that is no sentence: a traceback, a bug, or a failure without a word."""
    said = engine.said()
    failed = engine.code is not None and engine.code > 0
    if "Traceback" in said or "a bug of the engine" in said or (failed and not said.strip()):
        tally.bad(
            "unspoken", f"{what}: exit {engine.code}: {said or 'nothing was said'}{_bug(said)}"
        )


def _bug(said: str) -> str:
    """Return the end of the report file that a bug message names."""
    _, found, rest = said.partition("report it with the file ")
    path = Path(rest.split(".txt")[0] + ".txt") if found else None
    if path is None or not path.is_file():
        return ""
    text = path.read_text("utf-8")[-2500:]
    os.unlink(path)
    return f"\n{text}"


def report_of(root: Path) -> dict[str, Any] | None:
    """Return the report of the newest run, or None when there is none to be had."""
    answer = nursery.call(root, "status", "--json")
    if answer.code != 0:
        return None
    report: dict[str, Any] = json.loads(answer.output.read_text("utf-8"))["report"]
    return report


def runs(root: Path) -> list[Run]:
    """Return the runs of a project, oldest first; none when it has no database yet, or one that was only begun."""
    home = root / ".engine"
    with (
        contextlib.suppress(StoreError),
        Store.open(home / "engine.db", home=home, create=False, read_only=True) as store,
    ):
        return store.runs()
    return []


def _earlier_reports(root: Path, newest: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the reports of other runs: after a run that failed, an engine that came late starts another."""
    for run in runs(root):
        if run.id != newest["run"]:
            answer = nursery.call(root, "status", "--run", run.id, "--json")
            yield json.loads(answer.output.read_text("utf-8"))["report"]


def is_over(root: Path) -> bool:
    """Tell whether a run has ended for good: another call would start the next one."""
    return any(run.is_finished for run in runs(root))


def _judge_effects(
    root: Path, shape: Shape, tally: Tally, what: str, report: dict[str, Any]
) -> None:
    for task in sorted(item["id"] for item in report["tasks"] if item["state"] == "merged"):
        lines = shown(root, f"{task}.txt")
        if not lines:
            tally.bad("lost", f"{what}: {task}.txt is not on {BRANCH}")
        elif lines != [task]:
            tally.bad("doubled", f"{what}: {task}.txt is {lines}")
    for task in sorted(shape.barred):
        if shown(root, f"{task}.txt") is not None:
            tally.bad("barred", f"{what}: {task}.txt was merged past its gate")


def _judge_merges(
    root: Path, shape: Shape, tally: Tally, what: str, report: dict[str, Any]
) -> None:
    names = "%(trailers:key=Engine-Tasks,valueonly,separator=%x20)"
    known = {
        wave["merge_commit"]
        for one in (report, *_earlier_reports(root, report))
        for wave in one["waves"]
    } - {None}
    try:
        history = git(root, "log", "--first-parent", f"--format=%H {names}", BRANCH).splitlines()
    except subprocess.CalledProcessError as error:
        if known:
            tally.bad("lost", f"{what}: no branch {BRANCH}: {error.stderr}")
        return
    merged = [name for line in history for name in line.split()[1:]]
    if len(merged) != len(set(merged)):
        tally.bad("doubled", f"{what}: merged {merged}")
    if report["status"] in shape.status and set(merged) != shape.merged:
        tally.bad("wrong", f"{what}: git says merged: {sorted(set(merged))}")
    commits = {line.split()[0] for line in history if len(line.split()) > 1}
    if commits != known:
        ids = [run.id for run in runs(root)]
        where = f"of runs {ids}: {report['run']}"
        tally.bad("wrong", f"{what}: git has {sorted(commits)}, {where} {sorted(known)}")
