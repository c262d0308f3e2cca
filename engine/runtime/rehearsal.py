"""What the first policy gateway of a run would say, before there is a run: for dry runs. Nothing is written.

The process is played on the pure core up to that gateway. The only job that is carried out on the way is planning, by its own
handler, on a world that reads and records nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from typing import cast

from engine.contracts import Contracts
from engine.core.compiled import first_event
from engine.core.definitions import Definitions
from engine.core.model import (
    ROOT_INSTANCE,
    InstanceId,
    InstanceStarted,
    JobCompleted,
    JobCreated,
    Json,
    RunId,
    Variables,
    Verdict,
    VerdictRequested,
)
from engine.core.process import Step, advance, start
from engine.frozen import dataclass
from engine.handlers import Activation, DeliveryWorld, Handlers
from engine.plugins import discover
from engine.runtime.gates import needs
from engine.runtime.planned import left_to_do, machine_facts
from engine.runtime.set_back import Aside, left_aside
from engine.runtime.specs import written_tasks
from engine.runtime.waivers import Waivers
from engine.runtime.work import ROOT_PROCESS, asked_for
from engine.settings import Project
from engine.shipped import folder
from engine.store import Store
from service_tasks.planning import with_levels

PLANNING = "plan.build_waves"
DRY_RUN = "dry-run"  #: id of the run that does not come to be

Judge = Callable[[str, Json, datetime], Verdict]


def first_verdict(
    *,
    project: Project,
    store: Store | None,
    definitions: Definitions,
    handlers: Handlers,
    contracts: Contracts,
    waivers: Waivers,
    judge: Judge,
    feature: str,
    graph: Variables,
    merged: Collection[str],
    anew: bool,
    level: int | None,
    now: datetime,
) -> dict[str, Json] | None:
    """Return {element, policy, verdict, reasons} of the first policy gateway that a run of `feature` comes to.

    None when another job than planning stands before it. `merged`: tasks that are left out. `store`: None when there is none.
    """
    settings = project.settings
    plugins = discover([folder("plugins"), project.home / "plugins"], contracts)
    written = written_tasks(graph)

    def aside(tasks: Sequence[Variables]) -> Aside:
        return left_aside(store, feature, "", tasks, written) if store and not anew else Aside()

    def needed(tools: Sequence[str], workers: Sequence[str]) -> list[Json]:
        return needs(tools, workers, settings, definitions, plugins)

    world = _PlanReader(
        feature=feature,
        graph=graph,
        merged=merged,
        facts=machine_facts(settings, waivers.facts(feature)),
        aside=aside,
        plugins=needed,
    )
    fact = InstanceStarted(
        at=now,
        process=ROOT_PROCESS,
        variables=asked_for(settings, DRY_RUN, feature, anew=anew, level=level),
        start_event=first_event(definitions.process(ROOT_PROCESS)),
    )
    step = start(definitions, RunId(DRY_RUN), InstanceId(ROOT_INSTANCE), fact)
    asked = _asked(asyncio.run(_with_plan(step, definitions, handlers, world, now)))
    if asked is None:
        return None
    return {
        "element": asked.element,
        "policy": asked.package,
        **judge(asked.package, asked.input, now).variables(),
    }


async def _with_plan(
    step: Step, definitions: Definitions, handlers: Handlers, world: _PlanReader, now: datetime
) -> Step:
    """Return the step behind planning, when that is the job the process waits for."""
    jobs = [event.job for event in step.events if isinstance(event, JobCreated)]
    spec = handlers.find(PLANNING)
    if spec is None or [job.type for job in jobs] != [PLANNING]:
        return step
    delivered = cast(DeliveryWorld, world)  # planning uses no other part of it
    planned = await spec.handler(Activation(job=jobs[0], world=delivered, delivered=delivered))
    done = JobCompleted(at=now, job=jobs[0].local_key, variables=planned)
    return advance(definitions, step.instance, done)


def _asked(step: Step) -> VerdictRequested | None:
    return next((event for event in step.events if isinstance(event, VerdictRequested)), None)


@dataclass(frozen=True, kw_only=True)
class _PlanReader:
    """The world of planning, read only: the part of `engine.handlers.DeliveryWorld` that `plan.build_waves` uses."""

    feature: str
    graph: Variables  #: as its file has it
    merged: Collection[str]  #: tasks that an earlier run has merged
    facts: Variables  #: {limits, worker_names, waivers}
    aside: Callable[[Sequence[Variables]], Aside]  #: what people want left aside, of tasks to do
    plugins: Callable[[Sequence[str], Sequence[str]], list[Json]]  #: of tools and workers

    async def read_task_graph(self, *, anew: bool, level: int | None = None) -> Variables:
        left = left_to_do(with_levels(self.graph), () if anew else self.merged, level)
        return left.graph_without(self.aside(left.tasks))

    async def announce_plan(self, waves: Sequence[Variables]) -> None:
        return None

    async def machine(self) -> Variables:
        return self.facts

    async def needed_plugins(self, tools: Sequence[str], workers: Sequence[str]) -> list[Json]:
        return self.plugins(tools, workers)
