"""Receiving contents, for Twisted programs.

Rules of this module: those of ``downloads.py``; files are opened, read, written and hashed in threads, never on the
reactor's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, maybeDeferred, succeed
from twisted.logger import Logger

from fluxon.commands import cloud
from fluxon.connect.cloud.deferred_transfers import Asker, Transfer, to_its_end
from fluxon.connect.cloud.downloads import File, Memory, target_for
from fluxon.connect.cloud.items import CloudItem
from fluxon.connect.cloud.patience import PASSING
from fluxon.connect.cloud.transfers import DownloadState, Progress, damaged
from fluxon.errors import Cancelled, FluxonError, NotFound
from fluxon.rpc import Incoming
from fluxon.workers import WorkerPool

_log = Logger(namespace="fluxon.connect")

T = TypeVar("T")


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
    file: File | None = None
    try:
        file = File(await pool.submit(target_for, path, state))
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
        closed = succeed(None) if file is None else pool.submit(file.close)
        pool.stop()
        await to_its_end(closed.addErrback(lambda failure: _log.failure("closing a download failed", failure)))


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


class _Download(Transfer):
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
                state.gone(error)
                await self._submit(self._target.restart)
                await self.pause(error)
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
        state.opened(answer)
        data = answer["data"]
        if data is not None:
            await self._submit(target.whole if first else target.write, data)
            state.came(len(data))
            await self.tell(state.received, state.total)
            return
        incoming = Incoming(_Sink(self._take))
        if first and (there := await self._submit(target.begin, state)):
            state.received = there
            incoming.when_done().addErrback(lambda _: None)
            connection.peer.attach(answer["stream"], incoming)
            incoming.give_up(Cancelled())
            return  # the rest of it only
        connection.peer.attach(answer["stream"], incoming)
        await self.over(incoming, lambda: state.received, lambda: (state.received, state.total))
        if not state.is_complete:
            raise state.short()

    def _take(self, piece: memoryview) -> Deferred[Any]:
        self._state.came(len(piece))
        return self._submit(self._write, piece)

    def _write(self, piece: memoryview) -> None:
        if self._broken is None:
            try:
                self._target.write(piece)
            except BaseException as error:
                self._broken = error
                raise
