"""Calls on a storage from a program: the rule of ``fluxon.blocking``, for all of the cloud's facades."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import attrs

from fluxon.blocking import either
from fluxon.errors import ConfigurationError

if TYPE_CHECKING:
    from twisted.internet.defer import Deferred

    from fluxon.cloud.storage import Storage
    from fluxon.workers import WorkerPool

T = TypeVar("T")


@attrs.frozen
class Calls:
    """A storage, and the threads in which it is called for the reactor's."""

    storage: Storage
    #: None: there is no reactor; the program calls from threads of its own.
    pool: WorkerPool | None = None

    def perform(self, work: Callable[[], T]) -> Any:
        """``work()``, which blocks: to be awaited on the reactor's thread, done at once on any other.

        ``RuntimeError`` inside ``database.transaction()``: a call of the cloud is a transaction of its own.
        """
        if self.storage.database.in_transaction:
            raise RuntimeError("a call of the cloud has a transaction of its own; make it before or after this one")
        return either(lambda: self._submit(work), work)

    def _submit(self, work: Callable[[], T]) -> Deferred[T]:
        if self.pool is None:
            raise ConfigurationError(
                "this storage was opened without threads for the reactor: "
                'give bind() a pool, as WorkerPool("file", 4, reactor)'
            )
        return self.pool.submit(work)
