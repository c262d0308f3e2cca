"""Write a new plugin that works: its author replaces the body of one function."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import UsageError
from engine.plugins.specs import SPEC_NAME, Category

_ID = re.compile(r"[a-z][a-z0-9-]{0,63}")

_MAIN = '''\
"""{title}: {what}

One call is one process: a JSON object on standard input, exactly one JSON object on standard output.
"""

import json
import sys


def {operation}(given, what_if):
    """Return the output for input `given`; its shape is the operation's contract in plugin.spec.json."""
{body}

OPERATIONS = {{"{operation}": {operation}}}


def main():
    request = json.load(sys.stdin)
    output = OPERATIONS[request["operation"]](request["input"], request["what_if"])
    json.dump({{"result": "ok", "output": output}}, sys.stdout)


if __name__ == "__main__":
    main()
'''

_README = """\
# {title}

{what}

| operation | does |
|---|---|
| `{operation}` | {does} |

Started as `{entry}`: one process for each call, JSON in, JSON out. The contracts of input and output are in
`plugin.spec.json`. A call that cannot be carried out prints
`{{"result": "failed", "reason_code": "…", "reason": "…"}}`; one that does not apply prints `"na"` instead.

Test it: `engine plugin test {id} --folder {parent}`. Each file in `conformance/` is one call and what must come of it.
"""

_TEXT: Mapping[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["text"],
    "properties": {"text": {"type": "string"}},
}


def _result(name: str, kind: str) -> Mapping[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": [name],
        "properties": {name: {"type": kind}},
    }


# category: (operation, what it does, body, output contract, capabilities, the case's output)
_STARTS: Mapping[Category, tuple[str, str, str, Mapping[str, Any], list[str], Any]] = {
    "acquisition": (
        "read",
        "reads something and changes nothing",
        '    return {"characters": len(given["text"])}\n',
        _result("characters", "integer"),
        ["read_workspace"],
        {"characters": 5},
    ),
    "transformation": (
        "transform",
        "computes its output from its input alone",
        '    return {"text": given["text"].upper()}\n',
        _result("text", "string"),
        [],
        {"text": "HELLO"},
    ),
    "state_change": (
        "apply",
        "changes the workspace, and can say beforehand what it would do",
        '    if not what_if:\n'
        '        with open("note.txt", "w", encoding="utf-8") as file:\n'
        '            file.write(given["text"])\n'
        '    return {"file": "note.txt"}\n',
        _result("file", "string"),
        ["write_workspace"],
        {"file": "note.txt"},
    ),
    "validation": (
        "check",
        "judges its input",
        '    return {"passed": bool(given["text"].strip())}\n',
        _result("passed", "boolean"),
        ["read_workspace"],
        {"passed": True},
    ),
    "orchestration": (
        "propose",
        "proposes; the core acts",
        '    return {"proposal": "retry" if given["text"] else "stop"}\n',
        _result("proposal", "string"),
        [],
        {"proposal": "retry"},
    ),
}  # fmt: skip


def write_plugin(name: str, category: Category, folder: Path) -> Path:
    """Write plugin `name` into `folder`/`name` and return that; its conformance passes as it is.

    Raises UsageError when the name is none or the place is taken.
    """
    if not _ID.fullmatch(name):
        raise UsageError(
            "a plugin's name is its id",
            expected="lower-case letters, digits and hyphens, a letter first",
            got=name,
        )
    place = folder / name
    if place.exists():
        raise UsageError("the place is taken", where=str(place), hint="Choose another name.")
    operation, does, body, _, _, _ = _STARTS[category]
    title = name.replace("-", " ").capitalize()
    words = {
        "id": name,
        "title": title,
        "what": f"A {category} plugin: it {does}.",
        "does": does,
        "operation": operation,
        "body": body,
        "entry": "python -I -S src/main.py",
        "parent": folder,
    }
    for part in ("src", "conformance"):
        (place / part).mkdir(parents=True)
    (place / "src" / "main.py").write_text(_MAIN.format(**words), "utf-8")
    (place / "README_PLUGIN.md").write_text(_README.format(**words), "utf-8")
    _write_json(place / SPEC_NAME, _spec(name, title, category))
    for file, case in _cases(category).items():
        _write_json(place / "conformance" / f"{file}.json", case)
    return place


def _spec(name: str, title: str, category: Category) -> Mapping[str, Any]:
    operation, does, _, output, capabilities, _ = _STARTS[category]
    return {
        "id": name,
        "version": "0.1.0",
        "title": title,
        "category": category,
        "role": operation,
        "lane": "explanation",
        "operations": {
            operation: {
                "description": f"It {does}.",
                "input": _TEXT,
                "output": output,
                "what_if": category == "state_change",
            }
        },
        "timeout_s": 30,
        "memory_mb": 512,
        "capabilities": capabilities,
        "entry": ["{python}", "-I", "-S", "-B", "{plugin}/src/main.py"],
    }


def _cases(category: Category) -> Mapping[str, Mapping[str, Any]]:
    operation, _, _, _, _, output = _STARTS[category]
    plain = {
        "title": "an ordinary call",
        "operation": operation,
        "input": {"text": "hello"},
        "expect": {"result": "ok", "output": output},
    }
    refused = {
        "title": "an input that breaks the contract is refused",
        "operation": operation,
        "input": {"txt": "hello"},
        "expect": {"result": "failed", "reason_code": "INPUT_CONTRACT"},
    }
    if category != "state_change":
        return {"ordinary": plain, "refused": refused}
    changed = {**plain, "files": {}, "expect": {**plain["expect"], "files": {"note.txt": "hello"}}}  # type: ignore[dict-item]  # mixed values
    told = {**changed, "title": "what if: nothing changes", "what_if": True}
    told["expect"] = {"result": "ok", "output": output, "files": {"note.txt": None}}
    return {"ordinary": changed, "what_if": told, "refused": refused}


def _write_json(file: Path, value: Mapping[str, Any]) -> None:
    file.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", "utf-8")
