"""The cloud storage of a process: opened once, for its port and for the views of a main server.

Rules of this module:

- Opening sweeps what a crash left behind, brings the stored roles to the model, and says what it did.
- Every hour what is kept for too long is purged, and what no row names any more is removed.
- Its pool of threads is used by clients of its port and by views alike.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from fluxon.cloud.entries import CloudOptions
from fluxon.cloud.objects import Objects, Swept
from fluxon.cloud.storage import Storage
from fluxon.database.database import Database
from fluxon.routing import Setup
from fluxon.workers import WorkerPool

_log = Logger(namespace="fluxon.cloud")

#: Seconds between purges.
_PURGE_EVERY = 3600.0


class OpenedCloud:
    """The storage of ``setup``'s cloud, with its threads."""

    def __init__(self, setup: Setup, database: Database, reactor: Any) -> None:
        options = CloudOptions(
            versions=setup.cloud_versions,
            keep_days=setup.cloud_keep_days,
            user_quota=setup.cloud_user_quota,
            reads_synced=setup.cloud_reads_synced,
        )
        self._model = setup.cloud_auth_model
        self.pool = WorkerPool("file", setup.limits.cloud_threads, reactor)
        assert setup.cloud_folder is not None
        self.storage = Storage(database, Objects(setup.cloud_folder), self._model, options, clock=reactor.seconds)
        self._bound = False
        self._purging = LoopingCall(self._purge)
        self._purging.clock = reactor

    async def open(self, blocking: WorkerPool) -> None:
        """Open it, in a thread of ``blocking``."""
        await blocking.submit(self.storage.open)
        swept = await blocking.submit(self.storage.sweep)
        _log.info("the cloud storage is open; {swept}", swept=_described(swept))
        self._model.bind(self.storage, self.pool)
        self._bound = True
        self._purging.start(_PURGE_EVERY, now=False)

    def _purge(self) -> Deferred[Any]:
        return self.pool.submit(self.storage.sweep).addErrback(
            lambda failure: _log.failure("purging the cloud storage failed", failure)
        )

    async def close(self, blocking: WorkerPool) -> None:
        """Close it, in a thread of ``blocking``: those of its own may be held up by a disk."""
        if self._purging.running:
            self._purging.stop()
        if self._bound:
            self._bound = False
            self._model.unbind()
        self.pool.stop()
        await blocking.submit(self.storage.close)


def _described(swept: Swept) -> str:
    if swept.put_off:
        return "a backup is under way, so what no row names is removed later"
    gone = swept.removed_objects + swept.removed_uploads
    if not gone:
        return f"{swept.objects} objects, all of them named by rows"
    return f"{swept.objects} objects, and {gone} files of {swept.freed} bytes removed that no row names"
