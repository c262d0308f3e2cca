"""Git inspector: status, diff and log of a workspace that a stranger may have written.

Git runs code that a repository's configuration, hooks and filters name, so git is never run on the workspace's own
repository. A bare repository with a clean configuration is made in the private home; it borrows the workspace's
objects (which are data) and looks at its files with an index of its own. Of the workspace's git folder only four
things are read, as text: where it is, HEAD, the references, and the object format. Nested repositories are not
entered, because git would read their configuration too.
"""

import json
import os
import re
import subprocess
import sys

PATCH_LIMIT = 512 * 1024
EMPTY_TREE = {
    "sha1": "4b825dc642cb6eb9a060e54bf8d69288fbee4904",
    "sha256": "6ef19b41225c5369f1c104d45d8d85efa9b057b53b14b4b9b939dd74decc5321",
}
OBJECT_ID = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
LETTERS = {"A": "added", "M": "modified", "D": "deleted", "T": "type_changed"}


class Refused(Exception):
    """The call cannot be carried out: reason code and sentence."""


def status(vault, given):
    vault.load_index()
    files = [
        *({"path": text(path), "status": "added"} for path in vault.untracked()),
        *({"path": text(path), "status": word} for path, word in vault.changed()),
    ]
    files.sort(key=lambda file: file["path"])
    return {"head": vault.head, "branch": vault.branch, "clean": not files, "files": files}


def diff(vault, given):
    vault.load_index()
    base = vault.commit(given.get("base"))
    vault.intend_to_add(vault.untracked())
    patch = vault.git("diff", *PLAIN_DIFF, vault.tree(base), "--")
    counts = vault.git("diff", *PLAIN_DIFF, "--numstat", "-z", vault.tree(base), "--")
    files = []
    for line in filter(None, counts.split(b"\0")):
        added, removed, path = line.split(b"\t", 2)
        files.append({"path": text(path), "added": number(added), "removed": number(removed)})
    files.sort(key=lambda file: file["path"])
    return {
        "base": base,
        "files": files,
        "patch": text(patch[:PATCH_LIMIT]),
        "truncated": len(patch) > PATCH_LIMIT,
    }


def log(vault, given):
    start = vault.commit(given.get("from"))
    if start is None:
        return {"commits": []}
    form = "%H%x1f%P%x1f%an%x1f%ae%x1f%aI%x1f%s"
    limit = f"--max-count={given.get('limit', 50)}"
    lines = vault.git("log", "-z", limit, f"--format={form}", "--end-of-options", start, "--")
    return {"commits": [commit(line) for line in filter(None, lines.split(b"\0"))]}


OPERATIONS = {"status": status, "diff": diff, "log": log}
PLAIN_DIFF = (
    "--no-ext-diff",
    "--no-textconv",
    "--no-renames",
    "--no-color",
    "--ignore-submodules=all",
)


class Vault:
    """A clean bare repository that borrows the objects of the repository around `workspace`."""

    def __init__(self, workspace, home):
        common, own = git_folders(workspace)
        config = read(os.path.join(common, "config"))
        if re.search(r"(?im)^\s*refstorage\s*=\s*(?!files)", config):
            raise Refused(
                "UNSUPPORTED", "expected references in files, but the repository has another store."
            )
        sha256 = re.search(r"(?im)^\s*objectformat\s*=\s*sha256", config)
        self.format = "sha256" if sha256 else "sha1"
        self.workspace = workspace
        self.folder = os.path.join(home, "vault")
        self.branch, self.head = head(own, common)
        self.write(os.path.join(common, "objects"))

    def write(self, objects):
        if "\n" in objects or not os.path.isdir(objects):
            raise Refused(
                "NOT_A_REPOSITORY", "expected a folder of git objects, but there is none."
            )
        for part in ("objects/info", "refs"):
            os.makedirs(os.path.join(self.folder, part))
        version = "1" if self.format == "sha256" else "0"
        extension = "[extensions]\n\tobjectformat = sha256\n" if version == "1" else ""
        core = f"[core]\n\trepositoryformatversion = {version}\n\tbare = true\n"
        self.put("config", core + extension)
        self.put("HEAD", (self.head or "ref: refs/heads/none") + "\n")
        self.put("objects/info/alternates", os.path.abspath(objects) + "\n")

    def put(self, name, content):
        with open(
            os.path.join(self.folder, name), "w", encoding="utf-8", errors="surrogateescape"
        ) as file:
            file.write(content)

    def git(self, *arguments, given=None):
        command = ["git", "--git-dir", self.folder, "--work-tree", self.workspace]
        for setting in (
            "core.bare=false",
            "core.hooksPath=/dev/null",
            "core.fsmonitor=false",
            "core.quotePath=false",
        ):
            command += ["-c", setting]
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": self.folder,
            "LC_ALL": "C",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_LITERAL_PATHSPECS": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_INDEX_FILE": os.path.join(self.folder, "index"),
        }
        done = subprocess.run(
            [*command, *arguments],
            input=given or b"",
            capture_output=True,
            env=environment,
            cwd=self.workspace,
        )
        if done.returncode != 0:
            last = done.stderr.decode("utf-8", "replace").strip().splitlines()[-1:]
            raise Refused(
                "GIT_FAILED", f"git {arguments[0]} exited with {done.returncode}: {' '.join(last)}"
            )
        return done.stdout

    def load_index(self):
        self.git("read-tree", self.tree(self.head))
        self.git("update-index", "-q", "--ignore-submodules", "--refresh")

    def tree(self, commit):
        return commit or EMPTY_TREE[self.format]

    def commit(self, given):
        """Return the commit that is meant: `given`, or HEAD, or None in a repository without commits."""
        if given is None:
            return self.head
        kind = self.git(
            "cat-file", "--batch-check=%(objecttype)", given=given.encode() + b"\n"
        ).strip()
        if kind != b"commit":
            raise Refused("NO_SUCH_COMMIT", f"expected a commit, but {given} is {kind.decode()}.")
        return given

    def untracked(self):
        """Return files that are not in the index and not ignored; nested repositories are left out."""
        found = self.git("ls-files", "-z", "--others", "--exclude-standard").split(b"\0")
        return [path for path in found if path and not path.endswith(b"/")]

    def changed(self):
        found = self.git(
            "diff-files", "-z", "--no-renames", "--name-status", "--ignore-submodules=all"
        ).split(b"\0")
        for letter, path in zip(found[::2], found[1::2], strict=False):
            yield path, LETTERS.get(letter.decode(), "modified")

    def intend_to_add(self, paths):
        if paths:
            given = b"\0".join(paths)
            self.git(
                "add",
                "--intent-to-add",
                "--pathspec-from-file=-",
                "--pathspec-file-nul",
                given=given,
            )


