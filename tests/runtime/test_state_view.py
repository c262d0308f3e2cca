"""`.engine/state/FEATURE.json`: the older shape of a run's state, a view of the ledger that nothing reads."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from engine import Engine
from engine.contracts import Contracts
from engine.ledger import Entry, EntryType
from engine.runtime.state_view import NEWEST, StateView
from engine.shipped import folder
from engine.store import Run
from tests.acceptance.conftest import Project, make_project, project, task
from tests.acceptance.test_stopping import place, under_way

__all__ = ["make_project", "project"]  # fixtures

NO_SERVER = {"port": None, "container_id": None, "health_check_at": None}
START = datetime(2026, 5, 1, tzinfo=UTC)


def state(project: Project, feature: str = "shop") -> Any:  # Any: JSON
    return json.loads((project.root / ".engine" / "state" / f"{feature}.json").read_text("utf-8"))


def without_times(view: Mapping[str, Any]) -> dict[str, Any]:
    """Return a view as any run of these tasks would have it; of its log what is told of the task's result."""
    levels = {
        number: {
            **{key: value for key, value in level.items() if not key.endswith("_at")},
            "timed": [key for key in ("started_at", "completed_at") if level[key]],
        }
        for number, level in view["levels"].items()
    }
    kept = {key: view[key] for key in ("feature", "status", "current_level", "workers")}
    results = {"commit", "gate_run", "merge"}
    log = [(one["event"], one.get("name")) for one in view["execution_log"]]
    return {**kept, "levels": levels, "log": [one for one in log if one[0] in results]}


def test_the_state_of_a_real_run(shop: Project) -> None:
    with Engine.open(shop.root).store() as store:
        row = store.runs()[0]
        entries = list(store.entries(row.id))
    log = shop.root / ".engine" / "specs" / "shop" / "execution-log.jsonl"
    (merge,) = [entry for entry in entries if entry.type is EntryType.MERGE_COMPLETED]
    claims = {e.task: e for e in reversed(entries) if e.type is EntryType.WORKSPACE_CREATED}
    found = state(shop)
    assert found == {
        "schema": "engine.state/v1",
        "feature": "shop",
        "run": row.id,
        "status": "failed",
        "started_at": row.created_at.isoformat(),
        "changed_at": row.changed_at.isoformat(),
        "current_level": 2,
        "workers": {
            str(slot): {"status": "stopped", "current_task": None, **NO_SERVER}
            for slot in sorted({(e.body or {})["slot"] for e in started(entries)}, key=str)
        },
        "levels": {
            "1": {
                "status": "merged",
                "started_at": claims["price"].at.isoformat(),
                "completed_at": merge.at.isoformat(),
                "merge_commit": (merge.body or {})["commit"],
                "tasks": {"price": "merged"},
            },
            "2": {
                "status": "failed",
                "started_at": min(claims["debt"].at, claims["tax"].at).isoformat(),
                "completed_at": None,
                "merge_commit": None,
                "tasks": {"debt": "blocked", "tax": "quarantined"},
            },
        },
        "execution_log": [json.loads(line) for line in log.read_text("utf-8").splitlines()],
    }
    Contracts(folder("contracts")).check("state.v1", found)


def started(entries: list[Entry]) -> list[Entry]:
    return [entry for entry in entries if entry.type is EntryType.WORKER_STARTED]


def test_a_killed_run_that_goes_on_ends_with_the_same_state(
    make_project: Callable[..., Project],
) -> None:
    whole, killed = make_project("whole/p"), make_project("killed/p")
    for one in (whole, killed):
        with under_way(one) as engine:
            if one is killed:
                engine.kill()
                engine.wait(timeout=60)
                assert not (one.root / ".engine" / "state").exists()  # no call has ended yet
            place(one, "go").touch()
            engine.wait(timeout=60)
    assert killed.engine("run", "--feature", "shop").code == 0
    assert without_times(state(killed))["levels"]["1"].pop("merge_commit") == killed.branch()
    told = [without_times(state(one)) for one in (whole, killed)]
    for view in told:
        del view["levels"]["1"]["merge_commit"]  # the time of the attempt is in its message
    assert told[0] == told[1]
    assert told[0]["levels"]["1"]["timed"] == ["started_at", "completed_at"]


