"""The world that handlers act on: workspaces, workers, checks, gates, merges. Every effect is recorded.

Invariants
- A verdict that guards a merge is made and recorded here, for one commit, and by nothing else: `conflict`,
  `manifest` and `budget` when the candidate is built, `validator` when its gates have run, `policy` when a
  gateway asked the package `merge` about it.
- A branch moves only with an authorization of the safety kernel, made from verdicts read back from the ledger.
  `merge.authorized` is on disk, and a checkpoint over it signed, before git is asked; afterwards one look tells.
- Each method may run again with the same job key after a kill: what was done is found, not done twice.
"""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from engine.contracts import Contracts
from engine.core.model import Job, Json, Variables, Verdict
from engine.core.safety import (
    MergeAuthorization,
    Refusal,
    Subject,
    VerdictEvidence,
    authorize,
    authorize_rollback,
)
from engine.errors import ContractError
from engine.ledger import Draft, EntryType, Sealed, note
from engine.plugins import Plugins, call
from engine.programs import Program, Redactor, clean_environment, run_program
from engine.runtime.conductor import Clock
from engine.runtime.forms import (
    OUTPUT_TAIL_BYTES,
    body_of,
    captured,
    changes_with_lines,
    contexts,
    merged,
    no_work,
    not_applicable,
    policy_settings,
    program_result,
    snapshot_of,
    snapshot_problem,
    subject_from,
    subject_json,
    subject_of,
    texts,
    without_nulls,
)
from engine.runtime.recorder import Recorder
from engine.runtime.slots import Slots
from engine.runtime.specs import read_task_graph
from engine.settings import GateSettings, Settings
from engine.store import Change, EffectDone, EffectIntended, EffectVoided, TaskChanged
from engine.workers import SHELL, Assignment, WorkerSpec, run_worker
from engine.workspaces import (
    Base,
    Conflict,
    DeclaredFiles,
    Provenance,
    Repository,
    Snapshot,
    Stale,
    Workspace,
)

MERGE_PACKAGE = "merge"  #: the policy whose verdict the kernel wants
PATCH_BYTES = 512 * 1024
TIERS = {"L0": 0, "L1": 1, "L2": 2, "L3": 3, "L4": 4, "L5": 5}

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Site:
    """Where a run lives: the run, its project's folders and settings, and what was found in them."""

    run: str
    feature: str
    home: Path
    root: Path
    settings: Settings
    bundle: str  #: digest of the definitions
    lock_fd: int | None
    contracts: Contracts
    plugins: Plugins
    base: Base


