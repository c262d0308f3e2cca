"""Built-ins of Rego that regorus 0.13 lacks and policies need, and those that it has and policies may not use.

`REFUSED` names what `is_impure` finds on the syntax tree, function by function: the engine gets an error in its place.
Source: the built-in reference of OPA, sections crypto, http, net, opa, rand, time, uuid.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final


def _digest(algorithm: str, text: object) -> str:
    return hashlib.new(algorithm, _bytes(text), usedforsecurity=False).hexdigest()


def _keyed_digest(algorithm: str, text: object, key: object) -> str:
    return hmac.new(_bytes(key), _bytes(text), algorithm).hexdigest()


def _equal(first: object, second: object) -> bool:
    return hmac.compare_digest(_bytes(first), _bytes(second))


def _bytes(text: object) -> bytes:
    if not isinstance(text, str):
        raise TypeError(f"expected a string, but got {type(text).__name__}")
    return text.encode()


#: {name: (number of arguments, function)}
ADDED: Final[
    Mapping[str, tuple[int, Callable[..., Any]]]
] = {  # Any: JSON, as Rego gives and takes it
    **{f"crypto.{name}": (1, partial(_digest, name)) for name in ("md5", "sha1", "sha256")},
    **{
        f"crypto.hmac.{name}": (2, partial(_keyed_digest, name))
        for name in ("md5", "sha1", "sha256", "sha512")
    },
    "crypto.hmac.equal": (2, _equal),
}

#: {name: number of arguments}
REFUSED: Final[Mapping[str, int]] = {
    "http.send": 1,
    "net.cidr_contains": 2,
    "net.cidr_contains_matches": 2,
    "net.cidr_expand": 1,
    "net.cidr_intersects": 2,
    "net.cidr_is_valid": 1,
    "net.cidr_merge": 1,
    "net.lookup_ip_addr": 1,
    "opa.runtime": 0,
    "rand.intn": 2,
    "time.now_ns": 0,
    "trace": 1,
    "uuid.rfc4122": 1,
}
