"""``CloudClient``: files in the cloud, for Twisted programs.

Rules of this module: every call is that of ``CloudStorageConnector`` of the same name and gives a Deferred; nothing
blocks the reactor, and what is done with local files is done in threads.
"""

from __future__ import annotations

import os
import random as _random
from collections.abc import Callable, Coroutine
from typing import Any, ParamSpec, TypeVar

from twisted.internet.defer import CancelledError, Deferred, DeferredList, fail
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import Logger
from twisted.python.failure import Failure

from fluxon.arguments import check_reactor
from fluxon.blocking import Pending, pending
from fluxon.commands import Command, cloud
from fluxon.connect.arguments import DEFAULT_CLOUD_PORT, check_trust
from fluxon.connect.cloud import deferred_downloads, deferred_uploads, requests
from fluxon.connect.cloud.calls import DeferredCalls
from fluxon.connect.cloud.deferred_transfers import to_its_end
from fluxon.connect.cloud.deferred_watches import DeferredWatches
from fluxon.connect.cloud.following import ANONYMOUS, session_for
from fluxon.connect.cloud.given import CloudPath, content_of, local_path_of, path_of
from fluxon.connect.cloud.items import CloudChange, CloudItem
from fluxon.connect.cloud.leases import CloudLock
from fluxon.connect.cloud.requests import Paged, Request
from fluxon.connect.cloud.transfers import (
    DownloadState,
    Progress,
    check_answer,
    reading_of,
    sha256_of,
    writing_of,
)
from fluxon.connect.cloud.watches import CloudWatch
from fluxon.connect.reconnecting import Connection
from fluxon.connect.service import ClientService, connected, endpoint_of
from fluxon.connect.session import HasSession
from fluxon.errors import Cancelled, FluxonError, InvalidPayload, NotFound, Unavailable
from fluxon.workers import WorkerPool

_log = Logger(namespace="fluxon.connect")

P = ParamSpec("P")
T = TypeVar("T")

#: How long ``stopService`` waits for local files to be closed, in seconds: a disk that hangs must not keep a program.
_LET_GO = 5.0

#: Local files that are read, written or hashed at once; the disk is slower than these.
_THREADS = 8


