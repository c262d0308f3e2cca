"""The world of tasks: workspaces, workers, verification, quarantine.

A worker's own word changes no state: what it left in its workspace is taken through the vault and checked.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from engine.core.model import Job, Json, Variables
from engine.errors import BpmnError, EngineError
from engine.ledger import EntryType
from engine.plugins import call
from engine.runtime.attempts import Attempts
from engine.runtime.conductor import Clock
from engine.runtime.coverage import Coverage
from engine.runtime.failures import chance, kind_of
from engine.runtime.forms import (
    body_of,
    called,
    captured,
    declared_files,
    ended_tasks,
    launchers,
    no_work,
    snapshot_of,
    snapshot_problem,
    texts,
    without_nulls,
)
from engine.runtime.planned import PlanWorld
from engine.runtime.recorder import Recorder
from engine.runtime.rescoping import Rescoping
from engine.runtime.slots import Slots
from engine.runtime.verifying import Verification
from engine.runtime.world import Site
from engine.store import Change, TaskChanged
from engine.workers import SHELL, Assignment, WorkerSpec
from engine.workspaces import Base, DeclaredFiles, Provenance, Repository, Snapshot, Workspace


class TaskWorld(PlanWorld):
    """What carrying out the tasks of a feature needs, on a repository with an integration branch."""

    def __init__(
        self, site: Site, recorder: Recorder, clock: Clock, repository: Repository, base: Base
    ) -> None:
        super().__init__(site, recorder, clock, repository, base)
        self._head = base.head
        self._workspaces: dict[str, Workspace] = {}
        self._unused: dict[str, Workspace] = {}  # made by this engine, and given to no worker yet
        self._declared: dict[str, DeclaredFiles] = {}
        self._snapshots: dict[str, Snapshot] = {}
        self._paused: dict[str, Snapshot] = {}  # {task: work that its next attempt begins with}
        self._spent: dict[str, int] = {"tokens": 0, "cost_micros": 0}
        self._task_tokens: dict[str, int] = {}
        self._slots = Slots()
        self._attempts = Attempts(site, recorder, clock)
        self._rescoping = Rescoping()

    def recall(self) -> None:
        """After a kill: read back from the ledger what later steps of this run need to know."""
        for entry in self._recorder.store.entries(
            self.run,
            types=(
                EntryType.USAGE_RECORDED,
                EntryType.WORKSPACE_CAPTURED,
                EntryType.MANIFEST_RESCOPED,
            ),
        ):
            body: Any = entry.body  # Any: JSON of our own entries
            if entry.type is EntryType.USAGE_RECORDED:
                self._add_usage(entry.task, body["tokens"], body["cost_micros"])
            elif entry.type is EntryType.MANIFEST_RESCOPED:
                self._rescoping.take(entry.task, body["files"])
            else:
                self._remember(entry.task, snapshot_of(body), str(body.get("unfinished") or ""))

        self._recall_failures()

    # ---- one task

    async def acquire_workspace(self, job: Job, task: Variables) -> Variables:
        """Return {workspace{path, branch, base}, attempt, spent, launchers, waivers, jitter}: a clean worktree on the
        integration head. `jitter` (0 to 0.999) spreads what follows a failure of this attempt."""
        paused = self._paused.get(str(task["id"]))
        workspace = await self._acquire(
            str(task["id"]),
            job.visit,
            paused.base if paused else self._head,
            paused.commit if paused else None,
        )
        self._add(
            EntryType.WORKSPACE_CREATED,
            {
                "path": self._relative(workspace.path),
                "branch": workspace.branch,
                "base": workspace.base,
                "attempt": job.visit,
                "kept": workspace.kept,
                "begun": workspace.begun,
            },
            task=workspace.task,
            changes=(
                TaskChanged(task=workspace.task, state="running", body={"attempts": job.visit}),
            ),
        )
        return {
            "workspace": {
                "path": self._relative(workspace.path),
                "branch": workspace.branch,
                "base": workspace.base,
                "begun": workspace.begun,
            },
            "attempt": job.visit,
            "spent": {
                **self._spent,
                "task_tokens": self._task_tokens.get(workspace.task, 0),
            },
            "launchers": launchers(self._site.settings),
            "waivers": await self._waivers(),
            "jitter": chance(self.run, workspace.task, job.visit),
            **(self._counts_before(workspace.task) if job.visit == 1 else {}),
            **self._rescoping.applied(task),
        }

    async def run_worker(self, job: Job, task: Variables, selection: Variables) -> Variables:
        """Return {worker, failure_class, message, exit_code, tokens, …}; failure_class "" is success.

        Raises BpmnError TOOL_FAILED_MEANWHILE when, by the time a slot is free, the circuit breaker has to be asked again.
        """
        identifier = str(task["id"])
        self._declared[identifier] = declared_files(task)
        slots = job.variables.get("workers")
        async with self._slots.take(slots if isinstance(slots, int) else 1) as slot:
            self._check_breaker(job, str(task.get("tool") or SHELL.name))
            workspace = await self._workspace_for(job, identifier)
            kind = selection.get("kind")
            if kind == "plugin":
                return await self._run_plugin(job, task, selection, workspace)
            if kind != "worker":
                return no_work(f"no worker or plugin is known for tool {task.get('tool')!r}")
            return await self._run_program(job, task, selection, workspace, slot)

    def _check_breaker(self, job: Job, tool: str) -> None:
        """Compare the facts of now with what the answer of the table holds for: it was asked before the wait for a slot."""
        answered: Any = job.variables.get("breaker")  # Any: JSON of the process
        holds_below = answered.get("holds_below") if isinstance(answered, Mapping) else None
        if not isinstance(holds_below, int | Decimal):
            return
        now: Any = self.tool_results(tool)["failures"]  # Any: JSON of our own
        if now >= holds_below:
            raise BpmnError("TOOL_FAILED_MEANWHILE", f"{tool} has failed {now} times in a row")

    async def _run_program(
        self, job: Job, task: Variables, selection: Variables, workspace: Workspace, slot: int
    ) -> Variables:
        spec = self._worker_spec(str(selection.get("plugin") or selection.get("worker") or ""))
        if spec is None:
            return no_work(f"worker {selection.get('plugin')!r} is not configured")
        log = self._site.home / "logs" / self.run / f"{workspace.task}.{workspace.attempt}.log"
        assignment = Assignment(
            spec=spec,
            task=without_nulls(task),
            workspace=workspace.path,
            key=job.key,
            log=log,
            scratch=self._scratch(job),
            timeout_s=self._task_timeout_s(task) + 15,  # the diagram's timer comes first
            silence_s=self._site.settings.timeouts.silence_s,
            prompt=str(task.get("prompt") or task.get("description") or ""),
            feature=self.feature,
            branch=workspace.branch,
            worker_id=slot,
            attempt=workspace.attempt,
            lock_fd=self._site.lock_fd,
            context_threshold=Decimal(str(self._site.settings.run.context_threshold)),
            extra_env={
                **self._repository.child_environment(),
                **({"RESUMED": "1"} if workspace.begun else {}),
            },
        )
        self._prepare_meanwhile(workspace.base)
        outcome = await self._attempts.carry_out(assignment, slot)
        tokens, cost = outcome.usage.tokens, outcome.usage.cost_micros
        self._add_usage(workspace.task, tokens, cost)
        if outcome.failure_class == "context":
            await self._keep_unfinished(workspace, "context")
        failure_class, message = str(outcome.failure_class), outcome.reason
        if not failure_class:
            over = self._over_budget(workspace.task, task)
            failure_class, message = ("budget", over) if over else ("", outcome.reason)
        return {
            "worker": spec.name,
            "failure_class": failure_class,
            "failure_kind": kind_of(
                failure_class, exit_code=outcome.exit_code, lines=outcome.last_lines
            ),
            "message": message,
            "exit_code": outcome.exit_code,
            "tokens": tokens,
            "cost_micros": cost,
            "log": self._relative(outcome.log),
            "last_lines": list(outcome.last_lines)[-5:],
        }

    def _prepare_meanwhile(self, commit: str) -> None:
        """While the worker works: folders for its verification and for a task of the next wave, and what signs its merge."""
        self._repository.make_spares(self.run, commit, 2 if self._to_come else 1)
        self._recorder.prepare_to_sign()

    async def _run_plugin(
        self, job: Job, task: Variables, selection: Variables, workspace: Workspace
    ) -> Variables:
        name = str(selection.get("plugin"))
        plugin = self._site.plugins.plugins.get(name)
        if plugin is None:
            return no_work(f"plugin {name!r} is not installed")
        operation = str(selection.get("operation") or next(iter(plugin.operations)))
        result = await call(
            plugin,
            operation,
            {"task": without_nulls(task), "args": list(texts(task.get("args")))},
            contracts=self._site.contracts,
            key=job.key,
            scratch=self._scratch(job),
            workspace=workspace.path,
        )
        await self._record(
            EntryType.PLUGIN_CALLED,
            called(job, result),
            task=workspace.task,
        )
        ok = result.result == "ok"
        code = f"{result.reason_code}: " if result.reason_code and not ok else ""
        failure_class = "" if ok else "not_started" if result.result == "na" else "exit"
        return {
            "worker": plugin.id,
            "failure_class": failure_class,
            "failure_kind": kind_of(
                failure_class, exit_code=result.exit_code, lines=[f"{code}{result.reason}"]
            ),
            "message": f"{code}{result.reason}",
            "exit_code": result.exit_code,
            "tokens": 0,
            "cost_micros": 0,
            "output": result.output,
        }

    async def verify(self, job: Job, task: Variables) -> Variables:
        """Return {result, commit, tree, changed, undeclared, failure_class, message, exit_code}."""
        identifier = str(task["id"])
        workspace = self._workspaces.get(identifier) or await self._reopen(job, identifier)
        snapshot = await self._in_thread(
            self._repository.snapshot,
            workspace,
            declared_files(task),
            self._site.settings.manifest.enforcement,
            self._provenance(
                f"{identifier}: {task.get('title') or identifier}",
                {"Engine-Task": identifier, "Engine-Attempt": str(workspace.attempt)},
            ),
        )
        self._remember(identifier, snapshot)
        taken = captured(snapshot, self._redact)
        self._add(EntryType.WORKSPACE_CAPTURED, taken, task=identifier)
        problem = snapshot_problem(snapshot)
        check: Any = task.get("verification")
        if problem is None and not check:
            problem = ("validation", "the task names no verification command, so nothing is done")
        if problem is not None:
            return {
                **taken,
                "result": "failed",
                "failure_class": problem[0],
                "failure_kind": kind_of(problem[0]),
                "message": self._redact.text(problem[1]),
                **(await self._rescope_facts(task, snapshot)),
            }
        commit = snapshot.commit

        def record(body: Mapping[str, Json]) -> None:
            self._add(EntryType.GATE_FINISHED, {"commit": commit, **body}, task=identifier)

        outcome = await Verification(
            task=task,
            changed=[change.path for change in snapshot.changed if change.kind != "deleted"],
            settings=self._site.settings,
            check=lambda command, name, seconds: self._check(job, command, commit, name, seconds),
            record=record,
        ).outcome()
        record({"name": "verification", "stage": "verification", **outcome})
        failed = outcome["result"] != "ok"
        timed_out = outcome["reason_code"] == "TIMED_OUT"
        failure_class = ("timeout" if timed_out else "verification") if failed else ""
        exit_code = outcome["exit_code"]
        return {
            **taken,
            "result": outcome["result"],
            "failure_class": failure_class,
            "failure_kind": kind_of(
                failure_class,
                exit_code=exit_code if isinstance(exit_code, int) else None,
                lines=str(outcome["output"]).splitlines(),
            ),
            "message": outcome["reason"],
            "exit_code": outcome["exit_code"],
        }

    async def rescope(
        self, job: Job, task: Variables, rescope: Variables, reason: str
    ) -> Variables:
        """Let the task write what its last attempt wrote undeclared; return {rescoped: paths}. A second time nothing is added."""
        identifier = str(task["id"])
        paths, added = rescope["paths"], body_of(rescope["added"])
        if not self._rescoping.knows(identifier):
            await self._record(
                EntryType.MANIFEST_RESCOPED,
                {"job": job.key, "paths": paths, "files": added, "reason": reason},
                task=identifier,
            )
            self._rescoping.take(identifier, added)
        return {"rescoped": paths}

    async def quarantine(self, job: Job, task: Variables, reason: str) -> Variables:
        """Show the last kept commit of the task on a branch of the user's repository; return {branch, commit}."""
        identifier = str(task["id"])
        commit = next(
            (
                str(body_of(entry.body)["commit"])
                for entry in reversed(
                    list(
                        self._recorder.store.entries(
                            self.run, types=(EntryType.WORKSPACE_CAPTURED,)
                        )
                    )
                )
                if entry.task == identifier
            ),
            None,
        )
        branch = ""
        if commit is not None:
            shown = await self._in_thread(
                self._repository.quarantine, commit, feature=self.feature, task=identifier
            )
            branch = shown.branch if shown.state != "refused" else ""
        await self._recorder.commit(
            (),
            (
                TaskChanged(
                    task=identifier, state="quarantined", body={"reason": reason, "branch": branch}
                ),
            ),
        )
        return {"quarantine": {"branch": branch, "commit": commit, "reason": reason}}

    # ---- what the conductor asks

    async def pause(self, *, keeps_work: bool) -> Variables:
        """Keep what running tasks have left in their workspaces; return {kept{task: commit}, not_kept{task: reason}}.

        The folders stay: a worker that had ended is verified there when the run goes on, one that was ended begins anew.
        """
        kept: dict[str, Json] = {}
        not_kept: dict[str, Json] = {}
        running = {
            row.task for row in self._recorder.store.tasks(self.run) if row.state == "running"
        }
        for task, workspace in self._workspaces.items():
            if not keeps_work or task not in running:
                continue
            try:
                snapshot = await self._keep_unfinished(workspace, "stopped")
            except EngineError as error:
                not_kept[task] = self._redact.text(error.sentence())
            else:
                kept.update({task: snapshot.commit} if snapshot else {})
        return {"kept": kept, "not_kept": not_kept} if keeps_work else {}

    def ended_changes(self, process: str, variables: Variables) -> list[Change]:
        """Tell what became of its task, or of the tasks its wave could not merge; see `forms.ended_tasks`."""
        return [
            TaskChanged(task=task, state=state, body=body)
            for task, state, body in ended_tasks(variables)
        ]

    # ---- private steps

    async def _rescope_facts(self, task: Variables, snapshot: Snapshot) -> dict[str, Json]:
        """Return {rescope} with the facts about undeclared writes that are blocked; see `Rescoping.facts`."""
        is_off = self._site.settings.manifest.rescope == "off"
        if is_off or not snapshot.undeclared or snapshot.manifest == "pass":
            return {}
        secret = [path for path in snapshot.undeclared if self._redact.text(path) != path]
        facts = self._rescoping.facts(task, snapshot, await self._whole_graph(), secret)
        return {"rescope": self._redact.value(facts)}

    async def _keep_unfinished(self, workspace: Workspace, why: str) -> Snapshot | None:
        """Return unfinished work as one kept commit that is recorded, or None when there is none."""
        told = f"{workspace.task}: unfinished work ({why})"
        trailers = {"Engine-Task": workspace.task, "Engine-Attempt": str(workspace.attempt)}
        snapshot = await self._in_thread(
            self._repository.checkpoint,
            workspace,
            self._declared.get(workspace.task, DeclaredFiles()),
            self._site.settings.manifest.enforcement,
            self._provenance(told, {**trailers, "Engine-Unfinished": why}),
        )
        if snapshot is not None:
            self._remember(workspace.task, snapshot, why)
            body = {**captured(snapshot, self._redact), "unfinished": why}
            await self._record(EntryType.WORKSPACE_CAPTURED, body, task=workspace.task)
        return snapshot

    def _remember(self, task: str, snapshot: Snapshot, unfinished: str = "") -> None:
        """Keep in mind what a later step needs: work that was paused is gone on with until a check has judged it."""
        self._snapshots[snapshot.commit] = snapshot
        if unfinished == "context":
            self._paused[task] = snapshot
        elif not unfinished:
            self._paused.pop(task, None)

    def _child_environment(self) -> Mapping[str, str]:
        return self._repository.child_environment()

    async def _acquire(
        self, task: str, attempt: int, base: str, begun: str | None = None
    ) -> Workspace:
        workspace = await self._in_thread(
            self._repository.acquire,
            feature=self.feature,
            run=self.run,
            task=task,
            attempt=attempt,
            base_commit=base,
            begun=begun,
        )
        self._workspaces[task] = self._unused[task] = workspace
        self._to_come.discard(task)
        return workspace

    async def _workspace_for(self, job: Job, task: str) -> Workspace:
        """Return a clean workspace for a worker: an earlier start of this very job may have left something."""
        known: Any = job.variables.get("workspace") or {}
        given = job.variables.get("attempt")
        attempt = given if isinstance(given, int) else job.visit
        base = str(known.get("base") or self._head)
        made = self._unused.get(task)
        begun: Any = known.get("begun")
        if made is None or (made.attempt, made.base, made.begun) != (attempt, base, begun):
            made = await self._acquire(task, attempt, base, begun)
        del self._unused[task]
        return made

    async def _reopen(self, job: Job, task: str) -> Workspace:
        """Return the workspace as the worker left it, after an engine died between worker and verification."""
        known: Any = job.variables.get("workspace") or {}
        attempt = job.variables.get("attempt")
        workspace = Workspace(
            path=self._site.home / str(known["path"]),
            branch=str(known["branch"]),
            base=str(known["base"]),
            run=self.run,
            feature=self.feature,
            task=task,
            attempt=attempt if isinstance(attempt, int) else job.visit,
            begun=known.get("begun"),
        )
        self._workspaces[task] = workspace
        return workspace

    async def _check(
        self,
        job: Job,
        command: str,
        commit: str,
        name: str,
        timeout_s: float,
        coverage: Coverage | None = None,
    ) -> dict[str, Json]:
        """Run `command` on a fresh checkout of `commit`; a check that cannot run has failed."""
        checkout = await self._in_thread(self._repository.checkout, commit, f"{self.run}-{name}")
        try:
            if coverage is None:
                return await self._program(job, command, checkout.path, timeout_s, name)
            await self._in_thread(coverage.prepare, checkout.path)
            outcome = await self._program(job, command, checkout.path, timeout_s, name)
            return await self._in_thread(coverage.judge, checkout.path, outcome)
        finally:
            await self._in_thread(self._repository.release, checkout)

    def _budget_problem(self) -> str:
        budgets = self._site.settings.budgets
        limit = budgets.cost_micros_per_run
        if budgets.mode == "block" and limit is not None and self._spent["cost_micros"] > limit:
            return f"the run has cost {self._spent['cost_micros']} of {limit} micro-units"
        return ""

    def _over_budget(self, identifier: str, task: Variables) -> str:
        budgets = self._site.settings.budgets
        own: Any = task.get("budget") or {}
        limit = own.get("tokens", budgets.tokens_per_task)
        used = self._task_tokens.get(identifier, 0)
        if budgets.mode == "block" and limit is not None and used > limit:
            return f"the task used {used} of {limit} tokens"
        return self._budget_problem()

    def _add_usage(self, task: str, tokens: int, cost: int) -> None:
        self._spent["tokens"] += tokens
        self._spent["cost_micros"] += cost
        self._task_tokens[task] = self._task_tokens.get(task, 0) + tokens

    def _worker_spec(self, name: str) -> WorkerSpec | None:
        if name == SHELL.name:
            return SHELL
        configured = self._site.settings.workers.get(name)
        if configured is None:
            return None
        return WorkerSpec(
            name=name,
            command=configured.command,
            env_allow=configured.env_allow,
            context_tokens=configured.context_tokens,
        )

    def _task_timeout_s(self, task: Variables) -> int:
        own = task.get("timeout_seconds")
        return own if isinstance(own, int) else self._site.settings.timeouts.task_s

    def _provenance(self, message: str, trailers: Mapping[str, str]) -> Provenance:
        return Provenance(
            message=message,
            trailers={
                "Engine-Run": self.run,
                **trailers,
                "Engine-Bundle": f"sha256:{self._site.definitions.digest}",
            },
            at=self._clock.now().replace(microsecond=0),
        )
