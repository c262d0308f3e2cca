"""What a dry run tells beside the plan: how many workers would run, and how many are worth it, by the tables of the bundle."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

from engine.core.definitions import Definitions
from engine.core.model import Json
from engine.settings import Settings

_TEST_LEVEL = 4  #: levels are foundation, core, integration, testing, quality
_TEST_TAGS = frozenset({"test", "tests"})


def machine_limits(settings: Settings) -> dict[str, Json]:
    """Return {cpus, memory_gb, cap} of this machine and configuration."""
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "cpus": os.cpu_count() or 1,
        "memory_gb": max(1, pages // 2**30),
        "cap": settings.run.max_workers,
    }


def foresee(
    plan: Mapping[str, Any],  # Any: JSON of the plan
    settings: Settings,
    definitions: Definitions,
    limits: Mapping[str, Json],
) -> dict[str, Json]:
    """Return {workers, limits, advice: {workers, speedup}}; None for what the bundle has no table for."""
    tasks = [task for wave in plan["waves"] for task in wave["tasks"]]
    count = {"tasks": plan["task_count"], "widest": plan["widest"]}
    asked = {"requested": settings.run.workers, **limits}
    return {
        "workers": _decided(definitions, "worker_count", {**count, **asked}),
        "limits": dict(limits),
        "advice": _decided(
            definitions, "worker_advice", {"tasks": len(tasks), "test_share": share_of_tests(tasks)}
        ),
    }


def share_of_tests(tasks: Sequence[Mapping[str, Any]]) -> Decimal:  # Any: JSON of tasks
    """Return the share of tasks that write tests: on the level of tests, or tagged so; 0 to 1."""
    tests = sum(
        task["level"] == _TEST_LEVEL or not _TEST_TAGS.isdisjoint(task["tags"]) for task in tasks
    )
    return Decimal(tests) / len(tasks) if tasks else Decimal(0)


def _decided(definitions: Definitions, name: str, inputs: Mapping[str, Any]) -> Json:
    # Any: JSON of facts
    decision = definitions.decisions.get(name)
    if decision is None:
        return None
    record, wrong = decision.explain(inputs)
    return None if wrong else record.get("value")