def git_folders(workspace):
    """Return (common git folder, own git folder) of `workspace`; they differ in a linked worktree."""
    own = os.path.join(workspace, ".git")
    if os.path.isfile(own):
        found = re.fullmatch(r"gitdir: (.+)\n*", read(own))
        if found is None:
            raise Refused(
                "NOT_A_REPOSITORY", "expected `gitdir: …` in .git, but got something else."
            )
        own = os.path.join(workspace, found[1])
    if not os.path.isdir(own):
        raise Refused(
            "NOT_A_REPOSITORY", f"expected a git repository in {workspace}, but there is none."
        )
    link = os.path.join(own, "commondir")
    return (os.path.join(own, read(link).strip()) if os.path.isfile(link) else own), own


def head(own, common):
    """Return (branch or None, commit or None) that HEAD names, read as text."""
    content = read(os.path.join(own, "HEAD")).strip()
    if OBJECT_ID.fullmatch(content):
        return None, content
    found = re.fullmatch(r"ref: (refs/heads/[^\s\\:?*\[~^]+)", content)
    if found is None or ".." in found[1]:
        raise Refused(
            "NOT_A_REPOSITORY", "expected HEAD to name a branch or a commit, but it names neither."
        )
    return found[1].removeprefix("refs/heads/"), reference(common, found[1])


def reference(common, name):
    file = os.path.join(common, name)
    if os.path.isfile(file):
        content = read(file).strip()
        return content if OBJECT_ID.fullmatch(content) else None
    packed = os.path.join(common, "packed-refs")
    for line in read(packed).splitlines() if os.path.isfile(packed) else ():
        commit, _, its_name = line.partition(" ")
        if its_name == name and OBJECT_ID.fullmatch(commit):
            return commit
    return None


def read(file):
    """Return a small text file. Raises Refused when it is none."""
    try:
        with open(file, encoding="utf-8", errors="surrogateescape") as opened:
            return opened.read(16 * 1024 * 1024)
    except OSError as error:
        raise Refused(
            "NOT_A_REPOSITORY", f"{os.path.basename(file)} cannot be read: {error.strerror}."
        ) from error


def commit(line):
    identifier, parents, name, email, at, subject = text(line).split("\x1f", 5)
    return {
        "id": identifier,
        "parents": parents.split(),
        "author": {"name": name, "email": email},
        "at": at.replace("+00:00", "Z"),  # git versions differ in how they write UTC
        "subject": subject,
    }


def number(count):
    return None if count == b"-" else int(count)  # a binary file has no lines


def text(raw):
    return raw.decode("utf-8", "backslashreplace")


def main():
    request = json.load(sys.stdin)
    try:
        if request["workspace"] is None:
            raise Refused("NO_WORKSPACE", "expected a workspace, but the call has none.")
        vault = Vault(request["workspace"], os.environ["HOME"])
        answer = {
            "result": "ok",
            "output": OPERATIONS[request["operation"]](vault, request["input"]),
        }
    except Refused as refused:
        code, reason = refused.args
        answer = {"result": "failed", "reason_code": code, "reason": reason}
    json.dump(answer, sys.stdout)


if __name__ == "__main__":
    main()
