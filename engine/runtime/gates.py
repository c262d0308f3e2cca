"""Gates: commands and plugins that judge one commit. A gate that cannot run has failed.

Gates of the configuration come first, those of plugins after them: a plugin can close what is open, never open
what is closed.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from engine.core.definitions import Definitions
from engine.core.model import Json
from engine.plugins import Plugin, PluginResult, Plugins, absent_tool
from engine.runtime.coverage import Coverage
from engine.runtime.forms import OUTPUT_TAIL_BYTES, not_applicable
from engine.settings import GateSettings, PluginGateSettings, Settings

TIERS: Final = {"L0": 0, "L1": 1, "L2": 2, "L3": 3, "L4": 4, "L5": 5}
SELECTION: Final = "plugin_selection"  #: the decision that says which plugin carries out a tool
Gate = GateSettings | PluginGateSettings
Outcome = dict[str, Json]


def gates_of(settings: Settings, stage: str) -> list[Gate]:
    """Return the gates of a stage in the order in which they run."""
    every: list[Gate] = [*settings.gates, *settings.plugin_gates]
    return [gate for gate in every if gate.stage == stage]


async def judged(
    gate: Gate, commit: str, max_level: int, run: Callable[[], Awaitable[Outcome]]
) -> Outcome:
    """Return the result of a gate: na when it is off or not asked for, else what `run` answers."""
    known: Outcome = {
        "name": gate.name,
        "stage": gate.stage,
        "tier": gate.tier,
        "required": gate.enforcement == "block",
        "commit": commit,
    }
    if isinstance(gate, PluginGateSettings):
        known["plugin"] = gate.plugin
    if gate.enforcement == "off":
        return {**known, **not_applicable("DISABLED", "switched off in the configuration")}
    if TIERS[gate.tier] > max_level:
        table = "table of release gates" if gate.stage == "final" else "gate tier table"
        asked = f"the {table} asks for {f'L0 to L{max_level}' if max_level >= 0 else 'no gate'}"
        return {**known, "required": False, **not_applicable("TIER_NOT_REQUIRED", asked)}
    return {**known, **await run()}


def coverage_of(gate: GateSettings) -> Coverage | None:
    """Return what the gate's coverage report must show; None when it wants none."""
    if gate.coverage_report is None or gate.coverage_threshold is None:
        return None
    return Coverage(report=gate.coverage_report, threshold=Decimal(str(gate.coverage_threshold)))


def plugin_outcome(gate: PluginGateSettings, result: PluginResult) -> Outcome:
    """Return a plugin's answer as the outcome of a gate; what it could not judge is failed where it must judge."""
    outcome: Outcome = {
        "result": result.result,
        "exit_code": result.exit_code,
        "reason_code": result.reason_code,
        "reason": result.reason,
        "output": _text(result)[-OUTPUT_TAIL_BYTES:],
        "milliseconds": round(result.seconds * 1000),
    }
    if result.result == "na" and gate.enforcement == "block":
        reason = f"plugin {result.plugin} could not judge: {result.reason}"
        return {**outcome, "result": "failed", "reason": reason}
    return outcome


def not_there(name: str, plugins: Plugins) -> Outcome:
    """Return the outcome of a gate whose plugin is not usable."""
    reason = f"plugin {name}: {problem_of(name, plugins, category='validation')}"
    return {**not_applicable("NOT_STARTED", reason), "result": "failed"}


def problem_of(name: str, plugins: Plugins, *, category: str = "") -> str:
    """Return why a run cannot use plugin `name`, or "": a mistake in its files, not there, not of `category`, its tool absent."""
    plugin = plugins.plugins.get(name)
    if plugin is None:
        wrong = [found.message for found in plugins.findings if f"/{name}/" in found.where]
        return "; ".join(wrong) or "it is not installed"
    if category and plugin.category != category:
        return f"expected category {category}, but got {plugin.category}"
    absent = absent_tool(plugin)
    return f"it needs {absent}, which is not installed" if absent else ""


def needs(
    tools: Sequence[str],
    workers: Sequence[str],
    settings: Settings,
    definitions: Definitions,
    plugins: Plugins,
) -> list[Json]:
    """Return [{plugin, for, problem}] of the plugins that a run with these tools and gates cannot do without."""
    wanted = [*_for_tools(tools, workers, definitions), *_for_gates(settings)]
    return [
        {"plugin": name, "for": purpose, "problem": problem_of(name, plugins, category=category)}
        for name, purpose, category in wanted
    ]


def operation_of(gate: PluginGateSettings, plugin: Plugin) -> str:
    """Return the operation that a gate asks."""
    return gate.operation or next(iter(plugin.operations))


def _for_tools(
    tools: Sequence[str], workers: Sequence[str], definitions: Definitions
) -> Iterator[tuple[str, str, str]]:
    decision = definitions.decisions.get(SELECTION)
    for tool in tools if decision is not None else ():
        assert decision is not None  # there is no tool otherwise
        record, _ = decision.explain({"tool": tool, "workers": list(workers)})
        value: Any = record.get("value")  # Any: JSON of the table
        if isinstance(value, Mapping) and value.get("kind") == "plugin":
            yield str(value.get("plugin")), f"tool {tool}", ""


def _for_gates(settings: Settings) -> Iterator[tuple[str, str, str]]:
    for gate in settings.plugin_gates:
        if gate.enforcement == "block":
            yield gate.plugin, f"gate {gate.name}", "validation"


def _text(result: PluginResult) -> str:
    if not isinstance(result.output, Mapping):
        return result.stderr
    shown = (
        f"{key}: {value if isinstance(value, str) else json.dumps(value, default=str)}"
        for key, value in result.output.items()
    )
    return "\n".join([*shown, result.stderr]).strip()
