"""What every test has: a folder of its own, and no memory of a reactor that ran before it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from twisted.python import threadable


@pytest.fixture(autouse=True)
def _folder_of_its_own(tmp_path: Path) -> Iterator[None]:
    """``TestCase.mktemp`` and relative paths lead into pytest's temporary folder."""
    before = os.getcwd()
    os.chdir(tmp_path)
    yield
    os.chdir(before)


@pytest.fixture(autouse=True)
def _no_reactor_thread() -> None:
    """As in a fresh process, no thread is the reactor's until one runs (or a test says so).

    A test that waited for a Deferred leaves the main thread registered for good, and the next one that blocks in it,
    as a program without a reactor may, would be refused.
    """
    threadable.ioThread = None


@pytest.fixture(autouse=True, scope="class")
def _no_reactor_thread_for_classes() -> None:
    """The same for what a class makes for all its tests."""
    threadable.ioThread = None
