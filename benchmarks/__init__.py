"""Measurements, beside the peer in the same run where there is one. Never part of the tests."""
