"""What a run is for: a feature of a repository, or a process alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Protocol

from engine.core.model import Json, Variables
from engine.frozen import dataclass
from engine.handlers import DeliveryWorld
from engine.runtime.conductor import Clock, Ended
from engine.runtime.delivery import Delivery
from engine.runtime.forms import policy_settings
from engine.runtime.older import refuse_unknown_merge
from engine.runtime.recorder import Recorder
from engine.runtime.world import GeneralWorld, Site
from engine.settings import Settings
from engine.store import PROCESS_PREFIX, Store
from engine.workspaces import Base, Repository

ROOT_PROCESS = "orchestration"


class Work(Protocol):
    """One purpose of a run: its root process, what it starts with, the world it acts on, how its end is read."""

    @property
    def filed_under(self) -> str: ...
    @property
    def process(self) -> str: ...

    def body(self) -> dict[str, Json]:
        """Return what `run.created` says beside the bundle."""

    def variables(self, run: str) -> Variables:
        """Return what the root instance starts with."""

    def prepare(self, run: str) -> None:
        """Begin what `run`, which is ours now, will need first."""

    def world(self, site: Site, recorder: Recorder, clock: Clock) -> GeneralWorld: ...
    def recall(self, world: GeneralWorld) -> DeliveryWorld | None:
        """After a kill: let the world read back what it needs; return it as the world of a delivery, if it is one."""

    def refuse_unknown_state(self, store: Store, run: str) -> None:
        """Raise IntegrityError when what the run works on knows more than its ledger does."""

    def status(self, ended: Ended) -> str:
        """Return the run's status: completed, partial, failed, blocked, waiting or stopped."""


@dataclass(frozen=True, kw_only=True)
class FeatureWork:
    """Deliver a feature onto the integration branch of a repository."""

    feature: str
    graph: str  #: digest of the task graph's file
    settings: Settings
    repository: Repository
    base: Base
    anew: bool = False  #: tasks that an earlier run has merged are carried out again
    level: int | None = None  #: tasks above it are left for later
    first: Sequence[str] = ()  #: tasks that most likely begin: their workspaces are made ahead
    process: str = ROOT_PROCESS

    @property
    def filed_under(self) -> str:
        return self.feature

    def body(self) -> dict[str, Json]:
        base = self.base
        return {
            "base": {"branch": base.branch, "commit": base.commit, "head": base.head},
            "ref": base.ref,
            "integration_branch": base.integration_branch,
            "graph": self.graph,
            **({} if self.level is None else {"level": self.level}),
        }

    def variables(self, run: str) -> Variables:
        return asked_for(self.settings, run, self.feature, anew=self.anew, level=self.level)

    def prepare(self, run: str) -> None:
        self.repository.acquire_ahead(
            feature=self.feature, run=run, tasks=self.first, base_commit=self.base.head
        )

    def world(self, site: Site, recorder: Recorder, clock: Clock) -> Delivery:
        return Delivery(site, recorder, clock, self.repository, self.base)

    def recall(self, world: GeneralWorld) -> DeliveryWorld:
        assert isinstance(world, Delivery)  # made above
        world.recall()
        return world

    def refuse_unknown_state(self, store: Store, run: str) -> None:
        refuse_unknown_merge(store, run, self.base.ref, self.base.head)

    def status(self, ended: Ended) -> str:
        """The report task of the diagram names the outcome."""
        if ended.state != "completed":
            return _plain_status(ended)
        report = ended.variables.get("report")
        outcome = report.get("outcome") if isinstance(report, Mapping) else "completed"
        return str(outcome) if outcome in {"completed", "partial", "blocked"} else "failed"


def asked_for(
    settings: Settings, run: str, feature: str, *, anew: bool, level: int | None
) -> Variables:
    """Return what the process of a feature's run starts with."""
    return {
        "run": run,
        "feature": feature,
        "requested_mode": settings.run.mode,
        "requested_workers": settings.run.workers,
        "requested_anew": anew,
        "requested_level": level,
        "settings": policy_settings(settings),
    }


@dataclass(frozen=True, kw_only=True)
class ProcessWork:
    """Run a process with some variables, and nothing else."""

    process: str
    file: str = ""
    given: Variables = field(default_factory=dict)

    @property
    def filed_under(self) -> str:
        return PROCESS_PREFIX + self.process

    def body(self) -> dict[str, Json]:
        return {"process": self.process, "file": self.file}

    def variables(self, run: str) -> Variables:
        return self.given

    def prepare(self, run: str) -> None:
        return None

    def world(self, site: Site, recorder: Recorder, clock: Clock) -> GeneralWorld:
        return GeneralWorld(site, recorder, clock)

    def recall(self, world: GeneralWorld) -> None:
        return None

    def refuse_unknown_state(self, store: Store, run: str) -> None:
        return None  # it moves nothing outside the database

    def status(self, ended: Ended) -> str:
        return _plain_status(ended)


def _plain_status(ended: Ended) -> str:
    return ended.state if ended.state in {"completed", "waiting", "stopped"} else "failed"
