"""The commands of `engine`, by group. Each body is a few lines: read arguments, call the engine, print."""

from __future__ import annotations

from typing import Annotated

import typer

from engine import __version__
from engine.cli import audit, configure, delivery, observe, people, running

app = typer.Typer(
    name="engine",
    help="Carry out features with parallel code workers; merge only through open gates; prove it.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def top(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
) -> None:
    if version:
        typer.echo(f"engine {__version__}")
        raise typer.Exit(0)
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())
        raise typer.Exit(2)


delivery.register(app)
observe.register(app)
people.register(app)
app.command()(running.resume)
audit.register(app)
configure.register(app)


def _add_groups() -> None:
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


_add_groups()
