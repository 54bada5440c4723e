"""The readings: the latest of each device in memory, the last ones of all devices in the database.

Many small writes are slow: each is a transaction, and waits for the disk. So readings that come while others are being
written wait for their turn, and are then written together. Nothing has to be tuned: the busier it is, the more go into
one write. And nobody is told that a reading is stored before it is.
"""

from datetime import UTC, datetime

from fluxon.database.query import where
from twisted.internet.defer import Deferred, ensureDeferred

from models import Reading


class Readings:
    """`keep` rows are kept, of all devices together; older ones go."""

    def __init__(self, keep):
        self.keep = keep
        self.latest = {}  # the device's name -> its row
        self.stored = self.writes = 0
        self._waiting = []  # rows to be written, each with the Deferred of who waits for it
        self._writing = False

    def add(self, device, celsius):
        """A reading of now. What comes back can be awaited, and is there when the reading is stored."""
        row = {"device": device, "celsius": celsius, "at": datetime.now(UTC)}
        self.latest[device] = row
        stored = Deferred()
        self._waiting.append((row, stored))
        if not self._writing:
            self._writing = True
            ensureDeferred(self._write())
        return stored

    async def _write(self):
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                ids = await Reading.Insert([row for row, _ in batch])
                await Reading.Delete(where[Reading.id <= ids[-1] - self.keep])
            except Exception as error:
                for _, stored in batch:
                    stored.errback(error)  # each device is told, and the next batch may do better
            else:
                self.stored += len(batch)
                self.writes += 1
                for _, stored in batch:
                    stored.callback(None)
        self._writing = False