class CloudClient(ClientService, DeferredCalls):
    """A connection to a cloud storage server, as a Twisted service.

    ``where``, ``secure``, ``trust`` and ``wait_for_server`` are those of ``Client``, but that the port is 8888 unless
    given. ``connection`` is the ``Client`` (or ``ConnectionInterface``) whose user this one acts for, whoever that is
    at the moment of each call; without it this is a stranger. ``timeout`` is for answers, in seconds; transfers may
    take longer, as long as they do not stand still for that time.

    Started as a service it connects, comes back by itself when the connection is lost, and stays until it is stopped.
    ``fluxon.connect.connect_cloud`` makes, starts and awaits one.
    """

    name = "fluxon-cloud-client"

    def __init__(
        self,
        reactor: Any,
        where: str | IStreamClientEndpoint,
        *,
        connection: HasSession | None = None,
        secure: bool = False,
        trust: str | os.PathLike[str] | None = None,
        timeout: float = 30.0,
        wait_for_server: float = 0.0,
        random: Callable[[], float] = _random.random,
    ) -> None:
        check_reactor(reactor)
        check_trust(trust, secure)
        address, endpoint = endpoint_of(reactor, where, secure, trust, DEFAULT_CLOUD_PORT)
        self._watches = DeferredWatches(lambda path: self._do(requests.watch, path))
        self._pool = WorkerPool("cloud-files", _THREADS, reactor)
        # Those that have local files open.
        self._transfers: set[Deferred[Any]] = set()
        super().__init__(
            reactor,
            address,
            endpoint,
            secure=secure,
            session=session_for(ANONYMOUS if connection is None else connection, address.host, secure),
            timeout=timeout,
            responders={cloud.Changed: self._watches.changed},
            on_session_lost=None,
            random=random,
            wait_for_server=wait_for_server,
            connected=self._watches.connected,
        )

    # --- items --------------------------------------------------------------------------------------------------------

    def exists(self, relative_path: CloudPath) -> Pending[bool]:
        """Whether there is an item. ``PermissionDenied`` where this user may not know."""

        async def asked() -> bool:
            try:
                await self.stat(relative_path)
            except NotFound:
                return False
            return True

        return _pending(asked())

    # --- contents -----------------------------------------------------------------------------------------------------

    def write_file(
        self,
        relative_path: CloudPath,
        data: bytes,
        *,
        create: bool = True,
        if_version: int | None = None,
        lock: CloudLock | str | None = None,
    ) -> Pending[CloudItem]:
        """Make ``data`` the content of a file, as ``CloudStorageConnector.write_file`` does."""

        async def write() -> CloudItem:
            writing = writing_of(relative_path, create, if_version, lock)
            return await deferred_uploads.upload_bytes(self._asker, content_of(data), writing)

        return _pending(write())

    def read_file(
        self, relative_path: CloudPath, *, version: int | None = None, offset: int = 0, length: int | None = None
    ) -> Pending[bytes]:
        """The content of a file, or ``length`` bytes of it from ``offset`` on, present or of ``version``."""

        async def read() -> bytes:
            state = await self._reading(relative_path, version, offset, length)
            return await deferred_downloads.read_bytes(self._asker, state)

        return _pending(read())

    def upload_file(
        self,
        relative_path: CloudPath,
        local_path: str | os.PathLike[str],
        *,
        create: bool = True,
        if_version: int | None = None,
        lock: CloudLock | str | None = None,
        progress: Progress | None = None,
    ) -> Pending[CloudItem]:
        """Upload a local file, as ``CloudStorageConnector.upload_file`` does."""

        async def upload() -> CloudItem:
            writing = writing_of(relative_path, create, if_version, lock)
            path = local_path_of(local_path)
            return await deferred_uploads.upload_file(self._asker, path, writing, progress)

        return self._transfer(upload())

    def download_file(
        self,
        relative_path: CloudPath,
        local_path: str | os.PathLike[str],
        *,
        version: int | None = None,
        progress: Progress | None = None,
    ) -> Pending[CloudItem]:
        """Write a content to a local file, as ``CloudStorageConnector.download_file`` does."""

        async def download() -> CloudItem:
            state = await self._reading(relative_path, version, 0, None)
            path = local_path_of(local_path)
            return await deferred_downloads.download_file(self._asker, state, path, progress)

        return self._transfer(download())

    def _transfer(self, coroutine: Coroutine[Any, Any, T]) -> Pending[T]:
        transfer = Deferred.fromCoroutine(coroutine)
        self._transfers.add(transfer)

        def over(result: Any) -> Any:
            self._transfers.discard(transfer)
            if isinstance(result, Failure) and result.check(Cancelled):
                return Failure(CancelledError())  # as at any other moment, whatever it waited for
            return result

        return pending(transfer.addBoth(over))

    async def _reading(self, path: CloudPath, version: int | None, offset: int, length: int | None) -> DownloadState:
        state = reading_of(path, version, offset, length)
        if version is not None:
            state.sha256 = sha256_of(await self.versions(path), state)
        return state

    # --- locks and watches --------------------------------------------------------------------------------------------

    def lock(self, relative_path: CloudPath, seconds: int = 60) -> Pending[CloudLock]:
        """Keep others from changing a file, for ``seconds``. ``Locked`` while somebody else does."""

        async def lock() -> CloudLock:
            held, until = await self._do(requests.lock, relative_path, seconds, None)
            return CloudLock(path_of(relative_path), held, until, self.unlock)

        return _pending(lock())

    def renew(self, lock: CloudLock, seconds: int = 60) -> Pending[None]:
        """Keep a lock for ``seconds`` from now."""

        async def renew() -> None:
            lock.id, lock.until = await self._do(requests.lock, lock.path, seconds, lock.id)

        return _pending(renew())

    def watch(self, relative_path: CloudPath, function: Callable[[CloudChange], Any]) -> Pending[CloudWatch]:
        """As ``CloudStorageConnector.watch``; ``function`` may be ``async def``, and the next call waits for it."""

        async def watch() -> CloudWatch:
            if not callable(function):
                raise InvalidPayload("watch() takes a function that is called with each change")
            made = CloudWatch(path_of(relative_path), function)
            await self._watches.begin(made)
            return made

        return _pending(watch())

    def unwatch(self, watch: CloudWatch) -> Pending[None]:
        """End a watch; its function is not called any more. Ending it twice is no error."""

        async def unwatch() -> None:
            number = self._watches.ended(watch)
            if number is not None and self._connector.current is not None:
                try:
                    await self._do(requests.unwatch, number)
                except (NotFound, Unavailable):
                    pass  # it ended with its connection

        return _pending(unwatch())

    # --- asking -------------------------------------------------------------------------------------------------------

    def _do(self, request: Callable[P, Request[T]], *arguments: P.args, **named: P.kwargs) -> Pending[T]:
        async def do() -> T:
            made = request(*arguments, **named)
            return made.result(await self._asked(made.command, made.arguments))

        return _pending(do())

    def _all(self, request: Callable[P, Paged[T]], *arguments: P.args, **named: P.kwargs) -> Pending[list[T]]:
        async def all_pages() -> list[T]:
            pages = request(*arguments, **named).pages()
            while not pages.over:
                pages.take(await self._asked(pages.command, pages.arguments()))
            return pages.found

        return _pending(all_pages())

    async def _asked(self, command: type[Command], arguments: dict[str, Any]) -> Any:
        answer = await self._ask(command, arguments)
        check_answer(command, answer)
        return answer

    @property
    def _asker(self) -> _Asker:
        return _Asker(self)

    def stopService(self) -> Deferred[None]:
        """End the connection; what is under way fails. Fires when nothing is left."""
        self._pool.stop()
        return super().stopService().addCallback(self._let_go)

    def _let_go(self, _: None) -> Deferred[Any]:
        """Fires when no transfer has a local file open, or when its disk does not answer."""
        ends = [to_its_end(transfer) for transfer in list(self._transfers)]
        ended = DeferredList(ends, consumeErrors=True)
        return ended.addTimeout(_LET_GO, self._reactor, lambda *_: None).addCallback(lambda _: None)