class Delivery:
    """The effects of delivering a feature. Implements `engine.handlers.World` and the conductor's `Witness`."""

    def __init__(
        self, site: Site, repository: Repository, recorder: Recorder, clock: Clock
    ) -> None:
        self._site = site
        self._repository = repository
        self._recorder = recorder
        self._clock = clock
        self._redact = Redactor()
        self._head = site.base.head
        self._workspaces: dict[str, Workspace] = {}
        self._snapshots: dict[str, Snapshot] = {}
        self._spent: dict[str, int] = {"tokens": 0, "cost_micros": 0}
        self._task_tokens: dict[str, int] = {}
        self._slots = Slots()
        self._published = asyncio.Lock()

    # ---- facts about the run

    @property
    def run(self) -> str:
        return self._site.run

    @property
    def feature(self) -> str:
        return self._site.feature

    @property
    def settings(self) -> Variables:
        return policy_settings(self._site.settings)

    def recall(self) -> None:
        """After a kill: read back from the ledger what later steps of this run need to know."""
        for entry in self._recorder.store.entries(
            self.run, types=(EntryType.USAGE_RECORDED, EntryType.WORKSPACE_CAPTURED)
        ):
            body: Any = entry.body  # Any: JSON of our own entries
            if entry.type is EntryType.USAGE_RECORDED:
                self._add_usage(entry.task, body["tokens"], body["cost_micros"])
            else:
                self._snapshots[body["commit"]] = snapshot_of(body)

    def check_contract(self, name: str, value: Json) -> None:
        self._site.contracts.check(name, value)

    async def read_task_graph(self) -> Variables:
        graph, _ = await asyncio.to_thread(
            read_task_graph, self._site.root, self.feature, self._site.contracts
        )
        return graph

    async def machine(self) -> Variables:
        """Return limits of this machine and names that tables and policies need."""
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        return {
            "limits": {
                "cpus": os.cpu_count() or 1,
                "memory_gb": max(1, pages // 2**30),
                "cap": self._site.settings.run.max_workers,
            },
            "worker_names": sorted({SHELL.name, *self._site.settings.workers}),
        }

    async def announce_plan(self, waves: Sequence[Variables]) -> None:
        """Make every planned task visible as pending; those already further on stay as they are."""
        known = {row.task for row in self._recorder.store.tasks(self.run)}
        changes: list[Change] = [
            TaskChanged(
                task=task["id"],
                state="pending",
                body={"wave": wave["number"], "title": task["title"], "attempts": 0},
            )
            for wave in waves
            for task in contexts(wave["tasks"])
            if task["id"] not in known
        ]
        await self._recorder.commit((), changes)

    # ---- one task

    async def acquire_workspace(self, job: Job, task: Variables) -> Variables:
        """Return {workspace{path, branch, base}, attempt, spent}: a clean worktree on the integration head."""
        workspace = await self._acquire(str(task["id"]), job.visit, self._head)
        await self._record(
            EntryType.WORKSPACE_CREATED,
            {
                "path": self._relative(workspace.path),
                "branch": workspace.branch,
                "base": workspace.base,
                "attempt": job.visit,
                "kept": workspace.kept,
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
            },
            "attempt": job.visit,
            "spent": dict(self._spent),
        }

    async def run_worker(self, job: Job, task: Variables, selection: Variables) -> Variables:
        """Return {worker, failure_class, message, exit_code, tokens, …}; failure_class "" is success."""
        identifier = str(task["id"])
        slots = job.variables.get("workers")
        async with self._slots.take(slots if isinstance(slots, int) else 1) as slot:
            workspace = await self._workspace_for(job, identifier)
            kind = selection.get("kind")
            if kind == "plugin":
                return await self._run_plugin(job, task, selection, workspace)
            if kind != "worker":
                return no_work(f"no worker or plugin is known for tool {task.get('tool')!r}")
            return await self._run_program(job, task, selection, workspace, slot)

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
            extra_env=self._repository.child_environment(),
        )
        await self._record(
            EntryType.WORKER_STARTED,
            {"job": job.key, "worker": spec.name, "slot": slot, "attempt": workspace.attempt},
            task=workspace.task,
        )
        outcome = await run_worker(assignment)
        tokens, cost = outcome.usage.tokens, outcome.usage.cost_micros
        drafts = [
            note(
                EntryType.WORKER_FINISHED,
                self._clock.now(),
                {
                    "job": job.key,
                    "worker": spec.name,
                    "launcher": outcome.launcher,
                    "failure_class": outcome.failure_class,
                    "exit_code": outcome.exit_code,
                    "reason": outcome.reason,
                    "milliseconds": round(outcome.seconds * 1000),
                    "log": self._relative(outcome.log),
                },
                task=workspace.task,
            )
        ]
        if tokens or cost:
            drafts.append(
                note(
                    EntryType.USAGE_RECORDED,
                    self._clock.now(),
                    {"job": job.key, "tokens": tokens, "cost_micros": cost},
                    task=workspace.task,
                )
            )
        await self._recorder.commit(drafts)
        self._add_usage(workspace.task, tokens, cost)
        failure_class, message = str(outcome.failure_class), outcome.reason
        if not failure_class:
            over = self._over_budget(workspace.task, task)
            failure_class, message = ("budget", over) if over else ("", outcome.reason)
        return {
            "worker": spec.name,
            "failure_class": failure_class,
            "message": message,
            "exit_code": outcome.exit_code,
            "tokens": tokens,
            "cost_micros": cost,
            "log": self._relative(outcome.log),
            "last_lines": list(outcome.last_lines)[-5:],
        }

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
            {
                "job": job.key,
                "plugin": plugin.id,
                "version": plugin.version,
                "checksum": plugin.checksum,
                "operation": operation,
                "result": result.result,
                "reason_code": result.reason_code,
                "reason": result.reason,
                "output": result.output,
            },
            task=workspace.task,
        )
        ok = result.result == "ok"
        code = f"{result.reason_code}: " if result.reason_code and not ok else ""
        return {
            "worker": plugin.id,
            "failure_class": "" if ok else "not_started" if result.result == "na" else "exit",
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
        files: Any = task.get("files") or {}
        declared = DeclaredFiles(
            create=texts(files.get("create")),
            modify=texts(files.get("modify")),
            read=texts(files.get("read")),
        )
        snapshot = await self._git(
            self._repository.snapshot,
            workspace,
            declared,
            self._site.settings.manifest.enforcement,
            self._provenance(
                f"{identifier}: {task.get('title') or identifier}",
                {"Engine-Task": identifier, "Engine-Attempt": str(workspace.attempt)},
            ),
        )
        self._snapshots[snapshot.commit] = snapshot
        taken = captured(snapshot)
        await self._record(EntryType.WORKSPACE_CAPTURED, taken, task=identifier)
        problem = snapshot_problem(snapshot)
        check: Any = task.get("verification")
        if problem is None and not check:
            problem = ("validation", "the task names no verification command, so nothing is done")
        if problem is not None:
            return {
                **taken,
                "result": "failed",
                "failure_class": problem[0],
                "message": problem[1],
            }
        timeout_s = check.get("timeout_seconds") or self._site.settings.timeouts.verification_s
        outcome = await self._check(
            job, str(check["command"]), snapshot.commit, f"verify-{identifier}", timeout_s
        )
        await self._record(
            EntryType.GATE_FINISHED,
            {
                "name": "verification",
                "stage": "verification",
                "commit": snapshot.commit,
                **outcome,
            },
            task=identifier,
        )
        failed = outcome["result"] != "ok"
        timed_out = outcome["reason_code"] == "TIMED_OUT"
        return {
            **taken,
            "result": outcome["result"],
            "failure_class": ("timeout" if timed_out else "verification") if failed else "",
            "message": outcome["reason"],
            "exit_code": outcome["exit_code"],
        }

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
            shown = await self._git(
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

    # ---- candidate, gates, merge

    async def build_candidate(
        self, job: Job, sources: Sequence[Variables], wave: Variables
    ) -> Variables:
        """Return {clean, old, sources, tree, commit, changed, changed_files, diff_lines, …} or its conflicts."""
        commits = tuple(str(source["commit"]) for source in sources)
        tasks = [str(source["task"]) for source in sources]
        if not commits:
            raise ContractError("a candidate needs at least one verified task", where=job.key)
        await self._recorder.commit((), checkpoint=True)
        size, root = await asyncio.to_thread(self._recorder.store.root, self.run)
        made = await self._git(
            self._repository.build_candidate,
            self._head,
            commits,
            self._provenance(
                f"{self.feature}: merge wave {wave.get('number')} ({', '.join(tasks)})",
                {
                    "Engine-Wave": str(wave.get("number")),
                    "Engine-Tasks": " ".join(tasks),
                    "Ledger-Checkpoint": f"{size}/{root.hex()}",
                },
            ),
        )
        if isinstance(made, Conflict):
            return await self._conflict(made, commits, tasks)
        changed = await self._git(self._repository.diff, made.old, made.commit)
        patch = await self._git(
            self._repository.patch, made.old, made.commit, limit_bytes=PATCH_BYTES
        )
        undeclared, refused = self._manifest_of(commits)
        budget = self._budget_problem()
        subject = subject_of(made)
        await self._recorder.commit(
            [
                self._verdict("conflict", subject, "pass", ()),
                self._verdict(
                    "manifest",
                    subject,
                    "fail" if refused else "pass",
                    tuple(refused),
                ),
                self._verdict(
                    "budget", subject, "fail" if budget else "pass", (budget,) if budget else ()
                ),
            ]
        )
        lines = sum((change.added or 0) + (change.deleted or 0) for change in changed)
        return {
            "clean": True,
            **subject_json(subject),
            "tasks": tasks,
            "conflicts": [],
            "conflicting_tasks": [],
            "changed": changes_with_lines(changed, patch.text, self._redact),
            "patch_complete": patch.is_complete,
            "changed_files": len(changed),
            "diff_lines": lines,
            "undeclared": undeclared,
            "tags": sorted(
                {tag for task in contexts(wave.get("tasks")) for tag in texts(task.get("tags"))}
            ),
            "spent": dict(self._spent),
        }

    async def _conflict(
        self, conflict: Conflict, commits: tuple[str, ...], tasks: list[str]
    ) -> Variables:
        guilty = [
            task for task, commit in zip(tasks, commits, strict=True) if commit == conflict.source
        ]
        await self._record(
            EntryType.MERGE_REFUSED,
            {
                "reasons": [f"conflict: {path}" for path in conflict.paths],
                "old": conflict.old,
                "sources": list(commits),
                "tasks": guilty,
            },
        )
        return {
            "clean": False,
            "old": conflict.old,
            "sources": list(commits),
            "tree": None,
            "commit": None,
            "tasks": tasks,
            "conflicts": list(conflict.paths),
            "conflicting_tasks": guilty,
            "changed": [],
            "changed_files": 0,
            "diff_lines": 0,
            "undeclared": [],
            "tags": [],
        }

    async def run_gates(self, job: Job, commit: str, stage: str, max_level: int) -> Variables:
        """Return {result, commit, stage, results[{name, result, required, …}]}; records the validator verdict."""
        results = [
            await self._gate(job, gate, commit, stage, max_level)
            for gate in self._site.settings.gates
            if gate.stage == stage
        ]
        blocking = [
            f"{result['name']}: {result['reason']}"
            for result in results
            if result["result"] == "failed" and result["required"]
        ]
        if stage == "pre_merge":
            subject = self._known_subject(commit)
            if subject is None:
                raise ContractError(
                    "gates were asked to judge a commit that is no candidate of this run",
                    where=job.key,
                    got=commit,
                )
            unverified = [
                f"no passed verification is recorded for {source}"
                for source in subject.sources
                if source not in self._verified()
            ]
            reasons = (*blocking, *unverified)
            await self._recorder.commit(
                [self._verdict("validator", subject, "fail" if reasons else "pass", reasons)]
            )
            blocking = list(reasons)
        return {
            "stage": stage,
            "commit": commit,
            "result": "failed" if blocking else "ok",
            "reasons": blocking,
            "results": results,
        }

    async def _gate(
        self, job: Job, gate: GateSettings, commit: str, stage: str, max_level: int
    ) -> dict[str, Json]:
        required = gate.enforcement == "block"
        known: dict[str, Json] = {
            "name": gate.name,
            "stage": stage,
            "tier": gate.tier,
            "required": required,
            "commit": commit,
        }
        if gate.enforcement == "off":
            outcome = not_applicable("DISABLED", "switched off in the configuration")
        elif TIERS[gate.tier] > max_level:
            outcome = not_applicable(
                "TIER_NOT_REQUIRED", f"the gate tier table asks for L0 to L{max_level}"
            )
            known["required"] = False
        else:
            outcome = await self._check(
                job, gate.command, commit, f"gate-{gate.name}", gate.timeout_s
            )
        result = {**known, **outcome}
        await self._record(EntryType.GATE_FINISHED, result)
        return result

    def verdict_drafts(
        self, package: str, input_: object, verdict: Verdict, at: object
    ) -> list[Draft]:
        """Return the evidence of a policy verdict about a candidate, for the kernel."""
        if package != MERGE_PACKAGE or not isinstance(input_, Mapping):
            return []
        candidate = input_.get("candidate")
        subject = subject_from(candidate) if isinstance(candidate, Mapping) else None
        if subject is None:
            return []
        reasons = tuple(f"{reason.code}: {reason.message}" for reason in verdict.reasons)
        return [self._verdict("policy", subject, verdict.ruling.value, reasons)]

    async def merge(self, job: Job, candidate: Variables, wave: Variables) -> Variables:
        """Return {state: merged|refused|stale, commit, head, old, reasons}; the kernel decides, not the caller."""
        done = self._effect(job.key)
        if done is not None and done.state == "done":
            return merged(done.body)
        subject = subject_from(candidate)
        if subject is None:
            return await self._refuse(candidate, ("the candidate is not a commit: it conflicts",))
        authorization = authorize(subject, ref=self._site.base.ref, evidence=self._evidence())
        if isinstance(authorization, Refusal):
            return await self._refuse(candidate, authorization.reasons)
        body: dict[str, Json] = {
            **subject_json(subject),
            "ref": authorization.ref,
            "wave": wave.get("number"),
            "tasks": candidate.get("tasks"),
            "evidence": [item.seq for item in authorization.evidence],
        }
        if done is None:
            await self._recorder.commit(
                [note(EntryType.MERGE_AUTHORIZED, self._clock.now(), {"job": job.key, **body})],
                [EffectIntended(key=job.key, kind="merge", body=body)],
                checkpoint=True,
            )
        moved = await self._move(authorization)
        if isinstance(moved, Stale):
            return await self._void(job.key, EntryType.MERGE_VOIDED, body, moved)
        changes: list[Change] = [EffectDone(key=job.key, body=body)]
        changes += [
            TaskChanged(task=task, state="merged", body={"commit": source, "reason": ""})
            for task, source in zip(texts(candidate.get("tasks")), subject.sources, strict=True)
        ]
        await self._recorder.commit(
            [note(EntryType.MERGE_COMPLETED, self._clock.now(), {"job": job.key, **body})], changes
        )
        self._head = subject.commit
        await self._publish()
        return merged(body)

    async def roll_back(self, job: Job, merge: Variables, reason: str) -> Variables:
        """Return {state, commit, reasons}: a commit on top that restores the tree from before the merge."""
        done = self._effect(job.key)
        if done is not None and done.state == "done":
            return {"state": "rolled_back", "commit": done.body["commit"], "reasons": [reason]}
        if done is None:
            made = await self._git(
                self._repository.build_rollback,
                self._head,
                str(merge["old"]),
                self._provenance(f"{self.feature}: roll back ({reason})", {}),
            )
            subject = subject_of(made)
            sealed = await self._recorder.commit(
                [self._verdict("rollback", subject, "pass", (reason,))]
            )
            evidence = [
                VerdictEvidence(kind="rollback", verdict="pass", subject=subject, seq=sealed[0].seq)
            ]
        else:
            found = subject_from(done.body)
            assert found is not None  # written by us in the branch above
            subject, evidence = found, [e for e in self._evidence() if e.kind == "rollback"]
        authorization = authorize_rollback(subject, ref=self._site.base.ref, evidence=evidence)
        if isinstance(authorization, Refusal):
            return await self._refuse(subject_json(subject), authorization.reasons)
        body: dict[str, Json] = {**subject_json(subject), "ref": authorization.ref}
        if done is None:
            await self._recorder.commit(
                [note(EntryType.ROLLBACK_AUTHORIZED, self._clock.now(), {"job": job.key, **body})],
                [EffectIntended(key=job.key, kind="rollback", body=body)],
                checkpoint=True,
            )
        moved = await self._move(authorization)
        if isinstance(moved, Stale):
            return await self._void(job.key, EntryType.ROLLBACK_VOIDED, body, moved)
        changes: list[Change] = [EffectDone(key=job.key, body=body)]
        changes += [
            TaskChanged(task=task, state="failed", body={"reason": f"rolled back: {reason}"})
            for task in texts(merge.get("tasks"))
        ]
        await self._recorder.commit(
            [note(EntryType.ROLLBACK_COMPLETED, self._clock.now(), {"job": job.key, **body})],
            changes,
        )
        self._head = subject.commit
        await self._publish()
        return {"state": "rolled_back", "commit": subject.commit, "reasons": [reason]}

    async def _move(self, authorization: MergeAuthorization) -> object:
        """Look where the branch is, and move it unless it is there already. Returns Merged or Stale."""
        subject = authorization.subject
        return (
            await self._git(self._repository.merge, authorization)
            if await self._git(
                self._repository.recover, authorization.ref, subject.old, subject.commit
            )
            != "void"
            else Stale(ref=authorization.ref, expected=subject.old, found=None)
        )

    async def _refuse(self, candidate: Variables, reasons: tuple[str, ...]) -> Variables:
        await self._record(
            EntryType.MERGE_REFUSED,
            {
                "reasons": list(reasons),
                "old": candidate.get("old"),
                "commit": candidate.get("commit"),
                "tasks": candidate.get("tasks"),
            },
        )
        return {"state": "refused", "commit": None, "head": self._head, "reasons": list(reasons)}

    async def _void(self, key: str, kind: EntryType, body: Variables, stale: Stale) -> Variables:
        reason = f"the integration branch was at {stale.found}, expected {stale.expected}"
        await self._recorder.commit(
            [note(kind, self._clock.now(), {"job": key, "reason": reason, **body})],
            [EffectVoided(key=key, reason=reason)],
        )
        return {"state": "stale", "commit": None, "head": self._head, "reasons": [reason]}

    async def run_doctor(self, job: Job, commit: str) -> Variables:
        """Return {result, exit_code, reason} of the doctor command on `commit`; na when none is configured."""
        doctor = self._site.settings.doctor
        if doctor.command is None:
            outcome = not_applicable("NOT_CONFIGURED", "no doctor command is configured")
        else:
            outcome = await self._check(job, doctor.command, commit, "doctor", doctor.timeout_s)
        await self._record(
            EntryType.GATE_FINISHED,
            {"name": "doctor", "stage": "doctor", "commit": commit, **outcome},
        )
        return outcome

    # ---- people, general

    async def notify(self, job: Job, subject: str, text: str) -> Variables:
        notices = self._site.home / "runs" / self.run / "notices.log"
        line = self._redact.text(f"{self._clock.now().isoformat()} {subject}: {text}".strip())
        await asyncio.to_thread(_append_line, notices, line)
        return {"notified": True}

    async def run_command(self, job: Job, command: str, timeout_s: int) -> Variables:
        """Return {command: {result, exit_code, reason, output}}; run in the project's folder."""
        return {"command": await self._program(job, command, self._site.root, timeout_s)}

    async def write_report(self, job: Job, outcome: str) -> Variables:
        """Return {outcome}; the report itself is written from the ledger when the run has ended."""
        return {"outcome": outcome}

    def task_of(self, process: str, variables: Variables) -> str:
        """Return the task an instance works on, so that its entries can be found by it."""
        task = variables.get("task")
        identifier = task.get("id") if isinstance(task, Mapping) else None
        return identifier if isinstance(identifier, str) else ""

    def ended_changes(self, process: str, variables: Variables) -> list[Change]:
        """An instance that ends with a `result` says what became of its task, or of the tasks its wave could not merge.

        `{task, state, commit, attempts, reason}` is about one task; `{blocked: [task…], reasons}` about several.
        """
        result = variables.get("result")
        if not isinstance(result, Mapping):
            return []
        if isinstance(result.get("task"), str):
            return [
                TaskChanged(
                    task=str(result["task"]),
                    state=str(result.get("state")),
                    body={
                        "commit": result.get("commit"),
                        "reason": str(result.get("reason") or ""),
                        "attempts": result.get("attempts") or 0,
                    },
                )
            ]
        reason = "; ".join(texts(result.get("reasons")))
        return [
            TaskChanged(task=task, state="blocked", body={"reason": reason})
            for task in texts(result.get("blocked"))
        ]

    async def finish(self) -> None:
        """After the root ended: bring the user's branch up to date and remove what is not needed any more."""
        await self._publish()
        shutil.rmtree(self._site.home / "scratch" / self.run, ignore_errors=True)

    # ---- private steps

    async def _acquire(self, task: str, attempt: int, base: str) -> Workspace:
        workspace = await self._git(
            self._repository.acquire,
            feature=self.feature,
            run=self.run,
            task=task,
            attempt=attempt,
            base_commit=base,
        )
        self._workspaces[task] = workspace
        return workspace

    async def _workspace_for(self, job: Job, task: str) -> Workspace:
        """Return a clean workspace for a worker: an earlier start of this very job may have left something."""
        known: Any = job.variables.get("workspace") or {}
        attempt = job.variables.get("attempt")
        return await self._acquire(
            task,
            attempt if isinstance(attempt, int) else job.visit,
            str(known.get("base") or self._head),
        )

    async def _reopen(self, job: Job, task: str) -> Workspace:
        """Return the workspace as the worker left it, after an engine died between worker and verification."""
        known: Any = job.variables.get("workspace") or {}
        attempt = job.variables.get("attempt")
        return Workspace(
            path=self._site.home / str(known["path"]),
            branch=str(known["branch"]),
            base=str(known["base"]),
            run=self.run,
            feature=self.feature,
            task=task,
            attempt=attempt if isinstance(attempt, int) else job.visit,
        )

    async def _check(
        self, job: Job, command: str, commit: str, name: str, timeout_s: float
    ) -> dict[str, Json]:
        """Run `command` on a fresh checkout of `commit`; a check that cannot run has failed."""
        checkout = await self._git(self._repository.checkout, commit, f"{self.run}-{name}")
        try:
            return await self._program(job, command, checkout.path, timeout_s, name)
        finally:
            await self._git(self._repository.release, checkout)

    async def _program(
        self, job: Job, command: str, folder: Path, timeout_s: float, name: str = "command"
    ) -> dict[str, Json]:
        scratch = self._scratch(job) / name
        await asyncio.to_thread(partial(scratch.mkdir, parents=True, exist_ok=True))
        program = Program(
            argv=command,
            cwd=folder,
            env=clean_environment(
                extra={**self._repository.child_environment(), "ENGINE_FEATURE": self.feature},
                home=scratch,
            ),
            key=job.key,
            timeout_s=timeout_s,
            redact=self._redact,
            output_limit_bytes=2 * OUTPUT_TAIL_BYTES,
            lock_fd=self._site.lock_fd,
        )
        outcome = await run_program(program)
        await asyncio.to_thread(shutil.rmtree, scratch, True)
        return program_result(outcome)

    async def _publish(self) -> None:
        async with self._published:
            published = await self._git(self._repository.publish, self._site.base)
            kind = (
                EntryType.PUBLISH_REFUSED
                if published.state == "refused"
                else EntryType.PUBLISH_COMPLETED
            )
            if published.state == "current":
                return
            await self._record(
                kind,
                {
                    "branch": published.branch,
                    "commit": published.commit,
                    "reason": published.reason,
                },
            )

    def _manifest_of(self, commits: Sequence[str]) -> tuple[list[Json], list[str]]:
        """Return (undeclared paths, why the manifest verdict fails) over the snapshots of a candidate."""
        undeclared: list[Json] = []
        refused: list[str] = []
        for commit in commits:
            snapshot = self._snapshots.get(commit)
            if snapshot is None:
                refused.append(f"no snapshot is recorded for {commit}")
                continue
            undeclared.extend(snapshot.undeclared)
            if snapshot.manifest != "pass":
                refused.extend(f"undeclared write: {path}" for path in snapshot.undeclared)
                refused.extend(f"{item.code}: {item.path}" for item in snapshot.refused)
        return undeclared, refused

    def _verified(self) -> set[str]:
        return {
            str(body_of(entry.body)["commit"])
            for entry in self._recorder.store.entries(self.run, types=(EntryType.GATE_FINISHED,))
            if body_of(entry.body).get("stage") == "verification"
            and body_of(entry.body).get("result") == "ok"
        }

    def _evidence(self) -> list[VerdictEvidence]:
        """Return every recorded verdict of the run, read back from the ledger."""
        found = []
        for entry in self._recorder.store.entries(self.run, types=(EntryType.VERDICT_RECORDED,)):
            body = body_of(entry.body)
            subject = subject_from(body["subject"])
            if subject is not None:
                found.append(
                    VerdictEvidence(
                        kind=str(body["kind"]),
                        verdict=str(body["verdict"]),
                        subject=subject,
                        seq=entry.seq,
                        reasons=texts(body.get("reasons")),
                    )
                )
        return found

    def _known_subject(self, commit: str) -> Subject | None:
        return next((e.subject for e in self._evidence() if e.subject.commit == commit), None)

    def _effect(self, key: str) -> Any:  # Any: store's Effect row or None
        for state in ("done", "intent"):
            for effect in self._recorder.store.effects(self.run, state=state):
                if effect.key == key:
                    return effect
        return None

    def _verdict(
        self, kind: str, subject: Subject, verdict: str, reasons: tuple[str, ...]
    ) -> Draft:
        return note(
            EntryType.VERDICT_RECORDED,
            self._clock.now(),
            {
                "kind": kind,
                "verdict": verdict,
                "subject": subject_json(subject),
                "reasons": list(reasons),
            },
        )

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
        return WorkerSpec(name=name, command=configured.command, env_allow=configured.env_allow)

    def _task_timeout_s(self, task: Variables) -> int:
        own = task.get("timeout_seconds")
        return own if isinstance(own, int) else self._site.settings.timeouts.task_s

    def _provenance(self, message: str, trailers: Mapping[str, str]) -> Provenance:
        return Provenance(
            message=message,
            trailers={
                "Engine-Run": self.run,
                **trailers,
                "Engine-Bundle": f"sha256:{self._site.bundle}",
            },
            at=self._clock.now().replace(microsecond=0),
        )

    def _scratch(self, job: Job) -> Path:
        name = job.key.replace("/", "_").replace("#", "-")
        return self._site.home / "scratch" / self.run / name

    def _relative(self, path: Path) -> str:
        return path.relative_to(self._site.home).as_posix()

    async def _git(self, function: Callable[..., T], *arguments: Any, **named: Any) -> T:
        # Any: passes arguments through to a method of Repository, which types them
        return await asyncio.to_thread(partial(function, *arguments, **named))

    async def _record(
        self,
        kind: EntryType,
        body: Mapping[str, Json],
        *,
        task: str = "",
        changes: Sequence[Change] = (),
    ) -> list[Sealed]:
        return await self._recorder.commit(
            [note(kind, self._clock.now(), body, task=task)], changes
        )


def _append_line(path: Path, line: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
