"""The world of the plan: the task graph of a feature, what of it is left to do, and what the machine can bear."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from engine.core.model import Json, Variables
from engine.errors import EngineError
from engine.frozen import dataclass
from engine.ledger import Draft, EntryType, note
from engine.runtime.conductor import Clock
from engine.runtime.earlier import merged_before
from engine.runtime.foresight import machine_limits
from engine.runtime.forms import body_of, contexts, texts
from engine.runtime.gates import needs
from engine.runtime.plans import READY
from engine.runtime.recorder import Recorder
from engine.runtime.set_back import COMMAND as RETRY
from engine.runtime.set_back import Aside, left_aside
from engine.runtime.specs import read_task_graph, without_tasks, written_tasks
from engine.runtime.world import GeneralWorld, Site
from engine.settings import Settings
from engine.store import Change, TaskChanged
from engine.workers import SHELL
from engine.workspaces import Base, Repository
from service_tasks.planning import beyond, with_levels


class PlanWorld(GeneralWorld):
    """What planning a feature needs, on a repository with an integration branch."""

    def __init__(
        self, site: Site, recorder: Recorder, clock: Clock, repository: Repository, base: Base
    ) -> None:
        super().__init__(site, recorder, clock)
        self._repository = repository
        self._base = base
        self._to_come: set[str] = set()  # planned, and without a workspace yet
        self._waves: list[list[str]] = []  # tasks of each, as planned
        self._written: dict[str, str] = {}  # task: digest of its definition in the task graph
        self._failures: dict[str, Json] = {}  # {task: {count, kinds} of the run before, counted on}

    async def read_task_graph(self, *, anew: bool, level: int | None = None) -> Variables:
        """Return the task graph without the tasks that an earlier run has merged, and without those that were left
        aside when people set others back; `anew` leaves none out. What stands above `level` is left for later. Levels
        are those of the whole graph. `head`: the commit on which all of it is built; `tags`: of all tasks; `changed_before`:
        how many files the branch changes when the run begins."""
        read, _ = await asyncio.to_thread(
            read_task_graph, self._site.root, self.feature, self._site.contracts
        )
        self._written = written_tasks(read)
        graph = with_levels(read)
        merged = {} if anew else await self._in_thread(self._merged_before)
        changes = [
            TaskChanged(
                task=task,
                state="na",
                body={"attempts": 0, "reason": f"merged by run {row[0]} as {row[1][:12]}"},
            )
            for task, row in merged.items()
        ]
        left = left_to_do(graph, merged, level)
        changes += [_later(task, stands, level) for task, stands in left.later.items()]
        aside = Aside() if anew else await self._in_thread(self._left_aside, left.tasks)
        self._failures.update(aside.failures)
        self._recorder.add(self._requests(aside), [*changes, *aside.changes()])
        return {
            **left.graph_without(aside),
            "head": self._base.head,
            "tags": sorted(
                {tag for task in contexts(read["tasks"]) for tag in texts(task.get("tags"))}
            ),
            "changed_before": await self._in_thread(self._changed_before),
        }

    def _changed_before(self) -> int:
        """Return how many files the branch changes already, when the run begins."""
        base = self._base
        if base.head == base.commit:
            return 0
        return len(self._repository.diff(base.commit, base.head))

    def _left_aside(self, tasks: Sequence[Variables]) -> Aside:
        return left_aside(self._recorder.store, self.feature, self.run, tasks, self._written)

    def _requests(self, aside: Aside) -> list[Draft]:
        """Return the entries of what people asked for after the run before, unless they are there already."""
        known = self._recorder.store.entries(self.run, types=(EntryType.COMMAND_RECEIVED,))
        if any(body_of(entry.body).get("kind") == RETRY for entry in known):
            return []
        now = self._clock.now()
        return [note(EntryType.COMMAND_RECEIVED, now, body) for body in aside.commands()]

    def _merged_before(self) -> dict[str, tuple[str, str]]:
        return merged_before(
            self._recorder.store,
            self.feature,
            self._written,
            holds=lambda commit: self._repository.holds(commit, self._base.head),
            but=self.run,
        )

    async def _whole_graph(self) -> Sequence[Variables] | None:
        """Return all tasks of the feature as they are written now, None when they cannot be read."""
        try:
            graph, _ = await asyncio.to_thread(
                read_task_graph, self._site.root, self.feature, self._site.contracts
            )
        except EngineError:
            return None
        return contexts(graph["tasks"])

    async def machine(self) -> Variables:
        """Return limits of this machine and names that tables and policies need."""
        return machine_facts(self._site.settings, await self._waivers())

    async def needed_plugins(self, tools: Sequence[str], workers: Sequence[str]) -> list[Json]:
        """Return [{plugin, for, problem}] of the plugins that the tasks and the gates need; problem "" is none."""
        site = self._site
        return needs(tools, workers, site.settings, site.definitions, site.plugins)

    async def announce_plan(self, waves: Sequence[Variables]) -> None:
        """Make every planned task visible as pending; those already further on stay as they are."""
        known = {row.task for row in self._recorder.store.tasks(self.run)}
        changes: list[Change] = [
            TaskChanged(
                task=task["id"],
                state="pending",
                body={
                    "wave": wave["number"],
                    "level": task["level"],
                    "title": task["title"],
                    "attempts": 0,
                    "definition": self._written.get(task["id"], ""),
                    **self._failed_before(task["id"]),
                },
            )
            for wave in waves
            for task in contexts(wave["tasks"])
            if task["id"] not in known
        ]
        self._waves = [[str(task["id"]) for task in contexts(wave["tasks"])] for wave in waves]
        self._to_come = {task for wave in self._waves for task in wave}
        self._recorder.add((), changes)

    def _likely_next(self) -> list[str]:
        """Return tasks of the first wave that has not begun, as many as are worth being made ready."""
        waves = (wave for wave in self._waves if wave and self._to_come.issuperset(wave))
        return next(waves, [])[:READY]

    def _failed_before(self, task: str) -> dict[str, Json]:
        found = self._failures.get(task)
        return {"failures": found} if found else {}

    # ---- steps of the layers above

    def _recall_failures(self) -> None:
        """After a kill: read back which failures of the run before are counted on."""
        for row in self._recorder.store.tasks(self.run):
            if row.body.get("failures") and row.state in {"pending", "running"}:
                self._failures[row.task] = row.body["failures"]

    def _counts_before(self, task: str) -> dict[str, Json]:
        """Return {failure_count, kind_counts} that a task which was set back begins with."""
        found = self._failures.get(task)
        if not isinstance(found, Mapping):
            return {}
        return {"failure_count": found["count"], "kind_counts": found["kinds"]}

    async def _waivers(self) -> list[Json]:
        """Return the waivers that policies are shown, as they are now."""
        return await self._in_thread(self._site.waivers.facts, self.feature)


def machine_facts(settings: Settings, waivers: list[Json]) -> Variables:
    """Return limits of this machine and names that tables and policies need."""
    return {
        "limits": machine_limits(settings),
        "worker_names": sorted({SHELL.name, *settings.workers}),
        "waivers": waivers,
    }


@dataclass(frozen=True, kw_only=True)
class LeftToDo:
    """What of a task graph is left to do."""

    graph: Variables  #: all of it, with levels
    merged: Collection[str]
    later: Mapping[str, int]  #: {task: level} of what stands above the level that was asked for
    tasks: Sequence[Variables]  #: the others

    def graph_without(self, aside: Aside) -> Variables:
        """Return the graph of what is left without what people left aside, and how many are missing for which reason."""
        kept = without_tasks(self.graph, {*self.merged, *self.later, *aside.names})
        return {
            **aside.applied(kept),
            "merged_before": len(self.merged),
            "left_aside": len(aside.names) + len(self.later),
            "left_for_later": len(self.later),
        }


def left_to_do(graph: Variables, merged: Collection[str], level: int | None) -> LeftToDo:
    """Return what is left of `graph`, which has levels, when some is merged and nothing above `level` is wanted."""
    above = beyond(graph, level)
    later = {task: stands for task, stands in above.items() if task not in merged}
    left_out = {*merged, *later}
    tasks = [task for task in contexts(graph["tasks"]) if task["id"] not in left_out]
    return LeftToDo(graph=graph, merged=merged, later=later, tasks=tasks)


def _later(task: str, stands: int, level: int | None) -> TaskChanged:
    reason = f"left for later: it is on level {stands}, and --level {level} was asked for"
    return TaskChanged(
        task=task, state="na", body={"attempts": 0, "level": stands, "reason": reason}
    )
