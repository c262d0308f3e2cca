"""Every HTTP request of a process goes through here: only to origins on the list, in bounds, never redirected.

An origin is scheme, host and port (RFC 6454, section 4): `https://api.example.org`, `http://127.0.0.1:8080`. A token is
kept in the environment, sent to its own origin only, and never seen by a diagram. Each request carries
`Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header), because after a kill it may be sent again.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from engine import __version__
from engine.errors import EngineError, UsageError
from engine.frozen import dataclass
from engine.settings import origin_of

if TYPE_CHECKING:
    from pydantic import HttpUrl

METHODS: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
LIMIT_BYTES: Final = 1_048_576  #: of an answer's body
LIMIT_DIGITS: Final = 1_000  #: of one number in it: beyond, arithmetic is an attack
_CHUNK: Final = 16_384
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", re.ASCII)  # RFC 9110, section 5.6.2
_RESERVED: Final = frozenset(
    {"host", "content-length", "transfer-encoding", "connection", "idempotency-key", "upgrade"}
)


class WebError(EngineError):
    """No whole answer came: nobody there, too late, too long, broken."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What to send. `body`: text is sent as it is, any other value as JSON, None sends nothing."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None  # Any: JSON
    key: str = ""  #: idempotency key
    timeout_s: float = 30


@dataclass(frozen=True, kw_only=True)
class Response:
    """A whole answer. Names of headers are in lower case; `body` is JSON when the answer says so, else text."""

    status: int
    headers: Mapping[str, str]
    body: Any  # Any: JSON


class Web:
    """Sends requests to the origins that are allowed; `tokens` maps an origin to its bearer token (RFC 6750)."""

    def __init__(self, allowed: Sequence[str], tokens: Mapping[str, str]) -> None:
        self._allowed = frozenset(allowed)
        self._tokens = dict(tokens)

    def send(self, request: Request) -> Response:
        """Return the answer to `request`; a redirect is an answer like any other.

        Raises UsageError when the request may not be sent, WebError when no whole answer came, or one that says to
        try again (429, 500–599; RFC 9110 and RFC 6585).
        """
        url = self._permitted(request)
        from requests import Session
        from requests.exceptions import RequestException
        from requests.utils import get_environ_proxies

        deadline = time.monotonic() + request.timeout_s
        headers, content = _message(request)
        if token := self._tokens.get(origin_of(url)):
            headers["Authorization"] = f"Bearer {token}"
        with Session() as session:
            session.trust_env = False  # no .netrc: a password would go along that nobody named
            session.headers.clear()
            try:
                with session.request(
                    request.method,
                    str(url),
                    headers=headers,
                    data=content,
                    timeout=request.timeout_s,
                    allow_redirects=False,
                    stream=True,
                    proxies=get_environ_proxies(str(url)),
                ) as answer:
                    text = _read(answer, deadline, request)
                    if answer.status_code == 429 or answer.status_code >= 500:
                        raise _no_answer(request, f"status {answer.status_code}", text)
                    return Response(
                        status=answer.status_code,
                        headers={name.lower(): value for name, value in answer.headers.items()},
                        body=_body(text, answer.headers.get("Content-Type", "")),
                    )
            except RequestException as error:
                raise _no_answer(request, _plain_reason(error)) from error

    def _permitted(self, request: Request) -> HttpUrl:
        """Return the address as it is sent: read once, so that nobody reads another host out of it."""
        from pydantic import HttpUrl, ValidationError  # a tenth of a second, and few processes ask

        try:
            url = HttpUrl(request.url)
        except ValidationError as error:
            raise UsageError(
                "this is no address of the web", where="http.request", got=request.url
            ) from error
        if url.username or url.password:
            raise UsageError(
                "an address must not hold a password",
                where="http.request",
                hint="Name the variable that holds a token under [http.token_env] in engine.toml.",
            )
        if (origin := origin_of(url)) not in self._allowed:
            raise UsageError(
                f"{origin} is not on the list of what processes may ask",
                where="http.request",
                hint=f'Add "{origin}" to `allow` under [http] in engine.toml, if processes may send to it.',
            )
        if request.method not in METHODS:
            raise UsageError(
                "this method is not known",
                got=request.method,
                expected=f"one of {', '.join(METHODS)}",
            )
        for name, value in request.headers.items():
            if not _TOKEN.fullmatch(name) or name.lower() in _RESERVED or not value.isprintable():
                raise UsageError(f"the header {name!r} cannot be set", where="http.request")
        return url


def _message(request: Request) -> tuple[dict[str, str], bytes | None]:
    headers = {
        "User-Agent": f"poundlock/{__version__}",
        "Accept": "application/json, text/*;q=0.9, */*;q=0.1",
        **request.headers,
    }
    if request.key:
        headers["Idempotency-Key"] = f'"{request.key}"'
    if request.body is None:
        return headers, None
    is_text = isinstance(request.body, str)
    if not any(name.lower() == "content-type" for name in headers):
        headers["Content-Type"] = "text/plain; charset=utf-8" if is_text else "application/json"
    text = request.body if is_text else json.dumps(request.body, default=_plain, allow_nan=False)
    return headers, text.encode()


def _plain(value: object) -> object:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(f"a body holds {type(value).__name__}, which is no JSON")


def _read(answer: Any, deadline: float, request: Request) -> str:  # Any: requests.Response
    found = bytearray()
    for chunk in answer.iter_content(_CHUNK):
        found += chunk
        if len(found) > LIMIT_BYTES:
            raise _no_answer(request, f"its answer is longer than {LIMIT_BYTES:,} bytes")
        if time.monotonic() > deadline:
            raise _no_answer(request, f"its answer did not end within {request.timeout_s:g} s")
    return found.decode(answer.encoding or "utf-8", "replace")


def _body(text: str, content_type: str) -> Any:  # Any: JSON
    kind = content_type.partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        return text
    try:
        return json.loads(text, parse_float=_number, parse_int=_whole, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise WebError("the answer says it is JSON, but it is not", got=str(error)[:200]) from error


def _number(text: str) -> Decimal:
    value = Decimal(text)
    if len(text) > LIMIT_DIGITS or abs(value.adjusted()) > LIMIT_DIGITS:
        raise ValueError("a number is out of bounds")
    return value


def _whole(text: str) -> int:
    if len(text) > LIMIT_DIGITS:
        raise ValueError("a number is out of bounds")
    return int(text)


def _refuse(text: str) -> None:
    raise ValueError(f"{text} is no JSON")


def _no_answer(request: Request, reason: str, got: str = "") -> WebError:
    return WebError(
        f"{request.method} {request.url.partition('?')[0]} was not answered: {reason}",
        where="http.request",
        got=" ".join(got.split())[:200],
        hint="See whether the other side is up; the attempt is repeated while the task has retries.",
    )


def _plain_reason(error: Exception) -> str:
    """Return the innermost words of an error: those of the operating system, not the library's layers."""
    seen: BaseException | None = error
    while seen is not None and not (isinstance(seen, OSError) and seen.strerror):
        inner = next((part for part in seen.args if isinstance(part, BaseException)), None)
        seen = inner or getattr(seen, "reason", None) or seen.__cause__ or seen.__context__
        if not isinstance(seen, BaseException):
            break
    if isinstance(seen, OSError) and seen.strerror:
        return seen.strerror.lower()
    name = type(error).__name__
    return {
        "ConnectTimeout": "nobody answered in time",
        "ReadTimeout": "it did not answer in time",
    }.get(name, " ".join(str(error).split())[:200])
