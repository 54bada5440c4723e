"""A disk that loses its power: what was synced is there afterwards, and of the rest any part, or nothing.

Files and folders are really made; beside them is kept what an ``fsync`` has promised: of a file its bytes, of a folder
its entries. ``after`` makes the folder that a machine could find when its power is back.
"""

from __future__ import annotations

import os
import random
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any


class PowerLoss(BaseException):
    """No call of the system returns any more."""


class Disk:
    """Everything below ``root``, for ``failing_disk.through``. Call number ``at`` does not return, nor any after it."""

    def __init__(self, root: Path, at: int) -> None:
        self.root = root
        self.ended = False
        self._left = at
        self._mutex = threading.Lock()
        self._identities: dict[int, int] = {}  # of inodes, which the system gives to other files later
        self._drawn = 0
        self._contents: dict[int, bytes] = {}
        self._entries: dict[int, dict[str, int]] = {}
        self._promise(root)

    def _promise(self, folder: Path) -> None:
        """What is there already has been there for long."""
        entries = self._entries[self._identity(folder.stat())] = {}
        for path in folder.iterdir():
            entries[path.name] = self._identity(path.lstat())
            if path.is_dir():
                self._promise(path)
            else:
                self._contents[entries[path.name]] = path.read_bytes()

    def __call__(self, name: str, real: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        with self._mutex:
            if name == "close":  # the test's own descriptors outlive the power
                return real(*args, **kwargs)
            self._step()
            if name in ("fsync", "fdatasync"):
                return self._sync(args[0])
            if name == "sync_file_range":
                return 0  # promises nothing
            if name == "unlink":
                inode = os.stat(*args, follow_symlinks=False, **kwargs).st_ino
                real(*args, **kwargs)
                self._identities.pop(inode, None)
                return None
            return real(*args, **kwargs)

    def step(self) -> None:
        """Something else happens, and the power may go before it."""
        with self._mutex:
            self._step()

    def go_on(self, at: int) -> None:
        """It was only the process that was killed: here is the next one, which ends ``at``."""
        self._left, self.ended = at, False

    def _step(self) -> None:
        self._left -= 1
        if self._left < 0:
            self.ended = True
            raise PowerLoss

    def _identity(self, facts: os.stat_result) -> int:
        if facts.st_ino not in self._identities:
            self._drawn += 1
            self._identities[facts.st_ino] = self._drawn
        return self._identities[facts.st_ino]

    def _sync(self, descriptor: int) -> None:
        facts = os.fstat(descriptor)
        if stat.S_ISDIR(facts.st_mode):
            names = os.listdir(descriptor)
            self._entries[self._identity(facts)] = {
                name: self._identity(os.stat(name, dir_fd=descriptor, follow_symlinks=False)) for name in names
            }
        else:
            self._contents[self._identity(facts)] = os.pread(descriptor, facts.st_size, 0)

    def after(self, target: Path, chance: random.Random, kept: float) -> None:
        """Make ``target`` what is found: all that was promised, and what was not with the probability ``kept``."""
        target.mkdir(mode=0o700)
        self._find(self._identity(self.root.stat()), self.root, target, chance, kept)

    def _find(self, folder: int, source: Path, target: Path, chance: random.Random, kept: float) -> None:
        promised = self._entries.get(folder, {})
        there = {path.name: self._identity(path.lstat()) for path in source.iterdir()}
        for name in sorted(promised.keys() | there.keys()):
            found = (there if chance.random() < kept else promised).get(name)
            if found is None:
                continue
            path = source / name
            if there.get(name) == found and path.is_dir():
                (target / name).mkdir(mode=0o700)
                self._find(found, path, target / name, chance, kept)
                continue
            content = self._contents.get(found)
            if content is None:  # never synced: any part of it, if it was not removed meanwhile
                content = path.read_bytes() if there.get(name) == found else b""
                content = content[: int(len(content) * chance.random() * 2 * kept)]
            (target / name).write_bytes(content)
            (target / name).chmod(0o600)
