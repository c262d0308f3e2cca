"""One attempt of a task by a worker program: started, watched, recorded with what was really started."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from pathlib import Path

from engine.core.model import Json
from engine.ledger import Draft, EntryType, note
from engine.programs import ProcessIdentity, ProgramDigests
from engine.runtime.conductor import BY_TIMER, Clock
from engine.runtime.forms import launchers
from engine.runtime.recorder import Recorder
from engine.runtime.world import Site
from engine.workers import Assignment, WorkerOutcome, run_worker


class Attempts:
    """Carries out the attempts of a run. The entry of a start comes when the process is there, and so says what it is."""

    def __init__(self, site: Site, recorder: Recorder, clock: Clock) -> None:
        self._site = site
        self._recorder = recorder
        self._clock = clock
        self._digests = ProgramDigests()
        self._launchers = launchers(site.settings)

    async def carry_out(self, assignment: Assignment, slot: int) -> WorkerOutcome:
        """Return how the attempt ended, when its start, its end and what it used are on disk.

        An attempt that is cancelled leaves its end too, once its program is gone; what asked for that is on disk before.
        """
        begun = time.monotonic()
        starts: list[asyncio.Task[None]] = []

        def started(process: ProcessIdentity) -> None:
            starts.append(asyncio.create_task(self._record_start(assignment, slot, process)))

        try:
            outcome = await run_worker(assignment, on_start=started)
        except asyncio.CancelledError as cancelled:
            await asyncio.gather(*starts)
            if starts:
                seconds = time.monotonic() - begun
                await self._recorder.commit([self._cut_short(assignment, cancelled, seconds)])
            raise
        finally:
            await asyncio.gather(*starts)
        await self._recorder.commit(self._end(assignment, outcome))
        return outcome

    async def _record_start(
        self, assignment: Assignment, slot: int, process: ProcessIdentity
    ) -> None:
        body: dict[str, Json] = {
            "job": assignment.key,
            "worker": assignment.spec.name,
            "slot": slot,
            "attempt": assignment.attempt,
            **self._launched(assignment, process),
        }
        await self._recorder.commit(
            [note(EntryType.WORKER_STARTED, self._clock.now(), body, task=_task(assignment))]
        )

    def _launched(self, assignment: Assignment, process: ProcessIdentity) -> dict[str, Json]:
        """Return what was really started: {launcher, network, program, digest, pid, pid_started, boot}."""
        known = self._launchers.get(assignment.spec.name)
        configured = dict(known) if isinstance(known, Mapping) else {}
        return {
            "launcher": "subprocess",
            "network": configured.get("network", "host"),
            "program": process.program,
            "digest": self._digests.of(Path(process.program)),
            "pid": process.pid,
            "pid_started": process.started,
            "boot": process.boot,
        }

    def _cut_short(
        self, assignment: Assignment, cancelled: asyncio.CancelledError, seconds: float
    ) -> Draft:
        """Return the end of an attempt that the process did not wait for: too slow for its timer, or cancelled."""
        why = str(cancelled)
        body: dict[str, Json] = {
            **self._ended(assignment),
            "launcher": "subprocess",
            "failure_class": "timeout" if why == BY_TIMER else "cancelled",
            "exit_code": None,
            "reason": f"worker {assignment.spec.name} was ended: {why or 'it was cancelled'}",
            "paused": False,
            "milliseconds": round(seconds * 1000),
        }
        return note(EntryType.WORKER_FINISHED, self._clock.now(), body, task=_task(assignment))

    def _ended(self, assignment: Assignment) -> dict[str, Json]:
        return {
            "job": assignment.key,
            "worker": assignment.spec.name,
            "tool": str(assignment.task.get("tool") or assignment.spec.name),
            "attempt": assignment.attempt,
            "log": assignment.log.relative_to(self._site.home).as_posix(),
        }

    def _end(self, assignment: Assignment, outcome: WorkerOutcome) -> list[Draft]:
        now, task = self._clock.now(), _task(assignment)
        body: dict[str, Json] = {
            **self._ended(assignment),
            "launcher": outcome.launcher,
            "failure_class": outcome.failure_class,
            "exit_code": outcome.exit_code,
            "reason": outcome.reason,
            "paused": outcome.failure_class == "context",
            "milliseconds": round(outcome.seconds * 1000),
        }
        drafts = [note(EntryType.WORKER_FINISHED, now, body, task=task)]
        tokens, cost = outcome.usage.tokens, outcome.usage.cost_micros
        if tokens or cost:
            used: dict[str, Json] = {
                "job": assignment.key,
                "tokens": tokens,
                "cost_micros": cost,
            }
            drafts.append(note(EntryType.USAGE_RECORDED, now, used, task=task))
        return drafts


def _task(assignment: Assignment) -> str:
    return str(assignment.task["id"])
