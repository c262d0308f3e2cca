"""`engine ledger export --format ocel|xes|prov|intoto`: views of a run, to a file or to standard output."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

from engine.cli import show as out
from engine.errors import UsageError

if TYPE_CHECKING:
    from engine.store import Run, Store

VIEWS: Final = ("ocel", "xes", "prov", "intoto")
_COUNTED: Final = {"ocel": "events", "xes": "events", "prov": "records", "intoto": "attestations"}


def export_view(store: Store, run: Run, form: str, file: Path | None, *, as_json: bool) -> int:
    """Write one of VIEWS: to `file` in one step, or to standard output without one or for "-"."""
    written = io.BytesIO()
    count = _write(store, run, form, written)
    if file is None or str(file) == "-":
        if as_json:
            raise UsageError("--json", expected="--output FILE", got="standard output for both")
        sys.stdout.flush()
        sys.stdout.buffer.write(written.getvalue().rstrip(b"\n") + b"\n")
        return 0
    _replace(file, written.getvalue())
    if as_json:
        body = {"run": run.id, "format": form, "file": str(file), "count": count}
        out.as_json("ledger-export-view", body)
    else:
        out.line(f"{count} {_COUNTED[form]} of run {run.id} are in {out.plain(file)}")
    return 0


def _write(store: Store, run: Run, form: str, to: io.BytesIO) -> int:
    from engine.ledger import exports

    match form:
        case "ocel":
            return exports.write_ocel(store.entries(run.id), run.id, to)
        case "xes":
            return exports.write_xes(store.entries(run.id), run.id, to)
        case "prov":
            return exports.write_prov(store.entries(run.id), run.id, to)
        case _:
            from engine.runtime.attesting import attestations_of

            envelopes = attestations_of(store, run.id).envelopes
            to.write(b"".join(line + b"\n" for line in envelopes))
            return len(envelopes)


def _replace(file: Path, content: bytes) -> None:
    draft = file.with_name(f".{file.name}.new")
    try:
        draft.write_bytes(content)
        draft.replace(file)
    except OSError as error:
        raise UsageError(
            "--output", expected="a file that can be written", got=f"{file}: {error.strerror}"
        ) from error