class _Asker:
    """What transfers need of a client."""

    def __init__(self, client: CloudClient) -> None:
        self._client = client
        self.reactor = client._reactor
        self.timeout = client._timeout
        self.submit = client._pool.submit

    async def ask(
        self, command: type[Command], arguments: dict[str, Any], timeout: float | None = None
    ) -> tuple[Connection, Any]:
        connection, answer = await self._client._ask_on(command, arguments, timeout)
        check_answer(command, answer)
        return connection, answer

    async def connection(self, timeout: float) -> Connection:
        client = self._client
        return await client._connector.when_connected(client._deadline(timeout))

    def is_connected(self) -> bool:
        return self._client._connector.current is not None

    def pause(self, seconds: float) -> Deferred[None]:
        return self._client._connector.pause(seconds)

    def may_come_back(self) -> bool:
        connector = self._client._connector
        return connector.was_connected and not connector.closed


def connect_cloud(reactor: Any, where: str | IStreamClientEndpoint, **keywords: Any) -> Deferred[CloudClient]:
    """A ``CloudClient`` of ``where``, connected and greeted. The keywords are those of ``CloudClient``.

    Fails with the reason when the first attempt does, or, with ``wait_for_server``, when the server has not come up
    after so many seconds. Once connected it comes back by itself; ``await client.close()`` ends it.
    """
    try:
        client = CloudClient(reactor, where, **keywords)
    except FluxonError:
        return fail()
    return connected(client)


def _pending(coroutine: Coroutine[Any, Any, T]) -> Pending[T]:
    return pending(Deferred.fromCoroutine(coroutine))
