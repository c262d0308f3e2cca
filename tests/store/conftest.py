"""Databases for the store's tests: a SQLite file, and a PostgreSQL cluster of our own (marker `postgres`)."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from engine.store import Store


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Return a function that opens the test's own database, again and again if wanted."""
    if request.param == "sqlite":
        return lambda: Store.open(tmp_path / "engine.db")
    url = request.getfixturevalue("postgres_database")
    return lambda: Store.open(url, home=tmp_path)


@pytest.fixture
def postgres_database(postgres_server: str) -> str:
    """Return the URL of an empty database."""
    from sqlalchemy import create_engine

    engine = create_engine(
        postgres_server.replace("DATABASE", "postgres"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.exec_driver_sql("DROP DATABASE IF EXISTS store_test WITH (FORCE)")
        connection.exec_driver_sql("CREATE DATABASE store_test")
    engine.dispose()
    return postgres_server.replace("DATABASE", "store_test")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Start a PostgreSQL cluster in a temporary folder and return its URL with DATABASE for a name.

    Left out where PostgreSQL or its driver is not installed, except in CI, where that is a failure.
    """
    programs = _programs()
    if programs is None or importlib.util.find_spec("psycopg") is None:
        reason = "needs the programs of PostgreSQL and the driver psycopg"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    with tempfile.TemporaryDirectory(prefix="store-pg-") as name:  # short: sockets live there
        folder = Path(name)
        if user:
            shutil.chown(folder, "postgres")
        cluster = folder / "cluster"
        initdb = [programs / "initdb", "-D", cluster, "-U", "store", "-A", "trust", "-E", "UTF8"]
        _run([*user, *initdb])
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}'"
        control = [*user, programs / "pg_ctl", "-D", cluster, "-w", "-t", "30"]
        _run([*control, "-l", folder / "log", "-o", options, "start"])
        try:
            yield f"postgresql+psycopg://store@/DATABASE?host={folder}"
        finally:
            _run([*control, "-m", "immediate", "stop"])


def _programs() -> Path | None:
    found = shutil.which("pg_ctl")
    if found:
        return Path(found).parent
    installed = sorted(Path("/usr/lib/postgresql").glob("*/bin/pg_ctl"))
    return installed[-1].parent if installed else None


def _run(command: list[object]) -> None:
    text = [str(part) for part in command]
    done = subprocess.run(text, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, f"{text}: {done.stdout}{done.stderr}"
