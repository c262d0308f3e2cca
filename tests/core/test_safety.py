"""The safety kernel: only five recorded passes for exactly this commit open."""

from __future__ import annotations

import copy
import itertools
import pickle
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.core.safety import (
    MERGE_KINDS,
    MergeAuthorization,
    Refusal,
    Subject,
    VerdictEvidence,
    authorize,
    authorize_rollback,
)

SUBJECT = Subject(old="0" * 40, sources=("1" * 40, "a" * 40), tree="2" * 40, commit="3" * 40)
OTHER = replace(SUBJECT, commit="4" * 40)
REF = "refs/heads/engine/shop/r1"
STATES = ("pass", "fail", "error", "undefined", "missing", "other commit")


def evidence(states: tuple[str, ...]) -> list[VerdictEvidence]:
    return [
        VerdictEvidence(
            kind=kind,
            verdict="pass" if state == "other commit" else state,
            subject=OTHER if state == "other commit" else SUBJECT,
            seq=seq,
        )
        for seq, (kind, state) in enumerate(zip(MERGE_KINDS, states, strict=True), 1)
        if state != "missing"
    ]


def test_of_all_combinations_of_five_verdicts_only_five_passes_open() -> None:
    opened = [
        states
        for states in itertools.product(STATES, repeat=5)
        if isinstance(authorize(SUBJECT, ref=REF, evidence=evidence(states)), MergeAuthorization)
    ]
    assert opened == [("pass",) * 5]


def test_a_refusal_names_each_kind_that_stands_in_the_way() -> None:
    refused = authorize(
        SUBJECT, ref=REF, evidence=evidence(("pass", "fail", "missing", "undefined", "pass"))
    )
    assert refused == Refusal(
        reasons=(
            "validator: the latest verdict (ledger entry 2) is 'fail'",
            "manifest: no verdict is recorded for this commit",
            "policy: the latest verdict (ledger entry 4) is 'undefined'",
        )
    )


@pytest.mark.parametrize("later", ["fail", "error", "undefined", "PASS", "true", ""])
@pytest.mark.parametrize("kind", MERGE_KINDS)
def test_a_later_verdict_that_is_no_pass_closes_again(kind: str, later: str) -> None:
    recorded = [
        *evidence(("pass",) * 5),
        VerdictEvidence(kind=kind, verdict=later, subject=SUBJECT, seq=99),
    ]
    assert isinstance(authorize(SUBJECT, ref=REF, evidence=recorded), Refusal)


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"old": "f" * 40}, id="another head"),
        pytest.param({"sources": ("1" * 40,)}, id="a source less"),
        pytest.param({"tree": "f" * 40}, id="another tree"),
        pytest.param({"commit": "f" * 40}, id="another commit"),
    ],
)
def test_verdicts_about_anything_else_open_nothing(changed: dict[str, object]) -> None:
    recorded = evidence(("pass",) * 5)
    subject = replace(SUBJECT, **changed)  # type: ignore[arg-type]  # fields of Subject
    assert isinstance(authorize(subject, ref=REF, evidence=recorded), Refusal)


@pytest.mark.parametrize(
    "ref", ["refs/heads/main", "HEAD", "refs/heads/engine", "refs/heads/engine/../main", ""]
)
def test_only_integration_branches_can_be_authorised(ref: str) -> None:
    assert isinstance(authorize(SUBJECT, ref=ref, evidence=evidence(("pass",) * 5)), Refusal)


def test_an_authorization_cannot_be_made_or_copied_elsewhere() -> None:
    real = authorize(SUBJECT, ref=REF, evidence=evidence(("pass",) * 5))
    assert isinstance(real, MergeAuthorization)
    with pytest.raises(TypeError):
        MergeAuthorization(kind="merge", ref=REF, subject=SUBJECT, evidence=(), token=object())
    for copied in (copy.copy, copy.deepcopy, pickle.dumps):
        with pytest.raises(TypeError):
            copied(real)
    with pytest.raises((TypeError, ValueError)):
        replace(real, subject=OTHER)


def test_a_rollback_needs_its_own_verdict() -> None:
    assert isinstance(
        authorize_rollback(SUBJECT, ref=REF, evidence=evidence(("pass",) * 5)), Refusal
    )
    recorded = [VerdictEvidence(kind="rollback", verdict="pass", subject=SUBJECT, seq=9)]
    made = authorize_rollback(SUBJECT, ref=REF, evidence=recorded)
    assert isinstance(made, MergeAuthorization)
    assert made.kind == "rollback"


