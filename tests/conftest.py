"""Fixtures that several folders share."""

from tests.opa import opa_url

__all__ = ["opa_url"]