@pytest.mark.parametrize("damage", ["no JSON", "another state", "a folder", "no place"])
def test_a_damaged_state_harms_nothing(damage: str, project: Project) -> None:
    project.write_graph([task("a")])
    place = project.root / ".engine" / "state" / "shop.json"
    place.parent.mkdir()
    match damage:
        case "no JSON":
            place.write_bytes(b"\xff{")
        case "another state":
            place.write_text(
                '{"status": "completed", "levels": {"1": {"status": "merged"}}}', "utf-8"
            )
        case "a folder":
            place.mkdir()
        case _:
            place.parent.rmdir()
            place.parent.write_text("in the way", "utf-8")
    done = project.engine("run", "--feature", "shop", "--json")
    assert (done.code, done.json["status"]) == (0, "completed")
    assert project.engine("ledger", "verify").code == 0
    if place.is_file():
        assert state(project)["levels"]["1"]["tasks"] == {"a": "merged"}
    left = {path.name for path in place.parent.iterdir()} if place.parent.is_dir() else set()
    assert left <= {"shop.json", "shop.json.new"}


def entry(seq: int, type: EntryType, task: str = "", **body: Any) -> Entry:
    at = START + timedelta(seconds=seq)
    return Entry(seq=seq, prev=b"", run="r", type=type, at=at, epoch=1, task=task, body=body)


RUN = Run(
    id="r",
    feature="shop",
    bundle="",
    status="running",
    epoch=1,
    entries=9,
    head=b"",
    created_at=START,
    changed_at=START,
)
REPORT: dict[str, Any] = {
    "tasks": [
        {"id": "a", "state": "merged", "level": 1},
        {"id": "b", "state": "running", "level": 2},
        {"id": "c", "state": "na"},
    ]
}


def folded(*entries: Entry, status: str = "running") -> Any:  # Any: JSON
    view = StateView()
    for one in entries:
        view.take(one, {"ts": one.at.isoformat(), "event": str(one.type), "seq": one.seq})
    row = Run(**{**RUN.__dict__, "status": status})
    return view.to_json(row, REPORT)


def test_who_is_at_work_is_told_until_the_worker_or_its_engine_ends() -> None:
    begins = (
        entry(1, EntryType.WORKER_STARTED, "a", slot=1),
        entry(2, EntryType.WORKER_STARTED, "b", slot=2),
        entry(3, EntryType.WORKER_FINISHED, "a"),
    )
    assert folded(*begins)["workers"] == {
        "1": {"status": "idle", "current_task": None, **NO_SERVER},
        "2": {"status": "running", "current_task": "b", **NO_SERVER},
    }
    ends = folded(*begins, entry(4, EntryType.RUN_STOPPED), status="stopped")["workers"]
    assert [one["status"] for one in ends.values()] == ["stopped", "stopped"]


def test_a_merge_that_was_rolled_back_is_told_no_more() -> None:
    merges = (
        entry(1, EntryType.MERGE_COMPLETED, old="0", commit="1", tasks=["a"]),
        entry(2, EntryType.MERGE_COMPLETED, old="1", commit="2", tasks=["b"]),
    )
    commits = [level["merge_commit"] for level in folded(*merges)["levels"].values()]
    assert commits == ["1", "2"]
    undone = folded(*merges, entry(3, EntryType.ROLLBACK_COMPLETED, sources=["1"]))
    assert [level["merge_commit"] for level in undone["levels"].values()] == ["1", None]


def test_the_log_holds_the_newest_happenings_and_a_task_left_out_has_no_level() -> None:
    many = [entry(seq, EntryType.WORKSPACE_CREATED, "a") for seq in range(1, NEWEST + 3)]
    found = folded(*many)
    assert [one["seq"] for one in found["execution_log"]] == list(range(3, NEWEST + 3))
    assert (list(found["levels"]), found["current_level"]) == (["1", "2"], 2)
    Contracts(folder("contracts")).check("state.v1", found)


def test_without_tasks_there_is_no_level() -> None:
    view = StateView().to_json(RUN, {"tasks": []})
    assert (view["levels"], view["current_level"], view["workers"]) == ({}, None, {})
