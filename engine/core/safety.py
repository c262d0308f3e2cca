"""The safety kernel: the only place where permission to move an integration branch is made.

Invariants (each has a test in tests/core/test_safety.py):

1. `authorize` returns a `MergeAuthorization` only if, for every required kind, the latest recorded verdict *about
   exactly this subject* is the literal string ``"pass"``. Missing, failed, errored, undefined, late: a `Refusal`.
2. A verdict about another commit, tree, old head or source opens nothing. A later verdict about the same subject
   that is not ``"pass"`` closes what an earlier one opened.
3. Evidence that contradicts itself or has no proper shape closes everything: a kernel that cannot read its evidence
   does not guess.
4. Nothing outside this module can build a `MergeAuthorization`; copies with other fields are refused as well.

Removing a gate from a diagram therefore does not open it: the verdict is then missing.

>>> subject = Subject(old="0" * 40, sources=("1" * 40,), tree="2" * 40, commit="3" * 40)
>>> evidence = [
...     VerdictEvidence(kind=kind, verdict="pass", subject=subject, seq=number)
...     for number, kind in enumerate(MERGE_KINDS)
... ]
>>> authorize(subject, ref="refs/heads/engine/shop/r1", evidence=evidence).subject.commit == "3" * 40
True
>>> authorize(subject, ref="refs/heads/engine/shop/r1", evidence=evidence[1:]).reasons
('budget: no verdict is recorded for this commit',)
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import InitVar, dataclass, field
from typing import Literal, NoReturn

MERGE_KINDS = ("budget", "validator", "manifest", "policy", "conflict")
ROLLBACK_KINDS = ("rollback",)

_REF = re.compile(r"refs/heads/engine(/[A-Za-z0-9][A-Za-z0-9._-]*)+", re.ASCII)
_OID = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}", re.ASCII)
_KERNEL = object()


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What a verdict is about: one prepared commit and everything it was made from. All fields are full object ids."""

    old: str  #: head of the integration branch that `commit` is built on
    sources: tuple[
        str, ...
    ]  #: commits merged into `old`, in order; for a rollback, the commit whose tree returns
    tree: str  #: tree of `commit`
    commit: str  #: the candidate: what the branch will point at


@dataclass(frozen=True, kw_only=True)
class VerdictEvidence:
    """One verdict as the ledger recorded it."""

    kind: str  #: one of MERGE_KINDS or ROLLBACK_KINDS
    verdict: str  #: pass | fail | error | undefined; only the literal "pass" opens
    subject: Subject
    seq: int  #: sequence number of the ledger entry; one entry may carry several kinds
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Refusal:
    """Why a branch may not move: one sentence for each kind or piece of evidence that stands in the way."""

    reasons: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class MergeAuthorization:
    """Permission to move `ref` from `subject.old` to `subject.commit`, once. Built by this module only."""

    kind: Literal["merge", "rollback"]
    ref: str
    subject: Subject
    evidence: tuple[VerdictEvidence, ...] = field(
        repr=False
    )  #: the opening verdicts, one for each required kind
    token: InitVar[object]

    def __post_init__(self, token: object) -> None:
        if token is not _KERNEL:
            raise TypeError(
                "a MergeAuthorization is made by engine.core.safety.authorize and nowhere else"
            )

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a MergeAuthorization is not stored or copied; authorize again from the recorded verdicts"
        )


def authorize(
    subject: Subject, *, ref: str, evidence: Sequence[VerdictEvidence]
) -> MergeAuthorization | Refusal:
    """Return permission to merge `subject.commit`, or every reason why not.

    `evidence` holds recorded verdicts in any order; those about other subjects are ignored.
    """
    return _decide("merge", MERGE_KINDS, subject, ref, evidence)


def authorize_rollback(
    subject: Subject, *, ref: str, evidence: Sequence[VerdictEvidence]
) -> MergeAuthorization | Refusal:
    """Return permission to put `subject.commit`, which restores an earlier tree, on top of `subject.old`, or why not.

    A rollback moves the branch forward, and needs one recorded verdict of kind "rollback".
    """
    return _decide("rollback", ROLLBACK_KINDS, subject, ref, evidence)


