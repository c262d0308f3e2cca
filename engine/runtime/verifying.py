"""When the work of a task passes: its own check, its acceptance criteria, and what its changes must not break.

All of them run on the commit that was taken, each on a fresh checkout. The entry `verification` is recorded last and
is `ok` only when all of them are, so that nothing that reads the ledger can take a part for the whole.
"""

from __future__ import annotations

import shlex
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from engine.core.model import Json, Variables
from engine.runtime.forms import contexts, not_applicable
from engine.settings import Settings

Outcome = dict[str, Json]
Check = Callable[[str, str, float], Awaitable[Outcome]]  #: command, name, seconds
Record = Callable[[Mapping[str, Json]], None]  #: body of a `gate.finished` entry

CRITERION = "criterion"
REGRESSION = "regression"


@dataclass(frozen=True, kw_only=True)
class Verification:
    """What is asked of one commit of one task."""

    task: Variables
    changed: Sequence[str]  #: paths that the commit changes
    settings: Settings
    check: Check
    record: Record

    async def outcome(self) -> Outcome:
        """Return the outcome of the task's check, failed also when a criterion or a regression is.

        A check that fails spares the rest; of the criteria all are tried, so that whoever mends the work sees them all.
        """
        own: Any = self.task["verification"]  # Any: checked against contract task.v1
        found = await self.check(
            str(own["command"]), f"verify-{self.task['id']}", self._seconds(own)
        )
        if found["result"] != "ok":
            return found
        broken = [outcome for outcome in await self._criteria() if outcome["result"] == "failed"]
        if not broken:
            broken = [o for o in await self._regressions() if o["result"] == "failed"]
        if not broken:
            return found
        reason = "; ".join(str(outcome["reason"]) for outcome in broken)
        return {**found, **broken[0], "reason": reason}

    async def _criteria(self) -> list[Outcome]:
        found = []
        for criterion in contexts(self.task.get("acceptance_criteria")):
            name, told = str(criterion["id"]), {"text": criterion["text"]}
            command = criterion.get("check")
            if isinstance(command, str):
                place = f"criterion-{self.task['id']}-{name}"
                outcome = await self.check(command, place, self._seconds(criterion))
            else:
                outcome = not_applicable("NO_CHECK", "no check is given: a person has to look")
            self.record({"name": name, "stage": CRITERION, **told, **outcome})
            found.append(_named(outcome, f"criterion {name} ({criterion['text']})"))
        return found

    async def _regressions(self) -> list[Outcome]:
        """Run the configured command with the changed files; nothing when there is none."""
        command = self.settings.tasks.regression_command
        if command is None:
            return []
        files = " ".join(shlex.quote(f"./{path}") for path in sorted(self.changed))
        outcome = await self.check(
            command.replace("{files}", files),
            f"regression-{self.task['id']}",
            self.settings.tasks.regression_timeout_s,
        )
        self.record({"name": "regressions", "stage": REGRESSION, **outcome})
        return [_named(outcome, "regressions")]

    def _seconds(self, check: Mapping[str, Any]) -> float:  # Any: JSON checked against task.v1
        return float(check.get("timeout_seconds") or self.settings.timeouts.verification_s)


def _named(outcome: Outcome, name: str) -> Outcome:
    return {**outcome, "reason": f"{name}: {outcome['reason']}"}
