"""The independent verifier of ledgers: it imports nothing of the engine but its errors."""

from engine.audit.files import verify_folder
from engine.audit.findings import Finding
from engine.audit.verifier import Report, verify

__all__ = ["Finding", "Report", "verify", "verify_folder"]
