"""Digests of the meaning of a process: independent of layout, formatting, prefixes and line numbers."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import fields, is_dataclass

from engine.bpmn.model import Document, Position, Process

__all__ = ["document_digest", "process_digest"]

_NO_MEANING = {"documentation"}


def process_digest(process: Process) -> str:
    """Return the SHA-256 (hex) of the normalised model of a process."""
    return hashlib.sha256(_text(process).encode()).hexdigest()


def document_digest(document: Document) -> str:
    """Return the SHA-256 (hex) over the digests of the processes of a file."""
    digests = "\n".join(map(process_digest, document.processes))
    return hashlib.sha256(digests.encode()).hexdigest()


def _text(value: object) -> str:
    """Return an unambiguous text of a model value; positions and documentation are left out.

    Nodes and flows are written in the order of their ids: where they stand in the file means nothing. The order
    in which a gateway tries its flows is in its own `outgoing`.
    """
    if isinstance(value, Position):
        return ""
    if is_dataclass(value) and not isinstance(value, type):
        parts = [
            f"{field.name}={_text(getattr(value, field.name))}"
            for field in fields(value)
            if field.name not in _NO_MEANING
        ]
        return f"{type(value).__name__}({';'.join(parts)})"
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key!r}:{_text(value[key])}" for key in sorted(value)) + "}"
    if isinstance(value, tuple):
        return "[" + ",".join(map(_text, value)) + "]"
    return repr(value)
