"""The branch `engine-attestations`: files about merges, beside the code, where a plain clone brings them along.

A clone copies branches, but neither notes nor refs of another kind (docs/adr/0005-attestations-on-a-branch.md). The branch has a
history of its own, shares no file with the code and only moves forward.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from engine.errors import GitError, UsageError
from engine.frozen import dataclass
from engine.git import IDENTITY, Git, Place, check_name, check_oid, seconds
from engine.workspaces.model import Provenance, Published
from engine.workspaces.user_repository import UserRepository
from engine.workspaces.vault import commit_message

BRANCH = "engine-attestations"


def publish_files(
    user: UserRepository, files: Mapping[str, bytes], provenance: Provenance
) -> Published:
    """Put `files` (plain names) on the branch of the user's repository, beside what is there; or say why not.

    Tried once more when somebody else has put something there meanwhile.
    """
    tip = user.branch(BRANCH)
    published = _publish_on(tip, user, files, provenance)
    if published.state == "refused" and (now := user.branch(BRANCH)) != tip:
        return _publish_on(now, user, files, provenance)
    return published


def _publish_on(
    tip: str | None, user: UserRepository, files: Mapping[str, bytes], provenance: Provenance
) -> Published:
    if tip is not None and user.files_at(tip, tuple(files)) == dict(files):
        return Published(branch=BRANCH, commit=tip, state="current")
    return user.put(BRANCH, tip, _stream(tip, files, provenance))


def published_names(user: UserRepository) -> frozenset[str]:
    """Return the names of the files on the branch; none when there is no branch."""
    tip = user.branch(BRANCH)
    return frozenset() if tip is None else user.names_at(tip)


def _stream(tip: str | None, files: Mapping[str, bytes], provenance: Provenance) -> bytes:
    """Return the words for git-fast-import(1): one commit, marked :1, with `files` beside what `tip` has."""
    name, address = IDENTITY
    stream = [
        f"commit refs/heads/{BRANCH}\nmark :1\n".encode(),
        f"committer {name} <{address}> {seconds(provenance.at)} +0000\n".encode(),
        _data(commit_message(provenance)),
        f"from {check_oid(tip)}\n".encode() if tip else b"",
    ]
    for file, content in files.items():
        stream += [f"M 100644 inline {check_name(file, 'file name')}\n".encode(), _data(content)]
    return b"".join([*stream, b"get-mark :1\n", b"done\n"])


def _data(content: bytes) -> bytes:
    return b"data %d\n%s\n" % (len(content), content)


# --- a plain clone --------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class CommitFacts:
    """What a commit says of itself."""

    oid: str
    tree: str
    parents: tuple[str, ...]
    trailers: Mapping[str, str]


class Clone:
    """Any repository to read from: no vault, no engine home."""

    def __init__(self, folder: Path) -> None:
        """Raises UsageError when git finds no repository from `folder`, EnvironmentFailure without git."""
        self._git = Git()
        self._place = Place(folder=folder.resolve())
        self._folder = folder
        found = self._git.run(*("rev-parse", "--git-dir"), at=self._place, accept=(0, 128))
        if found.code != 0:
            raise UsageError("git finds no repository here", where=str(folder), got=found.err)

    def commit(self, revision: str) -> CommitFacts:
        """Return the commit that a person names. Raises UsageError when there is none."""
        answer = self._git.run(
            *("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}"),
            at=self._place,
            accept=(0, 1, 128),
        )
        if answer.code != 0 or not answer.text:
            raise UsageError(
                "there is no such commit here", where=str(self._folder), got=repr(revision)
            )
        oid = check_oid(answer.text)
        text = self._git.run("cat-file", "commit", oid, at=self._place).out.decode(
            "utf-8", "replace"
        )
        return _read_commit(oid, text)

    def attested(self, name: str) -> bytes | None:
        """Return a file of the attestation branch: the local one, else that of a remote; None when none has it."""
        listed = self._git.run(
            "for-each-ref",
            "--format=%(refname)",
            f"refs/heads/{BRANCH}",
            f"refs/remotes/*/{BRANCH}",
            at=self._place,
        )
        for ref in listed.text.splitlines():
            try:
                found = self._git.run(
                    *("cat-file", "blob", f"{ref}:{check_name(name, 'file name')}"),
                    at=self._place,
                    accept=(0, 1, 128),
                )
            except GitError:
                continue
            if found.code == 0:
                return found.out
        return None


def _read_commit(oid: str, text: str) -> CommitFacts:
    head, _, message = text.partition("\n\n")
    lines = [line.partition(" ") for line in head.splitlines()]
    last = message.rstrip("\n").rpartition("\n\n")[2]
    trailers = (line.partition(": ") for line in last.splitlines())
    return CommitFacts(
        oid=oid,
        tree=next((value for name, _, value in lines if name == "tree"), ""),
        parents=tuple(value for name, _, value in lines if name == "parent"),
        trailers={name: value for name, colon, value in trailers if colon},
    )
