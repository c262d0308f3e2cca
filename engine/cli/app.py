"""The commands of `engine`, by group. Each body is a few lines: read arguments, call the engine, print."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.models import CommandInfo

from engine import __version__
from engine.cli import (
    audit,
    configure,
    delivery,
    importing,
    observe,
    people,
    retrying,
    running,
)


def app_for(arguments: Sequence[str]) -> typer.Typer:
    """Return the part of the command line that `arguments` name, a command or a group; all of it when they name none.

    Typer looks at the parameters of every command that it has before it runs one: a tenth of a second for all of ours.
    """
    wanted = next((word for word in arguments if not word.startswith("-")), "")
    app = _base()
    if "_ENGINE_COMPLETE" in os.environ:  # a shell asks what there is
        wanted = ""
    commands = [command for command in app.registered_commands if _name(command) == wanted]
    if commands:
        app.registered_commands, app.registered_groups = commands, []
        return app
    _add_groups(app)
    groups = [group for group in app.registered_groups if group.name == wanted]
    if groups:
        app.registered_commands, app.registered_groups = [], groups
    return app


def whole_app() -> typer.Typer:
    """Return the whole command line."""
    return app_for(())


def _base() -> typer.Typer:
    app = typer.Typer(
        name="engine",
        help="Carry out features with parallel code workers; merge only through open gates; prove it.",
        no_args_is_help=True,
        add_completion=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_top)
    for module in (delivery, observe, people):
        module.register(app)
    app.command()(retrying.retry)
    app.command()(running.resume)
    app.command("import")(importing.import_tasks)
    for module in (audit, configure):
        module.register(app)
    return app


def _name(command: CommandInfo) -> str:
    return command.name or getattr(command.callback, "__name__", "").replace("_", "-")


def _top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"engine {__version__}")
        raise typer.Exit(0)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


def _add_groups(app: typer.Typer) -> None:
    from engine.cli import (
        attest,
        comparing,
        decision,
        ledger,
        plugin,
        policy,
        process,
        rendering,
        waiver,
    )

    for name, module, text in (
        ("ledger", ledger, "Verify, read and export the ledger."),
        ("attest", attest, "Prove a merge from a plain clone."),
        ("decision", decision, "Evaluate, lint, test and render decision tables."),
        ("policy", policy, "Evaluate, check and test policies."),
        ("process", process, "Run, test, lint, compare and draw process diagrams."),
        ("plugin", plugin, "List, make, test and run plugins."),
        ("waiver", waiver, "Ask for exceptions to policies, approve, revoke and list them."),
    ):
        app.add_typer(module.app, name=name, help=text)
    process.app.command("run")(running.run_process)
    process.app.command("diff")(comparing.diff)
    process.app.command("render")(rendering.render)
