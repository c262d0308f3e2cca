"""One call of the engine on one run: create or take over, rebuild, carry on, record how it ended."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import field
from datetime import datetime
from pathlib import Path
from typing import Any

from engine.contracts import Contracts
from engine.core.definitions import Definitions
from engine.core.model import Event, Fact, Json, Variables, Verdict
from engine.frozen import dataclass
from engine.handlers import Handlers
from engine.ledger import EntryType, note
from engine.plugins import discover
from engine.policy import PolicySet
from engine.programs import reap
from engine.runtime.conductor import Clock, Conductor, Ended
from engine.runtime.forms import policy_settings
from engine.runtime.older import refuse_older_database
from engine.runtime.recorder import Recorder
from engine.runtime.waivers import Waivers
from engine.runtime.work import Work
from engine.runtime.world import Site
from engine.settings import Project
from engine.shipped import folder
from engine.store import Run, RunStatusChanged, Store

Watch = Callable[[str, Fact, Sequence[Event]], None]  #: label of the instance, and its turn
OnStart = Callable[[Conductor, str], None]


@dataclass(frozen=True, kw_only=True)
class Carrying:
    """A run to be carried on, after its input was found good. `notes` say what was repaired before it goes on."""

    project: Project
    clock: Clock
    store: Store
    lock_fd: int
    run: str
    is_new: bool
    work: Work
    definitions: Definitions  #: their files are kept as blobs
    policies: PolicySet
    handlers: Handlers
    contracts: Contracts
    waivers: Waivers
    known_runs: int | None = None  #: of the feature, when it was decided to start another
    seen: Run | None = None  #: the run when it was decided to go on with it
    notes: Sequence[str] = field(default=())
    watch: Watch | None = None
    on_start: OnStart | None = None
    timeout_s: float | None = None

    def carry_out(self) -> Ended:
        """Carry the run on until it ended, waits for people or is stopped."""
        now = self.clock.now()
        if self.is_new:
            self._create(now)
            self.work.prepare(self.run)
        else:
            refuse_older_database(self.store, self.run, self._folder)
            self.work.refuse_unknown_state(self.store, self.run)
            reap((), run=self.run)
            settings = policy_settings(self.project.settings)
            body: dict[str, Json] = {"recovered": list(self.notes), "settings": settings}
            self.store.take_over(self.run, at=now, body=body, seen=self.seen)
        return asyncio.run(self._serve())

    def _create(self, now: datetime) -> None:
        files = self.definitions.files
        self.store.create_run(
            self.run,
            feature=self.work.filed_under,
            bundle=self.definitions.digest,
            at=now,
            known_runs=self.known_runs,
            body={
                **self.work.body(),
                "settings": policy_settings(self.project.settings),
                "files": {path: _digest(content) for path, content in files.items()},
            },
        )

    async def _serve(self) -> Ended:
        recorder = Recorder(self.store, self.run, self._folder)
        world = self.work.world(self._site(), recorder, self.clock)
        conductor = Conductor(
            run=self.run,
            definitions=self.definitions,
            recorder=recorder,
            handlers=self.handlers,
            world=world,
            delivery=self.work.recall(world),
            witness=world,
            judge=self._judge,
            clock=self.clock,
            watch=self.watch,
        )
        world.connect(conductor.publish)
        if self.on_start is not None:
            self.on_start(conductor, self.run)
        try:
            conductor.rebuild()
            if conductor.has_begun():
                await conductor.resume()
            else:
                await conductor.start(self.work.process, self.work.variables(self.run))
            ended = await self._within_time(conductor)
            await world.settle()
            if ended.state in {"completed", "failed", "cancelled"}:
                await world.finish(self.work.status(ended))
            paused = await world.pause(keeps_work=ended.keeps_work) if _is_stop(ended) else {}
            await self._record_end(recorder, ended, paused)
            return ended
        finally:
            await world.settle()
            await recorder.close()

    @property
    def _folder(self) -> Path:
        return self.project.home / "ledger" / self.run

    def _site(self) -> Site:
        home = self.project.home
        return Site(
            run=self.run,
            feature=self.work.filed_under,
            home=home,
            root=self.project.root,
            settings=self.project.settings,
            definitions=self.definitions,
            judge=self._judge,
            lock_fd=self.lock_fd,
            contracts=self.contracts,
            plugins=discover([folder("plugins"), home / "plugins"], self.contracts),
            waivers=self.waivers,
        )

    async def _within_time(self, conductor: Conductor) -> Ended:
        if self.timeout_s is None:
            return await conductor.serve()
        alarm = asyncio.get_running_loop().call_later(
            self.timeout_s, lambda: conductor.stop(force=True)
        )
        try:
            return await conductor.serve()
        finally:
            alarm.cancel()

    async def _record_end(self, recorder: Recorder, ended: Ended, paused: Variables) -> None:
        status = self.work.status(ended)
        now = self.clock.now()
        over = status in {"completed", "partial", "failed", "blocked"}
        body: dict[str, Json] = {
            "status": status,
            "code": ended.code,
            "message": ended.message,
            "reasons": _reasons(ended) if _is_closed(status, ended) else [],
            **paused,
        }
        await recorder.commit(
            [note(EntryType.RUN_FINISHED if over else EntryType.RUN_STOPPED, now, body)],
            [RunStatusChanged(status=status, at=now)],
            checkpoint=True,
        )

    async def _judge(self, package: str, input_: Any, now: datetime) -> Verdict:
        # Any: the input is JSON that the diagram made
        if self.project.settings.policy.backend == "embedded":
            return self.policies.decide(package, input_, now)
        return await asyncio.to_thread(self.policies.decide, package, input_, now)


def _is_stop(ended: Ended) -> bool:
    return ended.state == "stopped"


def _is_closed(status: str, ended: Ended) -> bool:
    """Tell whether a policy may have closed a run that came to its end: at its start, or at the release."""
    return status == "blocked" or (status == "failed" and ended.state == "completed")


def _reasons(ended: Ended) -> list[Json]:
    """Return what the policy that closed the run said, as its gateway left it in the variables."""
    said = ended.variables.get("reasons")
    given = said if isinstance(said, list | tuple) else ()
    return [str(item.get("message")) for item in given if isinstance(item, Mapping)]


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
