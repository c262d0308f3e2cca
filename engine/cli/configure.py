"""Commands about configuration and definitions: config show, bundle copy, bundle show."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli import show
from engine.cli.common import HERE, AsJson, ProjectFolder, open_engine

config = typer.Typer(no_args_is_help=True, help="Look at the configuration.")
bundle = typer.Typer(no_args_is_help=True, help="Copy or look at processes, tables and policies.")


def register(app: typer.Typer) -> None:
    """Add the groups of this module to `app`."""
    app.add_typer(config, name="config")
    app.add_typer(bundle, name="bundle")


@config.command("show")
def config_show(
    project: ProjectFolder = HERE,
    origin: Annotated[
        bool, typer.Option("--origin", help="Say where each value comes from.")
    ] = False,
    as_json: AsJson = False,
) -> int:
    """Print every setting with its value."""
    origins = open_engine(project).project.origins
    if as_json:
        show.as_json(
            "config",
            {"settings": [{"key": o.key, "value": o.value, "origin": o.source} for o in origins]},
        )
        return 0
    for item in origins:
        source = f"   # {show.plain(item.source)}" if origin else ""
        show.line(f"{item.key} = {show.plain(item.value)}{source}")
    return 0


@bundle.command("copy")
def bundle_copy(
    folder: Annotated[Path, typer.Argument(help="New or empty folder.")],
    as_json: AsJson = False,
) -> int:
    """Copy the shipped processes, tables and policies with their tests, to be edited."""
    import shutil

    from engine.errors import UsageError
    from engine.shipped import folder as shipped

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UsageError(
            "the bundle needs a new or empty folder",
            where=str(folder),
            hint="Name another one; yours is never overwritten.",
        )
    for name in ("process", "decisions", "policies"):
        shutil.copytree(shipped(name), folder / name)
    if as_json:
        show.as_json("bundle", {"folder": str(folder)})
    else:
        show.line(
            f"copied to {show.plain(folder)}; use it with this line at the top of .engine/engine.toml:"
        )
        show.line(f'bundle = "{show.plain(folder)}"')
    return 0


@bundle.command("show")
def bundle_show(project: ProjectFolder = HERE, as_json: AsJson = False) -> int:
    """Print the definitions in use and their digest."""
    import hashlib

    engine = open_engine(project)
    definitions = engine.definitions()
    files = {
        path: hashlib.sha256(content).hexdigest() for path, content in definitions.files.items()
    }
    if as_json:
        show.as_json("bundle", {"digest": definitions.digest, "files": files})
        return 0
    show.line(f"bundle {definitions.digest} ({engine.settings.bundle or 'shipped'})")
    for path, digest in files.items():
        show.line(f"  {digest[:12]}  {show.plain(path)}")
    return 0
