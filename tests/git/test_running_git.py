"""The runner: clean surroundings, a list of commands, the engine's lock, deadlines, plain sentences."""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import engine
from engine.errors import EnvironmentFailure, GitError, UsageError
from engine.git import COMMANDS, Git, Place, check_name, check_oid, seconds


@pytest.fixture
def repository(tmp_path: Path) -> Place:
    folder = tmp_path / "größe und more.git"
    Git().run("init", "--quiet", "--bare", "--template=", at=Place(git_dir=folder))
    return Place(git_dir=folder)


def write_blob(git: Git, at: Place, content: bytes) -> str:
    return git.run("hash-object", "-w", "--stdin", at=at, stdin=content).text


def test_content_comes_back_byte_for_byte(repository: Place) -> None:
    git = Git()
    content = b"\x00\xff trailing newlines\n\n\n"
    oid = write_blob(git, repository, content)
    assert git.run("cat-file", "blob", oid, at=repository).out == content


@pytest.mark.parametrize(
    "arguments",
    [("push", "x"), ("clone",), ("-c", "x=y", "status"), ("--exec-path=/tmp", "version"), ()],
)
def test_a_command_that_is_not_on_the_list_does_not_run(arguments: tuple[str, ...]) -> None:
    with pytest.raises(GitError, match="not on the list"):
        Git().run(*arguments)


def test_commands_that_run_other_programs_are_not_on_the_list() -> None:
    assert COMMANDS.isdisjoint(
        {"clone", "push", "pull", "submodule", "bisect", "filter-branch", "rebase", "difftool"}
    )


def test_an_argument_with_nul_is_refused(repository: Place) -> None:
    with pytest.raises(GitError, match="NUL"):
        Git().run("rev-parse", "a\0b", at=repository)


