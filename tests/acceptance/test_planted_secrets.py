"""Secrets in every channel of a worker: none in what the engine writes (`make chaos` plants 1,000)."""

from __future__ import annotations

from pathlib import Path

from tests.acceptance.planted import CHANNELS, found, plant, run


def test_no_planted_secret_is_found_again(tmp_path: Path) -> None:
    planted = plant(10 * len(CHANNELS))
    root = tmp_path / "project"
    printed = run(root, planted)

    assert "engine.run-report/v1" in printed[0]
    assert "redacted:" in "".join(
        f.read_text("utf-8") for f in (root / ".engine/logs").rglob("*.log")
    )
    assert found(root, printed, planted) == []
