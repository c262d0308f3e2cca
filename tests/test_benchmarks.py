"""The benchmarks are not run here, but what they measure must be there under the names they use."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

FILES = sorted((Path(__file__).parents[1] / "benchmarks").glob("bench_*.py"))


@pytest.mark.parametrize("name", [file.stem for file in FILES])
def test_a_benchmark_finds_what_it_measures(name: str) -> None:
    assert callable(importlib.import_module(f"benchmarks.{name}").main)
