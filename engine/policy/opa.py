"""Rego on an OPA server: the bundle of the run is put there, and each answer says which bundle gave it.

The server holds one bundle at a time, under policy ids that carry its digest, with one module of ours beside it:
`data.poundlock_bundle.answers[package]` is `{"digest", "documents"}`, a list with the decision document or nothing.
So one question gets document and digest together, an undefined package is an empty list, and a server that was
given another bundle meanwhile shows it. Built-in errors are errors here as on the embedded engine.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from opa_client import OpaClient
from opa_client.errors import DeletePolicyError, RegoParseError

from engine.core.model import Json
from engine.errors import DefinitionError, EnvironmentFailure, UsageError
from engine.policy.backends import RegoError, ServerSettings, impure_finding, is_impure

PREFIX: Final = "poundlock/"  #: ids of our policies on the server
_PACKAGE: Final = "poundlock_bundle"
_STRICT: Final = {"strict-builtin-errors": "true"}
_HINT: Final = 'Start the server, or set policy.backend = "embedded".'


class OpaServer:
    """The policies of a bundle on a server, put there and read back."""

    def __init__(
        self,
        modules: Mapping[str, str],
        data: Mapping[str, Json],
        digest: str,
        settings: ServerSettings,
    ) -> None:
        """Put `modules` (path → text) and `data` on the server in place of the bundle that was there.

        Raises EnvironmentFailure when the server does not answer, DefinitionError when it refuses a policy or one
        asks for what replay cannot repeat, UsageError for a wrong URL or a foreign policy of one of our packages.
        """
        self._digest = digest
        self._settings = settings
        self._client = _client(settings)
        try:
            self.packages = self._put(modules, data)
            version = self._asked("version", {}).get("result")
        except BaseException as error:
            self.close()
            if not isinstance(error, requests.RequestException | RegoError):
                raise
            raise EnvironmentFailure(
                "the OPA server cannot be used",
                where=settings.url,
                got=_told(error),
                hint=_HINT,
            ) from error
        self.name = f"opa {version}"

    def session(self) -> OpaServer:
        """Return what answers questions; one connection serves all."""
        return self

    def close(self) -> None:
        self._client.close_connection()

    def document(self, package: str, input_text: str) -> Any:  # Any: the policy's document
        """Return the decision document of `package` for a JSON input, or None when it is undefined.

        Raises RegoError with a code: UNREACHABLE, TIMEOUT, EVALUATION, MALFORMED_ANSWER, WRONG_BUNDLE.
        """
        answer = self._asked(f"answers/{package}", json.loads(input_text)).get("result")
        if answer is None and package not in self.packages:
            return None
        if not isinstance(answer, dict) or answer.get("digest") != self._digest:
            raise RegoError(
                f"the OPA server at {self._settings.url} judges by another bundle than this run's",
                "WRONG_BUNDLE",
            )
        documents = answer.get("documents")
        if not isinstance(documents, list) or len(documents) > 1:
            raise RegoError("expected one decision document from OPA", "MALFORMED_ANSWER")
        return documents[0] if documents else None

    # ---- private

    def _asked(self, rule: str, input_: object) -> dict[str, Any]:  # Any: JSON of the server
        try:
            return self._ask_twice(rule, input_)
        except requests.Timeout as error:
            raise RegoError(
                f"the OPA server at {self._settings.url} did not answer in time", "TIMEOUT"
            ) from error
        except requests.HTTPError as error:
            raise _refused(error) from error
        except requests.JSONDecodeError as error:
            raise RegoError(
                "the answer of the OPA server is no JSON", "MALFORMED_ANSWER"
            ) from error
        except requests.RequestException as error:
            raise RegoError(
                f"the OPA server at {self._settings.url} cannot be reached", "UNREACHABLE"
            ) from error

    def _ask_twice(self, rule: str, input_: object) -> dict[str, Any]:  # Any: JSON of the server
        """Ask; once more when the connection broke, which asks nothing twice: a policy has no effects."""
        try:
            answer = self._client.query_rule(input_, _PACKAGE, rule, _STRICT)
        except requests.Timeout:
            raise
        except requests.ConnectionError:
            answer = self._client.query_rule(input_, _PACKAGE, rule, _STRICT)
        if not isinstance(answer, dict):
            raise RegoError("the answer of the OPA server is no object", "MALFORMED_ANSWER")
        return answer

    def _put(self, modules: Mapping[str, str], data: Mapping[str, Json]) -> tuple[str, ...]:
        """Make the server hold this bundle and no other of ours; return its packages."""
        folder = f"{PREFIX}{self._digest}/"
        held = self._client.get_policies_list()
        self._remove([name for name in held if name.startswith(PREFIX) and folder not in name])
        self._put_all(folder, modules)
        for name, value in data.items():
            self._client.update_or_create_data({"value": value}, f"{_PACKAGE}_data/{name}")
        packages = sorted({self._checked(folder + path, path, modules[path]) for path in modules})
        self._refuse_foreign(held, packages)
        self._put_one(f"{folder}answers", "answers", _answers(packages, self._digest))
        return tuple(packages)

    def _put_all(self, folder: str, modules: Mapping[str, str]) -> None:
        """Put policies that import each other: one that is refused is tried again after those it may need."""
        ahead = dict(modules)
        while ahead:
            refused: dict[str, DefinitionError] = {}
            for path, text in ahead.items():
                try:
                    self._put_one(folder + path, path, text)
                except DefinitionError as error:
                    refused[path] = error
            if len(refused) == len(ahead):
                raise next(iter(refused.values()))
            ahead = {path: modules[path] for path in refused}

    def _remove(self, stale: list[str]) -> None:
        """Delete policies that import each other: one that others still need is tried again after them."""
        while stale:
            kept = [name for name in stale if not self._is_removed(name)]
            if len(kept) == len(stale):
                raise RegoError(f"the server does not give up {kept[0]}", "WRONG_BUNDLE")
            stale = kept

    def _is_removed(self, name: str) -> bool:
        try:
            self._client.delete_policy(name)
        except DeletePolicyError:
            return False
        return True

    def _put_one(self, name: str, path: str, text: str) -> None:
        try:
            self._client.update_policy_from_string(text, name, rego_compat=False)
        except RegoParseError as error:
            raise DefinitionError(
                f"the OPA server refuses the policy: {_parse_errors(error)}",
                where=path,
                hint="Mend the file; `engine policy check` tells more.",
            ) from error

    def _checked(self, name: str, path: str, text: str) -> str:
        """Read a policy back: it must be our text, and ask for nothing that replay cannot repeat. Return its package."""
        held = self._client.get_policy(name)["result"]
        if held["raw"] != text:
            raise RegoError(f"the server holds another text of {path}", "WRONG_BUNDLE")
        findings = [
            str(impure_finding(path, *_place(text, called), called))
            for called in dict.fromkeys(_references(held["ast"]))
            if is_impure(called)
        ]
        if findings:
            raise DefinitionError("\n".join(findings))
        return _dotted(held["ast"]["package"]["path"][1:])

    def _refuse_foreign(self, held: list[str], packages: list[str]) -> None:
        for name in (name for name in held if not name.startswith(PREFIX)):
            package = _dotted(self._client.get_policy(name)["result"]["ast"]["package"]["path"][1:])
            if package in packages:
                raise UsageError(
                    f"the OPA server holds a policy of its own for package {package}",
                    where=f"{self._settings.url} policy {name}",
                    hint="Remove it there, or give the engine an OPA server of its own.",
                )


class _Client(OpaClient):  # type: ignore[misc]  # the library has no types
    """The client without proxies, without retries of its own, and with redirects for reading only."""

    def _init_session(self) -> requests.Session:
        session: requests.Session = super()._init_session()
        session.trust_env = False
        session.hooks["response"].append(_refuse_redirect)
        return session


def _refuse_redirect(response: requests.Response, **_: object) -> None:
    """OPA sends readers of its list elsewhere; a question that is sent elsewhere is no answer."""
    if response.is_redirect and response.request.method != "GET":
        response.close()
        raise requests.TooManyRedirects("the server sends the question elsewhere")


def _client(settings: ServerSettings) -> _Client:
    parts = urlsplit(settings.url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.path not in {"", "/"}:
        raise UsageError(
            "policy.url", expected="http://host:port or https://host:port", got=settings.url
        )
    is_secure = parts.scheme == "https"
    return _Client(
        host=f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname,
        port=parts.port or 8181,
        ssl=(settings.ca_file or True) if is_secure else False,
        token=settings.token or None,
        retries=0,
        timeout=settings.timeout_s,
    )


def _answers(packages: list[str], digest: str) -> str:
    """Return the module that answers for every package with the digest of the bundle."""
    rules = [
        f"answers[{json.dumps(package)}] := "
        f'{{"digest": digest, "documents": [d | d := data.{package}]}}'
        for package in packages
    ]
    head = [
        f"package {_PACKAGE}",
        "import rego.v1",
        f'digest := "{digest}"',
        "version := opa.runtime().version",
    ]
    return "\n\n".join([*head, *rules]) + "\n"


def _references(node: Any) -> Iterator[str]:  # Any: OPA's syntax tree
    """Yield every reference in OPA's syntax tree with dots."""
    if isinstance(node, dict):
        if node.get("type") == "ref" and isinstance(node.get("value"), list):
            yield _dotted(node["value"])
        for item in node.values():
            yield from _references(item)
    elif isinstance(node, list):
        for item in node:
            yield from _references(item)


