"""Sending and receiving contents, for Twisted programs.

Rules of this module: those of ``uploads.py`` and ``downloads.py``; files are opened, read, written and hashed in
threads, never on the reactor's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.commands import Command, cloud
from fluxon.connect.cloud.downloads import File, Memory, target_for
from fluxon.connect.cloud.items import CloudItem
from fluxon.connect.cloud.patience import PASSING, Patience
from fluxon.connect.cloud.requests import item
from fluxon.connect.cloud.transfers import DownloadState, Progress, UploadState, Writing, damaged, fits_in_a_command
from fluxon.connect.cloud.uploads import FSYNC_RATE, Bytes, LocalFile
from fluxon.connect.reconnecting import Connection
from fluxon.errors import Cancelled, DeadlineExceeded, FluxonError, NotFound, PermissionDenied, ProtocolError
from fluxon.rpc import FileSource, Incoming, Outgoing
from fluxon.workers import WorkerPool

_log = Logger(namespace="fluxon.connect")

#: How often progress is looked at, and told, in seconds.
_LOOK = 0.1

T = TypeVar("T")


class Asker(Protocol):
    """What a transfer needs of its client."""

    reactor: Any
    timeout: float

    def submit(self, function: Callable[..., T], *arguments: Any) -> Deferred[T]:
        """Run it in a thread."""

    async def ask(
        self, command: type[Command], arguments: dict[str, Any], timeout: float | None = None
    ) -> tuple[Connection, Any]: ...

    async def connection(self, timeout: float) -> Connection: ...

    def may_come_back(self) -> bool:
        """Whether it is worth waiting for the connection."""


class _Transfer:
    """What uploads and downloads have in common."""

    def __init__(self, client: Asker, progress: Progress | None) -> None:
        self.client = client
        self.patience = Patience(client.timeout, client.reactor.seconds)
        self._progress = progress

    def tell(self, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(done, total)

    async def pause(self, error: FluxonError) -> None:
        """Wait a while before another try; raises ``error`` when that would be no use."""
        if not self.client.may_come_back():
            raise error
        await deferLater(self.client.reactor, self.patience.delay(error), lambda: None)

    async def over(self, stream: Incoming | Outgoing, moved: Callable[[], int], look: Callable[[], Any]) -> None:
        """Wait for a stream's end, as long as bytes move. ``look`` is called now and then."""
        reactor, patience = self.client.reactor, self.patience
        outcome: list[Any] = []
        waiting: Deferred[None] = Deferred()

        def ended(result: Any) -> None:
            outcome.append(result)
            if not waiting.called:
                waiting.callback(None)

        stream.when_done().addBoth(ended)
        before = -1
        try:
            while not outcome:
                if (now := moved()) != before:
                    before = now
                    patience.gained()
                    look()
                elif reactor.seconds() >= patience.deadline:
                    raise DeadlineExceeded(f"nothing of the file went over for {patience.seconds:g} s")
                waiting = Deferred()
                timer = reactor.callLater(_LOOK, waiting.callback, None)
                try:
                    await waiting
                finally:
                    if timer.active():
                        timer.cancel()
        except BaseException as error:
            stream.give_up(error if isinstance(error, FluxonError) else Cancelled())
            raise
        if isinstance(outcome[0], Failure):
            outcome[0].raiseException()
        patience.gained()
        look()


# --- uploads ----------------------------------------------------------------------------------------------------------


class _BytesSource:
    """A content in memory."""

    def __init__(self, data: bytes, offset: int) -> None:
        self._data = data
        self._offset = offset

    def read(self, size: int) -> bytes:
        piece = self._data[self._offset : self._offset + size]
        self._offset += len(piece)
        return piece

    def close(self) -> None:
        return


async def upload_bytes(client: Asker, data: bytes, writing: Writing) -> CloudItem:
    """Make ``data`` the content of a file."""
    return await _Upload(client, Bytes(data), writing, None).run()


async def upload_file(client: Asker, path: str, writing: Writing, progress: Progress | None) -> CloudItem:
    """Make the content of a local file that of a file in the cloud."""
    content = await client.submit(LocalFile, path)
    try:
        return await _Upload(client, content, writing, progress).run()
    finally:
        content.close()


