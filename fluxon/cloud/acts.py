"""One action as a piece of work for the database, so that whoever asks for it chooses how to wait.

Rules kept here:

- Called with a connection, an ``Act`` is the whole transaction: what the actor may do, the change, the log's row. What
  was refused is an outcome as well, so that its row is committed with nothing else.
- It may be called again: each call is a try of its own.
- ``conclude`` is what follows the commit. It touches the disk only if something was changed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs
from twisted.logger import Logger

from fluxon.cloud import paths, tree
from fluxon.cloud.agent import Agent
from fluxon.cloud.audit import DONE
from fluxon.cloud.operation import Operation
from fluxon.cloud.refusals import Refused

if TYPE_CHECKING:
    from fluxon.cloud.storage import Storage

T = TypeVar("T")

_log = Logger(namespace="fluxon.cloud")


@attrs.frozen
class Outcome(Generic[T]):
    """What came of one try, valid once it is committed."""

    operation: Operation
    result: T | None
    refused: Refused | None


class Act(Generic[T]):
    """``work(operation)`` on the item at ``path``. Raises ``InvalidPayload`` at once if that cannot be a path."""

    def __init__(
        self,
        storage: Storage,
        agent: Agent,
        action: str,
        path: Any,
        work: Callable[[Operation], T],
        *,
        changes: bool = False,
    ) -> None:
        self.agent = agent
        self._storage = storage
        self._action = action
        self._parts = paths.parse(path)
        self._work = work
        self._changes = changes

    def __call__(self, connection: Any) -> Outcome[T]:
        """The transaction's work."""
        if self._changes:
            tree.take_turn(connection, self._storage.dialect)
        operation = self._operation(connection)
        result, refused = None, None
        try:
            operation.require_user()
            result = self._work(operation)
        except Refused as caught:
            refused = caught
        operation.log(DONE if refused is None else refused.error.code)
        return Outcome(operation, result, refused)

    def look(self, connection: Any) -> T:
        """The same without the log's row, for a consent that is no action yet. Raises ``Refused``."""
        operation = self._operation(connection)
        operation.require_user()
        return self._work(operation)

    def conclude(self, outcome: Outcome[T]) -> T:
        """The result, or its error, when ``outcome`` is committed; whoever watches is told."""
        if outcome.refused is not None:
            raise outcome.refused.error
        operation = outcome.operation
        if operation.removed:
            self._storage.objects.remove(operation.removed)
        for change in operation.changes:
            for listener in list(self._storage.changed):
                try:
                    listener(change)
                except Exception:
                    _log.failure("a listener of the cloud's changes failed")
        return outcome.result  # type: ignore[return-value]

    def _operation(self, connection: Any) -> Operation:
        return Operation(self._storage, connection, self.agent, self._action, self._parts)
