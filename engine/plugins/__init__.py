"""Plugins: programs with a spec, called as isolated processes, never imported.

The protocol
- One call is one process. It gets one JSON object on its standard input: `{"protocol": "plugin.v1", "operation",
  "input", "key", "what_if", "workspace"}` (`workspace` is a path or null), with the workspace as its folder.
- It prints exactly one JSON object (contract plugin-answer.v1): `{"result": "ok", "output": …}`, or `failed` or `na`
  with a `reason_code` and a `reason`. Text for people goes to standard error. It exits with code 0.
- Input and output are checked against the operation's contracts.
- Whatever a plugin does — crash, hang, flood, lie about its shape — the call returns a `PluginResult` with result
  `failed` and a reason code; it never raises.
"""

from __future__ import annotations

from engine.plugins.calls import PluginResult, absent_tool, call
from engine.plugins.conformance import CaseResult, Conformance, check_conformance
from engine.plugins.scaffold import write_plugin
from engine.plugins.specs import CATEGORIES, Category, Finding, Plugin, Plugins, discover

__all__ = [
    "CATEGORIES",
    "CaseResult",
    "Category",
    "Conformance",
    "Finding",
    "Plugin",
    "PluginResult",
    "Plugins",
    "absent_tool",
    "call",
    "check_conformance",
    "discover",
    "write_plugin",
]
