"""Sending contents, for Twisted programs.

Rules of this module: those of ``uploads.py``; files are opened, read, written and hashed in threads, never on the
reactor's.
"""

from __future__ import annotations

import hashlib
from typing import Any

from twisted.internet.defer import Deferred

from fluxon.commands import cloud
from fluxon.connect.cloud.deferred_transfers import Asker, Transfer, to_its_end
from fluxon.connect.cloud.items import CloudItem
from fluxon.connect.cloud.patience import PASSING
from fluxon.connect.cloud.requests import item
from fluxon.connect.cloud.transfers import Progress, UploadState, Writing, fits_in_a_command
from fluxon.connect.cloud.uploads import FAREWELL, FSYNC_RATE, Bytes, LocalFile
from fluxon.errors import NotFound, PermissionDenied
from fluxon.rpc import FileSource, Outgoing


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


class _Upload(Transfer):
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
                await self.tell(len(data), len(data))
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
            await self._give_up()
            raise

    async def _send(self) -> None:
        state, content = self._state, self._content
        connection, answer = await self.client.ask(cloud.Upload, state.arguments(), self.patience.left)
        offset = state.begun(answer)
        if isinstance(content, LocalFile):
            await self.client.submit(content.begin_hashing)
            source: Any = FileSource(content.duplicate(), offset, state.size - offset, self.client.submit)
        else:
            source = _BytesSource(content.all(), offset)
        outgoing = Outgoing(source)
        connection.peer.attach(answer["stream"], outgoing)
        await self.over(outgoing, lambda: outgoing.sent, lambda: (offset + outgoing.sent, state.size))
        state.complete = True

    async def _commit(self) -> CloudItem:
        arguments = self._state.commit_arguments(await self.client.submit(self._content.sha256))
        seconds = self.patience.seconds + self._state.size / FSYNC_RATE
        _, answer = await self.client.ask(cloud.Commit, arguments, seconds)
        return item(answer)

    async def _give_up(self) -> None:
        if self._state.key is not None and self.client.is_connected():
            farewell = Deferred.fromCoroutine(self.client.ask(cloud.Discard, {"upload": self._state.key}, FAREWELL))
            await to_its_end(farewell.addErrback(lambda _: None))  # the server forgets it by itself
