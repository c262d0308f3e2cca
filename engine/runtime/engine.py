"""The engine of a project: start, resume and look at runs. What embedders and the command line use.

>>> from engine import Engine                                   # doctest: +SKIP
>>> Engine.open(Path(".")).run_feature("shop").status           # doctest: +SKIP
'completed'
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from engine.bpmn.model import ServiceTask
from engine.contracts import Contracts
from engine.core.definitions import Definitions
from engine.core.model import Event, Fact, Json, Variables, Verdict
from engine.errors import DefinitionError, UsageError
from engine.handlers import Handlers
from engine.ledger import EntryType, note
from engine.plugins import discover
from engine.policy import PolicySet
from engine.programs import reap
from engine.runtime.conductor import Clock, Conductor, Ended, Waiting
from engine.runtime.delivery import Delivery
from engine.runtime.forms import policy_settings
from engine.runtime.home import ignore
from engine.runtime.recorder import Recorder
from engine.runtime.report import build_report, markdown
from engine.runtime.specs import find_task_graph, read_task_graph
from engine.runtime.world import Site
from engine.settings import Project, Settings, load_project
from engine.shipped import definition_files, folder
from engine.store import EngineLock, Run, RunStatusChanged, Store
from engine.workspaces import Base, Repository

ROOT_PROCESS = "orchestration"
ENTRY_POINTS = "engine.service_tasks"

Watch = Callable[[str, Fact, Sequence[Event]], None]


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """How a call of `run_feature` ended: report (contract run-report.v1) and what people must do."""

    run: str
    status: str  #: completed, failed, blocked, waiting or stopped
    report: Mapping[str, Any]
    waiting: tuple[Waiting, ...] = ()
    is_old: bool = False  #: nothing was left to do; this is the run that had done it


class Engine:
    """One project: its settings, its store, its definitions."""

    def __init__(self, project: Project) -> None:
        self.project = project
        self.clock = Clock()

    @classmethod
    def open(cls, start: Path, *, flags: Mapping[str, object] | None = None) -> Engine:
        """Return the engine of the project around `start`. Raises UsageError for a wrong configuration."""
        return cls(load_project(start, flags=flags))

    # ---- parts

    @property
    def settings(self) -> Settings:
        return self.project.settings

    def bundle_root(self) -> Path | None:
        """Return the folder of the project's own bundle, or None for the shipped one."""
        if self.settings.bundle is None:
            return None
        root = self.project.root / self.settings.bundle
        if not root.is_dir():
            raise UsageError(
                "the bundle is not there",
                where=str(root),
                hint="Make it with `engine bundle copy`, or remove `bundle` from the configuration.",
            )
        return root

    def definitions(self) -> Definitions:
        """Return the project's definitions as they are now. Raises DefinitionError with every finding."""
        return Definitions.load(definition_files(self.bundle_root()))

    def contracts(self) -> Contracts:
        return Contracts(folder("contracts"))

    def store(self, *, create: bool = False) -> Store:
        """Open the store. Without `create`, raises UsageError when the project has no runs yet."""
        home = self.project.home
        url = self.settings.store.url
        if url is None and not create and not (home / "engine.db").is_file():
            raise UsageError(
                "there are no runs here yet",
                where=str(home),
                hint="Start one with `engine run --feature NAME`, or see `engine demo`.",
            )
        if create:
            home.mkdir(parents=True, exist_ok=True)
            ignore(home)
        return Store.open(url or home / "engine.db", home=home, create=create)

    def find_run(self, store: Store, run: str | None = None, feature: str | None = None) -> Run:
        """Return a run by id or unique start of one, else the newest (of `feature`)."""
        runs = [row for row in store.runs() if feature is None or row.feature == feature]
        if run is not None:
            runs = [row for row in runs if row.id == run] or [
                row for row in runs if row.id.startswith(run)
            ]
            if len(runs) > 1:
                raise UsageError(f"run {run} is not one run", got=", ".join(row.id for row in runs))
        if not runs:
            raise UsageError(
                f"there is no run {run}" if run else "there are no runs yet",
                hint="`engine status` lists what there is.",
            )
        return max(runs, key=lambda row: (row.created_at, row.id))

    # ---- the main job

    def plan(self, feature: str, mode: str | None = None) -> Mapping[str, Any]:
        """Return {plan, waves, file} of a feature without doing anything."""
        from service_tasks.planning import build_plan

        graph, path = read_task_graph(self.project.root, feature, self.contracts())
        plan = build_plan(graph, mode or self.settings.run.mode or "waves")
        return {
            "file": str(path),
            "mode": plan.mode,
            "task_count": plan.task_count,
            "widest": plan.widest,
            "waves": list(plan.waves),
        }

    def run_feature(
        self,
        feature: str,
        *,
        new: bool = False,
        timeout_s: float | None = None,
        watch: Watch | None = None,
        on_start: Callable[[Conductor, str], None] | None = None,
    ) -> RunResult:
        """Carry out `feature`: resume its unfinished run, or start one. Blocks until it ended or waits for people.

        Everything that can be wrong with the input is checked before anything is written.
        """
        graph = _file_digest(find_task_graph(self.project.root, feature))
        self.plan(feature)
        definitions = self.definitions()
        policies = self.policies(definitions)
        handlers = load_handlers()
        _check_job_types(definitions, handlers)
        with ExitStack() as stack:
            store = stack.enter_context(self.store(create=True))
            lock = EngineLock.acquire(self.project.home, f"feature-{feature}")
            stack.callback(lock.release)
            unfinished = None if new else store.unfinished_run(feature)
            done = None if new or unfinished else self._completed_run(store, feature, graph)
            if done is not None:
                return RunResult(
                    run=done, status="completed", report=build_report(store, done), is_old=True
                )
            run = unfinished.id if unfinished else _new_run_id()
            repository = stack.enter_context(
                Repository.open(self.project.home, self.project.root, lock.fd)
            )
            job = _Job(
                engine=self,
                feature=feature,
                run=run,
                is_new=unfinished is None,
                store=store,
                repository=repository,
                lock_fd=lock.fd,
                definitions=definitions,
                policies=policies,
                handlers=handlers,
                watch=watch,
                on_start=on_start,
                timeout_s=timeout_s,
                graph=graph,
            )
            return job.carry_out()

    def _completed_run(self, store: Store, feature: str, graph: str) -> str | None:
        """Return the newest run of `feature` when it completed this very task graph: then nothing is left to do."""
        runs = [row for row in store.runs() if row.feature == feature]
        if not runs:
            return None
        newest = max(runs, key=lambda row: (row.created_at, row.id))
        if newest.status != "completed":
            return None
        created = next(store.entries(newest.id, types=(EntryType.RUN_CREATED,)))
        return newest.id if (created.body or {}).get("graph") == graph else None

    def policies(self, definitions: Definitions) -> PolicySet:
        """Return the policies of `definitions` on the configured back end. Raises DefinitionError."""
        policy = self.settings.policy
        return PolicySet.load(
            definitions.policies, backend=policy.backend, deadline_s=policy.timeout_s
        )


