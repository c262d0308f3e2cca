"""Quality gate: run a check in the workspace; its exit code is the judgement.

`tool` names a known check (ruff, pytest), `command` is a line for /bin/sh, `args` a program and its arguments.
A program that is not installed, or no tests at all, is `na` with a reason: it is no pass.
"""

import json
import os
import shlex
import shutil
import subprocess
import sys

KEPT = 64 * 1024  # bytes of the end of the output
FLOOD = 64 * 1024 * 1024
TOOLS = {
    "ruff": ["ruff", "check", "--no-cache", "--no-fix", "."],
    "pytest": ["pytest", "-q", "-p", "no:cacheprovider"],
}
SHELL_FINDS_NO_PROGRAM = 127
PYTEST_FINDS_NO_TESTS = 5


def check(given, workspace):
    """Return the answer to a call."""
    argv = command_of(given)
    if argv is None:
        return answer(
            "failed",
            "NOTHING_TO_RUN",
            "expected one of tool, command and args, but got none or several.",
        )
    name = first_word(given, argv)
    if name and not is_installed(name, workspace):
        return answer("na", "TOOL_ABSENT", f"{name} is not installed.")
    try:
        code, size, end = execute(argv, workspace)
    except OSError as error:
        return answer("failed", "NOT_STARTED", f"{argv[0]} cannot be started: {error.strerror}.")
    output = {
        "args": argv,
        "exit_code": code,
        "printed": end.decode("utf-8", "replace"),
        "printed_bytes": size,
    }
    if size > FLOOD:
        return answer(
            "failed", "OUTPUT_TOO_LARGE", f"the check printed more than {FLOOD} bytes.", output
        )
    if code == SHELL_FINDS_NO_PROGRAM and "command" in given:
        return answer(
            "na", "TOOL_ABSENT", "the shell found no such program (exit code 127).", output
        )
    if code == PYTEST_FINDS_NO_TESTS and given.get("tool") == "pytest":
        return answer("na", "NO_TESTS", "pytest found no tests.", output)
    if code != 0:
        return answer(
            "failed", "CHECK_FAILED", f"{name or argv[0]} exited with code {code}.", output
        )
    return {"result": "ok", "output": output}


def command_of(given):
    """Return the arguments to run, or None unless exactly one of the three is given."""
    ways = [way for way in ("tool", "command") if way in given]
    if len(ways) > 1 or (not ways and not given.get("args")):
        return None
    if "tool" in given:
        return TOOLS[given["tool"]] + given.get("args", [])
    if "command" in given:
        return None if given.get("args") else ["/bin/sh", "-c", given["command"]]
    return given["args"]


def first_word(given, argv):
    """Return the program that must be installed, or "" when a shell line does not tell."""
    if "command" not in given:
        return argv[0]
    try:
        word = shlex.split(given["command"])[0]
    except (ValueError, IndexError):
        return ""
    return word if word in TOOLS else ""  # anything else may be the shell's own word


def is_installed(name, workspace):
    if "/" in name:
        return os.access(os.path.join(workspace, name), os.X_OK)
    return shutil.which(name) is not None


def execute(argv, workspace):
    """Return (exit code, bytes printed, their end); standard output and error are one."""
    program = subprocess.Popen(
        argv,
        cwd=workspace,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    size, end = 0, b""
    while chunk := program.stdout.read1(65536):
        size += len(chunk)
        end = (end + chunk)[-KEPT:]
        if size > FLOOD:
            program.kill()
            break
    return program.wait(), size, end


def answer(result, code, reason, output=None):
    found = {"result": result, "reason_code": code, "reason": reason}
    return found if output is None else {**found, "output": output}


def main():
    request = json.load(sys.stdin)
    workspace = request["workspace"]
    if workspace is None:
        found = answer("failed", "NO_WORKSPACE", "expected a workspace, but the call has none.")
    else:
        found = check(request["input"], workspace)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
