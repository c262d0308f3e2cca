"""Configuration of a project: `.engine/engine.toml`, `ENGINE_*` variables and flags, each value with its origin.

Precedence: flag, then environment variable, then file, then default. Unknown keys are errors. The shape is the
contract `config.v1`, which a test derives from these models.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, ValidationError, model_validator

from engine.errors import UsageError
from engine.frozen import dataclass

HOME_NAME = ".engine"
FILE_NAME = "engine.toml"

Enforcement = Literal["off", "warn", "block"]
Tier = Literal["L0", "L1", "L2", "L3", "L4", "L5"]
Seconds = Annotated[int, Field(gt=0, le=7 * 24 * 3600)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RunSettings(_Section):
    workers: Annotated[int, Field(ge=1, le=1024)] | None = Field(
        default=None,
        description="Workers asked for; without it decisions/worker_count.dmn decides.",
    )
    max_workers: Annotated[int, Field(ge=1, le=1024)] = Field(
        default=10, description="Cap of the table's answer."
    )
    mode: Literal["waves", "dag"] | None = Field(
        default=None, description="waves: levels are barriers; dag: dependencies alone decide."
    )
    context_threshold: Annotated[float, Field(ge=0.5, le=0.9)] = Field(
        default=0.7,
        description="Share of its context at which a worker is paused and started anew, if it says how full it is.",
    )
    base_branch: str | None = Field(
        default=None, description="Branch work starts from; without it the one checked out."
    )
    promote: Literal["none", "ff"] = Field(
        default="none",
        description="ff: fast-forward the base branch after a completed run, tree clean.",
    )


class TimeoutSettings(_Section):
    task_s: Seconds = Field(default=1800, description="A worker's whole attempt.")
    silence_s: Seconds = Field(
        default=600, description="A worker that prints nothing this long is stopped."
    )
    verification_s: Seconds = Field(
        default=600, description="A task's check, unless the task says so itself."
    )


class TaskSettings(_Section):
    min_minutes: Annotated[int, Field(ge=0, le=1440)] = Field(
        default=5, description="A task that is estimated shorter is one half of another."
    )
    max_minutes: Annotated[int, Field(ge=0, le=1440)] = Field(
        default=30, description="A task that is estimated longer is more than one."
    )
    regression_command: str | None = Field(
        default=None,
        description="Run on each task's commit after its own check; `{files}` are the files it changed.",
    )
    regression_timeout_s: Seconds = Field(default=600, description="Seconds for that.")

    @model_validator(mode="after")
    def _is_a_range(self) -> Self:
        if self.min_minutes > self.max_minutes:
            raise ValueError("min_minutes is more than max_minutes")
        return self


class CircuitBreakerSettings(_Section):
    failures: Annotated[int, Field(ge=0, le=1000)] = Field(
        default=5,
        description="Failures of a tool in a row, over all tasks of the run, that stop it from being started; 0: never.",
    )
    cool_down_s: Seconds = Field(
        default=600, description="How long such a tool is left alone before it is tried again."
    )


class ManifestSettings(_Section):
    enforcement: Enforcement = Field(
        default="block", description="What a write outside a task's declared files does."
    )
    rescope: Literal["off", "auto"] = Field(
        default="off",
        description="auto: under block, a task whose undeclared writes nobody else owns is tried once more with them declared.",
    )
    rescope_paths: Annotated[int, Field(ge=1, le=100)] = Field(
        default=5, description="So many paths at most; with more it is as with off."
    )


class GateSettings(_Section):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    command: str = Field(
        min_length=1, description="Run by /bin/sh in a fresh workspace of the candidate."
    )
    stage: Literal["pre_merge", "final"] = "pre_merge"
    tier: Tier = Field(
        default="L0", description="Runs when the gate tier table asks for this level or more."
    )
    timeout_s: Seconds = 600
    enforcement: Enforcement = "block"
    coverage_report: str | None = Field(
        default=None,
        min_length=1,
        description="File that the command writes: Cobertura XML, lcov, or the JSON of coverage.py or istanbul.",
    )
    coverage_threshold: Annotated[float, Field(ge=0, le=100)] | None = Field(
        default=None, description="Percent of lines that the report must show at least."
    )

    @model_validator(mode="after")
    def _has_both(self) -> Self:
        if (self.coverage_threshold is None) != (self.coverage_report is None):
            raise ValueError("coverage_threshold and coverage_report are given together")
        return self


class PluginGateSettings(_Section):
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$")]
    plugin: str = Field(min_length=1, description="A plugin of category validation.")
    operation: str | None = Field(default=None, description="Its first one without.")
    input: Mapping[str, Any] = Field(  # Any: JSON, checked against the operation's contract
        default_factory=dict, description="What it is asked with."
    )
    stage: Literal["pre_merge", "final"] = "pre_merge"
    tier: Tier = "L0"
    timeout_s: Seconds = 600
    enforcement: Enforcement = "block"


class DoctorSettings(_Section):
    command: str | None = Field(
        default=None, description="Run on the merged commit after each merge."
    )
    timeout_s: Seconds = 600


class PolicySettings(_Section):
    backend: Literal["embedded", "opa"] = Field(
        default="embedded", description="Where policies are evaluated."
    )
    url: str = Field(default="http://127.0.0.1:8181", description="OPA server, for backend = opa.")
    timeout_s: Annotated[float, Field(gt=0, le=60)] = Field(
        default=2.0, description="Seconds for one answer; later is an error, and closed."
    )
    token_env: str = Field(
        default="", description="Variable of the environment that holds the OPA server's token."
    )
    ca_file: str = Field(
        default="",
        description="PEM file of the authority that signed the OPA server's certificate.",
    )


Network = Literal["none", "internal", "allowlist", "host"]


class SecuritySettings(_Section):
    level: Literal["minimal", "standard", "strict"] = "standard"
    network: Network | None = Field(
        default=None,
        description="The most that a worker may reach; without it host, and in strict projects nothing starts.",
    )


class HttpSettings(_Section):
    allow: tuple[str, ...] = Field(
        default=(), description="Origins that `http.request` may ask; none without."
    )
    token_env: Mapping[str, str] = Field(
        default_factory=dict,
        description="Origin to the variable of the environment that holds its bearer token.",
    )

    @model_validator(mode="after")
    def _are_origins(self) -> Self:
        for text in (*self.allow, *self.token_env):
            if text != (origin := origin_of(HttpUrl(text))):
                raise ValueError(f"{text!r} is no origin; say {origin!r}")
        if unknown := sorted(set(self.token_env) - set(self.allow)):
            raise ValueError(f"token_env names {unknown[0]!r}, which is not in allow")
        return self


class WaiverSettings(_Section):
    people: tuple[
        Annotated[
            str,
            Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\+[0-9a-f]{8}\+[A-Za-z0-9+/]{44}$"),
        ],
        ...,
    ] = Field(
        default=(),
        description="Who may ask for and approve waivers: key lines, as `engine waiver key` prints them.",
    )


class WorkerSettings(_Section):
    command: Annotated[tuple[str, ...], Field(min_length=1)]
    env_allow: tuple[str, ...] = ()
    context_tokens: Annotated[int, Field(ge=1000)] | None = Field(
        default=None,
        description="Size of its context, for workers that print Claude Code's messages and so tell how full it is.",
    )
    network: Network = Field(
        default="host",
        description="What the command can reach, as you set it up; policies read it, a subprocess is not held to it.",
    )


class BudgetSettings(_Section):
    tokens_per_task: Annotated[int, Field(ge=0)] | None = None
    cost_micros_per_run: Annotated[int, Field(ge=0)] | None = None
    mode: Literal["warn", "block"] = "block"


class StoreSettings(_Section):
    url: str | None = Field(
        default=None, description="PostgreSQL URL; without it SQLite in the engine home."
    )


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
    workers: Mapping[str, WorkerSettings] = Field(default_factory=dict)
    waivers: WaiverSettings = WaiverSettings()
    budgets: BudgetSettings = BudgetSettings()
    store: StoreSettings = StoreSettings()

    @model_validator(mode="after")
    def _gates_have_names_of_their_own(self) -> Self:
        names = [*(gate.name for gate in self.gates), *(gate.name for gate in self.plugin_gates)]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"two gates are called {twice[0]!r}")
        return self


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
    for folder in (start, *start.parents):
        if (folder / HOME_NAME).is_dir() or (folder / ".git").exists():
            return folder
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
    try:
        settings = Settings.model_validate(merged)
    except ValidationError as error:
        raise _usage_error(error, layers) from error
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


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    """Return settings given as ENGINE_SECTION_KEY; list-valued sections cannot be given this way."""
    found: dict[str, object] = {}
    for section, field in Settings.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, _Section):
            for key in kind.model_fields:
                name = f"ENGINE_{section}_{key}".upper()
                if name in environment:
                    found[f"{section}.{key}"] = environment[name]
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
    key = ".".join(str(part) for part in first["loc"])
    unknown = first["type"] == "extra_forbidden"
    hint = (
        f"Remove it, or see docs/reference/configuration.md; known keys here: {_known(first['loc'])}."
        if unknown
        else "See docs/reference/configuration.md."
    )
    told = first["msg"].removeprefix("Value error, ")
    is_whole = not first["loc"] or isinstance(first["input"], dict)  # too much to be shown
    return UsageError(
        f"unknown setting {key}" if unknown else f"{key}: {told}" if key else told,
        where=_source_of(first["loc"], layers) if key else layers[0][0],
        got="" if unknown or is_whole else repr(first["input"]),
        hint=hint,
    )


_LISTS: Final[Mapping[str, type[_Section]]] = {
    "gates": GateSettings,
    "plugin_gates": PluginGateSettings,
}


def _known(location: tuple[int | str, ...]) -> str:
    model: Any = Settings
    for part in location[:-1]:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        model = field.annotation if field is not None else _LISTS.get(str(part), model)
    if not hasattr(model, "model_fields"):
        model = _LISTS.get(str(location[0]), WorkerSettings)
    return ", ".join(model.model_fields)


def _source_of(location: tuple[int | str, ...], layers: list[tuple[str, dict[str, Any]]]) -> str:
    for name, layer in reversed(layers):
        if _has(layer, location):
            return _source_name(name, ".".join(str(part) for part in location))
    return layers[0][0]


def _has(layer: Any, location: tuple[int | str, ...]) -> bool:
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
    for key, value in _flatten(settings.model_dump(mode="json")):
        location = tuple(key.split("."))
        source = next(
            (_source_name(name, key) for name, layer in reversed(layers) if _has(layer, location)),
            "default",
        )
        found.append(Origin(key=key, value=value, source=source))
    return tuple(found)


def _flatten(value: Mapping[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    flat: list[tuple[str, object]] = []
    for key, item in value.items():
        name = f"{prefix}{key}"
        if isinstance(item, dict) and item:
            flat.extend(_flatten(item, f"{name}."))
        else:
            flat.append((name, item))
    return flat
