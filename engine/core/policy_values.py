"""Values that policies read, kept beside them: `NAME.yml` becomes rules of package NAME, so that both engines judge by one text.

`performance.yml` with `performance: {limits: {task_timeout_s: 60}}` is, to a policy, `data.performance.limits.task_timeout_s`. The
one key at the top is the name of the file: so OPA's own tools, which read the file as data, find the same under the same name.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from engine.errors import DefinitionError

ENDINGS = (".yml", ".yaml")
#: {SHA-256 of the shipped file: what this module makes of it}, looked at by our tests, so that not each start loads YAML (20 ms)
READ: Final = {
    "7c35fac03d8e09fcecca73d2324ce07fe642a13524653091c217ccfb6815b4b2": """package performance

limits := {"enforced_at": ["strict"], "task_timeout_s": 14400, "verification_timeout_s": 3600, \
"gate_ms": {"L0": 180000, "L1": 300000, "L2": 600000, "L3": 600000, "L4": 900000, "L5": 900000}}
"""
}
_NAME = re.compile(r"[a-z][a-z0-9_]*")


def rules_of(path: str, content: bytes) -> str:
    """Return the Rego text for a file of values. Raises DefinitionError naming the file."""
    stem = path.rpartition("/")[2].rpartition(".")[0]
    known = READ.get(hashlib.sha256(content).hexdigest(), "")
    if known.startswith(f"package {stem}\n"):
        return known
    values = _parsed(path, content)
    held = values.get(stem) if isinstance(values, Mapping) and len(values) == 1 else None
    if not isinstance(held, Mapping) or not _NAME.fullmatch(stem):
        raise DefinitionError(
            "values for policies cannot be used",
            where=path,
            expected=f"one key {stem} with values by name",
        )
    wrong = [name for name in held if not isinstance(name, str) or not _NAME.fullmatch(name)]
    if wrong:
        raise DefinitionError(
            "values for policies cannot be used",
            where=path,
            expected="names in small letters",
            got=repr(wrong[0]),
        )
    try:
        rules = [f"{name} := {json.dumps(value, allow_nan=False)}" for name, value in held.items()]
    except (TypeError, ValueError) as error:  # a date, a set, a number that JSON does not have
        raise DefinitionError(
            "values for policies must be JSON", where=path, got=str(error)
        ) from error
    return "\n\n".join([f"package {stem}", *rules]) + "\n"


def _parsed(path: str, content: bytes) -> Any:  # Any: YAML that somebody wrote
    import yaml  # 20 ms, and only bundles with such files pay

    try:
        return yaml.safe_load(content.decode("utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        told = " ".join(str(error).split())[:200]
        raise DefinitionError("values for policies cannot be read", where=path, got=told) from error
