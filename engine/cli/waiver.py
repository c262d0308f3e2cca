"""`engine waiver`: ask for an exception, approve it as another person, take it back, see what there is."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from engine.cli import show
from engine.cli.common import HERE, AsJson, ProjectFolder, open_engine

if TYPE_CHECKING:
    from engine.core.model import Verdict
    from engine.runtime.engine import Engine
    from engine.runtime.waivers import Waiver, Waivers

app = typer.Typer(no_args_is_help=True)

KeyFile = Annotated[
    Path | None,
    typer.Option("--key", help="Your key; ENGINE_WAIVER_KEY or your configuration without."),
]
Name = Annotated[str, typer.Argument(help="Id of a waiver, or the start of one.")]
_LASTS = re.compile(r"([1-9][0-9]{0,3})([hd])")
_SCOPE = ("code", "feature", "task", "path")


@app.command()
def key(
    name: Annotated[
        str, typer.Option("--name", help="Your name in waivers.people; your login without.")
    ] = "",
    key_file: KeyFile = None,
    project: ProjectFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Print the line that waivers.people needs for you; makes your key on first use."""
    import getpass

    from engine.errors import UsageError
    from engine.runtime.waivers import default_key_file, make_key

    engine = open_engine(project)
    person = name or getpass.getuser()
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}", person):
        raise UsageError(
            "--name", expected="letters, digits, dot, underline, @ or dash", got=repr(person)
        )
    file = key_file or default_key_file()
    line = make_key(file, engine.project.root, person)
    if as_json:
        show.as_json("waiver-key", {"name": person, "file": str(file), "line": line})
    else:
        show.line(show.plain(line))
    return 0


