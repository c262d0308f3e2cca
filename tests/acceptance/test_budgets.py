"""Budgets, as workers' own events spend them: block keeps the merge away, warn records and lets it pass."""

from __future__ import annotations

from collections.abc import Callable

from tests.acceptance.conftest import Project, task

SPENDS = """echo '{"type": "usage", "tokens": 100, "cost_micros": 2500}'; echo a > a.txt"""
LIMIT = '[budgets]\ncost_micros_per_run = 1000\nmode = "{}"\n'


def test_a_budget_that_is_spent_blocks_the_merge(make_project: Callable[..., Project]) -> None:
    project = make_project(configuration=LIMIT.format("block"))
    before = project.git("rev-parse", "main")
    project.write_graph([task("a", SPENDS)])
    done = project.engine("run", "--feature", "shop", "--json")
    assert (done.code, done.json["head"], project.branch()) == (1, before, None)
    assert [one["state"] for one in done.json["tasks"]] != ["merged"]
    assert "the run has cost 2500 of 1000 micro-units" in project.engine("why", "a").out
    merged = project.engine("ledger", "show", "--type", "merge.authorized", "--json").json
    assert merged["entries"] == []


def test_a_budget_that_only_warns_lets_the_merge_pass(
    make_project: Callable[..., Project],
) -> None:
    project = make_project(configuration=LIMIT.format("warn"))
    project.write_graph([task("a", SPENDS)])
    done = project.engine("run", "--feature", "shop", "--json")
    assert (done.code, [one["state"] for one in done.json["tasks"]]) == (0, ["merged"])
    told = project.engine("ledger", "show", "--type", "usage.recorded", "--json").json["entries"]
    assert [(e["body"]["tokens"], e["body"]["cost_micros"]) for e in told] == [(100, 2500)]
