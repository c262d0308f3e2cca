"""Test coverage of a gate: the figure that a report file shows, against the least that is wanted.

A report that is missing, too large or not understood fails the gate; one that the commit itself holds is removed
before the command runs, so that only what the command wrote counts.

Read are Cobertura XML (`line-rate` of its root), lcov (`LH` and `LF` of each record), and the JSON of coverage.py
(`totals.percent_covered`) and of istanbul (`total.lines.pct`).
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from lxml import etree

from engine.core.model import Json

LIMIT_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Coverage:
    """What a gate's report must show: at least `threshold` percent of lines."""

    report: str  #: path below the checkout
    threshold: Decimal

    def prepare(self, folder: Path) -> None:
        """Remove a report that came with the commit."""
        place = self._place(folder)
        if place is not None:
            place.unlink(missing_ok=True)

    def judge(self, folder: Path, outcome: dict[str, Json]) -> dict[str, Json]:
        """Return the outcome of the command with `coverage`; failed when that is too little or not known."""
        if outcome["result"] != "ok":
            return outcome
        try:
            percent = read(self._content(folder))
        except Unreadable as problem:
            return _failed(outcome, "COVERAGE_UNKNOWN", f"coverage report {self.report}: {problem}")
        outcome = {**outcome, "coverage": percent}
        if percent < self.threshold:
            wanted = f"expected at least {self.threshold} % of the lines"
            return _failed(outcome, "COVERAGE", f"{wanted}, but {self.report} shows {percent} %")
        return outcome

    def _place(self, folder: Path) -> Path | None:
        """Return the file's place, or None when it would lie outside the checkout."""
        place = folder / self.report
        is_inside = place.parent.resolve().is_relative_to(folder.resolve())
        return place if is_inside and place.name not in {"", ".."} else None

    def _content(self, folder: Path) -> bytes:
        place = self._place(folder)
        if place is None:
            raise Unreadable("it lies outside the workspace")
        try:
            descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, "rb") as file:
                content = file.read(LIMIT_BYTES + 1)
        except FileNotFoundError:
            raise Unreadable("the command did not write it") from None
        except OSError as error:
            raise Unreadable(f"cannot be read: {error.strerror or error}") from error
        if len(content) > LIMIT_BYTES:
            raise Unreadable("it is larger than 64 MiB")
        return content


class Unreadable(Exception):
    """The report shows no figure; the text says why."""


def read(content: bytes) -> Decimal:
    """Return the percentage of lines that a report shows, 0 to 100. Raises Unreadable.

    >>> read(b"SF:a.py\\nLF:8\\nLH:7\\nend_of_record\\n")
    Decimal('87.50')
    """
    start = content.lstrip()[:1]
    form: Callable[[bytes], Decimal] = {b"<": _cobertura, b"{": _json}.get(start, _lcov)
    try:
        percent = form(content)
    except (etree.XMLSyntaxError, ValueError, InvalidOperation, RecursionError) as error:
        raise Unreadable(f"not understood: {error}") from error
    if not percent.is_finite() or not 0 <= percent <= 100:
        raise Unreadable(f"{percent} is no percentage")
    return percent


def _cobertura(content: bytes) -> Decimal:
    parser = etree.XMLParser(resolve_entities=False, load_dtd=False, no_network=True)
    root = etree.fromstring(content, parser)
    rate = root.get("line-rate")
    if root.tag != "coverage" or rate is None:
        raise Unreadable("not understood: expected Cobertura XML, <coverage line-rate=…>")
    return Decimal(rate) * 100


def _json(content: bytes) -> Decimal:
    found: Any = json.loads(content, parse_float=Decimal)  # Any: JSON of another program
    for path in (("totals", "percent_covered"), ("total", "lines", "pct")):
        value = found
        for key in path:
            value = value.get(key) if isinstance(value, Mapping) else None
        if isinstance(value, Decimal | int) and not isinstance(value, bool):
            return Decimal(value)
    raise Unreadable("not understood: expected totals.percent_covered or total.lines.pct")


def _lcov(content: bytes) -> Decimal:
    counts = {"LF": 0, "LH": 0}
    for line in content.decode("utf-8", "replace").splitlines():
        name, sign, value = line.partition(":")
        if sign and name in counts:
            counts[name] += int(value)
    if counts["LF"] <= 0:
        raise Unreadable("not understood: expected Cobertura XML, lcov or JSON with lines in it")
    return (Decimal(counts["LH"]) * 100 / counts["LF"]).quantize(Decimal("0.01"), "ROUND_DOWN")


def _failed(outcome: dict[str, Json], code: str, reason: str) -> dict[str, Json]:
    return {**outcome, "result": "failed", "reason_code": code, "reason": reason}
