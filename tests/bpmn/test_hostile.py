"""Hostile files are refused with one of few findings; `python -m benchmarks lint` says how fast and in how much memory."""

from __future__ import annotations

import pytest

from benchmarks.bench_lint import HOSTILE, process
from engine.core.definitions import inspect

EXPECTED = {
    "DOCTYPE with entities": ("doctype", 1),
    "200,000 comments before a DOCTYPE": ("doctype", 1),
    "10 MB": ("too-large", 1),
    "10,000 elements": ("too-large", 1),
    "40,000 tasks of one id": ("duplicate-id", 200),
    "nested 90 deep": ("missing-id", 2),
    "nested 10,000 deep": ("xml-invalid", 1),
    "200 processes calling in a circle": ("call-cycle", 1),
    "an expression 19,000 deep": ("feel-error", 1),
}


@pytest.mark.parametrize("name", EXPECTED)
def test_refused(name: str) -> None:
    findings, _ = inspect(HOSTILE[name]())
    rule, most = EXPECTED[name]
    assert rule in {finding.rule for finding in findings}
    assert 0 < len(findings) <= most
    assert all(len(str(finding)) < 400 for finding in findings)


def test_a_large_diagram_is_no_hostile_one() -> None:
    assert inspect({"p.bpmn": process(1_000)})[0] == ()
