"""Sending contents, for programs that block.

Rules of this module:

- A small content goes in one command; any other as a stream, then ``Commit``: the file has it when that is answered.
- A lost connection is waited for; the upload goes on where the server is. It fails when nothing was gained for as long
  as the client's timeout.
- An upload that is given up (an error, Ctrl+C) is given up at the server, too, and the file stays as it was.
"""

from __future__ import annotations

import hashlib
import os
import stat
from time import monotonic
from types import TracebackType
from typing import Protocol

from fluxon.commands import cloud
from fluxon.connect.cloud.asking import asked, opened
from fluxon.connect.cloud.hashes import FileHash
from fluxon.connect.cloud.items import CloudItem
from fluxon.connect.cloud.patience import PASSING, Patience
from fluxon.connect.cloud.requests import item
from fluxon.connect.cloud.transfers import Progress, UploadState, Writing, fits_in_a_command
from fluxon.connect.line import Line
from fluxon.connect.streams import Outgoing
from fluxon.errors import FluxonError, InvalidPayload, NotFound, PermissionDenied

#: The server is told within so many seconds that an upload is given up, or finds out by itself.
FAREWELL = 1.0

#: Bytes a second that any disk can make durable: what a commit may take longer than other commands.
FSYNC_RATE = 20 * 1024 * 1024


class Content(Protocol):
    """What is sent."""

    size: int

    def all(self) -> bytes: ...

    def send(self, outgoing: Outgoing, offset: int, length: int, deadline: float) -> None: ...

    def sha256(self) -> str | None:
        """None if it is no longer what it was."""


class Bytes:
    """A content in memory."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def all(self) -> bytes:
        return self._data

    def send(self, outgoing: Outgoing, offset: int, length: int, deadline: float) -> None:
        outgoing.write(memoryview(self._data)[offset : offset + length], deadline)

    def sha256(self) -> str:
        return hashlib.sha256(self._data).hexdigest()


def _open_at_once(path: str, flags: int) -> int:
    """A pipe that nobody writes to is waited for by nobody; it is refused when it is open."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


class LocalFile:
    """A content in a file of this machine. ``OSError`` where it cannot be read."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._hash: FileHash | None = None
        self._file = open(path, "rb", buffering=0, opener=_open_at_once)  # noqa: SIM115
        status = os.fstat(self._file.fileno())
        if not stat.S_ISREG(status.st_mode):
            self._file.close()
            raise InvalidPayload(f"{path!r} is no regular file; only those can be uploaded")
        self.size = status.st_size

    def __enter__(self) -> LocalFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is read any more. Closing twice is no error."""
        self._file.close()
        if self._hash is not None:
            self._hash.close()

    def begin_hashing(self) -> None:
        """In a thread; beginning twice is beginning once."""
        if self._hash is None:
            self._hash = FileHash(self.duplicate(), self.size)

    def duplicate(self) -> int:
        """Another descriptor of the file, for somebody who closes it."""
        return os.dup(self._file.fileno())

    def all(self) -> bytes:
        self._file.seek(0)
        return self._file.read()

    def send(self, outgoing: Outgoing, offset: int, length: int, deadline: float) -> None:
        self.begin_hashing()
        outgoing.send_file(self._file.fileno(), offset, length, deadline)

    def sha256(self) -> str | None:
        self.begin_hashing()
        assert self._hash is not None
        return self._hash.wait()


def upload(line: Line, content: Content, writing: Writing, seconds: float, progress: Progress | None) -> CloudItem:
    """Make ``content`` that of a file; the file."""
    patience = Patience(seconds, monotonic)
    link = line.greeted_link(patience.deadline)
    if fits_in_a_command(content.size, link.conversation.send_limit):
        data = content.all()
        if fits_in_a_command(len(data), link.conversation.send_limit):
            written = _Small(line, data, writing, patience).run()
            if progress is not None:
                progress(len(data), len(data))
            return written
    return _Large(line, content, writing, patience, progress).run()


def wait_for_another_try(line: Line, patience: Patience, error: FluxonError) -> None:
    """Wait a while before what failed with ``error`` is tried again; raises it when that would be no use."""
    if not line.connector.was_connected or line.connector.closed:
        raise error
    line.connector.pause(patience.delay(error))


class _Small:
    """One command, and what to do when its answer is lost."""

    def __init__(self, line: Line, data: bytes, writing: Writing, patience: Patience) -> None:
        self._line = line
        self._data = data
        self._writing = writing
        self._patience = patience

    def run(self) -> CloudItem:
        arguments = {**self._writing.arguments(), "data": self._data}
        unsure = False
        while True:
            try:
                if unsure:
                    found = self._done()
                    if found is not None:
                        return found
                return item(asked(self._line, cloud.Write, arguments, self._patience.left))
            except PASSING as error:
                unsure = True
                wait_for_another_try(self._line, self._patience, error)

    def _done(self) -> CloudItem | None:
        state = UploadState(self._writing, len(self._data))
        return already_there(self._line, state, hashlib.sha256(self._data).hexdigest(), self._patience)


def already_there(line: Line, state: UploadState, sha256: str | None, patience: Patience) -> CloudItem | None:
    """The file, if it has the content already: then the command whose answer was lost had been carried out.

    If it has another one, writing it (again) is what was asked for: the last complete write wins.
    """
    try:
        found = item(asked(line, cloud.Stat, {"path": state.writing.path}, patience.left))
    except (NotFound, PermissionDenied):
        return None
    return found if state.is_done(found, sha256) else None


class _Large:
    """A stream, or several one after another, and the commit."""

    def __init__(
        self, line: Line, content: Content, writing: Writing, patience: Patience, progress: Progress | None
    ) -> None:
        self._line = line
        self._content = content
        self._patience = patience
        self._progress = progress
        self._state = UploadState(writing, content.size)

    def run(self) -> CloudItem:
        state, line = self._state, self._line
        try:
            while True:
                try:
                    if not state.complete:
                        self._send()
                    return self._commit()
                except NotFound as error:
                    if state.committing:
                        found = already_there(line, state, self._content.sha256(), self._patience)
                        if found is not None:
                            return found
                    state.forgotten(error)
                except PASSING as error:
                    wait_for_another_try(line, self._patience, error)
        except BaseException:
            self._give_up()
            raise

    def _send(self) -> None:
        state, patience, content = self._state, self._patience, self._content
        link, answer = opened(self._line, cloud.Upload, state.arguments(), patience.left)
        with Outgoing(link, answer["stream"]) as outgoing:
            position = state.begun(answer)
            self._tell(position)
            while position < state.size:
                began = monotonic()
                length = min(patience.piece, state.size - position)
                content.send(outgoing, position, length, began + patience.seconds)
                position += length
                patience.piece_took(began)
                self._tell(position)
            outgoing.finish(monotonic() + patience.seconds)
        patience.gained()
        state.complete = True

    def _commit(self) -> CloudItem:
        arguments = self._state.commit_arguments(self._content.sha256())
        seconds = self._patience.seconds + self._state.size / FSYNC_RATE
        return item(asked(self._line, cloud.Commit, arguments, seconds))

    def _tell(self, done: int) -> None:
        if self._progress is not None:
            self._progress(done, self._state.size)

    def _give_up(self) -> None:
        if self._state.key is not None and self._line.connector.link is not None:
            try:
                self._line.ask(cloud.Discard.name, {"upload": self._state.key}, FAREWELL, "cloud.discard")
            except FluxonError:
                pass  # the server forgets it by itself
