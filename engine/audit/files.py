"""Reading an exported ledger: segments, checkpoints and key of a folder."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from engine.audit.findings import Finding
from engine.audit.verifier import Report, verify
from engine.errors import EngineError


def verify_folder(folder: Path, notes: tuple[str, ...] = (), key: str = "") -> Report:
    """Verify the exported ledger in `folder`, with its own checkpoints and those given.

    `key` is the key line of the run from a source the auditor trusts; without it `key.pub` of the folder is
    taken, which proves only that the files fit together. Raises EngineError when there is no ledger.
    """
    segments = sorted(path for path in folder.glob("*.jsonl") if path.stem.isdigit())
    if not segments:
        raise EngineError("there is no exported ledger here", where=str(folder))
    own = tuple(path.read_text("utf-8") for path in sorted(folder.glob("checkpoints/[0-9]*")))
    trusted = key or _text_of(folder / "key.pub")
    report = verify(_lines(segments), own + notes, trusted)
    extra = tuple(_segment_findings(segments))
    return _with(report, extra) if extra else report


def _lines(segments: list[Path]) -> Iterator[bytes]:
    for path in segments:
        with path.open("rb") as file:
            for line in file:
                yield line.removesuffix(b"\n")


def _segment_findings(segments: list[Path]) -> Iterator[Finding]:
    """Yield what is wrong with the division into files: names, gaps, a last line without its end."""
    expected = 1
    for path in segments:
        if int(path.stem) != expected:
            yield Finding(
                expected, "L0", f"expected segment {expected:012}.jsonl, but got {path.name}"
            )
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            yield Finding(expected + content.count(b"\n"), "L0", f"{path.name} ends within a line")
        expected = int(path.stem) + content.count(b"\n")


def _with(report: Report, extra: tuple[Finding, ...]) -> Report:
    return Report(
        run=report.run,
        entries=report.entries,
        head=report.head,
        root=report.root,
        checkpoints=report.checkpoints,
        witnessed=report.witnessed,
        findings=tuple(sorted({*report.findings, *extra})),
    )


def _text_of(path: Path) -> str:
    return path.read_text("utf-8").strip() if path.is_file() else ""
