"""L4, git: the repository holds what the ledger says it holds, and nothing else.

Each recorded merge is one commit with exactly the recorded parents, whose tree is what git merges them to; its trailers
name this run, its bundle and a root of this ledger. The first-parent history of the branch, from where the run began,
is the list of recorded merges: each once, in order, none missing and none unrecorded. Every object on the way is hashed.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from engine.audit.course import Course, Move
from engine.audit.findings import Finding
from engine.audit.objects import Commit, Objects, is_intact, opened

RootsAt = Callable[
    [frozenset[int]], Mapping[int, bytes]
]  #: sizes → root of the ledger's first entries

_TRAILER: Final = re.compile(r"([1-9][0-9]*)/([0-9a-f]{64})", re.ASCII)


@dataclass(frozen=True, kw_only=True)
class GitAudit:
    """What was looked at: `ref` in the repository, so many merges and objects; and what was found."""

    ref: str
    merges: int
    objects: int
    findings: tuple[Finding, ...]
    left_out: str = ""  #: why there was nothing to look at


def audit_git(
    repository: Path, run: str, course: Course, roots_at: RootsAt, ref: str = ""
) -> GitAudit:
    """Compare what `course` recorded of `run` with `repository`.

    `ref` is the branch to look at; without it the run's own in the engine's vault, or the published branch.
    Raises UsageError when `repository` is none, EnvironmentFailure when git cannot be run.
    """
    with opened(repository) as objects:
        branch = _branch(objects, course, ref)
        if branch is None:
            return _without_branch(course)
        return _Comparison(objects, run, course, roots_at, branch).made()


@dataclass(frozen=True, kw_only=True)
class _Branch:
    name: str
    tip: str
    moves: tuple[Move, ...]  #: those that must be on it
    is_own: bool  #: the run's own ref: nothing else may be on it


def _branch(objects: Objects, course: Course, ref: str) -> _Branch | None:
    own = str(course.created.get("ref", ""))
    published = f"refs/heads/{course.created.get('integration_branch', '')}"
    remote = published.replace("refs/heads/", "refs/remotes/origin/", 1)
    for name in [ref] if ref else [own, published, remote]:
        tip = objects.ref(name) or (objects.ref(f"refs/heads/{name}") if ref else None)
        if tip is not None:
            moves = tuple(course.moves) if name == own else _published(course)
            return _Branch(name=name, tip=tip, moves=moves, is_own=name == own)
    return None


def _published(course: Course) -> tuple[Move, ...]:
    """Return the moves up to the last commit that was published."""
    last = {commit for _, _, commit in course.published}
    count = max(
        (n for n, move in enumerate(course.moves, 1) if move.subject.commit in last), default=0
    )
    return tuple(course.moves[:count])


def _without_branch(course: Course) -> GitAudit:
    own = str(course.created.get("ref", ""))
    if not course.moves and not course.published:
        return GitAudit(
            ref="", merges=0, objects=0, findings=(), left_out="the run moved no branch"
        )
    message = f"the repository has neither {own} nor the published branch"
    return GitAudit(
        ref="", merges=0, objects=0, findings=(Finding(course.moves[-1].seq, "L4", message),)
    )


class _Comparison:
    """One branch against one course."""

    def __init__(
        self, objects: Objects, run: str, course: Course, roots_at: RootsAt, branch: _Branch
    ) -> None:
        self.objects = objects
        self.run = run
        self.course = course
        self.roots_at = roots_at
        self.branch = branch
        self.findings: list[Finding] = []
        base = course.created.get("base")
        self.base = str(base.get("head") or base.get("commit")) if isinstance(base, dict) else ""

    def made(self) -> GitAudit:
        """Compare and return what was found."""
        moves = self.branch.moves
        hashed = (
            self._check_objects()
        )  # first: a merge made again would put back an object that is missing
        commits = {move: self._commit(move) for move in moves}
        for move, commit in commits.items():
            if commit is not None:
                self._check_commit(move, commit)
        self._check_trailers({move: commit for move, commit in commits.items() if commit})
        self._check_history(self._history())
        return GitAudit(
            ref=self.branch.name,
            merges=len(moves),
            objects=hashed,
            findings=tuple(self.findings),
        )

    def _commit(self, move: Move) -> Commit | None:
        found = self.objects.commit(move.subject.commit)
        if found is None:
            self._find(move.seq, f"commit {move.subject.commit} is missing or altered")
        return found

    def _check_commit(self, move: Move, commit: Commit) -> None:
        subject = move.subject
        parents = (subject.old, *subject.sources) if move.kind == "merge" else (subject.old,)
        if commit.parents != parents:
            self._find(move.seq, f"commit {commit.oid} does not have the recorded parents")
            return
        if commit.tree != subject.tree:
            self._find(move.seq, f"commit {commit.oid} does not have the recorded tree")
        if move.kind == "merge":
            tree = self.objects.merged_tree(subject.old, subject.sources)
        else:
            restored = self.objects.commit(subject.sources[0])
            tree = restored.tree if restored else ""
        if tree != subject.tree:
            message = (
                f"the tree of {commit.oid} is not what its parents merge to, {tree or 'a conflict'}"
            )
            self._find(move.seq, message)

    def _check_trailers(self, commits: Mapping[Move, Commit]) -> None:
        bundle = f"sha256:{self.course.created.get('bundle')}"
        told: dict[Move, tuple[int, str]] = {}
        for move, commit in commits.items():
            named = (commit.trailers.get("Engine-Run"), commit.trailers.get("Engine-Bundle"))
            if named != (self.run, bundle):
                self._find(
                    move.seq, f"commit {commit.oid} names another run or bundle in its trailers"
                )
            if move.kind != "merge":
                continue
            parts = _TRAILER.fullmatch(commit.trailers.get("Ledger-Checkpoint", ""))
            if parts is None or int(parts[1]) >= move.seq:
                self._find(
                    move.seq,
                    f"commit {commit.oid} has no trailer with an earlier root of this ledger",
                )
            else:
                told[move] = (int(parts[1]), parts[2])
        roots = self.roots_at(frozenset(size for size, _ in told.values()))
        for move, (size, root) in told.items():
            if roots.get(size, b"").hex() != root:
                message = f"the trailer of {move.subject.commit} is not the root of the first {size} entries"
                self._find(move.seq, message)

    def _history(self) -> list[str]:
        """Return the first-parent history from behind the base to the tip, oldest first."""
        found: list[str] = []
        at = self.branch.tip
        while at != self.base:
            commit = self.objects.commit(at)
            if commit is None:
                self._find(0, f"commit {at} on {self.branch.name} is missing or altered")
                break
            found.append(at)
            if not commit.parents:
                self._find(
                    0, f"{self.branch.name} does not come from {self.base}, where the run began"
                )
                break
            at = commit.parents[0]
        return found[::-1]

    def _check_history(self, history: Sequence[str]) -> None:
        place = {oid: number for number, oid in enumerate(history)}
        before = -1
        for move in self.branch.moves:
            at = place.get(move.subject.commit)
            if at is None:
                message = f"the recorded merge {move.subject.commit} is not in the history of {self.branch.name}"
                self._find(move.seq, message)
            elif at < before:
                self._find(
                    move.seq, f"the merge {move.subject.commit} is out of its recorded order"
                )
            before = before if at is None else at
        recorded = {move.subject.commit for move in self.branch.moves}
        for oid in self._unrecorded(history, recorded):
            self._find(0, f"commit {oid} is on {self.branch.name}, but no entry records it")

    def _unrecorded(self, history: Sequence[str], recorded: set[str]) -> Iterator[str]:
        """Yield the commits that no entry accounts for.

        An intent that a kill left open may have moved the branch. A published branch also carries what later runs
        of the feature merged; their own ledgers speak for those.
        """
        begun = {move.subject.commit for move in self.course.authorized.values()}
        last = max((n for n, oid in enumerate(history) if oid in recorded), default=-1)
        for number, oid in enumerate(history):
            if oid in recorded or oid in begun:
                continue
            commit = self.objects.commit(oid)
            other = commit.trailers.get("Engine-Run", "") if commit else ""
            if self.branch.is_own or number < last or other in ("", self.run):
                yield oid

    def _check_objects(self) -> int:
        """Hash everything that the branch brought and return how many objects that was."""
        oids = self.objects.introduced(self.branch.tip, self.base)
        if oids is None:
            self._find(0, f"objects of {self.branch.name} are missing")
            return 0
        for oid in oids:
            if not is_intact(oid, *self.objects.read(oid)):
                self._find(0, f"object {oid} of {self.branch.name} is missing or altered")
        return len(oids)

    def _find(self, seq: int, message: str) -> None:
        self.findings.append(Finding(seq, "L4", message))
