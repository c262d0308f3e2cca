"""The engine of a project: start, resume and look at runs. What embedders and the command line use.

>>> from engine import Engine                                   # doctest: +SKIP
>>> Engine.open(Path(".")).run_feature("shop").status           # doctest: +SKIP
'completed'
"""

from __future__ import annotations

import hashlib
import os
import secrets
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

from engine.contracts import Contracts
from engine.core.definitions import Definitions
from engine.core.model import Json, Variables
from engine.errors import EngineError, UsageError
from engine.frozen import dataclass
from engine.handlers import Handlers
from engine.policy import PolicySet, ServerSettings
from engine.runtime.attesting import attest_or_say
from engine.runtime.carrying import Carrying, OnStart, Watch
from engine.runtime.chosen import has_done, level_of_run, nothing_unfinished, to_go_on
from engine.runtime.companions import write_companions
from engine.runtime.conductor import Clock
from engine.runtime.diagrams import chosen_process, definitions_of
from engine.runtime.foresight import foresee, machine_limits
from engine.runtime.home import ignore
from engine.runtime.jobs import check_jobs, load_handlers
from engine.runtime.older import refuse_forgotten_runs
from engine.runtime.pending import Waiting
from engine.runtime.plans import first_tasks, merged_already, planned
from engine.runtime.proof import recorded_definitions
from engine.runtime.publishing import base_branch, publish_again
from engine.runtime.rehearsal import first_verdict
from engine.runtime.report import report_of, write_report
from engine.runtime.specs import find_task_graph, read_task_graph
from engine.runtime.waivers import Waivers
from engine.runtime.work import FeatureWork, ProcessWork, Work
from engine.settings import Project, Settings, load_project
from engine.shipped import definition_files, folder
from engine.store import EngineLock, Run, Store
from engine.workspaces import Repository


@dataclass(frozen=True, kw_only=True)
class RunResult:
    """How a call ended: report (contract run-report.v1, or process-run.v1) and what people must do."""

    run: str
    status: str  #: completed, partial, failed, blocked, waiting or stopped
    report: Mapping[str, Any]
    waiting: tuple[Waiting, ...] = ()
    is_old: bool = False  #: nothing was left to do; this is the run that had done it
    notice: str = ""  #: what could not be done after the run, which stands all the same


