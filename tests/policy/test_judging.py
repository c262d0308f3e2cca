"""From a decision document to a verdict: every document that is not exactly one is closed, and says what it is not."""

from __future__ import annotations

from typing import Any

import pytest

from engine.core.model import Reason, Ruling, Verdict, Waived
from engine.policy.verdicts import failed, judge

DENIAL = {"code": "X", "msg": "no"}
WAIVED = {**DENIAL, "waiver": "W"}
OPEN = {"allow": True, "deny": []}
NO = Reason(code="X", message="no")


def judged(document: Any) -> tuple[Ruling, tuple[Reason, ...]]:
    verdict = judge(document, engine="e", bundle="b", duration_us=7)
    assert (verdict.engine, verdict.bundle, verdict.duration_us) == ("e", "b", 7)
    return verdict.ruling, verdict.reasons


@pytest.mark.parametrize(
    ("document", "ruling", "reasons"),
    [
        pytest.param(OPEN, Ruling.PASS, (), id="allowed without denial"),
        pytest.param({**OPEN, "helper": 1}, Ruling.PASS, (), id="helpers do not matter"),
        pytest.param({"allow": False, "deny": [DENIAL]}, Ruling.FAIL, (NO,), id="denied"),
        pytest.param(
            {"allow": False, "deny": [{**DENIAL, "path": "/x", "location": "p.rego:3"}]},
            Ruling.FAIL,
            (Reason(code="X", message="no", path="/x", location="p.rego:3"),),
            id="denied with path and location",
        ),
        pytest.param(
            {
                "allow": False,
                "deny": [
                    {"code": "B", "msg": "1", "path": "/b"},
                    {"code": "B", "msg": "2", "path": "/a"},
                    {"code": "A", "msg": "4"},
                    {"code": "A", "msg": "3"},
                ],
            },
            Ruling.FAIL,
            (
                Reason(code="A", message="3"),
                Reason(code="A", message="4"),
                Reason(code="B", message="2", path="/a"),
                Reason(code="B", message="1", path="/b"),
            ),
            id="reasons are ordered by code, path, text",
        ),
        pytest.param(
            {"allow": False, "deny": []},
            Ruling.FAIL,
            (
                Reason(
                    code="NOT_ALLOWED",
                    message="the policy does not allow it and gives no reason",
                ),
            ),
            id="not allowed, no reason",
        ),
        pytest.param(
            {"allow": True, "deny": [DENIAL]},
            Ruling.ERROR,
            (
                Reason(
                    code="CONTRADICTION", message="the policy allows and denies at once"
                ),
                NO,
            ),
            id="allowed and denied at once",
        ),
        pytest.param(
            None,
            Ruling.UNDEFINED,
            (
                Reason(
                    code="UNDEFINED",
                    message="the bundle has no such policy, or it says nothing",
                ),
            ),
            id="undefined",
        ),
    ],
)  # fmt: skip
def test_documents(document: Any, ruling: Ruling, reasons: tuple[Reason, ...]) -> None:
    assert judged(document) == (ruling, reasons)


DOCUMENT = "expected a decision document {allow, deny}"
ALLOW = "expected allow to be true or false"
DENY = "expected deny to be a set of reasons"
EACH = "expected each denial to be {code, msg, path}"
TAKEN = "expected waived to be a set of denials"


