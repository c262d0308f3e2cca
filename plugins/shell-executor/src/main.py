"""Shell executor: run one program in the workspace, or say what would be run.

The program is a list of arguments; no shell reads it. Its time limit is the plugin's: the engine ends the whole
group of processes.
"""

import json
import os
import shutil
import subprocess
import sys

KEPT = 64 * 1024  # bytes of the end of the output
FLOOD = 64 * 1024 * 1024


def run(given, what_if, workspace):
    """Return the answer to a call."""
    argv = given.get("args", [])
    if not argv:
        return refusal("NOTHING_TO_RUN", "expected args to name a program, but it is empty.")
    path = find(argv[0], workspace)
    if what_if:
        return {"result": "ok", "output": {"args": argv, "program": path, "what_if": True}}
    if path is None:
        return refusal("PROGRAM_ABSENT", f"expected a program named {argv[0]}, but there is none.")
    try:
        code, size, end = execute(path, argv, workspace)
    except OSError as error:
        return refusal("NOT_STARTED", f"{argv[0]} cannot be started: {error.strerror}.")
    output = {
        "args": argv,
        "program": path,
        "what_if": False,
        "exit_code": code,
        "printed": end.decode("utf-8", "replace"),
        "printed_bytes": size,
    }
    if size > FLOOD:
        return refusal("OUTPUT_TOO_LARGE", f"{argv[0]} printed more than {FLOOD} bytes.", output)
    if code != 0:
        return refusal("EXIT_CODE", f"{argv[0]} exited with code {code}.", output)
    return {"result": "ok", "output": output}


def find(name, workspace):
    if "/" not in name:
        return shutil.which(name)
    path = os.path.join(workspace, name)
    return path if os.path.isfile(path) and os.access(path, os.X_OK) else None


def execute(path, argv, workspace):
    """Return (exit code, bytes printed, their end); standard output and error are one."""
    program = subprocess.Popen(
        argv,
        executable=path,
        cwd=workspace,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    size, end = 0, b""
    while chunk := program.stdout.read1(65536):
        size += len(chunk)
        end = (end + chunk)[-KEPT:]
        if size > FLOOD:
            program.kill()
            break
    return program.wait(), size, end


def refusal(code, reason, output=None):
    answer = {"result": "failed", "reason_code": code, "reason": reason}
    return answer if output is None else {**answer, "output": output}


def main():
    request = json.load(sys.stdin)
    workspace = request["workspace"]
    if workspace is None:
        answer = refusal("NO_WORKSPACE", "expected a workspace, but the call has none.")
    else:
        answer = run(request["input"], request["what_if"], workspace)
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
