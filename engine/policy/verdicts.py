"""From a policy's decision document to a verdict: the rules that close a gateway.

A document is `{"allow": bool, "deny": [{"code", "msg", "path"?}…]}`, and `"waived": [{"code", "msg", "path"?, "waiver"}…]` when
waivers took denials away; more keys are helpers of the policy. Whatever is not exactly that is `error`, nothing at all is
`undefined`, and only `allow: true` with no denial is `pass`.
"""

from __future__ import annotations

from typing import Any

from engine.core.model import Reason, Ruling, Verdict, Waived


def judge(document: Any, *, engine: str, bundle: str, duration_us: int) -> Verdict:
    """Return the verdict of a decision document; None means the package is not defined."""
    # Any: JSON from a policy, looked at here for the first time
    ruling, reasons = _ruling(document)
    waived = _waived(document)
    if waived is None:
        waived = ()
        ruling, reasons = _malformed("expected waived to be a set of denials", document["waived"])
    return Verdict(
        ruling=ruling,
        reasons=reasons,
        waived=waived,
        engine=engine,
        bundle=bundle,
        duration_us=duration_us,
    )


def failed(code: str, message: str, *, engine: str, bundle: str, duration_us: int = 0) -> Verdict:
    """Return the verdict of a policy that could not be asked, or gave no answer that can be read."""
    return Verdict(
        ruling=Ruling.ERROR,
        reasons=(Reason(code=code, message=message),),
        engine=engine,
        bundle=bundle,
        duration_us=duration_us,
    )


def _ruling(document: Any) -> tuple[Ruling, tuple[Reason, ...]]:
    if document is None:
        return Ruling.UNDEFINED, (
            Reason(code="UNDEFINED", message="the bundle has no such policy, or it says nothing"),
        )
    if not isinstance(document, dict):
        return _malformed("expected a decision document {allow, deny}", document)
    allow, deny = document.get("allow"), document.get("deny")
    if not isinstance(allow, bool):
        return _malformed("expected allow to be true or false", allow)
    if not isinstance(deny, list):
        return _malformed("expected deny to be a set of reasons", deny)
    reasons = []
    for item in deny:
        reason = _reason(item)
        if reason is None:
            return _malformed("expected each denial to be {code, msg, path}", item)
        reasons.append(reason)
    reasons.sort(key=lambda reason: (reason.code, reason.path, reason.message))
    if allow and reasons:
        return Ruling.ERROR, (
            Reason(code="CONTRADICTION", message="the policy allows and denies at once"),
            *reasons,
        )
    if not allow and not reasons:
        return Ruling.FAIL, (
            Reason(code="NOT_ALLOWED", message="the policy does not allow it and gives no reason"),
        )
    return (Ruling.PASS, ()) if allow else (Ruling.FAIL, tuple(reasons))


def _reason(item: Any) -> Reason | None:
    if not isinstance(item, dict) or not set(item) <= {"code", "msg", "path", "location"}:
        return None
    if not isinstance(item.get("code"), str) or not isinstance(item.get("msg"), str):
        return None
    path, location = item.get("path", ""), item.get("location", "")
    if not isinstance(path, str) or not isinstance(location, str):
        return None
    return Reason(code=item["code"], message=item["msg"], path=path, location=location)


def _waived(document: Any) -> tuple[Waived, ...] | None:  # Any: as in judge
    """Return what the document says waivers took away, in order; None when it has another shape."""
    if not isinstance(document, dict):
        return ()
    said = document.get("waived", [])
    found: list[Waived] = []
    for item in said if isinstance(said, list) else [None]:
        given = dict(item) if isinstance(item, dict) else {}
        waiver = given.pop("waiver", None)
        reason = _reason(given)
        if reason is None or not isinstance(waiver, str):
            return None
        found.append(
            Waived(code=reason.code, message=reason.message, path=reason.path, waiver=waiver)
        )
    return tuple(sorted(found, key=lambda one: (one.code, one.path, one.waiver)))


def _malformed(expected: str, got: object) -> tuple[Ruling, tuple[Reason, ...]]:
    return Ruling.ERROR, (
        Reason(code="MALFORMED", message=f"{expected}, but got {repr(got)[:120]}"),
    )
