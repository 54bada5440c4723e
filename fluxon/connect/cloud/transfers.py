"""What an upload and a download know of themselves, whoever carries them out. Pure.

Rules of this module: after every loss of the connection a transfer goes on where the other side is; what was sent or
received is whole only if its hash says so. What a server says is held against what it was asked, and said before: a
range that does not fit, or more bytes than announced, is a broken server's, and no other attempt is made.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import attrs
from attrs import define

from fluxon.commands import Command, cloud
from fluxon.commands.cloud import INLINE
from fluxon.connect.cloud.given import CloudPath, path_of
from fluxon.connect.cloud.items import CloudItem, CloudVersion
from fluxon.connect.cloud.leases import CloudLock, lock_id
from fluxon.connect.cloud.requests import item
from fluxon.errors import Conflict, FluxonError, InvalidPayload, NotFound, ProtocolError, Unavailable

#: Told how many bytes of how many have gone over.
Progress = Callable[[int, int], object]

#: How often an upload is begun anew that the server has forgotten: one that keeps none would be sent it for ever.
_BEGUN_ANEW = 5

_SHA256 = re.compile("[0-9a-f]{64}")

#: What the rest of a message with a content in it takes, at most: its path, and the names of its arguments.
_ENVELOPE = 8 * 1024


def fits_in_a_command(size: int, largest_message: int) -> bool:
    """Whether a content goes in one command. A stranger may send less at once than a user."""
    return size <= min(INLINE, largest_message - _ENVELOPE)


@define
class Writing:
    """How a new content is to be written."""

    path: str
    create: bool
    if_version: int | None
    lock: str | None

    def arguments(self) -> dict[str, Any]:
        return {"path": self.path, "create": self.create, "if_version": self.if_version, "lock": self.lock}


@define
class UploadState:
    """An upload of ``size`` bytes, over as many connections as it takes."""

    writing: Writing
    size: int
    #: The server's name for it, once it has begun.
    key: str | None = None
    #: Whether all bytes are there.
    complete: bool = False
    #: Whether the server was asked to make them the file's content.
    committing: bool = False
    _begun_anew: int = attrs.field(default=0, init=False)

    def arguments(self) -> dict[str, Any]:
        """Of the command that begins it, or goes on with it."""
        return {**self.writing.arguments(), "size": self.size, "upload": self.key}

    def begun(self, answer: dict[str, Any]) -> int:
        """From where on to send."""
        self.key = answer["upload"]
        offset = int(answer["offset"])
        if offset > self.size:
            raise Conflict(f"the server has {offset:,} bytes of an upload of {self.size:,}; begin it again")
        return offset

    def commit_arguments(self, sha256: str | None) -> dict[str, Any]:
        if sha256 is None:
            raise Conflict("the file became shorter while it was uploaded; nothing was changed in the cloud")
        self.committing = True
        return {"upload": self.key, "size": self.size, "sha256": sha256}

    def forgotten(self, error: NotFound) -> None:
        """The server knows no such upload, or no such path: raises ``error`` unless beginning anew may help."""
        if self.key is None or self._begun_anew >= _BEGUN_ANEW:
            raise error
        self._begun_anew += 1
        self.key = None
        self.complete = False

    def is_done(self, found: CloudItem, sha256: str | None) -> bool:
        """Whether the file has this content: then a commit whose answer was lost had worked."""
        return found.is_file and found.size == self.size and found.sha256 == sha256


@define
class DownloadState:
    """A download of ``length`` bytes (None: all) from ``offset`` on, over as many connections as it takes."""

    path: str
    offset: int = 0
    length: int | None = None
    #: The version that is read, once it is known: what follows must be of the same content.
    version: int | None = None
    #: The content's hash, where it is known.
    sha256: str | None = None
    #: The file when it was first opened.
    item: CloudItem | None = None
    #: Bytes that are here, and that there will be.
    received: int = 0
    total: int = 0
    _pinned: bool = attrs.field(default=False, init=False)

    def arguments(self) -> dict[str, Any]:
        """Of the command that opens what is missing."""
        return {
            "path": self.path,
            "offset": self.offset + self.received,
            "length": None if self.length is None else self.length - self.received,
            "version": self.version,
        }

    def opened(self, answer: dict[str, Any]) -> int:
        """How many bytes will come."""
        coming = int(answer["length"])
        if coming and answer["offset"] != self.offset + self.received:
            raise ProtocolError("the server sends another part of the file than it was asked for")
        if self.length is not None and coming > self.length - self.received:
            raise ProtocolError("the server sends more of the file than it was asked for")
        if answer["data"] is None and answer["stream"] is None:
            raise ProtocolError("the server sends no content, and does not say why")
        if answer["data"] is not None and len(answer["data"]) != coming:
            raise ProtocolError("the server sent another number of bytes than it said")
        if self.item is None:
            self.item = item(answer)
            self.total = self.received + coming
            if self.version is None:
                self.version, self.sha256 = self.item.version, self.item.sha256
                self._pinned = True
            if self.sha256 is not None and not _SHA256.fullmatch(self.sha256):
                raise ProtocolError("the server said a hash that is none")
        if self.received + coming != self.total:
            raise Conflict("the server has another content under the same version; download it again")
        return coming

    def came(self, count: int) -> None:
        """So many bytes of it have come."""
        self.received += count
        if self.received > self.total:
            raise ProtocolError("the server sends more bytes than it said")

    @property
    def is_whole_file(self) -> bool:
        """Whether the hash is that of what is read."""
        return self.offset == 0 and (self.length is None or (self.item is not None and self.total == self.item.size))

    @property
    def is_complete(self) -> bool:
        return self.item is not None and self.received == self.total

    def gone(self, error: NotFound) -> None:
        """What was read is no longer kept: raises ``error`` unless what took its place may be read from the start."""
        if not self._pinned:
            raise error
        self.version = self.sha256 = self.item = None
        self.received = self.total = 0
        self._pinned = False

    def short(self) -> FluxonError:
        """The stream ended too early."""
        return Unavailable(f"{self.total - self.received:,} of {self.total:,} bytes did not come; try again")

    def check(self, sha256: str | None) -> None:
        """Raise unless what came has the hash that the server says."""
        if sha256 is not None and self.is_whole_file and self.sha256 is not None and sha256 != self.sha256:
            raise damaged(self.path)


def damaged(path: str) -> FluxonError:
    """What came is not what the server has."""
    return Unavailable(
        f"what came of {path[:200]!r} has not the hash that the server says, and was thrown away; try again"
    )


def writing_of(path: CloudPath, create: bool, if_version: int | None, lock: CloudLock | str | None) -> Writing:
    """How to write, checked."""
    writing = Writing(path_of(path), create, if_version, lock_id(lock))
    cloud.Upload.check_arguments({**writing.arguments(), "size": None, "upload": None})
    return writing


def reading_of(path: CloudPath, version: int | None, offset: int, length: int | None) -> DownloadState:
    """What to read, checked."""
    state = DownloadState(path_of(path), offset, length, version)
    cloud.Read.check_arguments(state.arguments())
    return state


def sha256_of(versions: list[CloudVersion], state: DownloadState) -> str:
    """The hash of the version that is to be read."""
    for each in versions:
        if each.version == state.version:
            return each.sha256
    raise NotFound(f"version {state.version} of {state.path[:200]!r} is not kept; see versions()")


def check_answer(command: type[Command], answer: Any) -> None:
    """Raise ``ProtocolError`` unless it is what ``command`` answers."""
    try:
        command.check_response(answer)
    except InvalidPayload as error:
        raise ProtocolError(f"the server's answer to {command.name} is not understood: {error.text}") from error