@dataclass(frozen=True, kw_only=True)
class _Job:
    """One call of `run_feature` after its input was found good."""

    engine: Engine
    feature: str
    run: str
    is_new: bool
    store: Store
    repository: Repository
    lock_fd: int
    definitions: Definitions
    policies: PolicySet
    handlers: Handlers
    watch: Watch | None
    on_start: Callable[[Conductor, str], None] | None
    timeout_s: float | None
    graph: str  #: digest of the task graph's file

    def carry_out(self) -> RunResult:
        settings = self.engine.settings
        notes = self.repository.recover_locks()
        base = self.repository.prepare(self.feature, self.run, settings.run.base_branch)
        now = self.engine.clock.now()
        if self.is_new:
            self._create(base, now)
        else:
            self._check_bundle()
            reap((), run=self.run)
            self.store.take_over(self.run, at=now, body={"recovered": list(notes)})
        ended = asyncio.run(self._serve(base))
        status = _status(ended)
        self._write_report()
        report = build_report(self.store, self.run)
        return RunResult(run=self.run, status=status, report=report, waiting=ended.waiting)

    def _create(self, base: Base, now: datetime) -> None:
        for content in self.definitions.files.values():
            self.store.put_blob(content)
        self.store.create_run(
            self.run,
            feature=self.feature,
            bundle=self.definitions.digest,
            at=now,
            body={
                "base": {"branch": base.branch, "commit": base.commit, "head": base.head},
                "ref": base.ref,
                "integration_branch": base.integration_branch,
                "settings": policy_settings(self.engine.settings),
                "files": _digests(self.definitions.files),
                "graph": self.graph,
            },
        )

    def _check_bundle(self) -> None:
        recorded = self.store.run(self.run).bundle
        if recorded != self.definitions.digest:
            raise DefinitionError(
                "the definitions have changed since this run began",
                where=f"run {self.run}",
                expected=f"bundle {recorded[:12]}",
                got=self.definitions.digest[:12],
                hint="Put the old definitions back to go on, or start another run with --new.",
            )

    async def _serve(self, base: Base) -> Ended:
        engine = self.engine
        recorder = Recorder(self.store, self.run, engine.project.home / "ledger" / self.run)
        site = Site(
            run=self.run,
            feature=self.feature,
            home=engine.project.home,
            root=engine.project.root,
            settings=engine.settings,
            bundle=self.definitions.digest,
            lock_fd=self.lock_fd,
            contracts=engine.contracts(),
            plugins=discover(
                [folder("plugins"), engine.project.home / "plugins"], engine.contracts()
            ),
        )
        delivery = Delivery(site, recorder, engine.clock, self.repository, base)
        conductor = Conductor(
            run=self.run,
            definitions=self.definitions,
            recorder=recorder,
            handlers=self.handlers,
            world=delivery,
            delivery=delivery,
            witness=delivery,
            judge=self._judge,
            clock=engine.clock,
            watch=self.watch,
        )
        if self.on_start is not None:
            self.on_start(conductor, self.run)
        try:
            delivery.recall()
            conductor.rebuild()
            if conductor.is_empty():
                await conductor.start(ROOT_PROCESS, self._variables())
            else:
                await conductor.resume()
            ended = await self._within_time(conductor)
            if ended.state in {"completed", "failed", "cancelled"}:
                await delivery.finish()
            await self._record_end(recorder, ended)
            return ended
        finally:
            await recorder.close()

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

    async def _record_end(self, recorder: Recorder, ended: Ended) -> None:
        status = _status(ended)
        now = self.engine.clock.now()
        over = status in {"completed", "failed", "blocked"}
        body: dict[str, Json] = {
            "status": status,
            "code": ended.code,
            "message": ended.message,
            "reasons": _reasons(ended) if status == "blocked" else [],
        }
        await recorder.commit(
            [note(EntryType.RUN_FINISHED if over else EntryType.RUN_STOPPED, now, body)],
            [RunStatusChanged(status=status, at=now)],
            checkpoint=True,
        )

    async def _judge(self, package: str, input_: Any, now: datetime) -> Verdict:
        # Any: the input is JSON that the diagram made
        if self.engine.settings.policy.backend == "embedded":
            return self.policies.decide(package, input_, now)
        return await asyncio.to_thread(self.policies.decide, package, input_, now)

    def _variables(self) -> Variables:
        run = self.engine.settings.run
        return {
            "run": self.run,
            "feature": self.feature,
            "mode": run.mode or "waves",
            "requested_workers": run.workers,
            "settings": policy_settings(self.engine.settings),
        }

    def _write_report(self) -> None:
        import orjson

        place = self.engine.project.home / "runs" / self.run
        place.mkdir(parents=True, exist_ok=True)
        report = build_report(self.store, self.run)
        (place / "report.json").write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))
        (place / "report.md").write_text(markdown(report), "utf-8")


