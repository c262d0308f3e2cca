"""A real OPA server, when its binary is at hand. In CI it must be."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.needs import missing


def opa_binary() -> str | None:
    return os.environ.get("OPA_BIN") or shutil.which("opa")


@pytest.fixture(scope="session")
def opa_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Start an OPA server for the session and return its URL."""
    binary = opa_binary()
    if binary is None:
        missing("no OPA binary: set OPA_BIN to one, or put opa on the PATH")
    log = tmp_path_factory.mktemp("opa") / "log"
    port = free_port()
    server = start(binary, port, log)
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(10)


def start(binary: str, port: int, log: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start a server and wait until it answers."""
    scheme = "https" if any(option.startswith("--tls") for option in options) else "http"
    with log.open("wb") as stream:
        server = subprocess.Popen(
            [binary, "run", "--server", "--addr", f"127.0.0.1:{port}", "--log-level", "error",
             *options],
            stdout=stream,
            stderr=stream,
        )  # fmt: skip
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            session = requests.Session()
            session.trust_env = False
            session.get(f"{scheme}://127.0.0.1:{port}/health", timeout=1)
            return server
        except requests.exceptions.SSLError:
            return server  # it speaks TLS, with a certificate that only the test trusts
        except requests.RequestException:
            if server.poll() is not None:
                break
            time.sleep(0.05)
    server.kill()
    server.wait(10)
    raise AssertionError(f"OPA did not start: {log.read_text('utf-8')[-2000:]}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
