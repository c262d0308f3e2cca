"""The official DMN test kit: all of it must pass. The kit is third-party data and not part of this repository."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from tck_adapter import NOW, Adapter

from engine.decisions import DecisionModel
from engine.decisions.cases import play, read_cases
from engine.feel.external import JAVA_LANG
from tests.needs import missing

LEVELS = ("compliance-level-2", "compliance-level-3")
CASES, CASES_WITH_A_VALUE = 3391, 1927
Outcomes = dict[tuple[str, str], list[tuple[bool, bool]]]


def kit() -> Path | None:
    """Return the folder that holds `TestCases` and the runner, from DMN_TCK or beside the repository."""
    beside = Path(__file__).parents[3] / "shared" / "tck"
    for folder in filter(None, (os.environ.get("DMN_TCK"), str(beside))):
        if (Path(folder) / "TestCases").is_dir() and (Path(folder) / "tck_runner.py").is_file():
            return Path(folder)
    return None


def runner(folder: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location("tck_runner", folder / "tck_runner.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["tck_runner"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def outcomes() -> tuple[Outcomes, str]:
    folder = kit()
    if folder is None:
        reason = "the DMN test kit is not there; set DMN_TCK to a folder with TestCases and tck_runner.py"
        missing(reason)
    module = runner(folder)
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lambda *parts, **_: lines.append(" ".join(map(str, parts))))
        found = module.run(Adapter(module.T), str(folder / "TestCases"), verbose=True)
    return found, "\n".join(lines)


def test_every_case_of_the_kit_passes(outcomes: tuple[Outcomes, str]) -> None:
    found, report = outcomes
    counted = [case for (level, _), cases in found.items() if level in LEVELS for case in cases]
    passed = sum(ok for ok, _ in counted)
    valued = [ok for ok, expects_null in counted if not expects_null]
    assert (passed, len(counted)) == (CASES, CASES), report
    assert (sum(valued), len(valued)) == (CASES_WITH_A_VALUE, CASES_WITH_A_VALUE), report


def test_our_own_player_of_test_cases_agrees(outcomes: tuple[Outcomes, str]) -> None:
    folder = kit()
    assert folder is not None
    problems, count = [], 0
    for file in sorted(folder.glob("TestCases/compliance*/*/*.xml")):
        suite = read_cases(file.read_bytes(), file.name)
        others = [f for f in file.parent.glob("*.dmn") if f.name != suite.model]
        model = DecisionModel.load(
            file.parent / suite.model, others, externals=JAVA_LANG, strict=False
        )
        results = play(model, suite, NOW)
        count += len(results)
        problems += [(file.name, r.case.name, r.problems) for r in results if not r.passed]
    assert (problems, count) == ([], CASES)


def test_the_part_of_the_kit_that_is_not_counted_is_reported(
    outcomes: tuple[Outcomes, str], record_property: Callable[[str, object], None]
) -> None:
    found, _ = outcomes
    cases = [
        ok for (level, _), group in found.items() if level == "non-compliant" for ok, _ in group
    ]
    record_property("non-compliant", f"{sum(cases)} of {len(cases)}")
    assert len(cases) == 42
