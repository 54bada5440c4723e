"""What clients send: begun, resumed after a lost connection, committed once, and forgotten when nobody comes back.

Rules of this module:

- An upload is known by a secret name, and only to whoever began it: a user on any of their connections, a stranger on
  their own session. To all others it does not exist.
- Bytes are appended as they come; nothing is a file's content before its commit, which decides about everything again.
- A commit happens once. Asked again, it answers what it answered before.
- What the disk refused is given up at once, since nobody can go on with it; a commit is told why.
- An upload outlives its connection by ``Limits.cloud_upload_kept``. The oldest that nobody sends to makes room for a
  new one of the same user.
"""

from __future__ import annotations

import secrets
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Any

import attrs
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from fluxon.cloud.agent import Agent
from fluxon.cloud.serving import answers
from fluxon.cloud.serving.clients import Clients, owner_of
from fluxon.cloud.serving.transfers import Slots, Transfers
from fluxon.cloud.storage import Storage
from fluxon.errors import Cancelled, Conflict, FluxonError, InvalidPayload, NotFound, Unavailable
from fluxon.limits import MIB, Limits
from fluxon.rpc import Incoming, Opening, Peer
from fluxon.sessions.shared import Shared

_log = Logger(namespace="fluxon.cloud")

#: Whether the upload may go on (rights, quota) is asked again after so many bytes.
_ASK_AGAIN_AFTER = 64 * MIB

#: Commits whose answers are kept at most; about 1 KiB each.
_ANSWERS = 10_000

#: Errors after which what has arrived is worth nothing: the client broke its word.
_FINAL = (InvalidPayload,)


@attrs.define(eq=False)
class Upload:
    """One upload, from its first ask on."""

    name: str
    owner: Hashable
    #: What it is for, as asked: path, size, create, if_version, lock.
    wanted: dict[str, Any]
    #: The object that is being made; None before and after.
    content: Any = None
    arrival: Arrival | None = None
    #: Whether its commit is under way.
    closed: bool = False
    #: When somebody last had to do with it.
    touched: float = 0.0
    #: Fires when the disk has caught up, while it has not.
    pause: Deferred[None] | None = None
    #: What its commit named, and answered.
    committed: tuple[int, str] | None = None
    answer: dict[str, Any] | FluxonError | None = None


class Arrival:
    """The bytes of an upload over one connection: the sink of its stream."""

    def __init__(self, uploads: Uploads, upload: Upload, peer: Peer) -> None:
        self._uploads = uploads
        self._upload = upload
        self.peer = peer
        self.incoming = Incoming(self)
        self._ask_again_at = _ASK_AGAIN_AFTER

    def data(self, piece: memoryview) -> Deferred[Any] | None:
        """Append what came."""
        upload = self._upload
        if upload.arrival is not self or upload.closed:
            raise Conflict("this upload goes on elsewhere, or is being committed")
        size = upload.wanted["size"]
        if size is not None and upload.content.size + len(piece) > size:
            raise InvalidPayload(f"more than the {size} bytes that were announced")
        keeps_up = upload.content.append(piece)
        upload.touched = self._uploads.now()
        if self.incoming.received >= self._ask_again_at:
            self._ask_again_at = self.incoming.received + _ASK_AGAIN_AFTER
            return self._uploads.ask_again(self.peer, upload)
        return None if keeps_up else self._uploads.caught_up(upload)

    def ended(self, error: FluxonError | None) -> None:
        """All bytes came, or the stream is over before that."""
        self._uploads.arrived(self._upload, self, error)