class _Upload(_Transfer):
    def __init__(self, client: Asker, content: Bytes | LocalFile, writing: Writing, progress: Progress | None) -> None:
        super().__init__(client, progress)
        self._content = content
        self._state = UploadState(writing, content.size)

    async def run(self) -> CloudItem:
        connection = await self.client.connection(self.patience.left)
        limit = connection.peer.conversation.send_limit
        if fits_in_a_command(self._content.size, limit):
            data = await self.client.submit(self._content.all)
            if fits_in_a_command(len(data), limit):
                return await self._small(data)
        return await self._large()

    async def _small(self, data: bytes) -> CloudItem:
        arguments = {**self._state.writing.arguments(), "data": data}
        unsure = False
        while True:
            try:
                if unsure and (found := await self._already_there(hashlib.sha256(data).hexdigest())) is not None:
                    return found
                _, answer = await self.client.ask(cloud.Write, arguments, self.patience.left)
                self.tell(len(data), len(data))
                return item(answer)
            except PASSING as error:
                unsure = True
                await self.pause(error)

    async def _already_there(self, sha256: str | None) -> CloudItem | None:
        try:
            _, answer = await self.client.ask(cloud.Stat, {"path": self._state.writing.path}, self.patience.left)
        except (NotFound, PermissionDenied):
            return None
        found = item(answer)
        return found if self._state.is_done(found, sha256) else None

    async def _large(self) -> CloudItem:
        state = self._state
        try:
            while True:
                try:
                    if not state.complete:
                        await self._send()
                    return await self._commit()
                except NotFound as error:
                    if state.committing:
                        found = await self._already_there(await self.client.submit(self._content.sha256))
                        if found is not None:
                            return found
                    state.forgotten(error)
                except PASSING as error:
                    await self.pause(error)
        except BaseException:
            self._give_up()
            raise

    async def _send(self) -> None:
        state, content = self._state, self._content
        connection, answer = await self.client.ask(cloud.Upload, state.arguments(), self.patience.left)
        offset = state.begun(answer)
        if isinstance(content, LocalFile):
            content.begin_hashing()
            source: Any = FileSource(content.duplicate(), offset, state.size - offset, self.client.submit)
        else:
            source = _BytesSource(content.all(), offset)
        outgoing = Outgoing(source)
        connection.peer.attach(answer["stream"], outgoing)
        await self.over(outgoing, lambda: outgoing.sent, lambda: self.tell(offset + outgoing.sent, state.size))
        state.complete = True

    async def _commit(self) -> CloudItem:
        arguments = self._state.commit_arguments(await self.client.submit(self._content.sha256))
        seconds = self.patience.seconds + self._state.size / FSYNC_RATE
        _, answer = await self.client.ask(cloud.Commit, arguments, seconds)
        return item(answer)

    def _give_up(self) -> None:
        if self._state.key is not None and self.client.may_come_back():
            farewell = Deferred.fromCoroutine(self.client.ask(cloud.Discard, {"upload": self._state.key}, 1.0))
            farewell.addErrback(lambda _: None)  # the server forgets it by itself


# --- downloads --------------------------------------------------------------------------------------------------------


async def read_bytes(client: Asker, state: DownloadState) -> bytes:
    """The content of a file."""
    memory = Memory()
    await _Download(client, state, memory, _at_once, None).run()
    state.check(memory.sha256() if state.is_whole_file else None)
    return memory.data


async def download_file(client: Asker, state: DownloadState, path: str, progress: Progress | None) -> CloudItem:
    """The content of a file into a local file; the cloud's file."""
    # One thread: what comes is written in order.
    pool = WorkerPool("download", 1, client.reactor)
    version, sha256 = state.version, state.sha256
    file = File(await pool.submit(target_for, path, state))
    try:
        while True:
            found = await _Download(client, state, file, pool.submit, progress).run()
            if await pool.submit(file.sha256) == state.sha256:
                await pool.submit(file.complete)
                return found
            await pool.submit(file.remove)
            if not file.went_on:
                raise damaged(state.path)
            state = DownloadState(state.path, version=version, sha256=sha256)
            file = File(file.target)
    finally:
        pool.submit(file.close).addErrback(lambda failure: _log.failure("closing a download failed", failure))
        pool.stop()


def _at_once(function: Callable[..., T], *arguments: Any) -> Deferred[T]:
    return maybeDeferred(function, *arguments)


class _Sink:
    """Hands on what comes."""

    def __init__(self, write: Callable[[memoryview], Deferred[Any]]) -> None:
        self._write = write

    def data(self, piece: memoryview) -> Deferred[Any] | None:
        return self._write(piece)

    def ended(self, error: FluxonError | None) -> None:
        return


class _Download(_Transfer):
    """``submit`` runs what works on the target, one after another."""

    def __init__(
        self,
        client: Asker,
        state: DownloadState,
        target: Memory | File,
        submit: Callable[..., Deferred[Any]],
        progress: Progress | None,
    ) -> None:
        super().__init__(client, progress)
        self._state = state
        self._target = target
        self._submit = submit
        # Why the target takes no more: the local disk's trouble, which no other try mends.
        self._broken: BaseException | None = None

    async def run(self) -> CloudItem:
        state = self._state
        while True:
            try:
                await self._receive()
            except NotFound as error:
                began = state.item is not None
                state.gone(error)
                if began:
                    await self._submit(self._target.restart)
            except FluxonError as error:
                if self._broken is not None:
                    raise self._broken from None
                if not isinstance(error, PASSING):
                    raise
                await self.pause(error)
            else:
                if state.is_complete:
                    assert state.item is not None
                    return state.item

    async def _receive(self) -> None:
        state, target = self._state, self._target
        first = state.item is None
        connection, answer = await self.client.ask(cloud.Read, state.arguments(), self.patience.left)
        coming = state.opened(answer)
        data = answer["data"]
        if data is not None:
            if len(data) != coming:
                raise ProtocolError("the server sent another number of bytes than it said")
            await self._submit(target.whole if first else target.write, data)
            state.received += coming
            self.tell(state.received, state.total)
            return
        incoming = Incoming(_Sink(self._take))
        if first and (there := await self._submit(target.begin, state)):
            state.received = there
            incoming.when_done().addErrback(lambda _: None)
            connection.peer.attach(answer["stream"], incoming)
            incoming.give_up(Cancelled())
            return  # the rest of it only
        connection.peer.attach(answer["stream"], incoming)
        await self.over(incoming, lambda: state.received, lambda: self.tell(state.received, state.total))
        if not state.is_complete:
            raise state.short()

    def _take(self, piece: memoryview) -> Deferred[Any]:
        self._state.received += len(piece)
        return self._submit(self._write, piece)

    def _write(self, piece: memoryview) -> None:
        if self._broken is None:
            try:
                self._target.write(piece)
            except BaseException as error:
                self._broken = error
                raise
