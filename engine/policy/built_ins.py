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

#: What regorus 0.13 has and replay can repeat; to ask it takes 5 ms a name, and policies mostly call these.
KNOWN: Final = frozenset(
    [
        "abs",
        "array.concat",
        "array.reverse",
        "array.slice",
        "base64.decode",
        "base64.encode",
        "base64.is_valid",
        "base64url.decode",
        "base64url.encode",
        "base64url.encode_no_pad",
        "bits.and",
        "bits.lsh",
        "bits.negate",
        "bits.or",
        "bits.rsh",
        "bits.xor",
        "ceil",
        "concat",
        "contains",
        "count",
        "endswith",
        "floor",
        "format_int",
        "glob.match",
        "glob.quote_meta",
        "graph.reachable",
        "graph.reachable_paths",
        "hex.decode",
        "hex.encode",
        "indexof",
        "indexof_n",
        "intersection",
        "is_array",
        "is_boolean",
        "is_null",
        "is_number",
        "is_object",
        "is_set",
        "is_string",
        "json.filter",
        "json.is_valid",
        "json.marshal",
        "json.marshal_with_options",
        "json.match_schema",
        "json.patch",
        "json.remove",
        "json.unmarshal",
        "json.verify_schema",
        "lower",
        "max",
        "min",
        "numbers.range",
        "numbers.range_step",
        "object.filter",
        "object.get",
        "object.keys",
        "object.remove",
        "object.subset",
        "object.union",
        "object.union_n",
        "print",
        "product",
        "regex.find_all_string_submatch_n",
        "regex.find_n",
        "regex.is_valid",
        "regex.match",
        "regex.replace",
        "regex.split",
        "regex.template_match",
        "replace",
        "round",
        "semver.compare",
        "semver.is_valid",
        "sort",
        "split",
        "sprintf",
        "startswith",
        "strings.any_prefix_match",
        "strings.any_suffix_match",
        "strings.count",
        "strings.replace_n",
        "strings.reverse",
        "substring",
        "sum",
        "time.add_date",
        "time.clock",
        "time.date",
        "time.diff",
        "time.format",
        "time.parse_duration_ns",
        "time.parse_ns",
        "time.parse_rfc3339_ns",
        "time.weekday",
        "to_number",
        "trim",
        "trim_left",
        "trim_prefix",
        "trim_right",
        "trim_space",
        "trim_suffix",
        "type_name",
        "union",
        "units.parse",
        "units.parse_bytes",
        "upper",
        "urlquery.decode",
        "urlquery.decode_object",
        "urlquery.encode",
        "urlquery.encode_object",
        "uuid.parse",
        "walk",
        "yaml.is_valid",
        "yaml.marshal",
        "yaml.unmarshal",
    ]
)