class Uploads:
    """The responders of ``cloud.Upload``, ``Commit`` and ``Discard``."""

    def __init__(
        self,
        storage: Storage,
        clients: Clients,
        transfers: Transfers,
        limits: Limits,
        in_thread: Callable[..., Deferred[Any]],
    ) -> None:
        self._storage = storage
        self._clients = clients
        self._transfers = transfers
        self._limits = limits
        self._in_thread = in_thread
        self.slots = Slots("uploads", limits.cloud_uploads, limits.cloud_uploads_per_user)
        self._open: dict[str, Upload] = {}
        self._done: OrderedDict[str, Upload] = OrderedDict()
        self._commits: Shared[None] = Shared()
        self.now = clients.now
        transfers.at_each_look(self._expire)

    # --- beginning and resuming ---------------------------------------------------------------------------------------

    async def upload(self, peer: Peer, arguments: dict[str, Any]) -> Opening:
        """Begin an upload, or go on with one."""
        self._clients.must_be_open()
        await self._clients.confirm(peer)
        wanted = {key: arguments.get(key) for key in ("path", "size", "create", "if_version", "lock")}
        name = arguments.get("upload")
        upload = await (self._begin(peer, wanted) if name is None else self._resume(peer, name, wanted))
        if peer.lost:
            if name is None:
                self._drop(upload)  # nobody will ever know its name
            raise Unavailable("the connection was lost")
        if upload.arrival is not None:
            upload.arrival.incoming.give_up(Conflict("the upload goes on over another connection"))
            self._detach(upload)
        arrival = upload.arrival = Arrival(self, upload, peer)
        upload.touched = self.now()
        self._transfers.hold(peer)
        self._transfers.begin(peer, arrival.incoming, lambda: arrival.incoming.received, lambda: None)
        return Opening({"upload": upload.name, "offset": upload.content.size}, arrival.incoming)

    async def _begin(self, peer: Peer, wanted: dict[str, Any]) -> Upload:
        owner = owner_of(peer)
        if not self.slots.has_room(owner):
            self._forget_oldest(owner)
        self.slots.take(owner)
        # 128 bits: found again by nobody who was not told.
        upload = Upload(secrets.token_hex(16), owner, wanted, touched=self.now())

        def begin(agent: Agent) -> Any:
            self._storage.begin_upload(agent, **wanted)
            return self._storage.objects.begin(lambda: self._clients.from_thread(_end_pause, upload))

        try:
            upload.content = await self._clients.run(peer, begin)
        except BaseException:
            self.slots.give_back(owner)
            raise
        self._open[upload.name] = upload
        if owner_of(peer) != owner:
            self._drop(upload)
            raise Conflict("somebody logged in or out on this connection meanwhile; begin again")
        return upload

    async def _resume(self, peer: Peer, name: str, wanted: dict[str, Any]) -> Upload:
        upload = self._find(peer, name)
        if upload.wanted != wanted:
            raise InvalidPayload("this upload was begun with other arguments; repeat those, or begin another")
        await self.ask_again(peer, upload)
        upload = self._find(peer, name)
        if isinstance(upload.answer, FluxonError):
            raise _again(upload.answer)
        if upload.closed or upload.answer is not None:
            raise Conflict("this upload is complete; commit it")
        return upload

    def caught_up(self, upload: Upload) -> Deferred[None]:
        """Fires when the disk has taken enough of what arrived."""
        if upload.pause is None:
            upload.pause = Deferred()
        pause: Deferred[None] = Deferred()
        upload.pause.chainDeferred(pause)
        return pause

    def ask_again(self, peer: Peer, upload: Upload) -> Deferred[None]:
        """Whether it may go on: fails with why not."""
        wanted = dict(upload.wanted)
        if upload.content is not None:
            wanted["size"] = max(wanted["size"] or 0, upload.content.size)
        return Deferred.fromCoroutine(
            self._clients.run(peer, lambda agent: self._storage.begin_upload(agent, **wanted), to_finish=True)
        )

    def _find(self, peer: Peer, name: str) -> Upload:
        upload = self._open.get(name) or self._done.get(name)
        if upload is None or upload.owner != owner_of(peer):
            raise NotFound("there is no such upload (any more); begin again")
        return upload

    # --- arriving -----------------------------------------------------------------------------------------------------

    def arrived(self, upload: Upload, arrival: Arrival, error: FluxonError | None) -> None:
        """A stream of an upload's has ended."""
        if upload.arrival is not arrival or error is None:
            return  # it goes on elsewhere; or it waits for its commit, and with it its connection
        self._detach(upload)
        if upload.closed:
            return
        if upload.content.error is not None:
            upload.answer = upload.content.error
            self._drop(upload)
            self._remember(upload)
        elif isinstance(error, _FINAL) or (isinstance(error, Cancelled) and not upload.content.size):
            self._drop(upload)

    def _detach(self, upload: Upload) -> None:
        arrival, upload.arrival = upload.arrival, None
        upload.touched = self.now()
        if arrival is not None:
            self._transfers.release(arrival.peer)

    # --- committing ---------------------------------------------------------------------------------------------------

    async def commit(self, peer: Peer, arguments: dict[str, Any]) -> dict[str, Any]:
        """Make what has arrived the file's content, once."""
        await self._clients.confirm(peer)
        upload = self._find(peer, arguments["upload"])
        named = (arguments["size"], arguments["sha256"])
        if upload.committed not in (None, named):
            raise InvalidPayload("this upload was committed with another size or sha256")
        if upload.answer is None:
            if upload.content.size != named[0]:
                offset = upload.content.size
                text = f"{offset} bytes have arrived, not {named[0]}; send the rest and commit again"
                raise InvalidPayload(text, details={"offset": offset})
            upload.committed = named
            key = upload.name.encode()
            await self._commits.run(key, lambda: Deferred.fromCoroutine(self._commit(peer, upload)))
        assert upload.answer is not None
        if isinstance(upload.answer, FluxonError):
            raise _again(upload.answer)
        return upload.answer

    async def _commit(self, peer: Peer, upload: Upload) -> None:
        upload.closed = True
        begun = False

        def work(agent: Agent) -> dict[str, Any]:
            nonlocal begun
            begun = True
            return self._make_content(agent, upload)

        try:
            upload.answer = await self._clients.run(peer, work, to_finish=True)
        except FluxonError as error:
            if not begun:
                upload.closed, upload.committed = False, None
                raise
            upload.answer = error
        except BaseException:
            self._take_out(upload)
            raise
        self._take_out(upload)
        self._remember(upload)

    def _make_content(self, agent: Agent, upload: Upload) -> dict[str, Any]:
        assert upload.committed is not None
        _, sha256 = upload.committed
        stored = upload.content.finish()
        if stored.sha256 != sha256:
            self._storage.objects.remove([stored.name])
            raise InvalidPayload("what arrived has another sha256 than what was sent; send it again")
        wanted = {key: value for key, value in upload.wanted.items() if key not in ("path", "size")}
        return {"item": answers.item(self._storage.finish_upload(agent, upload.wanted["path"], stored, **wanted))}

    # --- ending -------------------------------------------------------------------------------------------------------

    async def discard(self, peer: Peer, arguments: dict[str, Any]) -> dict[str, Any]:
        """Give an upload up. One that is not there (any more) is given up already."""
        await self._clients.confirm(peer)
        upload = self._open.get(arguments["upload"])
        if upload is not None and upload.owner == owner_of(peer):
            if upload.closed:
                raise Conflict("this upload is being committed")
            await self._drop(upload)
        return {}

    def _forget_oldest(self, owner: Hashable) -> None:
        idle = [each for each in self._open.values() if each.owner == owner and not each.arrival and not each.closed]
        if idle:
            self._drop(min(idle, key=lambda each: each.touched))

    def _expire(self, now: float) -> None:
        for upload in list(self._open.values()):
            if upload.arrival is not None and upload.arrival.peer.lost:
                self._detach(upload)  # all had come, but no commit
            if upload.arrival is None and not upload.closed and now - upload.touched > self._limits.cloud_upload_kept:
                self._drop(upload)
        while self._done:
            oldest = next(iter(self._done.values()))
            if now - oldest.touched <= self._limits.cloud_commit_kept:
                break
            del self._done[oldest.name]

    def _drop(self, upload: Upload) -> Deferred[Any]:
        arrival, content = upload.arrival, upload.content
        self._take_out(upload)
        if arrival is not None:
            arrival.incoming.give_up(Cancelled("the upload was given up"))
        dropped = self._in_thread(content.discard)
        return dropped.addErrback(lambda failure: _log.failure("an upload's bytes stay until the next sweep", failure))

    def _remember(self, upload: Upload) -> None:
        self._done[upload.name] = upload
        if len(self._done) > _ANSWERS:
            self._done.popitem(last=False)

    def _take_out(self, upload: Upload) -> None:
        """It is no longer under way."""
        del self._open[upload.name]
        self.slots.give_back(upload.owner)
        self._detach(upload)
        upload.content = None
        _end_pause(upload)

    async def stop(self) -> None:
        """The server stops: what was not committed is gone."""
        for upload in list(self._open.values()):
            if not upload.closed:
                await self._drop(upload)


def _again(error: FluxonError) -> FluxonError:
    """The same error, of which each who is told has one of their own."""
    return type(error)(error.text, details=error.details)


def _end_pause(upload: Upload) -> None:
    pause, upload.pause = upload.pause, None
    if pause is not None:
        pause.callback(None)
