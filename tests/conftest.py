"""What every test has: a folder of its own to stand in, so that nothing it makes lands in the tree."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest


@pytest.fixture(autouse=True)
def _folder_of_its_own(tmp_path: Path) -> Iterator[None]:
    """``TestCase.mktemp`` and relative paths lead into pytest's temporary folder."""
    before = os.getcwd()
    os.chdir(tmp_path)
    yield
    os.chdir(before)
