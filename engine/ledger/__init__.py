"""The ledger: canonical bytes, chain, Merkle tree, signed checkpoints, export. It does no I/O except the export."""

from engine.ledger.entries import (
    Draft,
    Entry,
    EntryType,
    Head,
    Sealed,
    read_entry,
    seal,
    verify_chain,
)
from engine.ledger.records import (
    Turn,
    event_from_json,
    event_to_json,
    fact_from_json,
    fact_to_json,
    note,
    read_turn,
    turn,
)

__all__ = [
    "Draft",
    "Entry",
    "EntryType",
    "Head",
    "Sealed",
    "Turn",
    "event_from_json",
    "event_to_json",
    "fact_from_json",
    "fact_to_json",
    "note",
    "read_entry",
    "read_turn",
    "seal",
    "turn",
    "verify_chain",
]
