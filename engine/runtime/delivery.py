"""The world of delivery: candidates, gates, merges, roll-backs. Nothing else may move a branch.

Invariants
- A verdict that guards a merge is made and recorded here, for one commit, and by nothing else: `conflict`,
  `manifest` and `budget` when the candidate is built, `validator` when its gates have run, `policy` when a
  gateway asked the package `merge` about it.
- A branch moves only with an authorization of the safety kernel, made from verdicts read back from the ledger.
  `merge.authorized` is on disk, and a checkpoint over it signed, before git is asked; afterwards one look tells.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

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
from engine.ledger import Draft, EntryType, note
from engine.plugins import call
from engine.runtime.auditing import Auditor
from engine.runtime.conductor import Clock
from engine.runtime.forms import (
    body_of,
    called,
    changes_with_lines,
    contexts,
    exact,
    merged,
    not_applicable,
    subject_from,
    subject_json,
    subject_of,
    texts,
)
from engine.runtime.gates import (
    Gate,
    coverage_of,
    gates_of,
    judged,
    not_there,
    operation_of,
    plugin_outcome,
)
from engine.runtime.publishing import publication
from engine.runtime.recorder import Recorder
from engine.runtime.tasks import TaskWorld
from engine.runtime.world import Site
from engine.settings import PluginGateSettings
from engine.store import Change, EffectDone, EffectIntended, EffectVoided, TaskChanged
from engine.workspaces import Base, Conflict, Published, Repository, Stale

MERGE_PACKAGE = "merge"  #: the policy whose verdict the kernel wants
PATCH_BYTES = 512 * 1024
PUBLISH_AFTER_S = (
    0.3  #: of a merge that others follow: meanwhile git makes the workspaces of the next wave
)


class Delivery(TaskWorld):
    """The effects of delivering a feature. Implements `engine.handlers.DeliveryWorld`."""

    def __init__(
        self, site: Site, recorder: Recorder, clock: Clock, repository: Repository, base: Base
    ) -> None:
        super().__init__(site, recorder, clock, repository, base)
        self._published = asyncio.Lock()
        self._is_ending = asyncio.Event()
        self._publishing: set[asyncio.Task[None]] = set()
        self._auditor = Auditor(recorder.store, self.run)

    async def build_candidate(
        self, job: Job, sources: Sequence[Variables], wave: Variables
    ) -> Variables:
        """Return {clean, old, sources, tree, commit, changed, changed_files, diff_lines, …} or its conflicts."""
        commits = tuple(str(source["commit"]) for source in sources)
        tasks = [str(source["task"]) for source in sources]
        if not commits:
            raise ContractError("a candidate needs at least one verified task", where=job.key)
        checkpoint = await self._recorder.sign(self._clock.now())
        made = await self._in_thread(
            self._repository.build_candidate,
            self._head,
            commits,
            self._provenance(
                f"{self.feature}: merge wave {wave.get('number')} ({', '.join(tasks)})",
                {
                    "Engine-Wave": str(wave.get("number")),
                    "Engine-Tasks": " ".join(tasks),
                    "Ledger-Checkpoint": checkpoint,
                },
            ),
        )
        if isinstance(made, Conflict):
            return await self._conflict(made, commits, tasks)
        self._repository.acquire_ahead(
            feature=self.feature, run=self.run, tasks=self._likely_next(), base_commit=made.commit
        )
        changed = await self._in_thread(self._repository.diff, made.old, made.commit)
        patch = await self._in_thread(
            self._repository.patch, made.old, made.commit, limit_bytes=PATCH_BYTES
        )
        undeclared, refused = self._manifest_of(commits)
        budget = self._budget_problem()
        subject = subject_of(made)
        self._recorder.add(
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
            "changed": self._owned(changes_with_lines(changed, patch.text, self._redact), sources),
            "patch_complete": patch.is_complete,
            "changed_files": len(changed),
            "diff_lines": lines,
            "undeclared": undeclared,
            "widened": self._rescoping.owners(tasks),
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
                "reasons": [f"conflict: {self._redact.text(path)}" for path in conflict.paths],
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
            "conflicts": [self._redact.text(path) for path in conflict.paths],
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
            await self._gate(job, gate, commit, max_level)
            for gate in gates_of(self._site.settings, stage)
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
            verified = self._verified()
            unverified = [
                f"no passed verification is recorded for {source}"
                for source in subject.sources
                if source not in verified
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
            "waivers": await self._waivers(),
            **(await self._proof_of(commit) if stage == "pre_merge" else {}),
        }

    async def _proof_of(self, commit: str) -> dict[str, Json]:
        """Return what the ledger holds about a candidate: {verdicts, evidence, audit}, for policies to read."""
        verified = self._verified()
        about = [item for item in self._evidence() if item.subject.commit == commit]
        sources = about[0].subject.sources if about else ()
        return {
            "verdicts": [
                {
                    "kind": item.kind,
                    "verdict": item.verdict,
                    "commit": commit,
                    "seq": item.seq,
                }
                for item in about
            ],
            "evidence": [
                {
                    "commit": source,
                    "captured": source in self._snapshots,
                    "verified": source in verified,
                }
                for source in sources
            ],
            "audit": await self._in_thread(self._auditor.look),
        }

    async def _gate(self, job: Job, gate: Gate, commit: str, max_level: int) -> dict[str, Json]:
        async def run() -> dict[str, Json]:
            if isinstance(gate, PluginGateSettings):
                return await self._ask_plugin(job, gate, commit)
            name, wanted = f"gate-{gate.name}", coverage_of(gate)
            return await self._check(job, gate.command, commit, name, gate.timeout_s, wanted)

        result = await judged(gate, commit, max_level, run)
        self._add(EntryType.GATE_FINISHED, result)
        return result

    async def _ask_plugin(self, job: Job, gate: PluginGateSettings, commit: str) -> dict[str, Json]:
        plugin = self._site.plugins.plugins.get(gate.plugin)
        if plugin is None or plugin.category != "validation":
            return not_there(gate.plugin, self._site.plugins)
        name = f"{self.run}-gate-{gate.name}"
        checkout = await self._in_thread(self._repository.checkout, commit, name)
        try:
            result = await call(
                plugin,
                operation_of(gate, plugin),
                exact(gate.input),
                contracts=self._site.contracts,
                key=f"{job.key}/{gate.name}",
                scratch=self._scratch(job) / gate.name,
                workspace=checkout.path,
                timeout_s=gate.timeout_s,
                redact=self._redact,
            )
        finally:
            await self._in_thread(self._repository.release, checkout)
        await self._record(
            EntryType.PLUGIN_CALLED, {"gate": gate.name, "commit": commit, **called(job, result)}
        )
        return plugin_outcome(gate, result)

    def verdict_drafts(
        self, package: str, input_: object, verdict: Verdict, at: object
    ) -> list[Draft]:
        """Return also the evidence of a policy verdict about a candidate, for the kernel."""
        waived = super().verdict_drafts(package, input_, verdict, at)
        if package != MERGE_PACKAGE or not isinstance(input_, Mapping):
            return waived
        candidate = input_.get("candidate")
        subject = subject_from(candidate) if isinstance(candidate, Mapping) else None
        if subject is None:
            return waived
        reasons = tuple(f"{reason.code}: {reason.message}" for reason in verdict.reasons)
        return [*waived, self._verdict("policy", subject, verdict.ruling.value, reasons)]

    async def merge(self, job: Job, candidate: Variables, wave: Variables) -> Variables:
        """Return {state: merged|refused|stale, commit, head, old, reasons}; the kernel decides, not the caller."""
        done = self._effect(job.key)
        if done is not None and done.state == "done":
            return merged(done.body)
        subject = subject_from(candidate)
        if subject is None:
            return await self._refuse(candidate, ("the candidate is not a commit: it conflicts",))
        authorization = authorize(subject, ref=self._base.ref, evidence=self._evidence())
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
        self._publish_meanwhile()
        return merged(body)

    async def roll_back(self, job: Job, merge: Variables, reason: str) -> Variables:
        """Return {state, commit, reasons}: a commit on top that restores the tree from before the merge."""
        done = self._effect(job.key)
        if done is not None and done.state == "done":
            return {"state": "rolled_back", "commit": done.body["commit"], "reasons": [reason]}
        if done is None:
            made = await self._in_thread(
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
        authorization = authorize_rollback(subject, ref=self._base.ref, evidence=evidence)
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
        await self._publish(self._repository.publish)
        return {"state": "rolled_back", "commit": subject.commit, "reasons": [reason]}

    async def _move(self, authorization: MergeAuthorization) -> object:
        """Look where the branch is, and move it unless it is there already. Returns Merged or Stale."""
        subject = authorization.subject
        return (
            await self._in_thread(self._repository.merge, authorization)
            if await self._in_thread(
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
        self._add(
            EntryType.GATE_FINISHED,
            {"name": "doctor", "stage": "doctor", "commit": commit, **outcome},
        )
        return outcome

    async def settle(self) -> None:
        """Wait for what goes on beside the jobs: the user's branch that follows a merge."""
        self._is_ending.set()
        await asyncio.gather(*self._publishing, return_exceptions=True)

    async def finish(self, status: str) -> None:
        """After the root ended: bring the user's branches up to date and remove what is not needed any more."""
        await self._publish(self._repository.publish)
        if status == "completed" and self._site.settings.run.promote == "ff":
            await self._publish(self._repository.promote)
        await super().finish(status)

    # ---- private steps

    def _publish_meanwhile(self) -> None:
        """Let the user's branch follow while the run goes on: nothing in it rests on that branch, and `finish` moves it
        again, or tells why it cannot."""
        task = asyncio.create_task(self._publish_soon())
        self._publishing.add(task)
        task.add_done_callback(self._follow)

    async def _publish_soon(self) -> None:
        """Publish when the workers of the next wave work, or the run ends; at once when no wave is to come."""
        if self._to_come:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_ending.wait(), PUBLISH_AFTER_S)
        await self._publish(self._repository.publish)

    def _follow(self, task: asyncio.Task[None]) -> None:
        self._publishing.discard(task)
        if not task.cancelled():
            task.exception()  # taken note of, so that asyncio does not print it: `finish` meets it again

    async def _publish(self, move: Callable[[Base], Published]) -> None:
        """Move a branch of the user's repository forward by `move`, and record that it moved or why it did not."""
        async with self._published:
            published = await self._in_thread(move, self._base)
            draft = publication(published, self._clock.now())
            if draft is not None:
                await self._recorder.commit([draft])

    def _owned(self, changed: list[Any], sources: Sequence[Variables]) -> list[Json]:
        """Return the changes with the tasks that made each."""
        # Any: JSON of changes_with_lines
        wrote: dict[str, list[Json]] = {}
        for source in sources:
            snapshot = self._snapshots.get(str(source["commit"]))
            for change in snapshot.changed if snapshot else ():
                wrote.setdefault(self._redact.text(change.path), []).append(str(source["task"]))
        return [{**change, "tasks": wrote.get(change["path"], [])} for change in changed]

    def _manifest_of(self, commits: Sequence[str]) -> tuple[list[Json], list[str]]:
        """Return (undeclared paths, why the manifest verdict fails) over the snapshots of a candidate."""
        undeclared: list[Json] = []
        refused: list[str] = []
        for commit in commits:
            snapshot = self._snapshots.get(commit)
            if snapshot is None:
                refused.append(f"no snapshot is recorded for {commit}")
                continue
            undeclared.extend(self._redact.text(path) for path in snapshot.undeclared)
            if snapshot.manifest != "pass":
                refused.extend(f"undeclared write: {path}" for path in snapshot.undeclared)
                refused.extend(f"{item.code}: {item.path}" for item in snapshot.refused)
        return undeclared, [self._redact.text(reason) for reason in refused]

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
