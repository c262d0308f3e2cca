"""The marks inside of events, tasks and gateways (BPMN 2.0.2, chapter 13). Pure.

Each is drawn around (0, 0) in a square of about 18 pixels and moved to its place by a transform.
"""

from __future__ import annotations

from typing import Final

from engine.bpmn.render.svg import circle, group, path, rect

__all__ = ["MARKER_SIZE", "event_icon", "gateway_icon", "marker", "task_icon"]

MARKER_SIZE: Final = 14
_ENVELOPE: Final = "M-8 -5.5 H8 V5.5 H-8 Z"
_FLAP: Final = "M-8 -5.5 L0 1 L8 -5.5"
_BOLT: Final = "M-7 7 L-3 -6 L2.5 1 L7 -7 L3 6 L-2.5 -1 Z"
_TRIANGLE: Final = "M0 -7.5 L7.5 5.5 H-7.5 Z"
_ROCKET: Final = "M0 -8 L6 7 L0 1.5 L-6 7 Z"
_BACK: Final = "M0 0 L8 -6 V6 Z M-8 0 L0 -6 V6 Z"
_ARROW: Final = "M-8 -3 H1 V-7 L8 0 L1 7 V3 H-8 Z"
_CROSS: Final = "M-7 -4.5 L-4.5 -7 L0 -2.5 L4.5 -7 L7 -4.5 L2.5 0 L7 4.5 L4.5 7 L0 2.5 L-4.5 7 L-7 4.5 L-2.5 0 Z"
_PENTAGON: Final = "M0 -8 L7.6 -2.5 L4.7 6.5 H-4.7 L-7.6 -2.5 Z"
_TEETH: Final = "M0 -8 V-5 M0 8 V5 M-8 0 H-5 M8 0 H5 M-5.7 -5.7 L-3.6 -3.6 M5.7 5.7 L3.6 3.6 M5.7 -5.7 L3.6 -3.6 M-5.7 5.7 L-3.6 3.6"
_EVENTS: Final = {
    "error": _BOLT, "signal": _TRIANGLE, "escalation": _ROCKET, "compensate": _BACK, "link": _ARROW, "cancel": _CROSS,
    "multiple": _PENTAGON,
}  # fmt: skip


def event_icon(kind: str, x: float, y: float, *, filled: bool, ink: str) -> str:
    """Return the mark of an event definition (`timer`, `message` …), filled when the event throws; "" for none."""
    if kind == "message":
        fill, flap = (ink, "#fff") if filled else ("none", ink)
        inside = [path(_ENVELOPE, fill=fill, stroke=ink), path(_FLAP, fill="none", stroke=flap)]
    elif kind == "timer":
        inside = [circle(0, 0, 8.5, fill="none", stroke=ink), path("M0 -8.5 V-6.5 M0 8.5 V6.5 M-8.5 0 H-6.5 M8.5 0 H6.5 M0 0 L3 -6 M0 0 H5", fill="none", stroke=ink)]  # fmt: skip
    elif kind == "conditional":
        lines = path(
            "M-6 -8 H6 V8 H-6 Z M-4 -5 H4 M-4 -1.6 H4 M-4 1.6 H4 M-4 5 H4", fill="none", stroke=ink
        )
        inside = [lines]
    elif kind == "terminate":
        inside = [circle(0, 0, 9, fill=ink)]
    elif kind in _EVENTS:
        inside = [path(_EVENTS[kind], fill=ink if filled else "none", stroke=ink)]
    else:
        return ""
    return _at(x, y, inside)


