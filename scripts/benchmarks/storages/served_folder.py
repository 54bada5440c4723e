"""What the plain servers have in common: the folder that they serve, and uploads that are files in it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

from benchmarks.content import Content
from benchmarks.listening import Listening
from benchmarks.transfer_client import TransferClient


def prepare(listening: Listening, content: Content, client: TransferClient) -> None:
    (listening.folder / "data").symlink_to(content.served)


def served(listening: Listening) -> Path:
    """The folder by the name that the system has for it."""
    return (listening.folder / "data").resolve()


def clear(listening: Listening, keep: bool) -> None:
    up = served(listening) / "up"
    if keep:
        up.rename(up.with_name(f"aside-{time.time_ns()}"))
    else:
        shutil.rmtree(up)
    up.mkdir()
