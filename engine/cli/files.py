"""Files that commands write: as a whole, or not at all."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from engine.errors import EnvironmentFailure


def write_whole(path: Path, content: bytes, what: str) -> None:
    """Write `content` to `path` (what a link points at), keeping its mode; `what` names it in an error."""
    try:
        target = path.resolve()
        mode = stat.S_IMODE(target.stat().st_mode) if target.exists() else 0o644
        handle, beside = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            os.chmod(beside, mode)
            os.replace(beside, target)
        except OSError:
            os.unlink(beside)
            raise
    except OSError as error:
        raise EnvironmentFailure(
            f"{what} cannot be written", where=str(path), got=error.strerror or ""
        ) from error