@given(
    st.permutations(evidence(("pass",) * 5)),
    st.lists(st.sampled_from(evidence(("fail",) * 5)), max_size=3),
)
def test_order_of_the_evidence_does_not_matter(
    passes: list[VerdictEvidence], fails: list[VerdictEvidence]
) -> None:
    late = [replace(item, seq=item.seq + 50) for item in fails]
    outcome = authorize(SUBJECT, ref=REF, evidence=[*late, *passes])
    assert isinstance(outcome, Refusal if fails else MergeAuthorization)


def test_a_ledger_entry_that_says_two_things_closes() -> None:
    both = [*evidence(("pass",) * 5), replace(evidence(("fail",) * 5)[0], seq=1)]
    assert authorize(SUBJECT, ref=REF, evidence=both) == Refusal(
        reasons=("budget: ledger entry 1 says both 'fail' and 'pass'",)
    )


def test_the_same_entry_twice_changes_nothing() -> None:
    twice = evidence(("pass",) * 5) * 2
    assert isinstance(authorize(SUBJECT, ref=REF, evidence=twice), MergeAuthorization)


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param({"kind": "weather"}, id="unknown kind"),
        pytest.param({"kind": None}, id="no kind"),
        pytest.param({"verdict": True}, id="true instead of pass"),
        pytest.param({"verdict": None}, id="no verdict"),
        pytest.param({"seq": -1}, id="negative sequence number"),
        pytest.param({"seq": True}, id="boolean sequence number"),
        pytest.param({"seq": "7"}, id="text as sequence number"),
        pytest.param({"subject": None}, id="no subject"),
        pytest.param({"reasons": ["list"]}, id="reasons not a tuple"),
    ],
)
def test_evidence_without_its_proper_shape_closes(broken: dict[str, object]) -> None:
    bad = replace(evidence(("pass",) * 5)[0], **{"seq": 99, **broken})  # type: ignore[arg-type]  # broken on purpose
    outcome = authorize(SUBJECT, ref=REF, evidence=[*evidence(("pass",) * 5), bad])
    assert isinstance(outcome, Refusal)
    assert outcome.reasons[0].startswith("evidence 5: ")


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"sources": ()}, "subject: expected at least one source and none twice"),
        ({"sources": ("1" * 40,) * 2}, "subject: expected at least one source and none twice"),
        ({"commit": "0" * 40}, "subject: expected a new commit, but it is one of its own parents"),
        ({"tree": "2" * 39}, "subject: expected full object ids of 40 or 64 hexadecimal digits"),
        ({"old": "HEAD"}, "subject: expected full object ids of 40 or 64 hexadecimal digits"),
    ],
)
def test_a_subject_that_is_no_candidate_is_refused(changed: dict[str, object], reason: str) -> None:
    subject = replace(SUBJECT, **changed)  # type: ignore[arg-type]  # fields of Subject
    recorded = [replace(item, subject=subject) for item in evidence(("pass",) * 5)]
    assert authorize(subject, ref=REF, evidence=recorded) == Refusal(reasons=(reason,))


@given(
    st.lists(
        st.builds(
            VerdictEvidence,
            kind=st.sampled_from(MERGE_KINDS),
            verdict=st.sampled_from(("pass", "fail", "error", "undefined")),
            subject=st.sampled_from((SUBJECT, OTHER)),
            seq=st.integers(0, 30),
        ),
        max_size=25,
    )
)
def test_whatever_opens_had_five_latest_passes_about_this_very_commit(
    recorded: list[VerdictEvidence],
) -> None:
    outcome = authorize(SUBJECT, ref=REF, evidence=recorded)
    about_this = [item for item in recorded if item.subject == SUBJECT]
    latest = {
        kind: {
            item.verdict
            for item in about_this
            if item.kind == kind
            and item.seq == max(other.seq for other in about_this if other.kind == kind)
        }
        for kind in MERGE_KINDS
    }
    if isinstance(outcome, MergeAuthorization):
        assert latest == {kind: {"pass"} for kind in MERGE_KINDS}
        assert [item.kind for item in outcome.evidence] == list(MERGE_KINDS)


def test_evidence_that_is_no_evidence_closes() -> None:
    stranger: list[VerdictEvidence] = [{"kind": "budget", "verdict": "pass"}]  # type: ignore[list-item]  # on purpose
    outcome = authorize(SUBJECT, ref=REF, evidence=[*evidence(("pass",) * 5), *stranger])
    assert outcome == Refusal(reasons=("evidence 5: expected a VerdictEvidence, but got dict",))


def test_a_subject_that_is_none_is_refused() -> None:
    nothing: Subject = None  # type: ignore[assignment]  # on purpose
    assert authorize(nothing, ref=REF, evidence=evidence(("pass",) * 5)) == Refusal(
        reasons=("subject: expected a Subject, but got NoneType",)
    )
