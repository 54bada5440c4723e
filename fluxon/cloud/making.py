"""Making directories and empty files."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

from fluxon.cloud import refusals, tree
from fluxon.cloud.acts import Act, Changes
from fluxon.cloud.entries import Entry
from fluxon.cloud.operation import Operation, P
from fluxon.cloud.steps import Steps

if TYPE_CHECKING:
    from fluxon.cloud.agent import Agent
    from fluxon.cloud.storage import Storage

#: The hash of no bytes. A content without bytes has no object.
EMPTY = hashlib.sha256().hexdigest()


def make_directory(storage: Storage, agent: Agent, path: Any, parents: bool) -> Steps[Entry]:
    """See ``Storage.make_directory``."""

    def work(op: Operation) -> Entry:
        place = op.locate(op.path)
        if not parents:
            directory, missing = op.require_free(place, P.CREATE_SUB_DIRECTORY), place.parts[-1:]
        else:
            if place.is_visible and place.item.type == tree.DIRECTORY:
                return op.entry(place.item, place.path)
            if place.is_visible:
                raise refusals.taken()
            nearest = place
            while nearest.parts and not nearest.is_visible:
                nearest = nearest.parent
            if not nearest.is_visible:
                raise op.unknown(place)
            directory = op.require_directory(nearest, P.CREATE_SUB_DIRECTORY)
            missing = place.parts[len(nearest.parts) :]
            if len(missing) > 1 and P.CREATE_SUB_DIRECTORY not in op.of_new(nearest.grant).permissions:
                raise refusals.denied(P.CREATE_SUB_DIRECTORY)
            if len(place.rows) > len(nearest.rows):
                # Something hidden has the name. Only who could have made a directory there learns as much.
                raise op.unknown(place)
        op.require_short(place)
        done = place.path[: len(place.parts) - len(missing)]
        for name in missing:
            item_id = storage.draw()
            row = tree.insert(op.connection, item_id, directory.id, name, tree.DIRECTORY, agent.user_id, op.now)
            directory = op.item = row
            done = (*done, name)
            op.tell(done, directory)
        return op.entry(directory, done)

    return (yield Act(storage, agent, "create", path, work, changes=Changes.ANYTHING))  # type: ignore[no-any-return]


def make_file(storage: Storage, agent: Agent, path: Any) -> Steps[Entry]:
    """See ``Storage.make_file``."""

    def work(op: Operation) -> Entry:
        place = op.locate(op.path)
        directory = op.require_free(place, P.CREATE_FILE)
        return add_file(op, directory, place.path)

    return (yield Act(storage, agent, "create", path, work, changes=Changes.CONTENTS))  # type: ignore[no-any-return]


def add_file(
    op: Operation, directory: Any, path: tuple[str, ...], size: int = 0, stored: str | None = None, sha256: str = EMPTY
) -> Entry:
    """A new file of the actor's. The rights, the name and the room have been looked at."""
    op.item = tree.insert(
        op.connection,
        op.storage.draw(),
        directory.id,
        path[-1],
        tree.FILE,
        op.agent.user_id,
        op.now,
        size=size,
        version=1,
        stored=stored,
        sha256=sha256,
    )
    op.tell(path, op.item)
    return op.entry(op.item, path)
