"""The shipped policies as the engines get them: Rego files, and the values beside them as rules."""

from __future__ import annotations

from engine.core.policy_values import ENDINGS, rules_of
from engine.shipped import folder


def shipped(*, tests: bool = False) -> dict[str, str]:
    """Return {file name: Rego text}."""
    place = folder("policies")
    texts = {
        path.name: path.read_text("utf-8")
        for path in sorted(place.glob("*.rego"))
        if tests or not path.stem.endswith("_test")
    }
    values = {
        path.name: rules_of(path.name, path.read_bytes())
        for path in sorted(place.iterdir())
        if path.suffix in ENDINGS
    }
    return texts | values
