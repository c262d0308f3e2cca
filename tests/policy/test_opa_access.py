"""An OPA server that is reached over TLS, wants a token, or stands behind a proxy that must not be used."""

from __future__ import annotations

import ipaddress
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from engine.core.model import Ruling
from engine.errors import EnvironmentFailure
from engine.policy import PolicySet, ServerSettings
from tests.opa import free_port, opa_binary, start

NOW = datetime(2026, 1, 1, tzinfo=UTC)
POLICY = {"p.rego": "package p\nallow := true\ndeny := []\n"}
AUTHORITY = """package system.authz
default allow := false
allow if input.identity == "the-token"
allow if input.path == ["health"]
"""

Start = Callable[..., str]

pytestmark = [pytest.mark.opa, pytest.mark.usefixtures("opa_url")]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Start]:
    """Return a function that starts a server with options and returns its address without the scheme."""
    binary = opa_binary()
    assert binary is not None  # the fixture has seen it
    running = []

    def begin(*options: str) -> str:
        port = free_port()
        running.append(start(binary, port, tmp_path / "log", *options))
        return f"127.0.0.1:{port}"

    yield begin
    for one in running:
        one.terminate()
        one.wait(10)


@pytest.fixture
def certificate(tmp_path: Path) -> tuple[Path, Path]:
    """Return a self-signed certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    files = tmp_path / "cert.pem", tmp_path / "key.pem"
    files[0].write_bytes(made.public_bytes(serialization.Encoding.PEM))
    files[1].write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return files


def asked(settings: ServerSettings) -> Ruling:
    policies = PolicySet.load(POLICY, server=settings)
    try:
        return policies.decide("p", {}, NOW).ruling
    finally:
        policies.close()


def test_only_the_named_authority_is_trusted(server: Start, certificate: tuple[Path, Path]) -> None:
    file, key = certificate
    address = server(f"--tls-cert-file={file}", f"--tls-private-key-file={key}")
    url = f"https://{address}"
    assert asked(ServerSettings(url=url, ca_file=str(file))) is Ruling.PASS
    with pytest.raises(EnvironmentFailure, match="certificate verify failed"):
        asked(ServerSettings(url=url))
    with pytest.raises(EnvironmentFailure, match="cannot be used"):
        asked(ServerSettings(url=f"http://{address}"))


def test_a_server_that_wants_a_token_answers_only_with_it(server: Start, tmp_path: Path) -> None:
    (tmp_path / "authz.rego").write_text(AUTHORITY, "utf-8")
    options = ("--authentication=token", "--authorization=basic", str(tmp_path / "authz.rego"))
    url = f"http://{server(*options)}"
    assert asked(ServerSettings(url=url, token="the-token")) is Ruling.PASS
    for wrong in ("", "another"):
        with pytest.raises(EnvironmentFailure, match="401"):
            asked(ServerSettings(url=url, token=wrong))


def test_a_proxy_of_the_environment_is_not_used(
    opa_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    class Proxy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(self.path)
            self.send_error(502)

        do_PUT = do_POST = do_DELETE = do_GET

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    proxy = ThreadingHTTPServer(("127.0.0.1", 0), Proxy)
    threading.Thread(target=proxy.serve_forever, daemon=True).start()
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server_address[1]}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    try:
        assert asked(ServerSettings(url=opa_url)) is Ruling.PASS
    finally:
        proxy.shutdown()
        proxy.server_close()
    assert seen == []
