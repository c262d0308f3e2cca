"""The verifier as one file: a zip archive that Python runs, with nothing in it but the sources of this folder.

It needs Python 3.11, `cryptography` for signatures and git for L4. L3 is left out, and says so: what a decision table
means is for the interpreters of the engine to say. The archive has fixed dates, so equal sources give equal bytes.
"""

from __future__ import annotations

import zipfile
from io import BytesIO
from pathlib import Path
from typing import Final

_FIXED: Final = (1980, 1, 1, 0, 0, 0)
_INTERPRETERS: Final = frozenset({"rederive.py", "facts.py", "single.py"})
_MAIN: Final = """\
if __name__ == "__main__":
    from engine.audit.__main__ import main

    raise SystemExit(main())
"""


def single_file() -> bytes:
    """Return the archive: `python FILE DIR` is `python -m engine.audit DIR`."""
    here = Path(__file__).parent
    sources = {
        "__main__.py": _MAIN,
        "engine/__init__.py": '"""Poundlock\'s verifier of ledgers, alone."""\n',
        "engine/errors.py": (here.parent / "errors.py").read_text("utf-8"),
        **{
            f"engine/audit/{path.name}": path.read_text("utf-8")
            for path in sorted(here.glob("*.py"))
            if path.name not in _INTERPRETERS
        },
    }
    content = BytesIO()
    content.write(b"#!/usr/bin/env python3\n")
    with zipfile.ZipFile(content, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in sources.items():
            entry = zipfile.ZipInfo(name, _FIXED)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, text)
    return content.getvalue()
