"""Which gates `engine init` writes for a repository."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest
from pydantic import TypeAdapter

from engine.runtime.home import configuration
from engine.runtime.profiles import Profile, profile_of
from engine.settings import Settings

LIMITS = {"lint": 120, "typecheck": 180, "unit": 300, "security": 60}
EVERY = ["python", "rust", "go", "javascript", "dotnet"]
MARKERS = {
    "python": "pyproject.toml",
    "rust": "Cargo.toml",
    "go": "go.mod",
    "javascript": "package.json",
    "dotnet": "shop.sln",
}


def repository(root: Path, language: str) -> Path:
    scripts = {"scripts": dict.fromkeys(("lint", "typecheck", "build", "coverage", "test"), "x")}
    (root / MARKERS[language]).write_text(json.dumps(scripts), "utf-8")
    (root / "tests").mkdir()
    if language == "javascript":
        (root / "package-lock.json").write_text("{}", "utf-8")
    return root


def gates(profile: Profile) -> dict[str, str]:
    return {gate.name: gate.entry["command"] for gate in profile.gates if not gate.missing}


@pytest.mark.parametrize("language", EVERY)
def test_each_profile_is_a_configuration_with_the_usual_limits(
    tmp_path: Path, language: str
) -> None:
    profile = profile_of(repository(tmp_path, language), which=lambda name: f"/usr/bin/{name}")
    assert profile.language == language
    settings = TypeAdapter(Settings).validate_python(tomllib.loads(configuration(profile)))
    told = {gate.name: gate.timeout_s for gate in settings.gates}
    assert told | LIMITS == told
    assert all(gate.enforcement == "block" for gate in settings.gates)
    thresholds = [gate.coverage_threshold for gate in settings.gates if gate.name == "unit"]
    assert thresholds == [None if language == "dotnet" else 80]


@pytest.mark.parametrize("language", EVERY)
def test_what_is_not_installed_is_a_comment_that_says_so(tmp_path: Path, language: str) -> None:
    profile = profile_of(repository(tmp_path, language), which=lambda name: None)
    text = configuration(profile)
    assert TypeAdapter(Settings).validate_python(tomllib.loads(text)).gates == ()
    assert text.count("is not installed") >= len(LIMITS)


def test_the_first_gate_that_can_run_is_taken(tmp_path: Path) -> None:
    there = {"python3", "pytest"}
    root = repository(tmp_path, "python")
    profile = profile_of(root, which=lambda name: name if name in there else None)
    assert gates(profile) == {
        "compile": "python3 -m compileall -q .",
        "unit": "python3 -m pytest -q",
    }
    assert {gate.name: gate.missing for gate in profile.gates if gate.missing} == {
        "lint": ("ruff is not installed",),
        "typecheck": ("mypy is not installed",),
        "security": ("bandit is not installed",),
    }


def test_a_repository_without_tests_gets_no_gate_that_wants_some(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("", "utf-8")
    profile = profile_of(tmp_path, which=str)
    assert sorted(gates(profile)) == ["compile", "lint", "security", "typecheck"]


def test_scripts_decide_about_javascript(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text('{"scripts": {"test": "x"}}', "utf-8")
    assert gates(profile_of(tmp_path, which=str)) == {"unit": "npm test --silent"}
    (tmp_path / "package.json").write_text("no JSON", "utf-8")
    assert gates(profile_of(tmp_path, which=str)) == {}


def test_a_repository_of_no_known_language(tmp_path: Path) -> None:
    assert profile_of(tmp_path) == Profile(language="unknown")
    text = configuration(profile_of(tmp_path))
    assert "No gate command could be guessed" in text
    assert TypeAdapter(Settings).validate_python(tomllib.loads(text)).gates == ()
