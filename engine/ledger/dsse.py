"""DSSE envelopes (github.com/secure-systems-lab/dsse, v1.0): a payload with its type, signed with the ledger's ed25519 key.

What is signed is PAE(type, payload) = "DSSEv1" SP LEN(type) SP type SP LEN(payload) SP payload, so neither can be taken
for something else that the key has signed: a checkpoint never begins with "DSSEv1".
"""

from __future__ import annotations

import json
from base64 import b64decode, b64encode
from hashlib import sha256
from typing import Any

from engine.core.model import Json
from engine.errors import LedgerError
from engine.ledger.checkpoints import SigningKey

PAYLOAD_TYPE = "application/vnd.in-toto+json"


def seal_envelope(key: SigningKey, payload: bytes) -> dict[str, Json]:
    """Return the envelope of an in-toto statement, signed. `keyid` is a hint, as the specification says."""
    return {
        "payloadType": PAYLOAD_TYPE,
        "payload": b64encode(payload).decode(),
        "signatures": [
            {
                "keyid": key_id(key.public),
                "sig": b64encode(key.sign(pre_authentication(PAYLOAD_TYPE, payload))).decode(),
            }
        ],
    }


def open_envelope(text: str | bytes, public: bytes) -> bytes:
    """Return the payload of an envelope that the key has signed.

    Raises LedgerError when it is no envelope of an in-toto statement, or no signature of this key is right.
    """
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    payload, signatures = _parts(text)
    key = Ed25519PublicKey.from_public_bytes(public)
    signed = pre_authentication(PAYLOAD_TYPE, payload)
    for signature in signatures:
        try:
            key.verify(signature, signed)
        except InvalidSignature:
            continue
        return payload
    raise LedgerError(
        "the attestation is not signed by this key, or was altered",
        expected=f"a signature of {key_id(public)}",
    )


def read_payload(text: str | bytes) -> bytes:
    """Return the payload of an envelope without looking at its signatures. Raises LedgerError when it is none."""
    return _parts(text)[0]


def pre_authentication(kind: str, payload: bytes) -> bytes:
    """Return the bytes that are signed.

    >>> pre_authentication("http://example.com/HelloWorld", b"hello world")
    b'DSSEv1 29 http://example.com/HelloWorld 11 hello world'
    """
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind.encode(), len(payload), payload)


def key_id(public: bytes) -> str:
    """Return the name of a public key (32 bytes) in envelopes."""
    return f"sha256:{sha256(public).hexdigest()}"


def _parts(text: str | bytes) -> tuple[bytes, list[bytes]]:
    try:
        envelope: Any = json.loads(text)  # Any: JSON from outside, looked at here
        kind = envelope["payloadType"]
        payload = b64decode(envelope["payload"], validate=True)
        signatures = [b64decode(one["sig"], validate=True) for one in envelope["signatures"]]
    except (ValueError, KeyError, TypeError) as error:
        raise LedgerError("this is no DSSE envelope", got=type(error).__name__) from error
    if kind != PAYLOAD_TYPE:
        raise LedgerError(where="payloadType", expected=PAYLOAD_TYPE, got=repr(kind))
    return payload, signatures
