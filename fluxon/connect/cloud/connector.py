"""``CloudStorageConnector``: files in the cloud, for programs that just want the answer.

Rules of this module: those of ``ConnectionInterface``; and paths are the cloud's, from its root, with or without a
leading slash.
"""

from __future__ import annotations

import os
import random as _random
from collections.abc import Callable
from time import monotonic
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from twisted.logger import Logger

from fluxon.arguments import check_function
from fluxon.commands import Command, cloud
from fluxon.connect.arguments import (
    DEFAULT_CLOUD_PORT,
    check_heartbeat,
    check_trust,
    checked_address,
    checked_patience,
    checked_timeout,
    checked_wait,
)
from fluxon.connect.cloud import requests
from fluxon.connect.cloud.blocking_watches import BlockingWatches
from fluxon.connect.cloud.calls import BlockingCalls
from fluxon.connect.cloud.downloads import download, read_bytes
from fluxon.connect.cloud.following import session_for
from fluxon.connect.cloud.given import CloudPath, content_of, local_path_of, path_of
from fluxon.connect.cloud.items import CloudItem
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
from fluxon.connect.cloud.uploads import Bytes, LocalFile, upload
from fluxon.connect.cloud.watches import CloudWatch, Watching
from fluxon.connect.line import Line
from fluxon.errors import InvalidPayload, NotFound, Unavailable

_log = Logger(namespace="fluxon.connect")

P = ParamSpec("P")
T = TypeVar("T")