def _place(text: str, called: str) -> tuple[int, int]:
    """Return (line, column) at which a name first stands in `text`, or (1, 1): the tree of a server has no places."""
    start = max(text.find(called), 0)
    return text.count("\n", 0, start) + 1, start - text.rfind("\n", 0, start)


def _dotted(path: list[Any]) -> str:  # Any: terms of OPA's syntax tree
    return ".".join(str(term.get("value")) for term in path)


def _refused(error: requests.HTTPError) -> RegoError:
    """Return what OPA's error body says, or that there is none."""
    response = error.response
    try:
        body = response.json()
        first = (body.get("errors") or [{}])[0]
        place = first.get("location", {})
        at = f" at {place.get('file')}:{place.get('row')}" if place else ""
        text = f"{body['message']}: {first.get('message', '')}{at}".strip(": ")
    except (ValueError, KeyError, AttributeError, IndexError, TypeError):
        return RegoError(
            f"the OPA server answered {response.status_code} without saying why", "MALFORMED_ANSWER"
        )
    return RegoError(text[:400], "EVALUATION")


def _parse_errors(error: RegoParseError) -> str:
    return " ".join(str(error).split())[:400]


def _told(error: Exception) -> str:
    """Return what went wrong with a connection in few words: requests tells its own insides."""
    if isinstance(error, requests.Timeout):
        return "no answer in time"
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status in (401, 403):
        return f"{status}, it wants another token than that of policy.token_env"
    text = " ".join(str(error).split())
    if isinstance(error, requests.ConnectionError):
        found = re.search(
            r"\[Errno -?\d+\] ([A-Z][\w ]+)|(certificate verify failed[\w :-]*)", text
        )
        return (found[1] or found[2]) if found else "no connection"
    return text[:200] or type(error).__name__
