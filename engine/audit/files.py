"""Reading an exported ledger: segments, checkpoints, key and blobs of a folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from engine.audit.findings import Finding
from engine.audit.levels import Evidence, audit
from engine.audit.verifier import BYTES_CHAIN_COURSE, ReadBlob, Report
from engine.errors import UsageError


def verify_folder(
    folder: Path,
    notes: Sequence[str] = (),
    key: str = "",
    levels: Sequence[str] = BYTES_CHAIN_COURSE,
    *,
    rotations: Sequence[str] = (),
    blobs: Path | None = None,
    repository: Path | None = None,
    ref: str = "",
) -> Report:
    """Verify the exported ledger in `folder`, with its own checkpoints and those given.

    `key` is the key line of the run from a source the auditor trusts; without it `key.pub` of the folder is
    taken, which proves only that the files fit together, unless a note from elsewhere is signed by it: the name of a
    log holds the hash of its key. Raises UsageError when there is no ledger or no repository.
    """
    evidence = replace(
        evidence_of(folder, notes, key, blobs=blobs),
        repository=repository,
        ref=ref,
        rotations=rotations,
    )
    report = audit(evidence, levels)
    extra = segment_findings(_segments(folder))
    return replace(report, findings=tuple(sorted({*report.findings, *extra})))


def evidence_of(
    folder: Path, notes: Sequence[str] = (), key: str = "", *, blobs: Path | None = None
) -> Evidence:
    """Return what a folder holds of one run. Raises UsageError when there is no ledger.

    Blobs are looked for in `blobs`, in the folder's own `blobs`, and where the engine has them beside its ledgers.
    """
    segments = _segments(folder)
    own = [path.read_text("utf-8") for path in sorted(folder.glob("checkpoints/[0-9]*"))]
    newest = folder / "checkpoint"
    own += [newest.read_text("utf-8")] if newest.is_file() else []
    found = (blobs, folder / "blobs", folder.parent / "blobs", folder.parent.parent / "blobs")
    store = next((path for path in found if path and (path / "sha256").is_dir()), None)
    return Evidence(
        lines=lambda: _lines(segments),
        entries=sum(path.stat().st_size for path in segments) // 700,
        notes=(*own, *notes),
        keys=[key or _text_of(folder / "key.pub")],
        blob=_reader(store) if store else None,
    )


def _segments(folder: Path) -> list[Path]:
    segments = sorted(path for path in folder.glob("*.jsonl") if path.stem.isdigit())
    if not segments:
        raise UsageError("there is no exported ledger here", where=str(folder))
    return segments


def _lines(segments: Sequence[Path]) -> Iterator[bytes]:
    for path in segments:
        with path.open("rb") as file:
            for line in file:
                yield line.removesuffix(b"\n")


def _reader(store: Path) -> ReadBlob:
    def read(digest: str) -> bytes | None:
        algorithm, _, name = digest.partition(":")
        path = store / algorithm / name[:2] / name[2:]
        is_plain = name.isalnum() and algorithm == "sha256"
        return path.read_bytes() if is_plain and path.is_file() else None

    return read


def segment_findings(segments: Sequence[Path]) -> Iterator[Finding]:
    """Yield what is wrong with the division into files: names, gaps, a last line without its end."""
    expected = 1
    for path in segments:
        if int(path.stem) != expected:
            yield Finding(
                expected, "L0", f"expected segment {expected:012}.jsonl, but got {path.name}"
            )
        count, is_whole = _line_feeds(path)
        if not is_whole:
            yield Finding(expected + count, "L0", f"{path.name} ends within a line")
        expected = int(path.stem) + count


def _line_feeds(path: Path) -> tuple[int, bool]:
    """Return how many there are, and whether the last is at the end."""
    count, last = 0, b"\n"
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            count, last = count + block.count(b"\n"), block[-1:]
    return count, last == b"\n"


def _text_of(path: Path) -> str:
    return path.read_text("utf-8").strip() if path.is_file() else ""
