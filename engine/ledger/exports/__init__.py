"""The ledger of a run in the forms that other tools read: OCEL 2.0, XES, PROV-JSON. Views, made from entries alone.

None of them can be turned back into a ledger; `engine.ledger.export` keeps the byte-exact copy.
"""

from engine.ledger.exports.ocel import write_ocel
from engine.ledger.exports.prov import write_prov
from engine.ledger.exports.xes import write_xes

__all__ = ["write_ocel", "write_prov", "write_xes"]
