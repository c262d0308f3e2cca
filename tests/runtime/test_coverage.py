"""The figure of a coverage report, and what a gate makes of it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import pytest

from engine.runtime.coverage import Coverage, Unreadable, read

COBERTURA = b'<?xml version="1.0"?>\n<!DOCTYPE coverage SYSTEM "http://x.test/coverage.dtd">\n<coverage line-rate="0.8125" branch-rate="0"/>'
OK = {"result": "ok", "reason_code": "", "reason": ""}


@pytest.mark.parametrize(
    ("content", "percent"),
    [
        pytest.param(COBERTURA, "81.2500", id="Cobertura, its DTD not asked for"),
        pytest.param(b"TN:\nSF:a.js\nLF:6\nLH:5\nend_of_record\nSF:b.js\nLF:3\nLH:1\n", "66.66", id="lcov"),
        pytest.param(b'{"totals": {"percent_covered": 79.99}}', "79.99", id="coverage.py"),
        pytest.param(b'{"total": {"lines": {"pct": 100}}}', "100", id="istanbul"),
    ],
)  # fmt: skip
def test_figures(content: bytes, percent: str) -> None:
    assert read(content) == Decimal(percent)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"<coverage/>",
        b'<report line-rate="1"/>',
        b'<coverage line-rate="1.5"/>',
        b'<coverage line-rate="NaN"/>',
        b'<coverage line-rate="1"',
        b'{"total": {"lines": {"pct": "Unknown"}}}',
        b'{"totals": {"percent_covered": true}}',
        b"LF:0\nLH:0\n",
        b"LF:1\nLH:9\n",
        b"hello\n",
    ],
)
def test_no_figure(content: bytes) -> None:
    with pytest.raises(Unreadable):
        read(content)


@pytest.mark.parametrize(
    ("content", "code", "says"),
    [
        ("LF:100\nLH:80\n", "", ""),
        ("LF:100\nLH:79\n", "COVERAGE", "expected at least 80 % of the lines, but lcov.info shows 79.00 %"),
        ("nothing", "COVERAGE_UNKNOWN", "not understood"),
        (None, "COVERAGE_UNKNOWN", "the command did not write it"),
    ],
)  # fmt: skip
def test_a_gate_opens_only_on_enough(
    tmp_path: Path, content: str | None, code: str, says: str
) -> None:
    coverage = Coverage(report="lcov.info", threshold=Decimal(80))
    (tmp_path / "lcov.info").write_text("LF:1\nLH:1\n", "utf-8")  # came with the commit
    coverage.prepare(tmp_path)
    if content is not None:
        (tmp_path / "lcov.info").write_text(content, "utf-8")
    told = coverage.judge(tmp_path, dict(OK))
    assert (told["result"], told["reason_code"]) == ("failed" if code else "ok", code)
    assert says in str(told["reason"])


def test_a_report_outside_the_workspace_or_behind_a_link_is_none(tmp_path: Path) -> None:
    (tmp_path / "good.info").write_text("LF:1\nLH:1\n", "utf-8")
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "lcov.info").symlink_to(tmp_path / "good.info")
    for report in ("../good.info", str(tmp_path / "good.info"), "lcov.info"):
        coverage = Coverage(report=report, threshold=Decimal(1))
        assert coverage.judge(folder, dict(OK))["reason_code"] == "COVERAGE_UNKNOWN"
        coverage.prepare(folder)
    assert (tmp_path / "good.info").exists()


def test_a_command_that_failed_stays_failed(tmp_path: Path) -> None:
    failed = {**OK, "result": "failed", "reason_code": "EXIT_CODE"}
    told = Coverage(report="x", threshold=Decimal(0)).judge(tmp_path, dict(failed))
    assert told == failed
