"""Reading contents, the present one of a file or an older one.

Rules kept here: what was opened stays what it was, whatever becomes of the file. Opening follows the commit of the
decision; if the content was replaced in between and is gone, the decision is made anew.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import attrs

from fluxon.cloud import refusals, tree, versions
from fluxon.cloud.acts import Act
from fluxon.cloud.entries import Entry, Opened
from fluxon.cloud.operation import Operation, P
from fluxon.cloud.writing import no_version, number
from fluxon.errors import InvalidPayload, NotFound, Unavailable

if TYPE_CHECKING:
    from fluxon.cloud.agent import Agent
    from fluxon.cloud.storage import Storage

#: A content is replaced between decision and opening in some ten thousandths of cases, where none is kept.
TRIES = 5

DAMAGED = "the file's content is not on the server's disk; tell the administrator"


@attrs.frozen
class Content:
    """What may be read: a file, and the part of one of its contents that was asked for."""

    entry: Entry
    object: str | None
    offset: int
    length: int


def decision(
    storage: Storage, agent: Agent, path: Any, offset: int, length: int | None, version: int | None
) -> Act[Content]:
    """The action that decides whether a content may be read, and says which it is."""
    number(offset)
    if length is not None:
        number(length)
    if version is not None:
        number(version)

    def work(op: Operation) -> Content:
        place = op.locate(op.path)
        row = op.require(place, P.READ_FILE)
        if row.type != tree.FILE:
            raise refusals.no_file()
        content: Any = row
        if version is not None:
            op.details["version"] = version
            if version != row.version:
                content = versions.one(op.connection, row.id, version)
            if content is None:
                raise no_version()
        if offset > content.size:
            raise refusals.Refused(InvalidPayload(f"the content ends at {content.size}, before the offset"))
        available = content.size - offset
        wanted = available if length is None else min(length, available)
        return Content(op.entry(row, place.path), content.object, offset, 0 if content.object is None else wanted)

    return Act(storage, agent, "read", path, work)


def opened(storage: Storage, content: Content) -> Opened | None:
    """The content, opened; None if it was replaced since the decision, and is gone."""
    descriptor = None
    if content.object is not None:
        try:
            descriptor = storage.objects.reader(content.object)
        except NotFound:
            return None
    return Opened(content.entry, descriptor, content.offset, content.length)


def open_read(
    storage: Storage, agent: Agent, path: Any, offset: int, length: int | None, version: int | None
) -> Opened:
    """See ``Storage.open_read``."""
    deciding = decision(storage, agent, path, offset, length, version)
    for _ in range(TRIES):
        found = opened(storage, storage.carry_out(deciding))
        if found is not None:
            return found
    raise Unavailable(DAMAGED)


def read(
    storage: Storage, agent: Agent, path: Any, offset: int, length: int | None, version: int | None
) -> tuple[Entry, bytes]:
    """See ``Storage.read``."""
    found = open_read(storage, agent, path, offset, length, version)
    return found.entry, data_of(found)


def data_of(found: Opened) -> bytes:
    """All bytes of what was opened, which is closed with that."""
    descriptor = found.descriptor
    if descriptor is None:
        return b""
    try:
        pieces = []
        at, end = found.offset, found.offset + found.length
        while at < end:
            piece = os.pread(descriptor, end - at, at)
            if not piece:
                raise Unavailable(DAMAGED)
            pieces.append(piece)
            at += len(piece)
        return b"".join(pieces)
    finally:
        os.close(descriptor)