def _decide(
    kind: Literal["merge", "rollback"],
    required: tuple[str, ...],
    subject: Subject,
    ref: str,
    evidence: Sequence[VerdictEvidence],
) -> MergeAuthorization | Refusal:
    malformed = (*_malformed_target(subject, ref), *_malformed_evidence(evidence))
    if malformed:
        return Refusal(reasons=malformed)
    relevant = [item for item in evidence if item.subject == subject]
    contradictions = _contradictions(relevant)
    if contradictions:
        return Refusal(reasons=contradictions)
    latest = {item.kind: item for item in sorted(relevant, key=lambda item: item.seq)}
    reasons = tuple(
        reason for name in required if (reason := _why_closed(name, latest.get(name))) is not None
    )
    if reasons:
        return Refusal(reasons=reasons)
    return MergeAuthorization(
        kind=kind,
        ref=ref,
        subject=subject,
        evidence=tuple(latest[name] for name in required),
        token=_KERNEL,
    )


def _why_closed(kind: str, latest: VerdictEvidence | None) -> str | None:
    if latest is None:
        return f"{kind}: no verdict is recorded for this commit"
    if latest.verdict == "pass":
        return None
    because = f": {'; '.join(map(str, latest.reasons))}" if latest.reasons else ""
    return f"{kind}: the latest verdict (ledger entry {latest.seq}) is {latest.verdict!r}{because}"


def _malformed_target(subject: object, ref: object) -> tuple[str, ...]:
    reasons = []
    if not isinstance(ref, str) or not _REF.fullmatch(ref):
        reasons.append(f"ref: expected refs/heads/engine/…, but got {ref!r}")
    if not isinstance(subject, Subject):
        return (*reasons, f"subject: expected a Subject, but got {type(subject).__name__}")
    ids = (subject.old, subject.tree, subject.commit)
    if not isinstance(subject.sources, tuple) or not all(map(_is_oid, (*ids, *subject.sources))):
        return (*reasons, "subject: expected full object ids of 40 or 64 hexadecimal digits")
    if not subject.sources or len(set(subject.sources)) != len(subject.sources):
        reasons.append("subject: expected at least one source and none twice")
    if subject.commit in (subject.old, *subject.sources):
        reasons.append("subject: expected a new commit, but it is one of its own parents")
    return tuple(reasons)


def _malformed_evidence(evidence: Sequence[object]) -> tuple[str, ...]:
    return tuple(
        f"evidence {position}: {problem}"
        for position, item in enumerate(evidence)
        if (problem := _malformed(item)) is not None
    )


def _malformed(item: object) -> str | None:
    if not isinstance(item, VerdictEvidence):
        return f"expected a VerdictEvidence, but got {type(item).__name__}"
    shapes: tuple[tuple[object, type, str], ...] = (
        (item.kind, str, "kind"),
        (item.verdict, str, "verdict"),
        (item.seq, int, "ledger sequence number"),
        (item.subject, Subject, "subject"),
        (item.reasons, tuple, "tuple of reasons"),
    )
    for value, wanted, name in shapes:
        if type(value) is not wanted:
            return f"expected a {name}, but got {value!r}"
    if item.kind not in (*MERGE_KINDS, *ROLLBACK_KINDS):
        return f"unknown kind {item.kind!r}"
    return f"expected a ledger sequence number, but got {item.seq}" if item.seq < 0 else None


def _contradictions(evidence: Sequence[VerdictEvidence]) -> tuple[str, ...]:
    """Return a reason for each (kind, seq) that says two different things about one subject."""
    said: dict[tuple[str, int], set[str]] = {}
    for item in evidence:
        said.setdefault((item.kind, item.seq), set()).add(item.verdict)
    return tuple(
        f"{kind}: ledger entry {seq} says both {' and '.join(map(repr, sorted(verdicts)))}"
        for (kind, seq), verdicts in sorted(said.items())
        if len(verdicts) > 1
    )


def _is_oid(value: object) -> bool:
    return isinstance(value, str) and _OID.fullmatch(value) is not None
