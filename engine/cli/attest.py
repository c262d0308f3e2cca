"""`engine attest verify | publish`: what a merge commit proves to who has a plain clone, and no engine home."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from engine.cli import show
from engine.cli.common import HERE, AsJson, ProjectFolder, RunOption, open_engine
from engine.errors import UsageError

app = typer.Typer(no_args_is_help=True)


@app.command()
def verify(
    commit: Annotated[str, typer.Argument(help="The merge commit: id, branch or tag.")],
    repository: Annotated[
        Path, typer.Option("--repo", help="Any clone; the current folder without.")
    ] = HERE,
    key: Annotated[
        str, typer.Option(help="Key line of the ledger, or a file that holds it (key.pub).")
    ] = "",
    checkpoint: Annotated[
        Path | None, typer.Option(help="A signed checkpoint of the run, kept elsewhere.")
    ] = None,
    attestation: Annotated[
        Path | None,
        typer.Option(help="Envelopes from elsewhere, instead of the branch engine-attestations."),
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Prove from a clone that a merge was authorised in the ledger, by five verdicts about exactly this commit.

    Needs a key or a checkpoint that you trust. Exit 5 when anything does not hold.
    """
    from engine.runtime.attesting import Trust, verify_attestation

    trust = Trust(key_line=_key_line(key), note=_text(checkpoint))
    bundle = _text(attestation).encode() if attestation else None
    found = verify_attestation(repository, commit, trust, bundle)
    if as_json:
        show.as_json("attest-verify", {**vars(found), "tasks": list(found.tasks), "ok": True})
        return 0
    show.line(f"commit {found.commit} [green]holds[/]: merged by run {show.plain(found.run)}")
    show.line(f"  tasks        {show.plain(' '.join(found.tasks))}")
    show.line(f"  definitions  {found.bundle}")
    show.line(
        f"  authorised   entry {found.entry}, under the checkpoint over {found.checkpoint} entries"
    )
    if found.witnessed:
        show.line(f"  your checkpoint over {found.witnessed} entries is of the same ledger")
    return 0


@app.command()
def publish(
    project: ProjectFolder = HERE, run_id: RunOption = None, as_json: AsJson = False
) -> int:
    """Put the attestations of a run's merges on branch engine-attestations, as the engine does when a run ends."""
    from engine.runtime.attesting import publish_attestations
    from engine.workspaces import Repository

    engine = open_engine(project)
    home = engine.project.home
    with engine.store() as store, Repository.open(home, engine.project.root, None) as repository:
        run = engine.find_run(store, run_id).id
        published = publish_attestations(store, run, repository)
    if published is not None and published.state == "refused":
        raise UsageError(
            f"branch {published.branch} cannot be moved", where=run, got=published.reason
        )
    if as_json:
        told = {"branch": published.branch, "commit": published.commit} if published else {}
        show.as_json("attest-publish", {"run": run, "published": published is not None, **told})
    elif published is None:
        show.line(f"run {run} has merged nothing, so there is nothing to attest")
    else:
        show.line(f"branch {published.branch} at {show.short(published.commit)}, run {run}")
    return 0


def _key_line(given: str) -> str:
    """Return the key line itself, or the one that a file holds."""
    if not given or given.startswith("poundlock/"):
        return given
    return _text(Path(given)).strip()


def _text(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError("this file cannot be read", where=str(path)) from error
