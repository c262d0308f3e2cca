"""The independent verifier of ledgers: it imports nothing of what writes them.

Only L3 (`rederive`) calls the engine's interpreters; every other module needs no more than the standard library, and
`cryptography` for signatures.
"""

from engine.audit.files import evidence_of, verify_folder
from engine.audit.findings import LEVELS, Finding
from engine.audit.levels import Evidence, audit
from engine.audit.verifier import Report, verify

__all__ = [
    "LEVELS",
    "Evidence",
    "Finding",
    "Report",
    "audit",
    "evidence_of",
    "verify",
    "verify_folder",
]
