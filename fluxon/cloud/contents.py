"""Reading contents, the present one of a file or an older one.

Rules kept here: what was opened stays what it was, whatever becomes of the file. Opening follows the commit of the
decision; if the content was replaced in between and is gone, the decision is made anew.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from fluxon.cloud import refusals, tree, versions
from fluxon.cloud.acts import Act
from fluxon.cloud.entries import Entry, Opened
from fluxon.cloud.operation import Operation, P
from fluxon.cloud.steps import Steps
from fluxon.cloud.writing import no_version, number
from fluxon.errors import InvalidPayload, NotFound, Unavailable

if TYPE_CHECKING:
    from fluxon.cloud.agent import Agent
    from fluxon.cloud.storage import Storage

#: A content is replaced between decision and opening in some ten thousandths of cases, where none is kept.
_TRIES = 5

_DAMAGED = "the file's content is not on the server's disk; tell the administrator"


def open_read(
    storage: Storage, agent: Agent, path: Any, offset: int, length: int | None, version: int | None
) -> Steps[Opened]:
    """See ``Storage.open_read``."""
    number(offset)
    if length is not None:
        number(length)
    if version is not None:
        number(version)

    def work(op: Operation) -> tuple[Entry, str | None, int]:
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
        return op.entry(row, place.path), content.object, content.size

    deciding = Act(storage, agent, "read", path, work)
    for _ in range(_TRIES):
        entry, name, size = yield deciding
        available = size - offset
        wanted = available if length is None else min(length, available)
        if name is None:
            return Opened(entry, None, offset, 0)
        try:
            return Opened(entry, storage.objects.reader(name), offset, wanted)
        except NotFound:
            continue
    raise Unavailable(_DAMAGED)


def read(
    storage: Storage, agent: Agent, path: Any, offset: int, length: int | None, version: int | None
) -> Steps[tuple[Entry, bytes]]:
    """See ``Storage.read``."""
    opened = yield from open_read(storage, agent, path, offset, length, version)
    if opened.descriptor is None:
        return opened.entry, b""
    try:
        pieces = []
        at, end = opened.offset, opened.offset + opened.length
        while at < end:
            piece = os.pread(opened.descriptor, end - at, at)
            if not piece:
                raise Unavailable(_DAMAGED)
            pieces.append(piece)
            at += len(piece)
        return opened.entry, b"".join(pieces)
    finally:
        os.close(opened.descriptor)
