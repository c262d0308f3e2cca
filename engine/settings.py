"""Configuration of a project: `.engine/engine.toml`, `ENGINE_*` variables and flags, each value with its origin.

Precedence: flag, then environment variable, then file, then default. Unknown keys are errors. The shape is the
contract `config.v1`, which a test derives from these models. What keeps the contract as it stands is taken; anything
else goes to pydantic, which reads "4" as 4 where it can and says what is wrong where it cannot. It takes a tenth of a
second to import, and most configurations never need it.
"""

from __future__ import annotations

import dataclasses
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from engine.contracts import Contracts
from engine.errors import UsageError
from engine.frozen import dataclass
from engine.shipped import folder

if TYPE_CHECKING:
    from pydantic import HttpUrl, ValidationError

HOME_NAME = ".engine"
FILE_NAME = "engine.toml"

Location = tuple[int | str, ...]


class _Within:
    """Bounds of a value, in the words of pydantic's core schemas."""

    def __init__(self, **bounds: float | str) -> None:
        self._bounds = bounds

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        # Any: pydantic's own types, which would have to be imported
        return {**handler(source), **self._bounds}


class _Section:
    """A part of the configuration: no key but its fields."""

    __pydantic_config__ = {"extra": "forbid"}  # noqa: RUF012  # read by pydantic in this form


def _setting(*, description: str = "", **default: Any) -> Any:
    # Any: as dataclasses.field, whose arguments `default` are
    return dataclasses.field(**default, metadata={"description": description or None})


Enforcement = Literal["off", "warn", "block"]
Tier = Literal["L0", "L1", "L2", "L3", "L4", "L5"]
Seconds = Annotated[int, _Within(gt=0, le=7 * 24 * 3600)]


@dataclass(frozen=True, kw_only=True)
class RunSettings(_Section):
    """How a run is carried out."""

    workers: Annotated[int, _Within(ge=1, le=1024)] | None = _setting(
        default=None,
        description="Workers asked for; without it decisions/worker_count.dmn decides.",
    )
    max_workers: Annotated[int, _Within(ge=1, le=1024)] = _setting(
        default=10, description="Cap of the table's answer."
    )
    mode: Literal["waves", "dag"] | None = _setting(
        default=None, description="waves: levels are barriers; dag: dependencies alone decide."
    )
    context_threshold: Annotated[float, _Within(ge=0.5, le=0.9)] = _setting(
        default=0.7,
        description="Share of its context at which a worker is paused and started anew, if it says how full it is.",
    )
    base_branch: str | None = _setting(
        default=None, description="Branch work starts from; without it the one checked out."
    )
    promote: Literal["none", "ff"] = _setting(
        default="none",
        description="ff: fast-forward the base branch after a completed run, tree clean.",
    )


@dataclass(frozen=True, kw_only=True)
class TimeoutSettings(_Section):
    """How long programs may take."""

    task_s: Seconds = _setting(default=1800, description="A worker's whole attempt.")
    silence_s: Seconds = _setting(
        default=600, description="A worker that prints nothing this long is stopped."
    )
    verification_s: Seconds = _setting(
        default=600, description="A task's check, unless the task says so itself."
    )


@dataclass(frozen=True, kw_only=True)
class TaskSettings(_Section):
    """What a task may be, and what is checked of each."""

    min_minutes: Annotated[int, _Within(ge=0, le=1440)] = _setting(
        default=5, description="A task that is estimated shorter is one half of another."
    )
    max_minutes: Annotated[int, _Within(ge=0, le=1440)] = _setting(
        default=30, description="A task that is estimated longer is more than one."
    )
    regression_command: str | None = _setting(
        default=None,
        description="Run on each task's commit after its own check; `{files}` are the files it changed.",
    )
    regression_timeout_s: Seconds = _setting(default=600, description="Seconds for that.")


