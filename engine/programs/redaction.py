"""Take secrets out of a stream before anything is recorded."""

from __future__ import annotations

from collections.abc import Iterable, Mapping


class Redactor:
    """Replaces secrets by `[redacted:<kind>]`: known values in every usual encoding, and what looks like one.

    A value; `stream()` starts the redaction of one stream.
    """

    def __init__(self, secrets: Mapping[str, str] | None = None) -> None:
        """`secrets` maps a kind, shown in the mark, to the secret value."""

    @classmethod
    def of_environment(
        cls,
        environment: Mapping[str, str],
        names: Iterable[str] = (),
        secrets: Mapping[str, str] | None = None,
    ) -> Redactor:
        """Return a redactor for the variables among `names` whose name looks secret, and for `secrets`."""
        raise NotImplementedError

    def text(self, text: str) -> str:
        """Return `text` redacted as a whole."""
        raise NotImplementedError
