"""What a gateway's policy may answer, and what then happens to the branch: only a literal pass moves it.

Every gateway of the shipped process, every answer, both back ends; here a choice of them, all with GATEWAYS=all.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import ThreadingHTTPServer
from pathlib import Path

import pytest

from engine.errors import DefinitionError, EnvironmentFailure
from engine.runtime.engine import Engine, RunResult
from engine.runtime.why import explain_task
from engine.shipped import folder
from tests.acceptance.conftest import Project, task
from tests.opa import free_port
from tests.policy.test_opa_server import Broken

#: the shipped process's gateways: {package: element}
GATEWAYS = {"preflight": "May_start", "launch": "May_launch", "merge": "May_merge"}


@dataclass(frozen=True)
class Case:
    """What a policy's body says, the ruling that follows, and what `engine why` tells of it."""

    body: str
    ruling: str
    told: str


PASS = Case(
    "default allow := false\nallow if count(deny) == 0\ndeny contains {} if false\n", "pass", ""
)
BLOCKED = {
    "deny": Case(
        'allow := false\ndeny := [{"code": "NO", "msg": "not today"}]\n', "fail", "NO: not today"
    ),
    "undefined": Case(
        "allow if input.no_such.member\ndeny := []\n",
        "error",
        "MALFORMED: expected allow to be true or false, but got None",
    ),
    "nothing defined": Case(
        "", "error", "MALFORMED: expected allow to be true or false, but got None"
    ),
    "missing key": Case(
        "allow := true\n", "error", "MALFORMED: expected deny to be a set of reasons, but got None"
    ),
    "wrong type": Case(
        'allow := "true"\ndeny := []\n',
        "error",
        "MALFORMED: expected allow to be true or false, but got 'true'",
    ),
    "a number": Case(
        "allow := 1\ndeny := []\n",
        "error",
        "MALFORMED: expected allow to be true or false, but got 1",
    ),
    "contradiction": Case(
        'allow := true\ndeny := [{"code": "NO", "msg": "x"}]\n',
        "error",
        "CONTRADICTION: the policy allows and denies at once",
    ),
    "runtime error": Case(
        "allow := x\ndeny := []\nx := 1\nx := 2 if is_object(input)\n", "error", "EVALUATION: "
    ),
    "built-in error": Case(
        'allow := to_number(sprintf("%v", ["x"])) == 1\ndeny := []\n', "error", "EVALUATION: "
    ),
}