@dataclass(frozen=True, kw_only=True)
class CircuitBreakerSettings(_Section):
    """When a tool that keeps failing is left alone."""

    failures: Annotated[int, _Within(ge=0, le=1000)] = _setting(
        default=5,
        description="Failures of a tool in a row, over all tasks of the run, that stop it from being started; 0: never.",
    )
    cool_down_s: Seconds = _setting(
        default=600, description="How long such a tool is left alone before it is tried again."
    )


@dataclass(frozen=True, kw_only=True)
class ManifestSettings(_Section):
    """What becomes of writes that a task did not declare."""

    enforcement: Enforcement = _setting(
        default="block", description="What a write outside a task's declared files does."
    )
    rescope: Literal["off", "auto"] = _setting(
        default="off",
        description="auto: under block, a task whose undeclared writes nobody else owns is tried once more with them declared.",
    )
    rescope_paths: Annotated[int, _Within(ge=1, le=100)] = _setting(
        default=5, description="So many paths at most; with more it is as with off."
    )


@dataclass(frozen=True, kw_only=True)
class GateSettings(_Section):
    """A command that says whether a merge may be."""

    name: Annotated[str, _Within(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    command: Annotated[str, _Within(min_length=1)] = _setting(
        description="Run by /bin/sh in a fresh workspace of the candidate."
    )
    stage: Literal["pre_merge", "final"] = "pre_merge"
    tier: Tier = _setting(
        default="L0", description="Runs when the gate tier table asks for this level or more."
    )
    timeout_s: Seconds = 600
    enforcement: Enforcement = "block"
    coverage_report: Annotated[str, _Within(min_length=1)] | None = _setting(
        default=None,
        description="File that the command writes: Cobertura XML, lcov, or the JSON of coverage.py or istanbul.",
    )
    coverage_threshold: Annotated[float, _Within(ge=0, le=100)] | None = _setting(
        default=None, description="Percent of lines that the report must show at least."
    )


@dataclass(frozen=True, kw_only=True)
class PluginGateSettings(_Section):
    """A plugin that says whether a merge may be."""

    name: Annotated[str, _Within(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    plugin: Annotated[str, _Within(min_length=1)] = _setting(
        description="A plugin of category validation."
    )
    operation: str | None = _setting(default=None, description="Its first one without.")
    input: Mapping[str, Any] = _setting(  # Any: JSON, checked against the operation's contract
        default_factory=dict, description="What it is asked with."
    )
    stage: Literal["pre_merge", "final"] = "pre_merge"
    tier: Tier = "L0"
    timeout_s: Seconds = 600
    enforcement: Enforcement = "block"


@dataclass(frozen=True, kw_only=True)
class DoctorSettings(_Section):
    """What looks at each merge afterwards."""

    command: str | None = _setting(
        default=None, description="Run on the merged commit after each merge."
    )
    timeout_s: Seconds = 600


@dataclass(frozen=True, kw_only=True)
class PolicySettings(_Section):
    """Who answers for the policies."""

    backend: Literal["embedded", "opa"] = _setting(
        default="embedded", description="Where policies are evaluated."
    )
    url: str = _setting(
        default="http://127.0.0.1:8181", description="OPA server, for backend = opa."
    )
    timeout_s: Annotated[float, _Within(gt=0, le=60)] = _setting(
        default=2.0, description="Seconds for one answer; later is an error, and closed."
    )
    token_env: str = _setting(
        default="", description="Variable of the environment that holds the OPA server's token."
    )
    ca_file: str = _setting(
        default="",
        description="PEM file of the authority that signed the OPA server's certificate.",
    )


Network = Literal["none", "internal", "allowlist", "host"]


@dataclass(frozen=True, kw_only=True)
class SecuritySettings(_Section):
    """How much workers may do."""

    level: Literal["minimal", "standard", "strict"] = "standard"
    network: Network | None = _setting(
        default=None,
        description="The most that a worker may reach; without it host, and in strict projects nothing starts.",
    )


@dataclass(frozen=True, kw_only=True)
class HttpSettings(_Section):
    """Whom processes may ask over HTTP."""

    allow: tuple[str, ...] = _setting(
        default=(), description="Origins that `http.request` may ask; none without."
    )
    token_env: Mapping[str, str] = _setting(
        default_factory=dict,
        description="Origin to the variable of the environment that holds its bearer token.",
    )


@dataclass(frozen=True, kw_only=True)
class WaiverSettings(_Section):
    """Who may set a denial of a policy aside."""

    people: tuple[
        Annotated[
            str,
            _Within(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}$"),
        ],
        ...,
    ] = _setting(
        default=(),
        description="Who may ask for and approve waivers: key lines, as `engine waiver key` prints them.",
    )


@dataclass(frozen=True, kw_only=True)
class WorkerSettings(_Section):
    """A command that works on tasks."""

    command: Annotated[tuple[str, ...], _Within(min_length=1)]
    env_allow: tuple[str, ...] = ()
    context_tokens: Annotated[int, _Within(ge=1000)] | None = _setting(
        default=None,
        description="Size of its context, for workers that print Claude Code's messages and so tell how full it is.",
    )
    network: Network = _setting(
        default="host",
        description="What the command can reach, as you set it up; policies read it, a subprocess is not held to it.",
    )


@dataclass(frozen=True, kw_only=True)
class BudgetSettings(_Section):
    """What tasks and runs may cost."""

    tokens_per_task: Annotated[int, _Within(ge=0)] | None = None
    cost_micros_per_run: Annotated[int, _Within(ge=0)] | None = None
    mode: Literal["warn", "block"] = "block"


@dataclass(frozen=True, kw_only=True)
class StoreSettings(_Section):
    """Where runs are kept."""

    url: str | None = _setting(
        default=None, description="PostgreSQL URL; without it SQLite in the engine home."
    )


@dataclass(frozen=True, kw_only=True)
class Settings(_Section):
    """All of the configuration. `bundle` is a folder of the project's own definitions."""

    bundle: str | None = None
    run: RunSettings = RunSettings()
    timeouts: TimeoutSettings = TimeoutSettings()
    tasks: TaskSettings = TaskSettings()
    circuit_breaker: CircuitBreakerSettings = CircuitBreakerSettings()
    manifest: ManifestSettings = ManifestSettings()
    gates: tuple[GateSettings, ...] = ()
    plugin_gates: tuple[PluginGateSettings, ...] = ()
    doctor: DoctorSettings = DoctorSettings()
    policy: PolicySettings = PolicySettings()
    security: SecuritySettings = SecuritySettings()
    http: HttpSettings = HttpSettings()
    workers: Mapping[str, WorkerSettings] = _setting(default_factory=dict)
    waivers: WaiverSettings = WaiverSettings()
    budgets: BudgetSettings = BudgetSettings()
    store: StoreSettings = StoreSettings()


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a value came from: `flag --workers`, `ENGINE_RUN_WORKERS`, `engine.toml` or `default`."""

    key: str
    value: object
    source: str


@dataclass(frozen=True, kw_only=True)
class Project:
    """A folder with an engine home. `home` may not exist yet; `root` holds the user's repository."""

    root: Path
    home: Path
    settings: Settings
    origins: tuple[Origin, ...] = ()


def origin_of(url: HttpUrl) -> str:
    """Return scheme, host and port of `url` (RFC 6454, section 6.2)."""
    is_usual = url.port == {"http": 80, "https": 443}[url.scheme]
    return f"{url.scheme}://{url.host}" + ("" if is_usual else f":{url.port}")


def find_project_root(start: Path) -> Path:
    """Return the nearest folder at or above `start` that has an engine home or a git repository, else `start`."""
    for place in (start, *start.parents):
        if (place / HOME_NAME).is_dir() or (place / ".git").exists():
            return place
    return start


def load_project(
    start: Path,
    *,
    flags: Mapping[str, object] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Project:
    """Return the project around `start` with its settings.

    `flags` maps dotted keys ("run.workers") to values given on the command line; None values are left out.
    Raises UsageError naming the key, what was expected and where the value came from.
    """
    environment = os.environ if environment is None else environment
    root = find_project_root(start.resolve())
    file = root / HOME_NAME / FILE_NAME
    layers: list[tuple[str, dict[str, Any]]] = []  # Any: parsed TOML before it is checked
    if file.is_file():
        layers.append((str(file), _read_toml(file)))
    layers.append(("environment", _from_environment(environment)))
    layers.append(("flag", _nest({k: v for k, v in (flags or {}).items() if v is not None})))
    merged: dict[str, Any] = {}
    for _, layer in layers:
        merged = _merge(merged, layer)
    settings = _as_it_stands(merged) or _converted(merged, layers)
    for location, message in _contradictions(settings):
        raise _refusal(location, message, layers)
    return Project(
        root=root, home=root / HOME_NAME, settings=settings, origins=_origins(settings, layers)
    )


def _read_toml(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(
            "the configuration cannot be read",
            where=str(file),
            got=str(error),
            hint="Mend the file.",
        ) from error


def _as_it_stands(given: Mapping[str, Any]) -> Settings | None:
    """Return the settings when `given` keeps the contract, each value of the type that its field has; else None."""
    if not Contracts(folder("contracts")).contract("config.v1").recognises(given):
        return None
    try:
        made: Settings = _made(Settings, given)
    except TypeError:
        return None
    return made


def _made(kind: type[Any], given: Mapping[str, Any]) -> Any:
    """Return the section of `kind`. Raises TypeError for 1 in the place of 1.0, and 1.0 in the place of 1."""
    # Any: an object of that class
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if field.name not in given:
            continue
        value = given[field.name]
        if isinstance(field.default, _Section):
            value = _made(type(field.default), value)
        elif kind is Settings and field.name in _LISTS:
            value = tuple(_made(_LISTS[field.name], item) for item in value)
        elif kind is Settings and field.name == "workers":
            value = {name: _made(WorkerSettings, item) for name, item in value.items()}
        elif isinstance(value, float) != field.type.startswith(("float", "Annotated[float")):
            raise TypeError(field.name)
        elif isinstance(value, list):
            value = tuple(value)
        values[field.name] = value
    return kind(**values)


def _converted(given: Mapping[str, Any], layers: list[tuple[str, dict[str, Any]]]) -> Settings:
    """Return the settings as pydantic reads them. Raises UsageError naming the first value that it cannot read."""
    from pydantic import TypeAdapter, ValidationError

    try:
        return TypeAdapter(Settings).validate_python(given)
    except ValidationError as error:
        raise _usage_error(error, layers) from error


def _contradictions(settings: Settings) -> Iterator[tuple[Location, str]]:
    """Yield what values say against each other, and where."""
    if settings.tasks.min_minutes > settings.tasks.max_minutes:
        yield ("tasks",), "min_minutes is more than max_minutes"
    for number, gate in enumerate(settings.gates):
        if (gate.coverage_threshold is None) != (gate.coverage_report is None):
            yield ("gates", number), "coverage_threshold and coverage_report are given together"
    names = [
        *(gate.name for gate in settings.gates),
        *(gate.name for gate in settings.plugin_gates),
    ]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        yield (), f"two gates are called {twice[0]!r}"
    yield from ((("http",), message) for message in _wrong_origins(settings.http))


def _wrong_origins(http: HttpSettings) -> Iterator[str]:
    if not http.allow and not http.token_env:
        return
    from pydantic import HttpUrl, ValidationError

    for text in (*http.allow, *http.token_env):
        try:
            origin = origin_of(HttpUrl(text))
        except ValidationError as error:
            yield f"{text!r} is no origin: {error.errors(include_url=False)[0]['msg']}"
        else:
            if text != origin:
                yield f"{text!r} is no origin; say {origin!r}"
    if unknown := sorted(set(http.token_env) - set(http.allow)):
        yield f"token_env names {unknown[0]!r}, which is not in allow"


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return settings given as ENGINE_SECTION_KEY; list-valued sections cannot be given this way."""
    found: dict[str, object] = {}
    for section in dataclasses.fields(Settings):
        if isinstance(section.default, _Section):
            kind: Any = type(section.default)
            for key in dataclasses.fields(kind):
                name = f"ENGINE_{section.name}_{key.name}".upper()
                if name in environment:
                    found[f"{section.name}.{key.name}"] = environment[name]
    if "ENGINE_BUNDLE" in environment:
        found["bundle"] = environment["ENGINE_BUNDLE"]
    return _nest(found)


def _nest(flat: Mapping[str, object]) -> dict[str, Any]:
    nested: dict[str, Any] = {}
    for key, value in flat.items():
        *path, last = key.split(".")
        target = nested
        for part in path:
            target = target.setdefault(part, {})
        target[last] = value
    return nested


def _merge(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(low)
    for key, value in high.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def _usage_error(error: ValidationError, layers: list[tuple[str, dict[str, Any]]]) -> UsageError:
    first = error.errors(include_url=False)[0]
    location = first["loc"]
    if first["type"] == "unexpected_keyword_argument":
        key = ".".join(str(part) for part in location)
        return UsageError(
            f"unknown setting {key}",
            where=_source_of(location, layers),
            hint=f"Remove it, or see docs/reference/configuration.md; known keys here: {_known(location)}.",
        )
    is_whole = isinstance(first["input"], dict)  # too much to be shown
    return _refusal(location, first["msg"], layers, got="" if is_whole else repr(first["input"]))


def _refusal(
    location: Location, message: str, layers: list[tuple[str, dict[str, Any]]], got: str = ""
) -> UsageError:
    key = ".".join(str(part) for part in location)
    return UsageError(
        f"{key}: {message}" if key else message,
        where=_source_of(location, layers) if key else layers[0][0],
        got=got,
        hint="See docs/reference/configuration.md.",
    )


_LISTS: Final[Mapping[str, type[_Section]]] = {
    "gates": GateSettings,
    "plugin_gates": PluginGateSettings,
}


def _known(location: Location) -> str:
    kind: Any = Settings
    section = next((f for f in dataclasses.fields(kind) if f.name == location[0]), None)
    if len(location) > 1 and section is not None:
        is_one = isinstance(section.default, _Section)
        kind = type(section.default) if is_one else _LISTS.get(section.name, WorkerSettings)
    return ", ".join(field.name for field in dataclasses.fields(kind))


def _source_of(location: Location, layers: list[tuple[str, dict[str, Any]]]) -> str:
    for name, layer in reversed(layers):
        if _has(layer, location):
            return _source_name(name, ".".join(str(part) for part in location))
    return layers[0][0]


def _has(layer: Any, location: Location) -> bool:
    for part in location:
        try:
            layer = layer[part]
        except (KeyError, IndexError, TypeError):
            return False
    return True


def _source_name(layer: str, key: str) -> str:
    if layer == "environment":
        return f"ENGINE_{key.replace('.', '_').upper()}"
    return f"flag {key}" if layer == "flag" else layer


def _origins(settings: Settings, layers: list[tuple[str, dict[str, Any]]]) -> tuple[Origin, ...]:
    found = []
    for key, value in _flatten(_plain(settings)):
        location = tuple(key.split("."))
        source = next(
            (_source_name(name, key) for name, layer in reversed(layers) if _has(layer, location)),
            "default",
        )
        found.append(Origin(key=key, value=value, source=source))
    return tuple(found)


def _plain(value: Any) -> Any:
    """Return settings as JSON has them."""
    if dataclasses.is_dataclass(value):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, tuple | list) else value


def _flatten(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    flat: list[tuple[str, object]] = []
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, dict) and item:
            flat.extend(_flatten(item, f"{name}."))
        else:
            flat.append((name, item))
    return flat