def load_handlers() -> Handlers:
    """Return every installed job type. Raises DefinitionError when two packages declare the same."""
    joined = Handlers()
    found = sorted(entry_points(group=ENTRY_POINTS), key=lambda point: point.name)
    for point in found:
        joined.join(point.load())
    if not found:  # a checkout that is not installed
        from service_tasks import handlers

        joined.join(handlers)
    return joined


def _check_job_types(definitions: Definitions, handlers: Handlers) -> None:
    """Refuse to start when a diagram asks for work that nobody can do."""
    for process in definitions.processes.values():
        for node in process.model.scope.nodes.values():
            if not isinstance(node, ServiceTask) or node.job.type.is_feel:
                continue
            if handlers.find(node.job.type.text) is None:
                raise DefinitionError(
                    f"{node.label} asks for job type {node.job.type.text}",
                    where=str(node.position),
                    expected=f"one of {', '.join(sorted(handlers.specs))}",
                    hint="Choose one of these in the modeller, or install the package that has it.",
                )


def _status(ended: Ended) -> str:
    """Return the run's status from how its root ended; the report task of the diagram names the outcome."""
    if ended.state in {"waiting", "stopped"}:
        return ended.state
    if ended.state != "completed":
        return "failed"
    report = ended.variables.get("report")
    outcome = report.get("outcome") if isinstance(report, Mapping) else "completed"
    return {"completed": "completed", "blocked": "blocked"}.get(str(outcome), "failed")


def _reasons(ended: Ended) -> list[Json]:
    """Return what the policy that closed the run said, as its gateway left it in the variables."""
    said = ended.variables.get("reasons")
    given = said if isinstance(said, list | tuple) else ()
    return [str(item.get("message")) for item in given if isinstance(item, Mapping)]


def _digests(files: Mapping[str, bytes]) -> dict[str, Json]:
    return {path: f"sha256:{hashlib.sha256(text).hexdigest()}" for path, text in files.items()}


def _file_digest(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def _new_run_id() -> str:
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
