"""The command `engine`: parsing and printing only.

`main` is the one place where an error becomes text and an exit code. Nothing heavy is imported before a command
runs: `engine --help` stays under 0.3 s.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import sys
from collections.abc import Sequence
from typing import Any

from engine.errors import EngineError

INTERRUPTED = 130
STARTING = 200_000  #: new objects before the first collection: more than a start makes
COLLECT_AFTER = 50_000  #: and between two of a run; 700 is the default


def command() -> None:
    """The command `engine` as a process of its own: `main`, and no taking apart of the interpreter, which nobody waits for gladly.

    What is registered first is called last: when threads have ended and all that others registered was called.
    """
    _have_standard_streams()
    code: list[int] = []
    atexit.register(_leave, code)
    try:
        main()
    except SystemExit as end:
        if isinstance(end.code, int):
            code.append(end.code)
        raise


def _have_standard_streams() -> None:
    """Put /dev/null where a stream was closed (`engine status >&-`): else the next file that is opened would be printed into."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)  # the lowest that is free
            os.set_inheritable(descriptor, True)
            mode = "r" if name == "stdin" else "w"
            setattr(sys, name, open(descriptor, mode, closefd=False))  # noqa: SIM115  # to the end


def _leave(code: Sequence[int]) -> None:
    """End the process with `code`; without one the interpreter has something to say."""
    if code:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError, ValueError):  # nobody reads it, or it is closed
                stream.flush()
        os._exit(code[0])


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and leave the process with an exit code of the contract.

    The collector looks rarely, and not at all when the process ends: what imports leave behind is never garbage, and
    looking through it took a tenth of a second of every command.
    """
    gc.set_threshold(STARTING, 20, 20)
    os.environ.setdefault(
        "PYDANTIC_DISABLE_PLUGINS", "__all__"
    )  # else it looks through all packages
    given = list(sys.argv[1:] if arguments is None else arguments)
    code = _run(given)
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    gc.freeze()
    raise SystemExit(code)


def _run(arguments: list[str]) -> int:
    from engine.cli.app import app_for

    try:
        result = app_for(arguments)(arguments, prog_name="engine", standalone_mode=False)
    except EngineError as error:
        return _tell(error, error.exit_code, as_json="--json" in arguments)
    except KeyboardInterrupt:
        print("engine: interrupted", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        return 0
    except OSError as error:
        from engine.errors import EnvironmentFailure

        where = str(error.filename or "")
        return _tell(
            EnvironmentFailure(error.strerror or str(error), where=where),
            6,
            as_json="--json" in arguments,
        )
    except Exception as error:  # the last resort: a bug of ours must not print a traceback
        if type(error).__name__ == "Abort":
            print("engine: interrupted", file=sys.stderr)
            return INTERRUPTED
        if hasattr(error, "format_message"):  # the option parser's own, which typer carries inside
            return _tell_usage(error, arguments)
        return _tell_bug(error, arguments)
    return result if isinstance(result, int) else 0


def _tell(error: EngineError, code: int, *, as_json: bool) -> int:
    if as_json:
        body = {
            "schema": "engine.error/v1",
            "error": error.sentence(),
            "code": type(error).__name__,
            "where": error.where,
            "expected": error.expected,
            "got": error.got,
            "hint": error.hint,
            "exit_code": code,
        }
        print(json.dumps(body, ensure_ascii=False))
    else:
        print(f"engine: {error.sentence()}", file=sys.stderr)
    return code


def _tell_usage(error: Any, arguments: list[str]) -> int:  # Any: typer's private class
    if "--json" in arguments:
        return _tell(EngineError(error.format_message()), 2, as_json=True)
    error.show()
    return 2


def _tell_bug(error: Exception, arguments: list[str]) -> int:
    import tempfile
    import traceback

    with tempfile.NamedTemporaryFile(
        "w", prefix="engine-bug-", suffix=".txt", delete=False, encoding="utf-8"
    ) as report:
        traceback.print_exception(error, file=report)
    told = EngineError(
        f"a bug of the engine: {type(error).__name__}: {error}",
        hint=f"Nothing was merged by this. Please report it with the file {report.name}.",
    )
    return _tell(told, 1, as_json="--json" in arguments)
