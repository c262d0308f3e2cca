"""Read an export as others do, and print what was found as JSON: `python read.py ocel|xes|prov|intoto FILE [KEY]`.

Run with the environment of requirements.txt, never with the product's: nothing of the engine is imported here, and nothing
of this by the engine.
"""

from __future__ import annotations

import base64
import json
import sys
import warnings
from collections import Counter
from pathlib import Path
from typing import Any


def ocel(path: str) -> Any:
    import pm4py

    log = pm4py.read_ocel2_json(path)
    pairs = log.relations.groupby("ocel:qualifier").size()
    return {
        "events": len(log.events),
        "objects": dict(Counter(log.objects["ocel:type"])),
        "activities": dict(Counter(log.events["ocel:activity"])),
        "relations": {str(name): int(count) for name, count in pairs.items()},
        "called": len(log.o2o[log.o2o["ocel:qualifier"] == "called by"]),
        "states": _last_states(log),
    }


def _last_states(log: Any) -> dict[str, str]:
    """Return {task: its last state}; the value an object begins with stands in another table."""
    found: dict[str, str] = {}
    for table in (log.objects, log.object_changes.sort_values("ocel:timestamp")):
        told = table[table["ocel:type"] == "task"].dropna(subset=["state"])
        for id, state in zip(told["ocel:oid"], told["state"], strict=True):
            found[id.partition(":")[2]] = state
    return found


def xes(path: str) -> Any:
    import pm4py

    log = pm4py.read_xes(path)
    complete = log[log["lifecycle:transition"] == "complete"]
    graph, starts, _ = pm4py.discover_dfg(complete)
    return {
        "events": len(log),
        "traces": int(log["case:concept:name"].nunique()),
        "processes": sorted(log["case:process"].dropna().unique().tolist()),
        "lifecycles": sorted(log["lifecycle:transition"].unique().tolist()),
        "follows": [[a, b] for a, b in graph],
        "starts": dict(starts),
        "timestamps": str(log["time:timestamp"].dtype),
    }


def prov(path: str) -> Any:
    import prov.model

    document = prov.model.ProvDocument.deserialize(path, format="json")
    return {
        "kinds": dict(Counter(type(r).__name__ for r in document.get_records())),
        "again": len(json.loads(document.serialize(format="json"))),
    }


def intoto(path: str, key: str) -> Any:
    """Verify each envelope with securesystemslib; parse statement and predicate by their protobuf schemas, strictly."""
    import google.protobuf.json_format as forms
    import in_toto_attestation.predicates.provenance.v1.provenance_pb2 as slsa
    import in_toto_attestation.v1.statement_pb2 as pb
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
    from in_toto_attestation.v1.statement import Statement
    from securesystemslib.dsse import Envelope
    from securesystemslib.signer import SSlibKey

    public = Ed25519PublicKey.from_public_bytes(base64.b64decode(key)[1:])
    found = []
    for line in Path(path).read_text("utf-8").splitlines():
        envelope = Envelope.from_dict(json.loads(line))
        keyid = json.loads(line)["signatures"][0]["keyid"]
        envelope.verify([SSlibKey.from_crypto(public, keyid=keyid)], 1)
        statement = forms.Parse(envelope.payload, pb.Statement())
        Statement.copy_from_pb(statement).validate()
        predicate = forms.MessageToDict(statement.predicate)
        provenance = forms.ParseDict(predicate, slsa.Provenance())
        found.append(
            {
                "commit": statement.subject[0].digest["gitCommit"],
                "type": statement.predicate_type,
                "builder": provenance.run_details.builder.id,
                "dependencies": len(provenance.build_definition.resolved_dependencies),
            }
        )
    return found


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    kind, *given = sys.argv[1:]
    told = {"ocel": ocel, "xes": xes, "prov": prov, "intoto": intoto}[kind](*given)
    sys.stdout.write(f"\n{json.dumps(told)}\n")
