"""Commands that carry out features: demo, init, run, cleanup, doctor."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import show
from engine.cli.common import HERE, AsJson, ProjectFolder, begin, open_engine
from engine.cli.running import code_of, tell, watch
from engine.errors import UsageError

if TYPE_CHECKING:
    from engine.runtime.engine import Engine, RunResult
    from engine.runtime.feature_folder import FeatureMade
    from engine.runtime.home import Initialised

Feature = Annotated[str, typer.Option("--feature", "-f", help="Feature whose task graph is run.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    for command in (demo, init, run, cleanup, doctor):
        app.command()(command)


def demo(
    folder: Annotated[Path, typer.Argument(help="New or empty folder.")] = Path("engine-demo"),
    as_json: AsJson = False,
) -> int:
    """Make a small sample repository with six tasks in three waves, and run it."""
    from engine import demo as sample
    from engine.runtime.home import initialise

    root = sample.make_repository(folder.resolve())
    initialise(root)
    sample.write_feature(root / ".engine")
    engine = open_engine(root)
    if not as_json:
        show.line(f"A sample repository is in {show.plain(folder)}. Six tasks, three waves:")
    result = _carry_out(engine, sample.FEATURE, as_json=as_json)
    proof = _prove(engine, result.run)
    if as_json:
        show.as_json("demo", {"folder": str(root), "report": dict(result.report), **proof})
    else:
        show.report(result.report)
        show.line(
            f"ledger verified: {proof['verified_entries']} entries; replayed: {proof['replayed']} turns, "
            "every event follows from the recorded facts"
        )
        show.line("")
        show.line("Look at what happened, and change it:")
        for text in (
            f"cd {show.plain(shlex.quote(str(folder)))} && git log --graph --oneline engine/{sample.FEATURE}",
            "engine why greet            the path, tables and policies that decided about a task",
            "engine ledger show          every fact and event",
            "engine bundle copy lock     your own processes, tables and policies, to edit",
        ):
            show.line(f"  {text}")
    return code_of(result)


def init(
    project: ProjectFolder = HERE,
    force: Annotated[bool, typer.Option("--force", help="Write the configuration anew.")] = False,
    feature: Annotated[
        str | None,
        typer.Option("--feature", "-f", help="Also make the folder of this feature; keeps files."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Make .engine/ with a commented configuration for this repository, and the folder of a feature."""
    from engine.runtime.feature_folder import make_feature, refuse_feature
    from engine.runtime.home import initialise
    from engine.settings import find_project_root

    root = find_project_root(project.resolve())
    if feature is not None:
        refuse_feature(root, feature)
    done = initialise(root, force=force)
    made = make_feature(root, feature) if feature is not None else None
    if as_json:
        show.as_json("init", _initialised(done, made))
        return 0
    for path in done.written:
        show.line(f"wrote {show.plain(path)}")
    for path in done.kept:
        show.line(f"kept  {show.plain(path)} (use --force to write it anew)")
    used = [gate.name for gate in done.profile.gates if not gate.missing]
    show.line(f"language: {done.profile.language}; gates: {', '.join(used) or 'none'}")
    for gate in done.profile.gates:
        if gate.missing:
            show.line(
                f"  {gate.name} is written as a comment: {show.plain(', '.join(gate.missing))}"
            )
    if made is not None:
        _tell_feature(made)
        return 0
    show.line("Next: make a feature with: engine init --feature NAME")
    show.line("and start it with: engine run --feature NAME")
    return 0


def _initialised(done: Initialised, made: FeatureMade | None) -> dict[str, Any]:  # Any: JSON
    """Return what `init --json` prints."""
    gates = [
        {"name": gate.name, "used": not gate.missing, "missing": list(gate.missing)}
        for gate in done.profile.gates
    ]
    body: dict[str, Any] = {  # Any: as above
        "written": [str(path) for path in done.written],
        "kept": [str(path) for path in done.kept],
        "stack": done.profile.language,
        "gates": gates,
    }
    if made is not None:
        body["feature"] = {
            "name": made.folder.name,
            "folder": str(made.folder),
            "written": [str(path) for path in made.written],
            "kept": [str(path) for path in made.kept],
        }
    return body


