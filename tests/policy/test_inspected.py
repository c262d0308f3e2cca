"""What is not inspected at every start was inspected here, and nothing else is let through."""

from __future__ import annotations

import pytest

from engine.core.definitions import Definitions
from engine.policy.embedded import Embedded, FindingsError, _built_ins, syntax_tree
from engine.policy.inspected import INSPECTED
from engine.policy.inspection import findings
from engine.shipped import definition_files


@pytest.fixture(scope="module")
def shipped() -> dict[str, str]:
    return dict(Definitions.load(definition_files(None)).policies)


def test_nothing_is_wrong_with_what_is_named(shipped: dict[str, str]) -> None:
    """Policies that were changed are named no more: they are inspected at each start, until somebody names them.
    `python -m benchmarks feature` says so, and what to write."""
    assert findings(syntax_tree(shipped), _built_ins()) == []
    assert len(INSPECTED) == 1


def test_their_packages_are_those_that_inspection_finds(
    shipped: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    named = Embedded(shipped, {}).packages
    monkeypatch.setattr("engine.policy.embedded.INSPECTED", {})
    assert Embedded(shipped, {}).packages == named


@pytest.mark.parametrize(
    "rule",
    ["late if time.now_ns() > 0", "open if not missing[x]", "told if no.such_function(1)"],
)
def test_one_rule_more_and_the_shipped_policies_are_inspected(
    shipped: dict[str, str], rule: str
) -> None:
    path = next(path for path, text in shipped.items() if "package merge" in text)
    with pytest.raises(FindingsError):
        Embedded({**shipped, path: f"{shipped[path]}\nmissing := {{}}\n{rule}\n"}, {})
