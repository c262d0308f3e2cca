"""Values beside policies: a file of YAML is the package of its name, or is refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from engine.core.model import Ruling
from engine.core.policy_values import READ, rules_of
from engine.errors import DefinitionError
from engine.policy import PolicySet
from engine.shipped import folder

LIMIT = """package speed_limit
import rego.v1
import data.speed
default allow := false
default deny := []
allow if count(deny) == 0
deny contains {"code": "SLOW", "msg": "too slow", "path": "/seconds"} if input.seconds > speed.limit_s
"""


@pytest.mark.parametrize(("seconds", "ruling"), [(60, Ruling.PASS), (61, Ruling.FAIL)])
def test_a_policy_reads_the_values_beside_it(seconds: int, ruling: Ruling) -> None:
    modules = {"limit.rego": LIMIT, "speed.yml": rules_of("speed.yml", b"speed: {limit_s: 60}")}
    verdict = PolicySet.load(modules).decide(
        "speed_limit", {"seconds": seconds}, datetime(2026, 1, 1, tzinfo=UTC)
    )
    assert verdict.ruling is ruling


def test_what_is_not_read_at_every_start_says_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    content = (folder("policies") / "performance.yml").read_bytes()
    kept = rules_of("performance.yml", content)
    assert kept in READ.values()
    monkeypatch.setattr("engine.core.policy_values.READ", {})
    assert rules_of("performance.yml", content) == kept
    with pytest.raises(DefinitionError, match="one key other"):
        rules_of("other.yml", content)


@pytest.mark.parametrize(
    "text",
    ["", "other: {a: 1}", "speed: 1", "speed: {a: 1}\nmore: {}", "speed: {A: 1}", "speed: {a: 2026-01-01}",
     "speed: {a: .nan}", "speed: [", "speed: !!python/object:os.system {}"],
)  # fmt: skip
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(DefinitionError, match=r"speed\.yml"):
        rules_of("speed.yml", text.encode())