@dataclass(frozen=True, kw_only=True)
class _Ready:
    """What a run is carried on with: definitions whose files are kept, and their policies."""

    definitions: Definitions
    policies: PolicySet

    def close(self) -> None:
        self.policies.close()


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

    @cached_property
    def handlers(self) -> Handlers:
        """Every installed job type. Raises DefinitionError when two packages declare the same."""
        return load_handlers()

    def contracts(self) -> Contracts:
        return Contracts(folder("contracts"))

    def waivers(self) -> Waivers:
        """Return the waivers of the project. Raises UsageError for a damaged line in waivers.people."""
        return Waivers(self.project.home, self.settings.waivers.people, self.contracts())

    def has_store(self) -> bool:
        """Return whether the project has runs already, or keeps them in a database elsewhere."""
        return self.settings.store.url is not None or (self.project.home / "engine.db").is_file()

    def store(self, *, create: bool = False) -> Store:
        """Open the store. Without `create`, raises UsageError when the project has no runs yet."""
        home = self.project.home
        url = self.settings.store.url
        if not create and not self.has_store():
            raise UsageError(
                "there are no runs here yet",
                where=str(home),
                hint="Start one with `engine run --feature NAME`, or see `engine demo`.",
            )
        if create:
            home.mkdir(parents=True, exist_ok=True)
            ignore(home)
        return Store.open(url or home / "engine.db", home=home, create=create)

    def _writing_store(self, stack: ExitStack, *, create: bool) -> Store:
        """Open the store to carry a run on. Raises IntegrityError when it is an older copy."""
        store = stack.enter_context(self.store(create=create))
        refuse_forgotten_runs(store)
        return store

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

    def is_carried(self, run: Run) -> bool:
        """Return whether a live engine is at work on `run`, as far as this host can tell."""
        return EngineLock.holder(self.project.home, _lock_of(run)) is not None

    # ---- the main job

    def plan(
        self,
        feature: str,
        mode: str | None = None,
        *,
        new: bool = False,
        going_on: bool = False,
        level: str | None = None,
    ) -> Mapping[str, Any]:
        """Return {file, mode, task_count, widest, waves, level, later, merged, workers, limits, advice, unfinished, preflight}
        of a feature without doing anything; the other arguments are those of `run_feature`.

        `later`: {task: level} of what stands above `level` and is left for later. `merged`: {task: {run, commit}} of what is
        merged already and would be left out; with `new` nothing is. `unfinished`: id of the run that would go on, or None.
        `preflight`: {element, policy, verdict, reasons} of the first policy gateway of a new run; None of one that goes on,
        and where another job stands before that gateway.
        """
        run = None
        graph, planned = self._planned(feature, mode=mode, level=level)
        if going_on and not self.has_store():
            raise nothing_unfinished(feature)
        if self.has_store() and not new:
            with self.store() as store:
                run = to_go_on(store, feature, level=planned["level"], must=going_on)
                begun = level_of_run(store, run) if run else None
            if begun != planned["level"] and begun is not None:
                graph, planned = self._planned(feature, mode=mode, level=str(begun))
        foreseen = foresee(
            planned, self.settings, self.definitions(), machine_limits(self.settings)
        )
        merged: dict[str, dict[str, str]] = {}
        if not new and self.has_store():
            with self.store() as store:
                merged = merged_already(self.project, store, feature, graph)
        return {
            **planned,
            "merged": merged,
            **foreseen,
            "unfinished": run.id if run else None,
            "preflight": None if run else self._preflight(feature, graph, planned, merged, new),
        }

    def _preflight(
        self,
        feature: str,
        graph: Variables,
        planned: Mapping[str, Any],  # Any: JSON of the plan
        merged: Mapping[str, object],
        anew: bool,
    ) -> dict[str, Json] | None:
        """Return what the first policy gateway of a new run would say; nothing is written."""
        definitions = self.definitions()
        with ExitStack() as stack:
            return first_verdict(
                project=self.project,
                store=stack.enter_context(self.store()) if self.has_store() else None,
                definitions=definitions,
                handlers=self.handlers,
                contracts=self.contracts(),
                waivers=self.waivers(),
                judge=stack.enter_context(closing(self.policies(definitions))).decide,
                feature=feature,
                graph=graph,
                merged=merged.keys(),
                anew=anew,
                level=planned["level"],
                now=self.clock.now(),
            )

    def _planned(
        self, feature: str, *, mode: str | None = None, level: str | None = None
    ) -> tuple[Variables, dict[str, Any]]:
        # Any: JSON of the plan
        return planned(self.project, self.contracts(), feature, mode=mode, level=level)

    def task_graph(self, feature: str) -> Variables:
        """Return the task graph of `feature` as it is now. Raises UsageError, ContractError."""
        return read_task_graph(self.project.root, feature, self.contracts())[0]

    def run_feature(
        self,
        feature: str,
        *,
        new: bool = False,
        going_on: bool = False,
        level: str | None = None,
        timeout_s: float | None = None,
        watch: Watch | None = None,
        on_start: OnStart | None = None,
    ) -> RunResult:
        """Carry out `feature`: resume its unfinished run, or start one. Blocks until it ended or waits for people.

        `going_on`: only resume. `level`, number or name: what stands above it is left for later. An unfinished run goes on
        under the definitions it began with. Everything that can be wrong with the input is checked before anything is
        written.
        """
        graph = _file_digest(find_task_graph(self.project.root, feature))
        _, plan = self._planned(feature, level=level)
        if going_on and not self.has_store():
            raise nothing_unfinished(feature)
        is_checked = not self.has_store() and self.settings.bundle is not None
        fresh = self._fit(self.definitions(), delivers=True) if is_checked else None
        with ExitStack() as stack:
            store = self._writing_store(stack, create=True)
            lock = stack.enter_context(_locked(self.project.home, f"feature-{feature}"))
            known = sum(row.feature == feature for row in store.runs())
            wanted: int | None = plan["level"]
            unfinished = None
            done = None
            if not new:
                unfinished = to_go_on(store, feature, level=wanted, must=going_on)
                done = None if unfinished else has_done(store, feature, graph=graph, level=wanted)
            if done is not None:
                self._publish_late(store, done, lock.fd)
                return RunResult(
                    run=done,
                    status=store.run(done).status,
                    report=report_of(store, done),
                    is_old=True,
                    notice=self._attested_late(store, feature, lock.fd),
                )
            run = unfinished.id if unfinished else _new_run_id()
            first = () if known else first_tasks(plan)  # of later runs, some tasks may be done
            repository = stack.enter_context(
                Repository.open(self.project.home, self.project.root, lock.fd)
            )
            # git waits for the disk while the definitions are read
            with ThreadPoolExecutor(1, thread_name_prefix="definitions") as beside:
                reading = beside.submit(self._definitions_for, store, unfinished, fresh)
                with lock.alone() as alone:
                    notes = repository.recover_locks(None if alone else (feature, run))
                base = repository.prepare(feature, run, self.settings.run.base_branch)
                repository.make_spares(run, base.head, len(first))
                definitions = reading.result()
            ready = stack.enter_context(closing(self._ready(store, definitions)))
            if unfinished:  # something else may be checked out by now
                base = replace(base, branch=base_branch(store, run))
            work = FeatureWork(
                feature=feature,
                graph=graph,
                settings=self.settings,
                repository=repository,
                base=base,
                anew=new,
                level=level_of_run(store, unfinished) if unfinished else wanted,
                first=first,
            )
            result = self._carry_out(
                store=store,
                lock_fd=lock.fd,
                run=run,
                is_new=unfinished is None,
                known_runs=known,
                seen=unfinished,
                work=work,
                ready=ready,
                notes=notes,
                watch=watch,
                on_start=on_start,
                timeout_s=timeout_s,
            )
            repository.tidy()
            return replace(result, notice=attest_or_say(store, feature, run, repository))

    def _definitions_for(
        self, store: Store, unfinished: Run | None, fresh: Definitions | None
    ) -> Definitions:
        """Return what `unfinished` began with, or what a new run begins with: `fresh` when it was read already."""
        if unfinished is not None:
            return recorded_definitions(store, unfinished.id)
        if fresh is not None:
            return fresh
        files = definition_files(self.bundle_root())
        with _kept(store, files):
            return self._fit(Definitions.load(files), delivers=True)

    def _publish_late(self, store: Store, run: str, lock_fd: int) -> None:
        """Move the branches that could not be moved when the run ended; the report says what is left of it."""
        if not report_of(store, run)["unpublished"]:
            return
        with Repository.open(self.project.home, self.project.root, lock_fd) as repository:
            publish_again(
                store,
                run,
                repository,
                promote=self.settings.run.promote == "ff",
                folder=self.project.home / "ledger" / run,
                now=self.clock.now,
            )
        write_report(self.project.home / "runs" / run, report_of(store, run))

    def _attested_late(self, store: Store, feature: str, lock_fd: int) -> str:
        """Attest what a killed engine had merged and not come to attest; return why that was not possible, or ""."""
        try:
            with Repository.open(self.project.home, self.project.root, lock_fd) as repository:
                return attest_or_say(store, feature, "", repository)
        except EngineError as error:
            return f"the merges are not attested: {error.sentence()}"

    # ---- any process

    def run_process(
        self,
        file: Path,
        *,
        process: str | None = None,
        variables: Variables | None = None,
        timeout_s: float | None = None,
        watch: Watch | None = None,
        on_start: OnStart | None = None,
    ) -> RunResult:
        """Start a process of a diagram with `variables`. Blocks until it ended or waits for people.

        `process` names one of the file's executable processes, or its pool; without, there must be one only. What the diagram
        needs is looked for in the bundle that it lies in, or else in its folder.
        """
        definitions = self._fit(definitions_of(file), delivers=False)
        chosen = chosen_process(definitions, file, process)
        run = _new_run_id()
        with ExitStack() as stack:
            store = self._writing_store(stack, create=True)
            lock = stack.enter_context(_locked(self.project.home, f"run-{run}"))
            ready = stack.enter_context(closing(self._ready(store, definitions)))
            return self._carry_out(
                store=store,
                lock_fd=lock.fd,
                run=run,
                is_new=True,
                work=ProcessWork(process=chosen, file=file.name, given=variables or {}),
                ready=ready,
                watch=watch,
                on_start=on_start,
                timeout_s=timeout_s,
            )

    def resume(
        self,
        run: str | None = None,
        *,
        timeout_s: float | None = None,
        watch: Watch | None = None,
        on_start: OnStart | None = None,
    ) -> RunResult:
        """Go on with a run that waits or was stopped: the one named, else the newest. Raises UsageError if it has ended."""
        with self.store() as store:
            row = self.find_run(store, run)
        if row.is_finished:
            raise UsageError(
                f"run {row.id} has ended ({row.status})", hint="Start another one instead."
            )
        if row.process is None:
            return self.run_feature(
                row.feature, timeout_s=timeout_s, watch=watch, on_start=on_start
            )
        with ExitStack() as stack:
            store = self._writing_store(stack, create=False)
            lock = stack.enter_context(_locked(self.project.home, _lock_of(row)))
            definitions = recorded_definitions(store, row.id)
            check_jobs(definitions, self.handlers, delivers=False)
            ready = stack.enter_context(closing(self._ready(store, definitions)))
            return self._carry_out(
                store=store,
                lock_fd=lock.fd,
                run=row.id,
                is_new=False,
                seen=store.run(row.id),
                work=ProcessWork(process=row.process),
                ready=ready,
                watch=watch,
                on_start=on_start,
                timeout_s=timeout_s,
            )

    # ---- private steps

    def _ready(self, store: Store, definitions: Definitions) -> _Ready:
        """Keep the files of `definitions`, and load their policies meanwhile."""
        with _kept(store, definitions.files):
            policies = self.policies(definitions)
        return _Ready(definitions=definitions, policies=policies)

    def _carry_out(
        self, *, store: Store, run: str, work: Work, ready: _Ready, **rest: Any
    ) -> RunResult:
        # Any: the other fields of Carrying, which types them
        carrying = Carrying(
            project=self.project,
            clock=self.clock,
            store=store,
            run=run,
            work=work,
            definitions=ready.definitions,
            policies=ready.policies,
            handlers=self.handlers,
            contracts=self.contracts(),
            waivers=self.waivers(),
            **rest,
        )
        ended = carrying.carry_out()
        report = report_of(store, run)
        write_report(self.project.home / "runs" / run, report)
        row = store.run(run)
        if row.process is None:
            write_companions(self.project.home, store, run, report)
        return RunResult(run=run, status=work.status(ended), report=report, waiting=ended.waiting)

    def _fit(self, definitions: Definitions, *, delivers: bool) -> Definitions:
        """Return the definitions when a run may begin with them. Raises BundleError with every finding.

        A run that has begun goes on whatever lint has learnt since; the shipped bundle is linted by our own tests.
        """
        check_jobs(definitions, self.handlers, delivers=delivers)
        if not delivers or self.settings.bundle is not None:
            from engine.runtime.linting import (
                check_lint,  # a third of the start, and mostly not needed
            )

            check_lint(definitions, self.handlers)
        return definitions

    def policies(self, definitions: Definitions) -> PolicySet:
        """Return the policies of `definitions` on the configured back end. Raises DefinitionError, EnvironmentFailure."""
        policy = self.settings.policy
        server = None
        if policy.backend == "opa":
            server = ServerSettings(
                url=policy.url,
                timeout_s=policy.timeout_s,
                token=os.environ.get(policy.token_env, "") if policy.token_env else "",
                ca_file=policy.ca_file,
            )
        return PolicySet.load(definitions.policies, server=server, deadline_s=policy.timeout_s)


@contextmanager
def _kept(store: Store, files: Mapping[str, bytes]) -> Iterator[None]:
    """Have `files` on disk as blobs by the end, while something else is done."""
    with ThreadPoolExecutor(1, thread_name_prefix="bundle") as beside:
        keeping = beside.submit(store.put_blobs, files.values())
        yield
        keeping.result()


def _lock_of(run: Run) -> str:
    """Return the name of the lock of whoever carries `run` on: one engine for a feature, one for a process."""
    return f"feature-{run.feature}" if run.process is None else f"run-{run.id}"


@contextmanager
def _locked(home: Path, name: str) -> Iterator[EngineLock]:
    lock = EngineLock.acquire(home, name)
    try:
        yield lock
    finally:
        lock.release()


def _file_digest(path: Path) -> str:
    return f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"


def _new_run_id() -> str:
    return f"{datetime.now(UTC):%Y%m%d-%H%M%S}-{secrets.token_hex(3)}"