class CloudStorageConnector(BlockingCalls):
    """A connection to a cloud storage server.

    ``connection`` is the ``ConnectionInterface`` whose user this one acts for, whoever that is at the moment of each
    call. Without it that is the process's only one, if that goes to the same ``host``, and does not use TLS where this
    one does not; if there is none this is a stranger, as with ``connection=ANONYMOUS``. ``secure``, ``trust``,
    ``timeout`` and ``wait_for_server`` are those of ``ConnectionInterface``; transfers of any length may take longer
    than ``timeout`` seconds, as long as they do not stand still for so long.

    Raises ``ConfigurationError`` for arguments that cannot be right. Every call raises what the server answers
    (``PermissionDenied``, ``NotFound``, ``AlreadyExists``, ``Conflict``, ``Locked``, ``ResourceExhausted``, …),
    ``InvalidPayload`` for arguments that cannot be right, and for the connection what ``send_request`` raises.
    Any number of threads may use one object at the same time.
    """

    def __init__(
        self,
        host: str = "localhost",
        port: int = DEFAULT_CLOUD_PORT,
        connection: Any = None,
        secure: bool = False,
        trust: str | os.PathLike[str] | None = None,
        timeout: float = 30.0,
        *,
        wait_for_server: float = 0.0,
        heartbeat: float | None = None,
        random: Callable[[], float] = _random.random,
    ) -> None:
        where = checked_address(host, port)
        check_trust(trust, secure)
        self._timeout = checked_patience(timeout)
        self._wait_for_server = checked_wait(wait_for_server)
        check_heartbeat(heartbeat)
        check_function("random=", random, optional=False)
        self._watches = BlockingWatches(lambda path: self._do(requests.watch, path), f"fluxon-watches-{where}")
        self._line = Line(
            where,
            secure=secure,
            trust=trust,
            session=session_for(connection, where.host, secure),
            heartbeat=heartbeat,
            wait_for_server=self._wait_for_server,
            random=random,
            user="CloudStorageConnector",
            instead="fluxon.connect.connect_cloud",
            answering={cloud.Changed: self._watches.changed},
            lost=lambda: None,
            connected=self._watches.connected,
        )

    # --- items --------------------------------------------------------------------------------------------------------

    def exists(self, relative_path: CloudPath) -> bool:
        """Whether there is an item. Raises ``PermissionDenied`` where this user may not know."""
        try:
            self.stat(relative_path)
        except NotFound:
            return False
        return True

    # --- contents -----------------------------------------------------------------------------------------------------

    def write_file(
        self,
        relative_path: CloudPath,
        data: bytes,
        *,
        create: bool = True,
        if_version: int | None = None,
        lock: CloudLock | str | None = None,
    ) -> CloudItem:
        """Make ``data`` the content of a file, all of it or, if anything fails, nothing.

        A file that is not there is made, unless ``create`` is false. With ``if_version`` it is only written if it has
        that version (0: if it is not there), and ``Conflict`` raised otherwise.
        """
        self._line.check_thread("write_file")
        writing = writing_of(relative_path, create, if_version, lock)
        return upload(self._line, Bytes(content_of(data)), writing, self._timeout, None)

    def read_file(
        self, relative_path: CloudPath, *, version: int | None = None, offset: int = 0, length: int | None = None
    ) -> bytes:
        """The content of a file, the present one or that of ``version``; ``length`` bytes of it from ``offset`` on."""
        self._line.check_thread("read_file")
        return read_bytes(self._line, self._reading(relative_path, version, offset, length), self._timeout)

    def upload_file(
        self,
        relative_path: CloudPath,
        local_path: str | os.PathLike[str],
        *,
        create: bool = True,
        if_version: int | None = None,
        lock: CloudLock | str | None = None,
        progress: Progress | None = None,
    ) -> CloudItem:
        """Make the content of the file ``local_path`` that of a file in the cloud, as ``write_file`` does.

        It comes through lost connections by itself, going on where it was. ``progress`` is called with the bytes that
        were sent and those there are, on this thread. Raises ``OSError`` if the local file cannot be read.
        """
        self._line.check_thread("upload_file")
        writing = writing_of(relative_path, create, if_version, lock)
        with LocalFile(local_path_of(local_path)) as content:
            return upload(self._line, content, writing, self._timeout, progress)

    def download_file(
        self,
        relative_path: CloudPath,
        local_path: str | os.PathLike[str],
        *,
        version: int | None = None,
        progress: Progress | None = None,
    ) -> CloudItem:
        """Write the content of a file to ``local_path``, or into that directory; the file as it is in the cloud.

        The local file appears when it is whole, its hash compared with the server's, and replaces what was there. A
        download that was interrupted goes on where it was: after a lost connection by itself, and in a new program,
        too. ``progress`` is called with the bytes that are here and those there will be, on this thread. Raises
        ``OSError`` if the local file cannot be written.
        """
        self._line.check_thread("download_file")
        state = self._reading(relative_path, version, 0, None)
        return download(self._line, state, local_path_of(local_path), self._timeout, progress)

    def _reading(self, path: CloudPath, version: int | None, offset: int, length: int | None) -> DownloadState:
        state = reading_of(path, version, offset, length)
        if version is not None:
            state.sha256 = sha256_of(self.versions(path), state)
        return state

    # --- locks and watches --------------------------------------------------------------------------------------------

    def lock(self, relative_path: CloudPath, seconds: int = 60) -> CloudLock:
        """Keep others from changing a file, for ``seconds`` or until it is unlocked.

        The lock is a context manager that unlocks at its end, and what ``lock=`` of other calls takes. Raises
        ``Locked`` while somebody else has one.
        """
        held, until = self._do(requests.lock, relative_path, seconds, None)
        return CloudLock(path_of(relative_path), held, until, self.unlock)

    def renew(self, lock: CloudLock, seconds: int = 60) -> None:
        """Keep a lock for ``seconds`` from now."""
        lock.id, lock.until = self._do(requests.lock, lock.path, seconds, lock.id)

    def watch(self, relative_path: CloudPath, function: Watching) -> CloudWatch:
        """From now on have ``function`` called with a ``CloudChange`` when something at a path or below it changes.

        Only what this user may read is told of. Calls come one at a time, in order, on a thread of their own. After a
        lost connection the watch goes on, and a change ``"missed"`` says that others may not have been heard of.
        """
        if not callable(function):
            raise InvalidPayload("watch() takes a function that is called with each change")
        watch = CloudWatch(path_of(relative_path), function)
        self._line.check_thread("watch")
        # A number counts on its connection alone: asked for without one, it would have to be asked for again.
        self._line.connector.wait_for_link(monotonic() + self._timeout)
        self._watches.begin(watch)
        return watch

    def unwatch(self, watch: CloudWatch) -> None:
        """End a watch; its function is not called any more. Ending it twice is no error."""
        self._line.check_thread("unwatch")
        number = self._watches.ended(watch)
        if number is not None and self._line.connector.link is not None:
            try:
                self._do(requests.unwatch, number)
            except (NotFound, Unavailable):
                pass  # it ended with its connection

    # --- the object itself --------------------------------------------------------------------------------------------

    def when_connected(self, timeout: float | None = None) -> CloudStorageConnector:
        """Return this object when the server has answered hello; see ``ConnectionInterface.when_connected``."""
        longest = max(self._timeout, self._wait_for_server) if timeout is None else checked_timeout(timeout)
        self._line.wait_until_connected(longest)
        return self

    def close(self) -> None:
        """End the connection. What is under way fails; later calls raise ``Unavailable``. Closing twice is no error."""
        if not self._line.is_ours:
            return  # the connection, and every lock, is the parent's
        self._watches.stop()
        self._line.close()

    def __enter__(self) -> CloudStorageConnector:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return repr(self._line)

    # --- asking -------------------------------------------------------------------------------------------------------

    def _do(self, request: Callable[P, Request[T]], *arguments: P.args, **named: P.kwargs) -> T:
        made = request(*arguments, **named)
        return made.result(self._ask(made.command, made.arguments))

    def _all(self, request: Callable[P, Paged[T]], *arguments: P.args, **named: P.kwargs) -> list[T]:
        pages = request(*arguments, **named).pages()
        while not pages.over:
            pages.take(self._ask(pages.command, pages.arguments()))
        return pages.found

    def _ask(self, command: type[Command], arguments: dict[str, Any]) -> Any:
        self._line.check_thread(command.name)
        command.check_arguments(arguments)
        answer = self._line.ask(command.name, arguments, self._timeout, command.name)
        check_answer(command, answer)
        return answer