@pytest.mark.parametrize(
    ("document", "message"),
    [
        pytest.param({}, f"{ALLOW}, but got None", id="empty"),
        pytest.param({"deny": []}, f"{ALLOW}, but got None", id="no allow"),
        pytest.param({"allow": True}, f"{DENY}, but got None", id="no deny"),
        pytest.param({"allow": "true", "deny": []}, f"{ALLOW}, but got 'true'", id="the text true"),
        pytest.param({"allow": 1, "deny": []}, f"{ALLOW}, but got 1", id="a number"),
        pytest.param({"allow": None, "deny": []}, f"{ALLOW}, but got None", id="null"),
        pytest.param({"allow": True, "deny": {}}, f"{DENY}, but got {{}}", id="deny is no set"),
        pytest.param({"allow": True, "deny": None}, f"{DENY}, but got None", id="deny is null"),
        pytest.param({"allow": False, "deny": ["no"]}, f"{EACH}, but got 'no'", id="a text"),
        pytest.param(
            {"allow": False, "deny": [{"code": "X"}]},
            f"{EACH}, but got {{'code': 'X'}}",
            id="no text",
        ),
        pytest.param(
            {"allow": False, "deny": [{"msg": "X"}]},
            f"{EACH}, but got {{'msg': 'X'}}",
            id="no code",
        ),
        pytest.param(
            {"allow": False, "deny": [{**DENIAL, "more": 1}]},
            f"{EACH}, but got {{'code': 'X', 'msg': 'no', 'more': 1}}",
            id="one member too many",
        ),
        pytest.param(
            {"allow": False, "deny": [{**DENIAL, "path": 1}]},
            f"{EACH}, but got {{'code': 'X', 'msg': 'no', 'path': 1}}",
            id="a path that is no text",
        ),
        pytest.param(
            {"allow": False, "deny": [{**DENIAL, "location": 1}]},
            f"{EACH}, but got {{'code': 'X', 'msg': 'no', 'location': 1}}",
            id="a location that is no text",
        ),
        pytest.param(
            {"allow": False, "deny": [DENIAL, 1]}, f"{EACH}, but got 1", id="the second is none"
        ),
        pytest.param({**OPEN, "waived": {}}, f"{TAKEN}, but got {{}}", id="waived is no set"),
        pytest.param({**OPEN, "waived": [1]}, f"{TAKEN}, but got [1]", id="waived a number"),
        pytest.param(
            {**OPEN, "waived": [DENIAL]},
            f"{TAKEN}, but got [{{'code': 'X', 'msg': 'no'}}]",
            id="waived by nothing",
        ),
        pytest.param(
            {**OPEN, "waived": [{"waiver": "W"}]},
            f"{TAKEN}, but got [{{'waiver': 'W'}}]",
            id="nothing was waived",
        ),
        pytest.param(True, f"{DOCUMENT}, but got True", id="a bare true"),
        pytest.param([True], f"{DOCUMENT}, but got [True]", id="a list"),
        pytest.param("x" * 200, f"{DOCUMENT}, but got '{'x' * 119}", id="only its beginning"),
    ],
)
def test_whatever_else_is_an_error_that_says_what_it_is_not(document: Any, message: str) -> None:
    assert judge(document, engine="e", bundle="b", duration_us=7) == Verdict(
        ruling=Ruling.ERROR,
        reasons=(Reason(code="MALFORMED", message=message),),
        engine="e",
        bundle="b",
        duration_us=7,
    )


def test_what_was_waived_is_told_in_order() -> None:
    given = [
        {"code": "B", "msg": "b", "path": "/b", "waiver": "W2"},
        {"code": "A", "msg": "a", "waiver": "W3"},
        {"code": "B", "msg": "b", "path": "/b", "waiver": "W1"},
        {"code": "B", "msg": "b", "path": "/a", "waiver": "W4"},
    ]
    verdict = judge({**OPEN, "waived": given}, engine="e", bundle="b", duration_us=0)
    assert verdict.ruling is Ruling.PASS
    assert verdict.waived == (
        Waived(code="A", message="a", waiver="W3"),
        Waived(code="B", message="b", path="/a", waiver="W4"),
        Waived(code="B", message="b", path="/b", waiver="W1"),
        Waived(code="B", message="b", path="/b", waiver="W2"),
    )
    assert given[0]["waiver"] == "W2"  # the document is left as it was


def test_a_waiver_does_not_open_what_is_still_denied() -> None:
    document = {"allow": False, "deny": [DENIAL], "waived": [WAIVED]}
    verdict = judge(document, engine="e", bundle="b", duration_us=0)
    assert (verdict.ruling, verdict.reasons, len(verdict.waived)) == (Ruling.FAIL, (NO,), 1)


def test_a_policy_that_could_not_be_asked_is_an_error() -> None:
    told = failed("TIMEOUT", "no answer", engine="e", bundle="b", duration_us=3)
    assert told == Verdict(
        ruling=Ruling.ERROR,
        reasons=(Reason(code="TIMEOUT", message="no answer"),),
        engine="e",
        bundle="b",
        duration_us=3,
    )
    assert failed("A", "b", engine="e", bundle="b").duration_us == 0
