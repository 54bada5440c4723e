"""One action as a piece of work for the database, so that whoever has several may have them decided together.

Rules kept here:

- Called with a connection, an ``Act`` is the whole transaction: what the actor may do, the change, the log's row. What
  was refused is an outcome as well, so that its row is committed with nothing else.
- It may be called again: each call is a try of its own.
- ``conclude`` is what follows the commit, and its loss loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import attrs
from twisted.logger import Logger

from fluxon.cloud import paths, tree
from fluxon.cloud.agent import Agent
from fluxon.cloud.audit import DONE
from fluxon.cloud.operation import Operation
from fluxon.cloud.refusals import Refused
from fluxon.outcomes import Outcome, attempt

if TYPE_CHECKING:
    from fluxon.cloud.storage import Storage

_log = Logger(namespace="fluxon.cloud")


@attrs.frozen
class _Tried:
    """What came of one try, valid once it is committed."""

    operation: Operation
    result: Any
    refused: Refused | None


class Act:
    """``work(operation)`` on the item at ``path``. Raises ``InvalidPayload`` at once if that cannot be a path."""

    def __init__(
        self,
        storage: Storage,
        agent: Agent,
        action: str,
        path: Any,
        work: Callable[[Operation], Any],
        *,
        changes: bool = False,
    ) -> None:
        self._storage = storage
        self._agent = agent
        self._action = action
        self._parts = paths.parse(path)
        self._work = work
        self._changes = changes

    def __call__(self, connection: Any) -> _Tried:
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
        return _Tried(operation, result, refused)

    def look(self, connection: Any) -> Any:
        """The same for who only asks whether it may be done: no row of the log. Raises ``Refused``."""
        operation = self._operation(connection)
        operation.require_user()
        return self._work(operation)

    def conclude(self, tried: _Tried) -> Any:
        """The result, or its error, when ``tried`` is committed; whoever watches is told."""
        if tried.refused is not None:
            raise tried.refused.error
        operation = tried.operation
        if operation.removed:
            self._storage.objects.remove(operation.removed)
        for change in operation.changes:
            for listener in list(self._storage.changed):
                try:
                    listener(change)
                except Exception:
                    _log.failure("a listener of the cloud's changes failed")
        return tried.result

    def _operation(self, connection: Any) -> Operation:
        return Operation(self._storage, connection, self._agent, self._action, self._parts)


def carry_out(storage: Storage, acts: Sequence[Act]) -> list[Outcome]:
    """What became of each of the acts, which share what a commit costs. Blocks."""
    must_be_alone(storage)
    outcomes = storage.database.write_all_blocking(acts)
    return [
        outcome if outcome[1] is not None else attempt(act.conclude, outcome[0])
        for act, outcome in zip(acts, outcomes, strict=True)
    ]


def look(storage: Storage, acts: Sequence[Act]) -> list[Outcome]:
    """What each of the acts would answer, or ``Refused``; nothing is logged. Blocks."""
    must_be_alone(storage)
    return storage.database.read_blocking(lambda connection: [attempt(act.look, connection) for act in acts])


def must_be_alone(storage: Storage) -> None:
    """Refuse within a transaction of the caller's."""
    if storage.database.in_transaction:
        raise RuntimeError("a call of the cloud has a transaction of its own; make it before or after this one")
