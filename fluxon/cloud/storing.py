"""Contents on their way to become objects, several at a time.

Rules of this module:

- First all are written, then all are synced, then the folders that they lie in: so the disk has them at the same time,
  and what it does for one it does for all.
- Each has its own outcome. What fails leaves nothing; where even the removal fails, the sweep has it.
"""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Callable

from twisted.logger import Logger

from fluxon.cloud.disk import close, disk_error, start_writing_out, write_all
from fluxon.cloud.shelves import Shelf
from fluxon.cloud.syncing import Syncs
from fluxon.cloud.uploads import Stored
from fluxon.outcomes import Outcome

_log = Logger()

#: How a file is made that nobody else has.
NEW = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class New:
    """A content on its way to become an object. Whatever fails leaves nothing of it."""

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self._data = data
        self.error: OSError | None = None
        self.name = ""
        self.descriptor = -1
        self.shelf: Shelf
        self._digest = ""

    def write(self, shelf: Callable[[], Shelf]) -> None:
        """Into the folder that ``shelf()`` answers; not synced."""
        self._digest = hashlib.sha256(self._data).hexdigest()
        try:
            self.shelf = shelf()
            name = self.shelf.name + secrets.token_hex(15)
            self.descriptor = os.open(name, NEW, 0o600, dir_fd=self.shelf.descriptor)
            self.name = name
            write_all(self.descriptor, self._data)
        except OSError as error:
            self.fail(error)

    def start_writing_out(self) -> None:
        """Have the disk begin with it."""
        try:
            start_writing_out(self.descriptor, 0, len(self._data))
        except OSError as error:
            self.fail(error)

    def close(self) -> None:
        """Write no more. Again does nothing."""
        if self.descriptor >= 0:
            close(self.descriptor)
            self.descriptor = -1

    def fail(self, error: OSError) -> None:
        """It is no object, because of the first of such errors."""
        if self.error is None:
            self.error = error
            self.give_up()

    def give_up(self) -> None:
        """Leave nothing of it."""
        self.close()
        if self.name:
            undo(self.name, self.shelf.descriptor)
            self.name = ""

    @property
    def outcome(self) -> Outcome:
        """The ``Stored``, once it is durable; or why there is none."""
        if self.error is not None:
            return None, disk_error(self.error)
        return Stored(self.name, len(self._data), self._digest), None


def sync(new: list[New], syncs: Syncs) -> None:
    """Make files durable, and then the folders that they are in."""
    written = [each for each in new if each.error is None]
    if len(written) > 1:
        for each in written:
            each.start_writing_out()
        written = [each for each in written if each.error is None]
    errors = syncs.sync_all([each.descriptor for each in written])
    for each, error in zip(written, errors, strict=True):
        each.close()
        if error is not None:
            each.fail(error)
    for shelf in {each.shelf for each in written if each.error is None}:
        try:
            shelf.sync()
        except OSError as error:
            for each in written:
                if each.shelf is shelf:
                    each.fail(error)


def undo(name: str, folder: int) -> None:
    """Remove a file that is to be nobody's. What cannot be removed is unnamed, and the sweep's."""
    try:
        os.unlink(name, dir_fd=folder)
    except OSError as error:
        if error.errno != errno.ENOENT:
            _log.error("What was given up could not be removed, and is left to the next sweep: {error}", error=error)