def task_icon(kind: str, x: float, y: float, *, ink: str) -> str:
    """Return the mark of a kind of task (`serviceTask` …), "" for one without."""
    thin = {"fill": "none", "stroke": ink}
    match kind:
        case "userTask":
            inside = [
                circle(0, -3.5, 3.5, **thin),
                path("M-7 8 C-7 2 -4 0.5 0 0.5 C4 0.5 7 2 7 8 Z", **thin),
            ]
        case "serviceTask":
            inside = [
                circle(0, 0, 5, **thin),
                circle(0, 0, 2, **thin),
                path(_TEETH, stroke=ink, stroke_width=2),
            ]
        case "businessRuleTask":
            inside = [
                path("M-8 -6 H8 V6 H-8 Z M-8 -2 H8 M-8 2 H8 M-3 -2 V6", **thin),
                rect(-8, -6, 16, 4, fill=ink),
            ]
        case "sendTask":
            inside = [
                path(_ENVELOPE, fill=ink, stroke=ink),
                path(_FLAP, fill="none", stroke="#fff"),
            ]
        case "receiveTask":
            inside = [path(_ENVELOPE, **thin), path(_FLAP, **thin)]
        case "scriptTask":
            inside = [
                path(
                    "M-4 -8 H7 C3 -4 8 0 4 8 H-7 C-3 4 -8 0 -4 -8 Z M-3 -4 H3 M-3 0 H3 M-3 4 H2",
                    **thin,
                )
            ]
        case "manualTask":
            inside = [path("M-8 -1 L-3 -6 H6 C8 -6 8 -4 6 -4 H1 H7 C9 -4 9 -1.5 7 -1.5 H2 H6.5 C8.5 -1.5 8.5 1 6.5 1 H2 H5 C7 1 7 3.5 5 3.5 H-4 L-8 5 Z", **thin)]  # fmt: skip
        case _:
            return ""
    return _at(x, y, inside)


def gateway_icon(kind: str, x: float, y: float, *, ink: str) -> str:
    """Return the mark of a gateway."""
    match kind:
        case "exclusiveGateway":
            inside = [path("M-7 -9 L7 9 M7 -9 L-7 9", stroke=ink, stroke_width=3.5)]
        case "parallelGateway":
            inside = [path("M0 -11 V11 M-11 0 H11", stroke=ink, stroke_width=3.5)]
        case "inclusiveGateway":
            inside = [circle(0, 0, 9.5, fill="none", stroke=ink, stroke_width=3)]
        case "complexGateway":
            star = "M0 -11 V11 M-11 0 H11 M-7.5 -7.5 L7.5 7.5 M7.5 -7.5 L-7.5 7.5"
            inside = [path(star, stroke=ink, stroke_width=3)]
        case "eventBasedGateway":
            ring = [circle(0, 0, r, fill="none", stroke=ink) for r in (12, 9.5)]
            inside = [
                *ring,
                path("M0 -6.5 L6.2 -2 L3.8 5.3 H-3.8 L-6.2 -2 Z", fill="none", stroke=ink),
            ]
        case _:
            return ""
    return _at(x, y, inside)


def marker(kind: str, x: float, y: float, *, ink: str) -> str:
    """Return a mark at the lower edge of an activity."""
    match kind:
        case "collapsed":
            inside = [
                rect(-7, -7, 14, 14, fill="none", stroke=ink),
                path("M0 -5 V5 M-5 0 H5", stroke=ink),
            ]
        case "parallel":
            inside = [path("M-4 -6 V6 M0 -6 V6 M4 -6 V6", stroke=ink, stroke_width=2.2)]
        case "sequential":
            inside = [path("M-6 -4 H6 M-6 0 H6 M-6 4 H6", stroke=ink, stroke_width=2.2)]
        case "loop":
            inside = [
                path(
                    "M-2 6 A6 6 0 1 1 3 5.4 M-2 6 L-6 6 M-2 6 V2",
                    fill="none",
                    stroke=ink,
                    stroke_width=1.6,
                )
            ]
        case "adhoc":
            inside = [
                path("M-7 2 C-4 -5 0 -2 1 0 S5 4 7 -2", fill="none", stroke=ink, stroke_width=2)
            ]
        case _:
            inside = [path("M0 0 L6 -5 V5 Z M-6 0 L0 -5 V5 Z", fill="none", stroke=ink)]
    return _at(x, y, inside)


def _at(x: float, y: float, inside: list[str]) -> str:
    return group(inside, transform=f"translate({x:g} {y:g})")
