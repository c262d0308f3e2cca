"""docs/reference/policies.md names every package and code of the bundle, and none that is not there."""

from __future__ import annotations

import re
from pathlib import Path

from tests.policy.shipped import shipped

PAGE = (Path(__file__).parents[2] / "docs" / "reference" / "policies.md").read_text("utf-8")
POLICIES = {name: text for name, text in shipped().items() if name.endswith(".rego")}
TABLES = ("waivable", "tier_0", "requirements", "variable_reasons")  #: maps whose keys are codes


def block(text: str, name: str) -> dict[str, str]:
    """Return {code: sentence} of a map in a policy."""
    found = re.search(rf"^{name} := \{{\n(.*?)^\}}", text, re.MULTILINE | re.DOTALL)
    return dict(re.findall(r'"([A-Z][A-Z0-9_]+)": "([^"]+)"', found[1])) if found else {}


def named_codes() -> set[str]:
    """Return the codes that any policy can say."""
    texts = POLICIES.values()
    said = {code for text in texts for code in re.findall(r'"code": "([A-Z][A-Z0-9_]+)"', text)}
    kept = {code for text in texts for name in TABLES[2:] for code in block(text, name)}
    return said | kept


def test_every_code_is_on_the_page_and_every_code_of_the_page_in_a_policy() -> None:
    """In the section of a package, that is: the lists of what can be waived name most of them again."""
    sections = PAGE.partition("## What can be waived")[0]
    told = re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \|", sections, re.MULTILINE)
    assert set(told) == named_codes()
    assert len(told) == len(set(told)), "each code has one row, where it is first said"


def test_every_package_is_on_the_page() -> None:
    packages = {re.search(r"^package (\w+)", text, re.MULTILINE)[1] for text in POLICIES.values()}  # type: ignore[index]  # every policy has one
    assert {name for name in packages if f"`{name}`" not in PAGE} == set()


def test_every_code_is_either_waivable_or_tier_0_and_the_page_says_the_same() -> None:
    lists = [block(POLICIES["waivers.rego"], name) for name in TABLES[:2]]
    assert set(lists[0]) & set(lists[1]) == set()
    faults = set(block(POLICIES["waivers.rego"], "requirements"))
    assert set(lists[0]) | set(lists[1]) == named_codes() - faults
    rows = dict(re.findall(r"^\| `([A-Z][A-Z0-9_]+)` \| (.*) \|$", PAGE.partition("## What can be waived")[2], re.MULTILINE))  # fmt: skip
    assert rows == lists[0] | lists[1]
