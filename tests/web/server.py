"""A web server of tests, on a port of its own: it answers by path and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

JSON = "application/json"


@dataclass
class Site:
    """`answers` maps a path to (status, headers, body)."""

    origin: str
    answers: dict[str, tuple[int, dict[str, str], bytes]]
    asked: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def serving(**answers: tuple[int, dict[str, str], bytes]) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            site.asked.append(
                {
                    "method": self.command,
                    "path": self.path,
                    "headers": {name.lower(): value for name, value in self.headers.items()},
                    "body": self.rfile.read(length).decode(),
                }
            )
            name = self.path.strip("/").partition("?")[0]
            status, headers, body = site.answers.get(
                name, (404, {"Content-Type": JSON}, b'{"no": 1}')
            )
            self.send_response(status)
            for header, value in {"Content-Length": str(len(body)), **headers}.items():
                self.send_header(header, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = answer

        def log_message(self, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    site = Site(origin=f"http://127.0.0.1:{server.server_port}", answers=answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield site
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def answering(value: object, status: int = 200) -> tuple[int, dict[str, str], bytes]:
    return status, {"Content-Type": JSON}, json.dumps(value).encode()
