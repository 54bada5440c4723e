"""Receiving contents, for programs that block.

Rules of this module:

- A lost connection is waited for; the download goes on where it was, with the same content: if the file was changed
  meanwhile, the older version is read on, or the new one from its start if the older is no longer kept.
- What came is only used if its hash is the one that the server says.
- It fails when nothing came for as long as the client's timeout; a part on disk is then kept, for the next attempt.
"""

from __future__ import annotations

import hashlib
import os
from time import monotonic
from typing import Protocol

from fluxon.commands import cloud
from fluxon.connect.cloud.asking import opened
from fluxon.connect.cloud.hashes import RunningHash
from fluxon.connect.cloud.items import CloudItem
from fluxon.connect.cloud.parts import PartFile
from fluxon.connect.cloud.patience import PASSING, Patience
from fluxon.connect.cloud.transfers import DownloadState, Progress, damaged
from fluxon.connect.cloud.uploads import wait_for_another_try
from fluxon.connect.line import Line
from fluxon.connect.streams import Incoming
from fluxon.errors import NotFound, ProtocolError

_Piece = bytes | memoryview


class Target(Protocol):
    """Where what comes goes."""

    def begin(self, state: DownloadState) -> int:
        """It will be ``state.sha256``, in a stream: how many bytes of it are here already."""

    def whole(self, data: bytes) -> None:
        """All of it, at once."""

    def write(self, piece: _Piece) -> None: ...

    def restart(self) -> None:
        """What was written is void."""

    def sha256(self) -> str | None:
        """The hash of what was written; None if nobody needs it."""


class Memory:
    """A content that a program wants to have."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._hash = hashlib.sha256()
        self._whole: bytes | None = None

    def begin(self, state: DownloadState) -> int:
        return 0

    def whole(self, data: bytes) -> None:
        self._whole = data
        self._hash.update(data)

    def write(self, piece: _Piece) -> None:
        self._data += piece
        self._hash.update(piece)

    def restart(self) -> None:
        self.__init__()  # type: ignore[misc]

    def sha256(self) -> str:
        return self._hash.hexdigest()

    @property
    def data(self) -> bytes:
        return bytes(self._data) if self._whole is None else self._whole


class File:
    """A content that goes to the file ``target``."""

    def __init__(self, target: str) -> None:
        self.target = target
        self._part = PartFile(target)
        self._hash = RunningHash()
        #: Whether it began with what an earlier download had left.
        self.went_on = False

    def begin(self, state: DownloadState) -> int:
        if state.sha256 is None:
            raise ProtocolError("the server did not say the hash of a file")
        there = self._part.open(state.sha256)
        if not 0 < there <= state.total:
            self._part.restart()
            return 0
        offset = 0
        while piece := self._part.read(offset):
            self._hash.update(piece)
            offset += len(piece)
        self.went_on = True
        return offset

    def whole(self, data: bytes) -> None:
        self._part.open_new()
        self.write(data)

    def write(self, piece: _Piece) -> None:
        self._hash.update(piece)
        self._part.write(piece)

    def restart(self) -> None:
        self._hash.close()
        self._hash = RunningHash()
        self._part.restart()

    def sha256(self) -> str:
        return self._hash.hexdigest()

    def complete(self) -> None:
        self._part.complete()

    def remove(self) -> None:
        self._part.remove()

    def close(self) -> None:
        self._hash.close()
        self._part.close()


def read_bytes(line: Line, state: DownloadState, seconds: float) -> bytes:
    """The content of a file."""
    memory = Memory()
    _Download(line, state, memory, Patience(seconds, monotonic), None).run()
    state.check(memory.sha256() if state.is_whole_file else None)
    return memory.data


def download(line: Line, state: DownloadState, target: str, seconds: float, progress: Progress | None) -> CloudItem:
    """The content of a file into the file ``target``; the cloud's file."""
    patience = Patience(seconds, monotonic)
    version, sha256 = state.version, state.sha256
    file = File(target_for(target, state))
    try:
        while True:
            found = _Download(line, state, file, patience, progress).run()
            if file.sha256() == state.sha256:
                file.complete()
                return found
            file.remove()
            if not file.went_on:
                raise damaged(state.path)
            # What an earlier download had left was damaged, here: once more, from the start.
            state = DownloadState(state.path, version=version, sha256=sha256)
            file = File(file.target)
    finally:
        file.close()


def target_for(path: str, state: DownloadState) -> str:
    """The file that a download goes to: into ``path`` if that is a directory."""
    return os.path.join(path, state.path.rstrip("/").rpartition("/")[2]) if os.path.isdir(path) else path


class _Download:
    """One stream, or several one after another."""

    def __init__(
        self, line: Line, state: DownloadState, target: Target, patience: Patience, progress: Progress | None
    ) -> None:
        self._line = line
        self._state = state
        self._target = target
        self._patience = patience
        self._progress = progress

    def run(self) -> CloudItem:
        state = self._state
        while True:
            try:
                self._receive()
            except NotFound as error:
                state.gone(error)
                self._target.restart()
                wait_for_another_try(self._line, self._patience, error)
            except PASSING as error:
                wait_for_another_try(self._line, self._patience, error)
            else:
                if state.is_complete:
                    assert state.item is not None
                    return state.item

    def _receive(self) -> None:
        state, patience = self._state, self._patience
        first = state.item is None
        link, answer = opened(self._line, cloud.Read, state.arguments(), patience.left)
        data = answer["data"]
        if data is not None:
            state.opened(answer)
            if first:
                self._target.whole(data)
            else:
                self._target.write(data)
            state.came(len(data))
            self._gained(len(data))
            return
        with Incoming(link, answer["stream"]) as incoming:
            state.opened(answer)
            if first and (there := self._target.begin(state)):
                state.received = there
                return  # the rest of it only
            while piece := incoming.read(monotonic() + patience.seconds):
                state.came(len(piece))
                self._target.write(piece)
                self._gained(len(piece))
        if not state.is_complete:
            raise state.short()

    def _gained(self, count: int) -> None:
        if count:
            self._patience.gained()
        if self._progress is not None:
            self._progress(self._state.received, self._state.total)
