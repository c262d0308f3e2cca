"""Worktree manager: which workspaces an engine home holds, and which of them could go. The core acts, never this.

Everything is read: the records of the engine, the reports of its runs, and the files of the workspaces. A workspace
was written by a worker, so git never runs on its repository: it looks at the files through an empty repository in
the private home, with a copy of the engine's own index. What cannot be read or is not known stays.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime

ENDED = {"completed", "partial", "failed", "blocked"}
SHOWN = 20  # unfinished files that are named
LOOK_S = 20  # a planted pipe would let git wait for ever
OBJECT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


class Refused(Exception):
    """The call cannot be carried out: reason code and sentence."""


def list_workspaces(home, given):
    now = moment(given.get("now"))
    return {"workspaces": [seen.told(now) for seen in workspaces(home, given.get("feature"))]}


def propose_cleanup(home, given):
    found = [seen.proposal() for seen in workspaces(home, given.get("feature"))]
    removed = sum(one["proposal"] == "remove" for one in found)
    return {"proposals": found, "remove": removed, "stay": len(found) - removed}


OPERATIONS = {"list": list_workspaces, "propose_cleanup": propose_cleanup}


class Home:
    """An engine home: where things are, and what the runs report."""

    def __init__(self, workspace, scratch):
        own = os.path.join(workspace, ".engine")
        self.folder = own if os.path.isdir(own) else workspace
        if not any(os.path.isdir(self.path(name)) for name in ("vault.git", "worktrees")):
            raise Refused(
                "NOT_A_HOME",
                f"expected an engine home, or a project with one, but {workspace} has no vault and no worktrees.",
            )
        self.reports = {}
        self.index = os.path.join(scratch, "index")
        self.look = self.empty_repository(os.path.join(scratch, "look"))

    def path(self, *parts):
        return os.path.join(self.folder, *parts)

    def empty_repository(self, folder):
        """Make a bare repository with a clean configuration, of the vault's object format; return its folder."""
        config = text_of(self.path("vault.git", "config")) or ""
        sha256 = re.search(r"(?im)^\s*objectformat\s*=\s*sha256", config)
        for part in ("objects", "refs"):
            os.makedirs(os.path.join(folder, part))
        extension = "[extensions]\n\tobjectformat = sha256\n" if sha256 else ""
        version = 1 if sha256 else 0
        core = f"[core]\n\trepositoryformatversion = {version}\n\tbare = false\n\tfilemode = true\n"
        write(os.path.join(folder, "config"), core + extension)
        write(os.path.join(folder, "HEAD"), "ref: refs/heads/none\n")
        return folder

    def report(self, run):
        """Return (status of the run, {task: (state, commit)}); status None when it has no readable report."""
        if run not in self.reports:
            self.reports[run] = read_report(self.path("runs", run, "report.json"))
        return self.reports[run]


class Seen:
    """One workspace: what the engine noted of it, what became of its task, what in it no snapshot holds."""

    def __init__(self, home, feature, task):
        self.feature, self.task = feature, task
        self.folder = os.path.join("worktrees", feature, task)
        self.notes = home.path("records", feature, task)
        self.record = read_record(os.path.join(self.notes, "workspace.json"), feature, task)
        self.since = self.taken_at()
        self.status, self.state, self.commit = None, "unknown", None
        if self.record:
            self.status, tasks = home.report(self.record["run"])
            self.state, self.commit = tasks.get(task, ("unknown", None))
        self.unfinished, self.problem = unfinished(home, self.folder, self.notes)

    def taken_at(self):
        try:
            at = os.stat(os.path.join(self.notes, "workspace.json")).st_mtime
        except OSError:
            return None
        return datetime.fromtimestamp(int(at), UTC)

    def told(self, now):
        record = self.record or {}
        return {
            "feature": self.feature,
            "task": self.task,
            "folder": self.folder,
            "run": record.get("run"),
            "run_status": self.status,
            "attempt": record.get("attempt"),
            "base": record.get("base"),
            "branch": f"engine/{self.feature}/{self.task}",
            "state": self.state,
            "commit": self.commit,
            "since": self.since and self.since.isoformat(),
            "age_s": self.since and max(0, int((now - self.since).total_seconds())),
            "unfinished": None if self.unfinished is None else len(self.unfinished),
            "unfinished_files": (self.unfinished or [])[:SHOWN],
            "problem": self.problem,
        }

    def proposal(self):
        code, reason = self.judged()
        return {
            "feature": self.feature,
            "task": self.task,
            "folder": self.folder,
            "proposal": "remove" if code in ("MERGED", "QUARANTINED") else "stay",
            "reason_code": code,
            "reason": reason,
        }

    def judged(self):
        """Return (reason code, sentence), the first that holds; only the last two let it go."""
        if self.record is None:
            return "NO_RECORD", "the engine's record of it is missing or damaged."
        run = self.record["run"]
        if self.unfinished is None:
            return "UNREADABLE", self.problem
        if self.unfinished:
            shown = ", ".join(self.unfinished[:3]) + (" …" if len(self.unfinished) > 3 else "")
            return "UNFINISHED_CHANGES", f"no snapshot holds {len(self.unfinished)} files: {shown}"
        if self.status is None:
            return "NO_REPORT", f"run {run} has no report yet, so nothing tells what becomes of it."
        if self.status not in ENDED:
            return "RUN_UNFINISHED", f"run {run} is {self.status}, and goes on with it."
        if self.state == "merged":
            return "MERGED", f"its work is merged by run {run} as {str(self.commit)[:12]}."
        if self.state == "quarantined":
            return "QUARANTINED", f"run {run} has quarantined it; a snapshot keeps its work."
        return "NOT_MERGED", f"run {run} has ended, and the task is {self.state}."


