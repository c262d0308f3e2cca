"""Workers: programs that carry out a code task in a workspace.

The protocol
- The task is JSON (contract task.v1) in a read-only file outside the workspace, the prompt is on standard input.
- Environment: WORKER_ID, FEATURE, BRANCH, TASK, TASK_FILE, TASK_LIST_ID (the run), and TRACEPARENT when traced;
  PATH, LANG, a private HOME and TMPDIR; what `env_allow` names; nothing else.
- A line on standard output that is a JSON object with a `type` is an event: `progress`, `usage`,
  `turn.completed` (its `usage` is added up), `context` (`used`: the share of its context that is used, 0 to 1),
  `context.exhausted`, `access.requested`, and whatever else a worker says. Claude Code's `assistant` and `result` lines and Codex's `turn.completed` count as usage too. Any other line
  is log.
- A worker whose context is used up to the threshold (setting `run.context_threshold`) is ended: SIGTERM, two seconds,
  SIGKILL. Its files become a commit, and it is started anew on them, with RESUMED=1 in its environment. That is a
  pause and no failure. Workers that print Claude Code's messages need not say `context`, if `context_tokens` is set.
- The exit code counts, words do not: 0 is done, 75 (or exit 0 after `context.exhausted`) is a pause because the
  context is full, anything else, a signal or no code at all is a failure.
"""

from __future__ import annotations

from engine.programs import reap
from engine.workers.assignment import (
    SHELL,
    Assignment,
    FailureClass,
    Launcher,
    Usage,
    WorkerEvent,
    WorkerOutcome,
    WorkerSpec,
)
from engine.workers.run import run_worker

__all__ = [
    "SHELL",
    "Assignment",
    "FailureClass",
    "Launcher",
    "Usage",
    "WorkerEvent",
    "WorkerOutcome",
    "WorkerSpec",
    "reap",
    "run_worker",
]
