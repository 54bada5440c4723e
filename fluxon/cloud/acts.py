"""One action as a piece of work for the database, so that whoever has several may have them decided together.

Rules kept here:

- Called with a connection, an ``Act`` is the whole transaction: what the actor may do, the change, the log's row. What
  was refused is an outcome as well, so that its row is committed with nothing else.
- It may be called again: each call is a try of its own.
- ``conclude`` is what follows the commit, and its loss loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

import attrs
from twisted.logger import Logger

from fluxon.cloud import audit, paths, tree
from fluxon.cloud.agent import Agent
from fluxon.cloud.audit import DONE
from fluxon.cloud.memo import Memo
from fluxon.cloud.operation import Operation
from fluxon.cloud.refusals import Refused
from fluxon.errors import OutcomeUnknown
from fluxon.outcomes import Outcome, attempt

if TYPE_CHECKING:
    from fluxon.cloud.storage import Storage

_log = Logger(namespace="fluxon.cloud")


@attrs.frozen
class Tried:
    """What came of one try, valid once it is committed."""

    operation: Operation
    result: Any
    refused: Refused | None

    @property
    def logged(self) -> dict[str, Any]:
        """The log's row."""
        return self.operation.logged(DONE if self.refused is None else self.refused.outcome)


class Changes(Enum):
    """What an act changes, apart from the log."""

    NOTHING = auto()
    #: Files are made and get contents. What a ``Memo`` keeps stays as it is.
    CONTENTS = auto()
    ANYTHING = auto()


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
        changes: Changes = Changes.NOTHING,
    ) -> None:
        self._storage = storage
        self._agent = agent
        self._action = action
        self._parts = paths.parse(path)
        self._work = work
        self.changes = changes

    def __call__(self, connection: Any) -> Tried:
        """The transaction's work."""
        if self.changes is not Changes.NOTHING:
            tree.take_turn(connection, self._storage.dialect)
        # Whoever changes anything sees what they changed: they look at everything themselves, and nobody relies on it.
        memo = Memo() if self.changes is Changes.ANYTHING else self._storage.memos.of(connection)
        tried = self.decide(connection, memo)
        audit.write(connection, [tried.logged])
        memo.keep(connection)
        return tried

    def decide(self, connection: Any, memo: Memo) -> Tried:
        """What comes of it, but for the log's row."""
        operation = self._operation(connection, memo)
        result, refused = None, None
        try:
            operation.require_user()
            result = self._work(operation)
        except Refused as caught:
            refused = caught
        return Tried(operation, result, refused)

    def look(self, connection: Any, memo: Memo) -> Any:
        """The same for who only asks whether it may be done: no row of the log. Raises ``Refused``."""
        operation = self._operation(connection, memo)
        operation.require_user()
        return self._work(operation)

    def conclude(self, tried: Tried) -> Any:
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

    def _operation(self, connection: Any, memo: Memo) -> Operation:
        return Operation(self._storage, connection, self._agent, self._action, self._parts, memo)


def carry_out(storage: Storage, acts: Sequence[Act]) -> list[Outcome]:
    """What became of each of the acts, which share what a commit costs. Blocks."""
    must_be_alone(storage)
    outcomes = _read(storage, acts) or storage.database.write_all_blocking(acts)
    return [
        outcome if outcome[1] is not None else attempt(act.conclude, outcome[0])
        for act, outcome in zip(acts, outcomes, strict=True)
    ]


def _read(storage: Storage, acts: Sequence[Act]) -> list[Outcome] | None:
    """Acts that change nothing, as one piece of work whose rows are written at once. None: it is to be done one by one.

    That is so if any changes something, and if it came to an error: it would be the error of all of them.
    """
    if any(act.changes is not Changes.NOTHING for act in acts):
        return None

    def work(connection: Any) -> list[Outcome]:
        memo = storage.memos.of(connection)
        tried = [act.decide(connection, memo) for act in acts]
        audit.write(connection, [each.logged for each in tried])
        memo.keep(connection)
        return [(each, None) for each in tried]

    database = storage.database
    write = database.write_blocking if storage.options.reads_synced else database.write_relaxed_blocking
    try:
        return write(work)
    except OutcomeUnknown:
        raise
    except Exception:
        return None


def look(storage: Storage, acts: Sequence[Act]) -> list[Outcome]:
    """What each of the acts would answer, or ``Refused``; nothing is logged. Blocks."""
    must_be_alone(storage)

    def work(connection: Any) -> list[Outcome]:
        with connection.snapshot():
            memo = storage.memos.of(connection)
            return [attempt(act.look, connection, memo) for act in acts]

    return storage.database.read_blocking(work)


def must_be_alone(storage: Storage) -> None:
    """Refuse within a transaction of the caller's."""
    if storage.database.in_transaction:
        raise RuntimeError("a call of the cloud has a transaction of its own; make it before or after this one")