def test_nothing_of_our_own_surroundings_reaches_git(
    repository: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    canary = tmp_path / "canary"
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch '{canary}'\n")
    program.chmod(0o755)
    personal = tmp_path / "home"
    personal.mkdir()
    (personal / ".gitconfig").write_text(
        f"[core]\n\tfsmonitor = {program}\n\thooksPath = {tmp_path}\n"
    )
    for name, value in {
        "HOME": str(personal),
        "GIT_DIR": "/nonexistent",
        "GIT_INDEX_FILE": "/nonexistent/index",
        "GIT_OBJECT_DIRECTORY": "/nonexistent/objects",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "core.fsmonitor",
        "GIT_CONFIG_VALUE_0": str(program),
        "GIT_EXTERNAL_DIFF": str(program),
        "GIT_NAMESPACE": "elsewhere",
    }.items():
        monkeypatch.setenv(name, value)
    git = Git()
    oid = write_blob(git, repository, b"x")
    assert git.run("cat-file", "-t", oid, at=repository).text == "blob"
    assert git.run("config", "--get", "core.fsmonitor", at=repository).text == "false"
    assert git.run("config", "--global", "--list", at=repository).text == ""
    assert not canary.exists()


def test_hooks_do_not_run(repository: Place, tmp_path: Path) -> None:
    assert repository.git_dir is not None
    canary = tmp_path / "canary"
    hooks = repository.git_dir / "hooks"
    hooks.mkdir()
    hook = hooks / "reference-transaction"
    hook.write_text(f"#!/bin/sh\ntouch '{canary}'\n")
    hook.chmod(0o755)
    git = Git()
    git.run("update-ref", "refs/x", write_blob(git, repository, b"x"), at=repository)
    assert not canary.exists()


def test_no_other_machine_is_asked(repository: Place) -> None:
    with pytest.raises(GitError, match="transport 'https' not allowed"):
        Git().run("fetch", "https://example.invalid/x.git", at=repository)


def test_a_failure_is_a_sentence_with_place_exit_code_and_message(repository: Place) -> None:
    with pytest.raises(GitError) as caught:
        Git().run("rev-parse", "--verify", "refs/heads/missing", at=repository)
    assert caught.value.exit_code == 6
    assert str(caught.value) == (
        f"git rev-parse in {repository.git_dir}: expected success, "
        "but got exit code 128: fatal: Needed a single revision"
    )


def test_a_git_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    git = Git()
    git.check_version()  # GitPython is loaded now
    monkeypatch.setenv("PATH", "/nonexistent")
    with pytest.raises(EnvironmentFailure, match="git cannot be started: expected the program git"):
        git.run("version")


def test_a_git_that_is_not_there_is_named_when_gitpython_is_loaded() -> None:
    code = "from engine.git import Git; Git().check_version()"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env={"PATH": "/nonexistent", "PYTHONPATH": str(Path(engine.__file__).parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    last = answer.stderr.strip().splitlines()[-1]
    assert last.startswith(
        "engine.errors.EnvironmentFailure: git cannot be started: expected the program git"
    )


def test_an_old_git_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    git = Git()
    git.check_version()
    old = tmp_path / "git"
    old.write_text("#!/bin/sh\necho git version 2.30.2\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    with pytest.raises(EnvironmentFailure) as caught:
        git.check_version()
    assert str(caught.value) == (
        "git is too old: expected git 2.38 or newer, but got git version 2.30.2. Install a newer git."
    )


def test_a_command_is_killed_at_its_deadline(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with pytest.raises(GitError, match=r"was not done after 0\.2 s"):
        Git(deadline_s=0.2).run("hash-object", str(pipe))


class TestLeftLocks:
    """After a git of ours was killed, a lock below the engine home that stops us is the one it left."""

    @pytest.fixture
    def lock(self, repository: Place) -> Path:
        assert repository.git_dir is not None
        lock = repository.git_dir / "refs/notes/x.lock"
        lock.parent.mkdir()
        lock.touch()
        return lock

    def _kill_one(self, git: Git, folder: Path) -> None:
        os.mkfifo(folder / "pipe")
        with pytest.raises(GitError, match=r"was not done after 0\.2 s"):
            git.run("hash-object", str(folder / "pipe"), deadline_s=0.2)

    def _make_ref(self, git: Git, repository: Place) -> int:
        oid = write_blob(git, repository, b"x")
        answer = git.run("update-ref", "refs/notes/x", oid, at=repository, accept=(0, 128))
        return answer.code

    def test_it_is_removed_and_the_command_run_again(
        self, repository: Place, lock: Path, tmp_path: Path
    ) -> None:
        git = Git(home=lock.parents[3])
        assert self._make_ref(git, repository) == 128  # none of ours was killed: whose is it?
        self._kill_one(git, tmp_path)
        assert self._make_ref(git, repository) == 0
        assert not lock.exists()

    def test_a_lock_elsewhere_stays(self, repository: Place, lock: Path, tmp_path: Path) -> None:
        git = Git(home=tmp_path / "home")
        self._kill_one(git, tmp_path)
        assert self._make_ref(git, repository) == 128
        assert lock.exists()


def test_a_child_holds_the_lock_of_an_engine_that_is_gone(tmp_path: Path) -> None:
    lock = os.open(tmp_path / "engine.lock", os.O_RDWR | os.O_CREAT)
    fcntl.flock(lock, fcntl.LOCK_EX)
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    answers: list[str] = []
    thread = threading.Thread(
        target=lambda: answers.append(Git(lock_fd=lock).run("hash-object", str(pipe)).text)
    )
    thread.start()
    with open(pipe, "wb") as writer:  # open returns when git has opened its end
        os.close(lock)  # our own descriptor, as if this engine had died
        other = os.open(tmp_path / "engine.lock", os.O_RDWR)
        with pytest.raises(BlockingIOError):
            fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        writer.write(b"x")
    thread.join()
    fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    os.close(other)
    assert len(answers) == 1


def test_a_child_is_in_a_process_group_of_its_own(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    thread = threading.Thread(target=lambda: Git().run("hash-object", str(pipe)))
    thread.start()
    with open(pipe, "wb"):
        listed = subprocess.run(
            ["ps", "-o", "pid=,pgid=", "--ppid", str(os.getpid())],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        groups = {int(line.split()[1]) for line in listed.splitlines()} - {os.getpgrp()}
    thread.join()
    assert groups


def test_output_is_cut_at_the_limit(repository: Place) -> None:
    git = Git()
    oid = write_blob(git, repository, b"x" * 300_000)
    assert git.run_limited("cat-file", "blob", oid, at=repository, limit_bytes=10) == (
        b"x" * 10,
        False,
    )
    whole, is_complete = git.run_limited(
        "cat-file", "blob", oid, at=repository, limit_bytes=300_000
    )
    assert (len(whole), is_complete) == (300_000, True)


class TestReader:
    """One long-lived process for reads."""

    def test_reads_what_was_made_after_it_started(self, repository: Place) -> None:
        assert repository.git_dir is not None
        git = Git()
        reader = git.reader(repository.git_dir)
        assert reader.resolve("refs/x") is None
        oid = write_blob(git, repository, b"one\ntwo")
        git.run("update-ref", "refs/x", oid, at=repository)
        found = reader.read("refs/x")
        assert found is not None
        assert (found.oid, found.type, found.size, found.content) == (oid, "blob", 7, b"one\ntwo")
        reader.close()

    @pytest.mark.parametrize(
        "revision", ["", "a\nb", "a\0b", "refs/missing", "-x", f"{'a' * 40} b", "a b c", "@{-1}"]
    )
    def test_what_is_not_there_is_none(self, repository: Place, revision: str) -> None:
        assert repository.git_dir is not None
        reader = Git().reader(repository.git_dir)
        assert reader.resolve(revision) is None
        assert reader.resolve(revision) is None  # and the conversation goes on
        reader.close()

    def test_starts_again_when_it_was_killed(self, repository: Place) -> None:
        assert repository.git_dir is not None
        git = Git()
        oid = write_blob(git, repository, b"x")
        reader = git.reader(repository.git_dir)
        assert reader.resolve(oid) == oid
        running = reader._running
        assert running is not None
        assert running.proc is not None
        running.proc.kill()
        running.proc.wait()
        assert reader.resolve(oid) == oid
        reader.close()

    def test_answers_many_threads(self, repository: Place) -> None:
        assert repository.git_dir is not None
        git = Git()
        contents = {write_blob(git, repository, text): text for text in (b"a", b"bb" * 9000, b"")}
        reader = git.reader(repository.git_dir)
        wrong: list[str] = []

        def ask() -> None:
            for oid, text in list(contents.items()) * 20:
                found = reader.read(oid)
                if found is None or found.content != text:
                    wrong.append(oid)

        threads = [threading.Thread(target=ask) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        reader.close()
        assert wrong == []


@pytest.mark.parametrize(
    "value", ["", "HEAD", "a" * 39, "a" * 41, "A" * 40, "-" + "a" * 39, "a" * 40 + "\n"]
)
def test_only_full_object_ids_are_ids(value: str) -> None:
    with pytest.raises(GitError, match="not an object id"):
        check_oid(value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "-x",
        ".x",
        "a/b",
        "a..b",
        "a.lock",
        "a.LOCK",
        "a.",
        "a b",
        "ä",
        "a\n",
        "@",
        "a~1",
        "x" * 129,
    ],
)
def test_a_name_that_could_mean_something_else_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="this feature cannot be used"):
        check_name(value, "feature")


@settings(max_examples=60, deadline=None)
@given(st.text("abAB09._-@~^:/ \\", min_size=1, max_size=12))
def test_what_we_take_as_a_name_git_takes_as_a_ref(value: str) -> None:
    try:
        check_name(value, "feature")
    except UsageError:
        return
    answer = Git().run("check-ref-format", f"refs/heads/engine/{value}", accept=(0, 1))
    assert answer.code == 0


def test_a_date_without_time_zone_is_refused() -> None:
    assert seconds(datetime(2026, 1, 2, tzinfo=UTC)) == 1767312000
    with pytest.raises(GitError, match="no time zone"):
        seconds(datetime(2026, 1, 2))  # noqa: DTZ001  (the mistake under test)