def chosen(cases: Mapping[str, object], *names: str) -> list[str]:
    """Return the names of the cases to run: all of them for GATEWAYS=all (`make chaos`), else `names`."""
    return list(cases) if os.environ.get("GATEWAYS") == "all" else list(names)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a repository with a bundle of its own and one task; copied for each case."""
    root = tmp_path_factory.mktemp("template") / "p"
    root.mkdir()
    project = Project(root)
    project.git("init", "-q", "-b", "main")
    (root / "README.md").write_text("x\n", "utf-8")
    project.git("add", "-A")
    project.git("-c", "user.name=T", "-c", "user.email=t@x", "commit", "-q", "-m", "first")
    for name in ("process", "decisions", "policies"):
        shutil.copytree(folder(name), root / ".engine" / "own" / name)
    (root / ".engine" / ".gitignore").write_text("*\n", "utf-8")
    project.write_graph([task("a")])
    return root


@pytest.fixture
def project(template: Path, tmp_path: Path) -> Project:
    shutil.copytree(template, tmp_path / "p")
    project = Project(tmp_path / "p")
    project.configure('bundle = ".engine/own"\n')
    return project


def carry_out(project: Project) -> RunResult:
    return Engine.open(project.root).run_feature("shop")


def outcome(project: Project, result: RunResult) -> tuple[bool, str]:
    """Return (whether the branch moved, what `engine why` says)."""
    with Engine.open(project.root).store() as store:
        why = explain_task(store, result.run, "a")
    told = "\n".join([why.reason, *(f"{step.text} {' '.join(step.details)}" for step in why.steps)])
    return project.branch() not in (None, project.branch("main")), told


def replace_policy(project: Project, package: str, body: str) -> None:
    file = project.root / ".engine/own/policies" / f"{package}.rego"
    file.write_text(f"package {package}\n{body}", "utf-8")


def expect_blocked(project: Project, package: str, ruling: str, told: str) -> None:
    """Run the feature: the branch stays where it is, and `engine why` names gateway, ruling and reason."""
    result = carry_out(project)
    moved, why = outcome(project, result)
    assert (result.status in {"failed", "blocked"}, moved) == (True, False)
    assert f"gateway {GATEWAYS[package]}: {ruling} {told}" in why


ON_OPA = '[policy]\nbackend = "opa"\ntimeout_s = {timeout_s}\nurl = "{url}"\n'


@pytest.fixture(params=["embedded", pytest.param("opa", marks=pytest.mark.opa)])
def either(request: pytest.FixtureRequest, project: Project) -> Project:
    """Return the project on each back end."""
    if request.param == "opa":
        url = request.getfixturevalue("opa_url")
        project.configure('bundle = ".engine/own"\n' + ON_OPA.format(timeout_s=5, url=url))
    return project


def test_a_pass_moves_the_branch(either: Project) -> None:
    replace_policy(either, "merge", PASS.body)
    result = carry_out(either)
    moved, why = outcome(either, result)
    assert (result.status, moved) == ("completed", True)
    assert "gateway May_merge: pass" in why


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(BLOCKED[name], id=name)
        for name in chosen(
            BLOCKED, "deny", "undefined", "missing key", "wrong type", "runtime error"
        )
    ],
)
def test_everything_else_at_the_merge_closes_and_names_itself(either: Project, case: Case) -> None:
    replace_policy(either, "merge", case.body)
    expect_blocked(either, "merge", case.ruling, case.told)


@pytest.mark.parametrize(
    ("package", "case"),
    [
        pytest.param(package, BLOCKED[name], id=f"{package}-{name}")
        for package in ("preflight", "launch")
        for name in chosen(BLOCKED, "deny", "runtime error")
    ],
)
def test_the_gateways_before_close_the_same(either: Project, package: str, case: Case) -> None:
    replace_policy(either, package, case.body)
    expect_blocked(either, package, case.ruling, case.told)


@pytest.mark.opa
def test_a_policy_that_only_opa_knows_closes_and_names_itself(
    project: Project, opa_url: str
) -> None:
    project.configure('bundle = ".engine/own"\n' + ON_OPA.format(timeout_s=5, url=opa_url))
    message = 'strings.render_template("{{.a}} today", {"a": "not"})'
    body = f'default allow := false\ndeny contains {{"code": "NO", "msg": {message}}} if true\n'
    replace_policy(project, "merge", body)
    expect_blocked(project, "merge", "fail", "NO: not today")


def test_a_policy_that_does_not_compile_starts_nothing(either: Project) -> None:
    replace_policy(either, "merge", "allow if {")
    with pytest.raises(DefinitionError, match=r"merge\.rego"):
        carry_out(either)
    assert either.branch() is None


def test_a_policy_that_is_not_there_starts_nothing(either: Project) -> None:
    (either.root / ".engine/own/policies/merge.rego").unlink()
    with pytest.raises(DefinitionError, match="merge"):
        carry_out(either)
    assert either.branch() is None


def test_a_server_that_is_missing_starts_nothing(project: Project) -> None:
    url = f"http://127.0.0.1:{free_port()}"
    project.configure('bundle = ".engine/own"\n' + ON_OPA.format(timeout_s=1, url=url))
    with pytest.raises(EnvironmentFailure, match="the OPA server cannot be used"):
        carry_out(project)
    assert project.branch() is None


def test_an_embedded_engine_that_is_missing_starts_nothing(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "engine.policy.embedded")
    monkeypatch.setitem(sys.modules, "regorus", None)
    with pytest.raises(EnvironmentFailure, match="the embedded Rego engine cannot be used"):
        carry_out(project)
    assert project.branch() is None


class At(Broken):
    """A server that is well until the policy `package` is asked."""

    package = ""
    later = ""

    def do_POST(self) -> None:
        is_asked = self.path.partition("?")[0].endswith(f"/{self.package}")
        self.fault = self.later if is_asked else ""
        super().do_POST()


@contextmanager
def server(project: Project, upstream: str, package: str, fault: str) -> Iterator[None]:
    """Let the project's OPA server go wrong when that package is asked."""
    members = {"upstream": upstream, "later": fault, "package": package}
    handler = type("Handler", (At,), {**members, "waiting": threading.Event()})
    listening = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{listening.server_address[1]}"
    project.configure('bundle = ".engine/own"\n' + ON_OPA.format(timeout_s=0.5, url=url))
    try:
        yield
    finally:
        handler.waiting.set()
        listening.shutdown()
        listening.server_close()


FAULTS = {
    "closed": "UNREACHABLE: the OPA server at",
    "hung": "TIMEOUT: ",
    "late": "TIMEOUT: ",
    "500": "EVALUATION: it broke",
    "500 without a body": "MALFORMED_ANSWER: the OPA server answered 500",
    "truncated": "MALFORMED_ANSWER: the answer of the OPA server is no JSON",
    "html": "MALFORMED_ANSWER: the answer of the OPA server is no JSON",
    "no result": "WRONG_BUNDLE: ",
    "wrong digest": "WRONG_BUNDLE: the OPA server at",
}


@pytest.mark.opa
def test_a_server_that_is_well_moves_the_branch(project: Project, opa_url: str) -> None:
    with server(project, opa_url, "merge", ""):
        result = carry_out(project)
    assert (result.status, outcome(project, result)[0]) == ("completed", True)


@pytest.mark.opa
@pytest.mark.parametrize(
    ("package", "fault"),
    [
        *(
            ("merge", fault)
            for fault in chosen(
                FAULTS, "closed", "hung", "late", "500", "truncated", "html", "wrong digest"
            )
        ),
        *(("preflight", fault) for fault in chosen(FAULTS, "hung")),
        *(("launch", fault) for fault in chosen(FAULTS, "truncated")),
    ],
)
def test_a_server_that_lets_us_down_closes_and_names_itself(
    project: Project, opa_url: str, package: str, fault: str
) -> None:
    with server(project, opa_url, package, fault):
        expect_blocked(project, package, "error", FAULTS[fault])
