"""The servers of files under test, one file each: ``serve`` runs in a process of its own.

Rules of this room: a module imports what it measures inside ``serve``; each is set up as its own documentation advises
for speed, on one core, with logs of requests off; plain servers serve the same folder, ``data`` in the one they have
for themselves. Nothing is started as a service of the system, and no port but one of 127.0.0.1 is opened.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Protocol, cast

from benchmarks.content import Content
from benchmarks.listening import Listening
from benchmarks.transfer_client import Action, TransferClient

__all__ = ["STORAGES", "Storage", "storage"]

#: Every server of ``bench cloud`` by its name in the report, and its module here.
STORAGES = {
    "fluxon": "fluxon_cloud",
    "nginx": "nginx",
    "sftp": "openssh",
    "wsgidav": "wsgidav_cheroot",
}


class Storage(Protocol):
    """What a module of this room has."""

    #: What the report names beside the versions of ``VERSIONS``, which are Python packages.
    VERSIONS: tuple[str, ...]
    #: Whether it can be asked to have a file on the disk before it is acknowledged.
    SYNCED: bool

    @staticmethod
    def missing() -> str | None:
        """What to install, or None."""

    @staticmethod
    def version() -> str | None:
        """What its program says of itself, if it is one."""

    @staticmethod
    def prepare(listening: Listening, content: Content, client: TransferClient) -> None:
        """Have what it needs to be started, and the files of ``content``."""

    @staticmethod
    def serve(listening: Listening) -> None: ...

    @staticmethod
    def words(listening: Listening, action: Action) -> list[str]:
        """What the transfer client is told: how to speak, over how many connections, and the path on this server."""

    @staticmethod
    def program(listening: Listening, action: Action, local: Path) -> list[str] | None:
        """The command that moves the one file, from or to ``local``, as a person would; None without such a program."""

    @staticmethod
    def clear(listening: Listening, keep: bool) -> None:
        """Have an empty folder for uploads again. What was uploaded is removed, or put aside to ``keep`` it."""


def storage(name: str) -> Storage:
    """The module of the server called so in the report."""
    return cast(Storage, importlib.import_module(f"benchmarks.storages.{STORAGES[name]}"))
