"""Task parser: lines of the older JSON-lines task queue become tasks of contract task.v1.

Nothing is dropped in silence: a line that cannot become a task is refused with a reason, and what the contract has
no place for is listed. One refused line makes the result `failed`, with the rest of the work in the output.
"""

import json
import re
import shlex
import sys

ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
NAMES = {
    "id": ("id", "task_id", "taskId"),
    "title": ("title", "name", "summary"),
    "description": ("description", "desc", "body"),
    "prompt": ("prompt", "instructions", "message"),
    "dependencies": ("dependencies", "depends_on", "dependsOn", "deps", "blocked_by"),
    "files": ("files", "file"),
    "verification": ("verification", "verify", "verify_command", "test", "check"),
    "tool": ("tool", "executor", "agent"),
    "args": ("args", "arguments", "command"),
    "tags": ("tags", "labels"),
    "acceptance_criteria": ("acceptance_criteria", "acceptance", "criteria"),
    "level": ("level", "phase"),
    "lane": ("lane",),
    "locks": ("locks",),
    "budget": ("budget",),
    "max_attempts": ("max_attempts", "maxAttempts"),
    "timeout_seconds": ("timeout_seconds", "timeout", "timeout_s"),
    "estimate_minutes": ("estimate_minutes", "estimate"),
}


class Refused(Exception):
    """The line cannot become a task; `pointer` says where in it (RFC 6901)."""

    def __init__(self, reason, pointer=""):
        super().__init__(reason)
        self.pointer = pointer


def parse(given):
    tasks, refused, left_out, seen = [], [], [], {}
    for number, line in enumerate(given["text"].split("\n"), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            task, rest = read_line(line)
            if task["id"] in seen:
                raise Refused(
                    f"expected a new id, but {task['id']} is on line {seen[task['id']]} already",
                    "/id",
                )
        except Refused as reason:
            refused.append({"line": number, "pointer": reason.pointer, "reason": str(reason)})
            continue
        seen[task["id"]] = number
        tasks.append(task)
        if rest:
            left_out.append({"line": number, "keys": rest})
    return {"tasks": tasks, "refused": refused, "left_out": left_out}


def read_line(line):
    """Return (task, sorted keys that have no place in it)."""
    try:
        old = json.loads(line)
    except ValueError as error:
        raise Refused(f"expected one JSON object, but {error}") from error
    if not isinstance(old, dict):
        raise Refused(f"expected one JSON object, but got {type(old).__name__}")
    task, used = {}, set()
    for name, older in NAMES.items():
        given = [key for key in older if old.get(key) is not None]
        used.update(older)
        if len(given) > 1:
            raise Refused(
                f"expected one of {', '.join(given)}, but got all of them", f"/{given[1]}"
            )
        if given:
            task[name] = read_member(name, old[given[0]], given[0])
    if "id" not in task:
        raise Refused("expected an id, but there is none", "/id")
    return task, sorted(key for key in old if key not in used)


def read_member(name, value, key):
    try:
        return READERS[name](value, key)
    except Refused as refused:
        raise Refused(str(refused), f"/{key}") from refused


def identifier(value, key):
    text = str(value) if isinstance(value, int) and not isinstance(value, bool) else value
    if not isinstance(text, str) or not ID.fullmatch(text):
        raise Refused(
            f"expected {key} to be letters, digits, dots, hyphens or underscores, but got {value!r}"
        )
    return text


def words(value, key):
    if not isinstance(value, str):
        raise Refused(f"expected {key} to be text, but got {value!r}")
    return value


def whole(value, key):
    if isinstance(value, str) and value.isdecimal():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise Refused(f"expected {key} to be a whole number, but got {value!r}")
    return value


def several(read, one_is_enough=True):
    """Return a reader of a list whose items `read` reads; a single item is a list of one."""

    def read_list(value, key):
        items = [value] if one_is_enough and not isinstance(value, list) else value
        if not isinstance(items, list):
            raise Refused(f"expected {key} to be a list, but got {value!r}")
        return list(dict.fromkeys(read(item, key) for item in items))

    return read_list


def arguments(value, key):
    if isinstance(value, str):
        try:
            return shlex.split(value)
        except ValueError as error:
            raise Refused(f"expected {key} to be a command line, but {error}") from error
    if not isinstance(value, list):
        raise Refused(f"expected {key} to be a list, but got {value!r}")
    return [words(item, key) for item in value]


def files(value, key):
    if not isinstance(value, dict):
        return {"modify": several(words)(value, key)}
    places = {
        "create": "create",
        "modify": "modify",
        "writes": "modify",
        "read": "read",
        "reads": "read",
    }
    found = {}
    for name, paths in value.items():
        if name not in places:
            raise Refused(f"expected {key} to hold create, modify and read, but got {name}")
        found.setdefault(places[name], []).extend(several(words)(paths, f"{key}.{name}"))
    return found


def verification(value, key):
    if isinstance(value, str):
        return {"command": value}
    if not isinstance(value, dict) or set(value) - {"command", "timeout_seconds", "timeout"}:
        raise Refused(f"expected {key} to be a command, but got {value!r}")
    found = {"command": words(value.get("command"), f"{key}.command")}
    seconds = value.get("timeout_seconds", value.get("timeout"))
    return found if seconds is None else {**found, "timeout_seconds": whole(seconds, key)}


def locks(value, key):
    if not isinstance(value, dict) or set(value) - {"reads", "writes"}:
        raise Refused(f"expected {key} to hold reads and writes, but got {value!r}")
    return {name: several(words)(items, f"{key}.{name}") for name, items in value.items()}


def criteria(value, key):
    if isinstance(value, str) or not isinstance(value, list):
        value = [value]
    return [criterion(item, key, number) for number, item in enumerate(value, 1)]


def criterion(value, key, number):
    if isinstance(value, str) and value.strip():
        return {"id": f"AC-{number}", "text": value}
    if not isinstance(value, dict) or set(value) - {"id", "text", "check", "timeout_seconds"}:
        raise Refused(f"expected {key} to be texts, or id, text and check, but got {value!r}")
    return {"id": f"AC-{number}", **value}


def budget(value, key):
    if not isinstance(value, dict) or set(value) - {"tokens", "cost_micros"}:
        raise Refused(f"expected {key} to hold tokens and cost_micros, but got {value!r}")
    return {name: whole(amount, f"{key}.{name}") for name, amount in value.items()}


READERS = {
    "id": identifier,
    "title": words,
    "description": words,
    "prompt": words,
    "dependencies": several(identifier),
    "files": files,
    "verification": verification,
    "tool": identifier,
    "args": arguments,
    "tags": several(words),
    "acceptance_criteria": criteria,
    "level": whole,
    "lane": words,
    "locks": locks,
    "budget": budget,
    "max_attempts": whole,
    "timeout_seconds": whole,
    "estimate_minutes": whole,
}


def main():
    request = json.load(sys.stdin)
    output = parse(request["input"])
    answer = {"result": "ok", "output": output}
    if output["refused"]:
        first = output["refused"][0]
        reason = f"{len(output['refused'])} lines cannot become tasks; line {first['line']}: {first['reason']}"
        answer = {
            "result": "failed",
            "reason_code": "LINES_REFUSED",
            "reason": reason[:2000],
            "output": output,
        }
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