def workspaces(home, feature):
    """Yield what is seen of each workspace, of one feature or of all, in order."""
    for its_feature in names(home.path("worktrees")):
        if feature in (None, its_feature):
            for task in names(home.path("worktrees", its_feature)):
                yield Seen(home, its_feature, task)


def unfinished(home, folder, notes):
    """Return (files that differ from the engine's index, ""), or (None, why that cannot be told)."""
    parts = folder.split(os.sep)
    for depth in range(1, len(parts) + 1):
        if os.path.islink(home.path(*parts[:depth])):
            return None, f"{os.sep.join(parts[:depth])} is a link, no folder of the engine."
    if not os.path.isdir(home.path(folder)):
        return None, "it is no folder."
    try:
        shutil.copy2(
            os.path.join(notes, "index"), home.index
        )  # with its time: git trusts what is older
    except OSError:
        return None, "the engine's index of it is missing, so its changes cannot be told."
    command = ["git", "--git-dir", home.look, "--work-tree", home.path(folder)]
    for setting in ("core.hooksPath=/dev/null", "core.fsmonitor=false", "core.quotePath=false"):
        command += ["-c", setting]
    command += ["ls-files", "-z", "--modified", "--deleted", "--others"]
    command += ["--exclude-per-directory=.gitignore", "--exclude=/.engine/"]
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            env=environment(home),
            cwd=home.path(folder),
            timeout=LOOK_S,
        )
    except subprocess.TimeoutExpired:
        return None, f"git did not read its files within {LOOK_S} s."
    if done.returncode != 0:
        last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
        return None, f"git exited with {done.returncode}: {' '.join(last)}"
    return sorted(
        {path.decode("utf-8", "backslashreplace") for path in done.stdout.split(b"\0") if path}
    ), ""


def environment(home):
    return {
        "PATH": os.environ["PATH"],
        "HOME": home.look,
        "LC_ALL": "C",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_INDEX_FILE": home.index,
    }


def read_record(file, feature, task):
    """Return the engine's record of a workspace, or None when it is missing, damaged or of another one."""
    record = json_of(file)
    fits = (
        isinstance(record, dict)
        and (record.get("feature"), record.get("task")) == (feature, task)
        and isinstance(record.get("run"), str)
        and re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", record["run"])
        and isinstance(record.get("attempt"), int)
        and OBJECT_ID.fullmatch(str(record.get("base")))
    )
    return record if fits else None


def read_report(file):
    report = json_of(file)
    try:
        tasks = {one["id"]: (one["state"], one["commit"]) for one in report["tasks"]}
        return str(report["status"]), tasks
    except (TypeError, KeyError):
        return None, {}


def names(folder):
    """Return what is in a folder, in order, without what the engine is just making; nothing when it is a link."""
    if os.path.islink(folder):
        return []
    try:
        return sorted(name for name in os.listdir(folder) if not name.startswith("."))
    except (FileNotFoundError, NotADirectoryError):
        return []


def json_of(file):
    try:
        return json.loads(text_of(file) or "null")
    except (ValueError, RecursionError):
        return None


def text_of(file):
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as opened:
            return opened.read(64 * 1024 * 1024)
    except OSError:
        return None


def write(file, content):
    with open(file, "w", encoding="utf-8") as opened:
        opened.write(content)


def moment(text):
    if text is None:
        return datetime.now(UTC)
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused(
            "NOT_A_TIME", f"expected a time such as 2024-01-01T12:00:00Z, but got {text}."
        ) from error
    if at.tzinfo is None:
        raise Refused("NOT_A_TIME", f"expected a time with its zone, but got {text}.")
    return at


def main():
    request = json.load(sys.stdin)
    try:
        if request["workspace"] is None:
            raise Refused(
                "NO_WORKSPACE",
                "expected the engine home as the workspace of the call, but it has none.",
            )
        home = Home(request["workspace"], os.environ["HOME"])
        output = OPERATIONS[request["operation"]](home, request["input"])
        answer = {"result": "ok", "output": output}
    except Refused as refused:
        code, reason = refused.args
        answer = {"result": "failed", "reason_code": code, "reason": reason}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
