"""One finished run for all tests of the audit: nobody changes it, everybody changes copies."""

from __future__ import annotations

import pytest

from tests.audit.finished import Finished, finished_run


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    return finished_run(tmp_path_factory.mktemp("finished"))
