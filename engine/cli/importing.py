"""`engine import`: tasks of the older line format become the task graph of a feature."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli import show
from engine.cli.common import HERE, AsJson, ProjectFolder, open_engine


def import_tasks(
    file: Annotated[Path, typer.Argument(help="Tasks, one JSON object a line.")],
    feature: Annotated[str, typer.Option("--feature", "-f", help="Name of the feature.")],
    project: ProjectFolder = HERE,
    verify: Annotated[
        str | None, typer.Option("--verify", help="Check of the tasks that name none.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write the task graph anew.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the lines and write nothing.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Make a feature's task graph of lines of the older task queue; what is wrong is told by line."""
    import tempfile

    from engine.plugins import discover
    from engine.runtime.importing import read_lines, write_graph
    from engine.shipped import folder

    engine = open_engine(project)
    contracts = engine.contracts()
    plugins = discover([folder("plugins"), engine.project.home / "plugins"], contracts)
    with tempfile.TemporaryDirectory(prefix="engine-import-") as scratch:
        made = read_lines(
            file,
            feature,
            plugins=plugins,
            contracts=contracts,
            scratch=Path(scratch) / "parser",
            verify=verify,
        )
    place = None if dry_run else write_graph(engine.project.root, feature, made.graph, force=force)
    tasks = made.graph["tasks"]
    count = len(tasks) if isinstance(tasks, list) else 0
    if as_json:
        body = {
            "file": str(place) if place else None,
            "tasks": count,
            "left_out": [{"line": line, "keys": keys} for line, keys in made.left_out],
            "unverified": made.unverified,
        }
        show.as_json("import", body)
        return 0
    for line, keys in made.left_out:
        show.line(f"line {line}: left out {show.plain(', '.join(keys))}")
    if made.unverified:
        named = show.plain(", ".join(made.unverified[:10]))
        show.line(
            f"[yellow]without a check[/], so no run starts: {named}. Add one, or use --verify."
        )
    if place is None:
        show.line(f"{count} tasks; nothing was written (dry run)")
        return 0
    show.line(f"{count} tasks in {show.plain(place)}")
    show.line(show.plain(f"look at the plan with: engine run --feature {feature} --dry-run"))
    return 0
