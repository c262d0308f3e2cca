"""Commented worker settings for the configuration that `engine init` writes; each works where its program is installed.

All three edit files and leave committing to the engine, which takes the workspace's files as they are.
"""

from __future__ import annotations

EXAMPLES = """\
# Workers are programs. A task picks one by its "tool". {prompt}, {task_file} and {workspace} are filled in; the
# prompt is on standard input too. A worker sees PATH, LANG, a private HOME and TMPDIR, WORKER_ID, FEATURE,
# BRANCH, TASK and the variables that env_allow names: nothing else of your environment. Exit code 0 means done.

# [workers.claude]         # Claude Code; HOME lets it find its login, or allow ANTHROPIC_API_KEY alone
# command = ["claude", "-p", "--output-format", "stream-json", "--verbose", "--permission-mode", "acceptEdits"]
# env_allow = ["HOME", "ANTHROPIC_API_KEY"]

# [workers.codex]          # Codex; "-" reads the prompt from standard input
# command = ["codex", "exec", "--json", "--sandbox", "workspace-write", "--skip-git-repo-check", "-"]
# env_allow = ["HOME", "OPENAI_API_KEY", "CODEX_API_KEY"]

# [workers.aider]
# command = ["aider", "--yes-always", "--no-auto-commits", "--no-dirty-commits", "--no-gitignore", "--no-check-update", "--no-show-model-warnings", "--no-pretty", "--no-stream", "--message", "{prompt}"]
# env_allow = ["ANTHROPIC_API_KEY", "OPENAI_API_KEY", "AIDER_*"]
"""