@app.command()
def add(
    scope: Annotated[
        list[str],
        typer.Option(
            "--scope", help="code=CODE and feature=NAME, and task=ID or path=PATH to narrow it."
        ),
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why, for the second person.")],
    expires: Annotated[
        str, typer.Option("--expires", help="12h, 7d, a date, or a time as 2026-12-01T12:00:00Z.")
    ],
    key_file: KeyFile = None,
    project: ProjectFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Ask for a waiver: it counts once another person has approved it."""
    from engine.runtime.waivers import default_key_file

    engine = open_engine(project)
    waivers = _waivers(engine)
    now = datetime.now(UTC)
    person = waivers.person(key_file or default_key_file(), engine.project.root)
    made = waivers.draft(_scope(scope), reason, _time(expires, now), person, now)
    _refuse_useless(_Judge(engine), made, now, besides="WAIVER_UNAPPROVED")
    waivers.write(made)
    _tell(
        engine,
        made,
        as_json,
        f"{made.id} waits for a second person: engine waiver approve {made.id}",
    )
    return 0


@app.command()
def approve(
    name: Name, key_file: KeyFile = None, project: ProjectFolder = HERE, as_json: AsJson = False
) -> int:
    """Approve a waiver that another person asked for."""
    from engine.runtime.waivers import default_key_file

    engine = open_engine(project)
    waivers = _waivers(engine)
    now = datetime.now(UTC)
    person = waivers.person(key_file or default_key_file(), engine.project.root)
    made = waivers.approved(waivers.find(name), person, now)
    _refuse_useless(_Judge(engine), made, now)
    waivers.write(made)
    _tell(engine, made, as_json, f"{made.id} is approved until {made.document['expires']}")
    return 0


@app.command()
def revoke(
    name: Name,
    reason: Annotated[str, typer.Option("--reason", help="Why it is taken back.")] = "",
    key_file: KeyFile = None,
    project: ProjectFolder = HERE,
    as_json: AsJson = False,
) -> int:
    """Take a waiver back for good; anyone in waivers.people may. What it opened before stays in the ledger."""
    from engine.runtime.waivers import default_key_file

    engine = open_engine(project)
    waivers = _waivers(engine)
    person = waivers.person(key_file or default_key_file(), engine.project.root)
    made = waivers.revoked(waivers.find(name), person, reason, datetime.now(UTC))
    waivers.write(made)
    _tell(engine, waivers.find(made.id), as_json, f"{made.id} is revoked")
    return 0


@app.command("list")
def list_(project: ProjectFolder = HERE, as_json: AsJson = False) -> int:
    """List every waiver with its state: active, waiting, expired, revoked or refused, and why."""
    engine = open_engine(project)
    now = datetime.now(UTC)
    judge = _Judge(engine)
    told = [_record(judge, waiver, now) for waiver in _waivers(engine).read()]
    if as_json:
        show.as_json("waivers", {"waivers": told})
        return 0
    if not told:
        show.line("there are no waivers")
        return 0
    for item in told:
        colour = "green" if item["state"] == "active" else "yellow"
        scope = " ".join(f"{name}={value}" for name, value in item["scope"].items() if value)
        show.line(f"{show.plain(item['id'])} [{colour}]{item['state']}[/] {show.plain(scope)}")
        if item["reason"]:
            approved = (
                f"approved by {item['approved_by']}" if item["approved_by"] else "not approved"
            )
            show.line(
                f"    {show.plain(item['reason'])} (asked by {show.plain(item['requested_by'])}, "
                f"{show.plain(approved)}, until {item['expires']})"
            )
        if item["problem"]:
            show.line(f"    {show.plain(item['problem'])}")
    return 0


# ---- private steps


def _waivers(engine: Engine) -> Waivers:
    """Return the waivers of a project, whose engine home is made when it is not there."""
    from engine.runtime.home import ignore

    engine.project.home.mkdir(exist_ok=True)
    ignore(engine.project.home)
    return engine.waivers()


def _scope(given: Sequence[str]) -> dict[str, str | None]:
    """Return {code, feature, task, path} of texts `name=value`. Raises UsageError."""
    from engine.errors import UsageError

    found: dict[str, str | None] = dict.fromkeys(_SCOPE)
    for text in given:
        name, sign, value = text.partition("=")
        if not sign or not value or name not in found or found[name] is not None:
            raise UsageError(
                "--scope", expected=f"each of {', '.join(_SCOPE)} once, as name=value", got=text
            )
        found[name] = value
    for name in ("code", "feature"):
        if found[name] is None:
            raise UsageError("--scope", expected=f"{name}=…", got=" ".join(given))
    return found


def _time(text: str, now: datetime) -> datetime:
    """Return the end that `text` names: so many hours or days ahead, a date (its beginning in UTC), or a time."""
    from engine.errors import UsageError

    lasts = _LASTS.fullmatch(text)
    if lasts:
        return now + timedelta(
            **{"h": {"hours": int(lasts[1])}, "d": {"days": int(lasts[1])}}[lasts[2]]
        )
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            "--expires", expected="12h, 7d, 2026-12-01 or 2026-12-01T12:00:00Z", got=repr(text)
        ) from error
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


class _Judge:
    """The project's policy `waivers`, on the embedded engine: what it says here is advice, gateways ask again."""

    def __init__(self, engine: Engine) -> None:
        from engine.policy import PolicySet
        from engine.runtime.forms import policy_settings

        self._policies = PolicySet.load(engine.definitions().policies)
        self._settings = policy_settings(engine.settings)

    def verdict(self, waiver: Waiver, now: datetime) -> Verdict:
        """Return what it says of one waiver."""
        feature = waiver.document["scope"]["feature"]
        asked: dict[str, Any] = {"waivers": [waiver.fact()], "feature": feature}  # Any: JSON
        return self._policies.decide("waivers", {**asked, "settings": self._settings}, now)


def _refuse_useless(judge: _Judge, waiver: Waiver, now: datetime, besides: str = "") -> None:
    """Raise UsageError for a waiver that could never count, so that nobody trusts in it."""
    from engine.errors import UsageError

    verdict = judge.verdict(waiver, now)
    faults = [reason for reason in verdict.reasons if reason.code != besides]
    if faults or verdict.ruling not in ("pass", "fail"):
        raise UsageError(
            "the policy `waivers` would not let it count",
            where=str(waiver.document["scope"]["code"]),
            got="; ".join(reason.message for reason in faults) or str(verdict.ruling),
            hint="docs/reference/policies.md says what can be waived.",
        )


def _record(judge: _Judge, waiver: Waiver, now: datetime) -> dict[str, Any]:  # Any: JSON
    document = waiver.document
    state, problem = "active", waiver.problem
    if problem:
        state = (
            "revoked" if "revocation" in document and problem.startswith("revoked") else "refused"
        )
    else:
        verdict = judge.verdict(waiver, now)
        codes = {reason.code for reason in verdict.reasons}
        problem = "; ".join(reason.message for reason in verdict.reasons)
        if verdict.ruling != "pass":
            state = "refused"
            state = "waiting" if "WAIVER_UNAPPROVED" in codes else state
            state = "expired" if "WAIVER_EXPIRED" in codes else state
    return {
        "id": waiver.id,
        "state": state,
        "problem": problem,
        "scope": document.get("scope", {}),
        "reason": document.get("reason", ""),
        "requested_by": document.get("request", {}).get("by", ""),
        "approved_by": document.get("approval", {}).get("by", ""),
        "expires": document.get("expires", ""),
    }


def _tell(engine: Engine, waiver: Waiver, as_json: bool, text: str) -> None:
    if as_json:
        show.as_json("waiver", _record(_Judge(engine), waiver, datetime.now(UTC)))
    else:
        show.line(show.plain(text))