def _tell_feature(made: FeatureMade) -> None:
    for path in made.written:
        show.line(f"wrote {show.plain(path)}")
    for path in made.kept:
        show.line(f"kept  {show.plain(path)} (never overwritten)")
    name = show.plain(made.folder.name)
    show.line(
        "Next: write down what is wanted in requirements.md and how in design.md, both for people;"
    )
    show.line(
        "replace the task in task-graph.json by your own, which is all that the engine reads."
    )
    show.line(f"Look at the plan with: engine run --feature {name} --dry-run")
    show.line(f"and start it with: engine run --feature {name}")


def run(
    feature: Feature,
    project: ProjectFolder = HERE,
    workers: Annotated[
        int | None, typer.Option("--workers", "-w", help="Workers at a time.")
    ] = None,
    mode: Annotated[str | None, typer.Option(help="waves or dag.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan, do nothing.")] = False,
    timeout: Annotated[
        int | None, typer.Option(help="Stop after so many seconds; run again to go on.")
    ] = None,
    min_task_minutes: Annotated[
        int | None, typer.Option(help="Least estimate of a task; 5 without.")
    ] = None,
    max_task_minutes: Annotated[
        int | None, typer.Option(help="Greatest estimate of a task; 30 without.")
    ] = None,
    level: Annotated[
        str | None,
        typer.Option(
            help="Only up to this level: 1 to 5, or foundation, core, integration, testing, quality; what stands "
            "above it is left for later."
        ),
    ] = None,
    going_on: Annotated[
        bool,
        typer.Option(
            "--continue", help="Go on with the unfinished run; start nothing when there is none."
        ),
    ] = False,
    new: Annotated[
        bool,
        typer.Option(
            "--new", help="Start another run, not the unfinished one; what is merged is done again."
        ),
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Carry out a feature; goes on with its unfinished run if there is one."""
    if going_on and new:
        raise UsageError("--continue and --new", expected="one of the two", got="both")
    engine = open_engine(
        project,
        run__workers=workers,
        run__mode=mode,
        tasks__min_minutes=min_task_minutes,
        tasks__max_minutes=max_task_minutes,
    )
    if dry_run:
        plan = engine.plan(feature, new=new, going_on=going_on, level=level)
        return _show_plan(plan, as_json=as_json)
    result = _carry_out(
        engine,
        feature,
        as_json=as_json,
        new=new,
        going_on=going_on,
        level=level,
        timeout_s=timeout,
    )
    return tell(result, as_json=as_json)


def cleanup(
    project: ProjectFolder = HERE,
    feature: Annotated[str | None, typer.Option("--feature", "-f", help="Only this one.")] = None,
    keep_branches: Annotated[
        bool, typer.Option("--keep-branches/--drop-branches", help="Quarantine branches.")
    ] = True,
    as_json: AsJson = False,
) -> int:
    """Remove workspaces and checkouts. Work that is not merged is kept first; no commit is deleted."""
    from engine.store import EngineLock
    from engine.workspaces import Repository

    engine = open_engine(project)
    with engine.store() as store:
        features = {row.feature for row in store.runs() if feature in {None, row.feature}}
        locks = [
            EngineLock.acquire(engine.project.home, f"feature-{name}") for name in sorted(features)
        ]
        with Repository.open(engine.project.home, engine.project.root, None) as repository:
            done = repository.cleanup(feature, keep_branches=keep_branches)
        for lock in locks:
            lock.release()
    if as_json:
        show.as_json(
            "cleanup",
            {
                "removed": [str(path) for path in done.removed],
                "kept": dict(done.kept),
                "deleted_branches": list(done.deleted_branches),
            },
        )
        return 0
    for path in done.removed:
        show.line(f"removed {show.plain(path)}")
    for ref, commit in done.kept.items():
        show.line(f"kept    {show.plain(ref)} at {show.short(commit)}")
    if not done.removed:
        show.line("nothing to remove")
    return 0


def doctor(project: ProjectFolder = HERE, as_json: AsJson = False) -> int:
    """Check what the engine needs on this machine and in this project."""
    from engine.runtime.diagnosis import diagnose

    findings = diagnose(project.resolve())
    bad = [finding for finding in findings if finding.result == "failed"]
    if as_json:
        show.as_json(
            "doctor",
            {
                "ok": not bad,
                "checks": [
                    {"name": f.name, "result": f.result, "text": f.text, "hint": f.hint}
                    for f in findings
                ],
            },
        )
    else:
        for finding in findings:
            hint = f" {finding.hint}" if finding.hint and finding.result != "ok" else ""
            show.line(
                f"{show.coloured(finding.result):<8} {finding.name}: {show.plain(finding.text)}{hint}"
            )
    return 6 if bad else 0


# ---- private steps


def _carry_out(
    engine: Engine,
    feature: str,
    *,
    as_json: bool,
    new: bool = False,
    going_on: bool = False,
    level: str | None = None,
    timeout_s: int | None = None,
) -> RunResult:
    return engine.run_feature(
        feature,
        new=new,
        going_on=going_on,
        level=level,
        timeout_s=timeout_s,
        watch=watch(as_json=as_json),
        on_start=begin,
    )


def _prove(engine: Engine, run: str) -> dict[str, Any]:
    from engine.runtime.proof import replay_run, verify_run

    with engine.store() as store:
        verified = verify_run(store, run)
        replayed = replay_run(store, run)
    return {"verified_entries": verified.entries, "replayed": replayed.turns}


def _show_plan(plan: Any, *, as_json: bool) -> int:
    """Print the plan; 1 when a policy says that it would not start."""
    said = plan["preflight"]
    code = 1 if said and said["verdict"] != "pass" else 0
    if as_json:
        show.as_json("plan", dict(plan))
        return code
    show.line(
        f"{plan['task_count']} tasks, at most {plan['widest']} at a time, mode {plan['mode']} "
        f"({show.plain(plan['file'])})"
    )
    show.table(
        ("wave", "level", "tasks"),
        [
            (
                str(wave["number"]),
                str(wave["level"]),
                show.plain(" ".join(task["id"] for task in wave["tasks"])),
            )
            for wave in plan["waves"]
        ],
    )
    if plan["later"]:
        ids = show.plain(" ".join(plan["later"]))
        show.line(f"[cyan]left for later[/], above level {plan['level']}: {ids}")
    if plan["merged"]:
        ids = show.plain(" ".join(plan["merged"]))
        show.line(f"[green]merged already[/], and left out unless --new: {ids}")
    for text in _workers(plan):
        show.line(text)
    for text in _verdict(plan):
        show.line(text)
    show.line("Nothing was done (dry run).")
    return code


def _verdict(plan: Any) -> list[str]:  # Any: JSON of the plan
    """Return what the policy that a run meets first would say, with its reasons."""
    if plan["unfinished"]:
        return [f"run {plan['unfinished']} would go on, under the definitions it began with"]
    said = plan["preflight"]
    if said is None:
        return []
    if said["verdict"] == "pass":
        return [f"policy {show.plain(said['policy'])}: {show.coloured('pass')}, the run may start"]
    told = show.coloured(said["verdict"])
    reasons = [
        f"  {show.plain(one['code'])}: {show.plain(one['message'])}" for one in said["reasons"]
    ]
    return [
        f"policy {show.plain(said['policy'])}: {told}, the run would not start",
        *reasons,
    ]


def _workers(plan: Any) -> list[str]:  # Any: JSON of the plan
    """Return how many workers would run, and what the advice is."""
    told = []
    if plan["workers"] is not None:
        limits = plan["limits"]
        told.append(
            f"{plan['workers']} workers would run (widest wave {plan['widest']}, {limits['cpus']} processors, "
            f"{limits['memory_gb']} GB, at most {limits['cap']}); --workers N asks for others"
        )
    if plan["advice"] is not None:
        advice = plan["advice"]
        told.append(
            f"recommended for such a plan: {advice['workers']}, expected to be worth {advice['speedup']} times one"
        )
    return told
