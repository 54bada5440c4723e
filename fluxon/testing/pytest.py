"""Fixtures for pytest. In a project's ``conftest.py``::

    import pytest
    import router

    pytest_plugins = "fluxon.testing.pytest"

    @pytest.fixture
    def fluxon_setup():
        return router.setup

Each test that asks for ``app`` then has a server of its own, a ``MemoryServer`` that blocks, and an empty database.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from fluxon.routing import Setup
from fluxon.testing.server import MemoryServer


@pytest.fixture
def fluxon_setup() -> Setup:
    """The setup to test. A project overrides this fixture."""
    raise pytest.UsageError(
        "the fixture `app` needs to know what to serve; write into conftest.py:  "
        "@pytest.fixture\ndef fluxon_setup(): return router.setup"
    )


@pytest.fixture
def app(fluxon_setup: Any) -> Iterator[MemoryServer]:
    """The project's server in memory, until the test is over."""
    with MemoryServer(fluxon_setup) as server:
        yield server
