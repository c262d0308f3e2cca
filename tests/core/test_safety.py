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
