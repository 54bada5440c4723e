"""Operations of several steps, written as generators, so that many of them can go side by side in one thread.

Rules kept here:

- A step is what costs a sync or a lock, and costs many hardly more than one: ``Look``, ``Store`` or an ``Act``. What
  is between two steps is the operation's own affair.
- Steps of one kind that are due at the same time are done together. Each has a result or an error of its own; nobody
  fails for another's sake.
- A generator that is given an error by its step may go on, as after any call.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

import attrs

from fluxon.cloud import acts
from fluxon.cloud.acts import Act
from fluxon.cloud.refusals import Refused
from fluxon.outcomes import Outcome, result_of

if TYPE_CHECKING:
    from fluxon.cloud.storage import Storage

T = TypeVar("T")


@attrs.frozen
class Look:
    """Answers what an act would, which only reads. Raises ``Refused``; nothing is in the log."""

    act: Act


@attrs.frozen
class Store:
    """Answers the ``Stored`` of a new object."""

    data: bytes | bytearray | memoryview


#: An operation: it answers a ``T``.
Steps: TypeAlias = Generator[Act | Look | Store, Any, T]


def may(act: Act) -> Steps[Any]:
    """What ``act``, which only reads, would answer. Consent leaves no row in the log, a refusal one."""
    try:
        return (yield Look(act))
    except Refused:
        return (yield act)


def only(act: Act) -> Steps[Any]:
    """An operation that is one act."""
    return (yield act)


def run(storage: Storage, steps: Steps[T]) -> T:
    """Carry an operation out. Blocks."""
    return result_of(run_all(storage, [steps])[0])  # type: ignore[no-any-return]


def run_all(storage: Storage, operations: Sequence[Steps[Any]]) -> list[Outcome]:
    """What became of each operation. Blocks."""
    ended: list[Outcome] = [(None, None)] * len(operations)
    due: list[tuple[int, Act | Look | Store]] = []

    def go_on(number: int, outcome: Outcome) -> None:
        result, error = outcome
        try:
            operation = operations[number]
            due.append((number, operation.send(result) if error is None else operation.throw(error)))
        except StopIteration as stop:
            ended[number] = (stop.value, None)
        except Exception as failed:
            ended[number] = (None, failed)

    for number in range(len(operations)):
        go_on(number, (None, None))
    while due:
        kind = type(due[0][1])
        now = [each for each in due if type(each[1]) is kind]
        due[:] = [each for each in due if type(each[1]) is not kind]
        outcomes = _together(storage, kind, [step for _, step in now])
        for (number, _), outcome in zip(now, outcomes, strict=True):
            go_on(number, outcome)
    return ended


def _together(storage: Storage, kind: type, steps: Sequence[Any]) -> list[Outcome]:
    try:
        if kind is Act:
            return acts.carry_out(storage, steps)
        if kind is Look:
            return acts.look(storage, [step.act for step in steps])
        return storage.objects.store_all([step.data for step in steps])
    except Exception as error:  # there is nobody who does it: a closed database, a full queue
        return [(None, error)] * len(steps)
