"""The world of git: what each operation costs, and gated merges per second, on 1,000 and on 20,000 files.

    python benchmarks/bench_git.py [--json] [--files N]...

Real time and processor time (engine and git children apart), as the median of several runs on a fresh repository in
the folder for temporary files. A gated merge is candidate, authorisation by the kernel and compare-and-swap, one
source each, every merge on top of the one before. Targets: 20 a second on 1,000 files, 10 on 20,000.
"""

from __future__ import annotations

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from engine.core.safety import (
    MERGE_KINDS,
    MergeAuthorization,
    Subject,
    VerdictEvidence,
    authorize,
)
from engine.workspaces import Base, Candidate, DeclaredFiles, Provenance, Repository

TASKS = 8
MERGES = 40
TARGETS = {1_000: 20.0, 20_000: 10.0}
PROVENANCE = Provenance(message="bench", trailers={}, at=datetime(2026, 1, 1, tzinfo=UTC))


@dataclass
class Meter:
    """Collects (wall, engine CPU, git CPU) in milliseconds for each named operation."""

    samples: dict[str, list[tuple[float, float, float]]] = field(default_factory=dict)

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Measure the body under `name`."""
        before = self._now()
        yield
        after = self._now()
        sample = tuple(1000 * (b - a) for a, b in zip(before, after, strict=True))
        self.samples.setdefault(name, []).append((sample[0], sample[1], sample[2]))

    def medians(self) -> dict[str, dict[str, float]]:
        """Return {operation: {"wall_ms", "engine_ms", "git_ms"}}."""
        names = ("wall_ms", "engine_ms", "git_ms")
        return {
            operation: {
                name: round(statistics.median(column), 2)
                for name, column in zip(names, zip(*samples, strict=True), strict=True)
            }
            for operation, samples in self.samples.items()
        }

    @staticmethod
    def _now() -> tuple[float, float, float]:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.perf_counter(), time.process_time(), children.ru_utime + children.ru_stime


def make_repository(root: Path, files: int) -> None:
    """Make a user's repository with `files` small files, 25 to a folder."""
    for number in range(files):
        path = root / f"src/p{number // 500}/m{number // 25}/f{number}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"def f{number}(x):\n    return x + {number}\n" * 8)
    (root / ".gitignore").write_text(".engine/\n")
    for command in (
        ["init", "-q", "-b", "main"],
        ["add", "-A"],
        ["-c", "user.name=b", "-c", "user.email=b@example.org", "commit", "-q", "-m", "start"],
    ):
        subprocess.run(["git", *command], cwd=root, check=True)


def permit(base: Base, candidate: Candidate) -> MergeAuthorization:
    """Return the kernel's authorisation, from five passes."""
    subject = Subject(
        old=candidate.old, sources=candidate.sources, tree=candidate.tree, commit=candidate.commit
    )
    evidence = [
        VerdictEvidence(kind=kind, verdict="pass", subject=subject, seq=seq)
        for seq, kind in enumerate(MERGE_KINDS)
    ]
    permitted = authorize(subject, ref=base.ref, evidence=evidence)
    assert isinstance(permitted, MergeAuthorization)
    return permitted


def run_tasks(repository: Repository, base: Base, meter: Meter) -> list[str]:
    """Take `TASKS` tasks from workspace to snapshot to release; return their commits."""
    commits = []
    for number in range(TASKS):
        name = f"new/f{number}.py"
        with meter.measure("acquire"):
            workspace = repository.acquire(
                feature="f", run="r", task=f"t{number}", attempt=1, base_commit=base.head
            )
        (workspace.path / "new").mkdir()
        (workspace.path / name).write_text("x = 1\n")
        with meter.measure("snapshot"):
            snapshot = repository.snapshot(
                workspace, DeclaredFiles(create=(name,)), "block", PROVENANCE
            )
        with meter.measure("release"):
            repository.release(workspace)
        commits.append(snapshot.commit)
    return commits


def merge_all(repository: Repository, base: Base, sources: list[str], meter: Meter) -> float:
    """Merge `MERGES` times, each on top of the one before; return merges per second."""
    head = base.head
    vault = repository._vault  # a benchmark makes its sources the short way
    tree = vault.tree_of(sources[0])
    chain = [
        vault.commit(
            tree,
            (base.head,),
            Provenance(message=f"work {number}", trailers={}, at=PROVENANCE.at),
        )
        for number in range(MERGES)
    ]
    started = time.perf_counter()
    for source in chain:
        with meter.measure("gated merge"):
            candidate = repository.build_candidate(head, (source,), PROVENANCE)
            assert isinstance(candidate, Candidate)
            repository.merge(permit(base, candidate))
        head = candidate.commit
    return MERGES / (time.perf_counter() - started)


def bench(files: int) -> Mapping[str, object]:
    """Return all figures for a repository of `files` files."""
    meter = Meter()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        make_repository(root, files)
        with meter.measure("open"):
            repository = Repository.open(root / ".engine", root, None)
        with repository:
            with meter.measure("prepare"):
                base = repository.prepare("f", "r", None)
            commits = run_tasks(repository, base, meter)
            with meter.measure(f"candidate of {TASKS}"):
                candidate = repository.build_candidate(base.head, tuple(commits), PROVENANCE)
            assert isinstance(candidate, Candidate)
            with meter.measure("diff"):
                repository.diff(candidate.old, candidate.commit)
            for _ in range(3):
                with meter.measure("checkout"):
                    checkout = repository.checkout(candidate.commit, "gate")
                with meter.measure("release checkout"):
                    repository.release(checkout)
            rate = merge_all(repository, base, commits, meter)
            with meter.measure("publish"):
                repository.publish(base)
    return {
        "files": files,
        "gated_merges_per_second": round(rate, 1),
        "operations": meter.medians(),
    }


def main() -> None:
    """Print the figures as a table, or as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--files", type=int, action="append")
    options = parser.parse_args()
    results = [bench(files) for files in options.files or TARGETS]
    show: Callable[[Mapping[str, object]], None] = print_table
    if options.json:
        print(json.dumps({"schema": "engine.bench-git/v1", "results": results}))
        return
    for result in results:
        show(result)


def print_table(result: Mapping[str, object]) -> None:
    """Print one result for people."""
    files = result["files"]
    target = TARGETS.get(files) if isinstance(files, int) else None
    goal = f" (target {target:.0f})" if target else ""
    print(f"\n{files} files: {result['gated_merges_per_second']} gated merges a second{goal}")
    print(f"  {'operation':20s} {'wall ms':>9s} {'engine ms':>10s} {'git ms':>9s}")
    operations = result["operations"]
    assert isinstance(operations, dict)
    for name, cost in operations.items():
        print(
            f"  {name:20s} {cost['wall_ms']:9.1f} {cost['engine_ms']:10.1f} {cost['git_ms']:9.1f}"
        )


if __name__ == "__main__":
    main()
