"""Which function answers which command of the cloud.

Rules of this module: an explicit table; what only asks the storage is a function from (storage, agent, arguments) to
the answer, run in a thread, or to the steps of an operation, if it is short: those of a session are done together when
they wait together. Transfers and watches have modules of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fluxon.cloud import making, moving, reading, removing, steps, writing
from fluxon.cloud.agent import Agent
from fluxon.cloud.serving import answers
from fluxon.cloud.serving.clients import Clients
from fluxon.cloud.serving.downloads import Downloads
from fluxon.cloud.serving.uploads import Uploads
from fluxon.cloud.serving.watching import Watches
from fluxon.cloud.steps import Steps
from fluxon.cloud.storage import Storage
from fluxon.cloud.writing import Wanted
from fluxon.commands import Command, Hello, cloud
from fluxon.errors import InvalidPayload
from fluxon.outcomes import Outcome
from fluxon.rpc.responders import Responder

_Arguments = dict[str, Any]
_Work = Callable[[Storage, Agent, _Arguments], Any]
_Operation = Callable[[Storage, Agent, _Arguments], Steps[Any]]


def responders(
    hello: Responder, storage: Storage, clients: Clients, uploads: Uploads, downloads: Downloads, watches: Watches
) -> dict[type[Command], Responder]:
    """The table for a cloud's port. ``hello`` answers what opens every conversation."""

    def asks(work: _Work) -> Responder:
        return lambda peer, arguments: clients.run(peer, lambda agent: work(storage, agent, arguments))

    def together() -> Callable[[_Operation], Responder]:
        """For commands that are done together when a session has several of them waiting."""

        def carry_out(asked: list[tuple[Agent, tuple[_Operation, _Arguments]]]) -> list[Outcome]:
            return steps.run_all(storage, [work(storage, agent, arguments) for agent, (work, arguments) in asked])

        gathered = clients.gathering(carry_out)
        return lambda work: lambda peer, arguments: gathered(peer, (work, arguments))

    looks, changes = together(), together()

    return {
        Hello: hello,
        cloud.Stat: looks(_stat),
        cloud.List: asks(_list),
        cloud.Tree: asks(_tree),
        cloud.Find: asks(_find),
        cloud.MakeDirectory: changes(_make_directory),
        cloud.MakeFile: changes(_make_file),
        cloud.Write: changes(_write),
        cloud.Upload: uploads.upload,
        cloud.Commit: uploads.commit,
        cloud.Discard: uploads.discard,
        cloud.Read: downloads.read,
        cloud.Delete: changes(_delete),
        cloud.Move: changes(_move),
        cloud.Copy: asks(_copy),
        cloud.Versions: asks(_versions),
        cloud.Restore: asks(_restore),
        cloud.Deleted: asks(_deleted),
        cloud.Assign: asks(_assign),
        cloud.Unassign: asks(_unassign),
        cloud.Roles: asks(_roles),
        cloud.OwnPermissions: asks(_permissions),
        cloud.Log: asks(_log),
        cloud.Lock: asks(_lock),
        cloud.Unlock: asks(_unlock),
        cloud.Watch: watches.watch,
        cloud.Unwatch: watches.unwatch,
    }


def _stat(storage: Storage, agent: Agent, arguments: _Arguments) -> Steps[Any]:
    found = yield from reading.stat(storage, agent, arguments["path"])
    return {"item": answers.item(found)}


def _list(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    return answers.items(storage.listing(agent, arguments["path"], arguments.get("after"), arguments["limit"]))


def _tree(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    return answers.items(storage.tree(agent, arguments["path"], arguments.get("after"), arguments["limit"]))


def _find(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    path, pattern = arguments["path"], arguments["pattern"]
    return answers.items(storage.find(agent, path, pattern, arguments.get("after"), arguments["limit"]))


def _make_directory(storage: Storage, agent: Agent, arguments: _Arguments) -> Steps[Any]:
    made = yield from making.make_directory(storage, agent, arguments["path"], arguments["parents"])
    return {"item": answers.item(made)}


def _make_file(storage: Storage, agent: Agent, arguments: _Arguments) -> Steps[Any]:
    made = yield from making.make_file(storage, agent, arguments["path"])
    return {"item": answers.item(made)}


def _write(storage: Storage, agent: Agent, arguments: _Arguments) -> Steps[Any]:
    data = arguments["data"]
    wanted = Wanted(len(data), arguments["create"], arguments.get("if_version"), arguments.get("lock"))
    written = yield from writing.write(storage, agent, arguments["path"], data, wanted)
    return {"item": answers.item(written)}


def _delete(storage: Storage, agent: Agent, arguments: _Arguments) -> Steps[Any]:
    kind = arguments.get("type")
    if kind not in (None, "file", "directory"):
        raise InvalidPayload("type is file, directory or nothing")
    yield from removing.delete(storage, agent, arguments["path"], kind, arguments.get("lock"))
    return {}


def _move(storage: Storage, agent: Agent, arguments: _Arguments) -> Steps[Any]:
    moved = yield from moving.move(storage, agent, arguments["path"], arguments["to"], None)
    return {"item": answers.item(moved)}


def _copy(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    return {"item": answers.item(storage.copy(agent, arguments["path"], arguments["to"]))}


def _versions(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    return {"versions": [answers.version(each) for each in storage.versions(agent, arguments["path"])]}


def _restore(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    version: Any = arguments.get("version")
    deleted: Any = arguments.get("deleted")
    if (version is None) == (deleted is None):
        raise InvalidPayload("restore takes a version, or the id of something deleted: one of the two")
    if version is not None:
        restored = storage.restore_version(agent, arguments["path"], version)
    else:
        restored = storage.restore_deleted(agent, arguments["path"], deleted)
    return {"item": answers.item(restored)}


def _deleted(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    page = storage.deleted(agent, arguments["path"], arguments.get("after"), arguments["limit"])
    return {"items": [answers.deleted(each) for each in page.entries], "next": page.next}


def _assign(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    return storage.assign(
        agent,
        arguments["path"],
        arguments["role"],
        _user(arguments["user"]),
        expires_at=arguments.get("expires_at"),
        valid_from=arguments.get("valid_from"),
        valid_until=arguments.get("valid_until"),
    )


def _unassign(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    return {"removed": storage.unassign(agent, arguments["path"], _user(arguments["user"]), arguments.get("role"))}


def _roles(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    return {"roles": [answers.assignment(each) for each in storage.roles(agent, arguments["path"])]}


def _permissions(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    return {"permissions": sorted(each.value for each in storage.permissions(agent, arguments["path"]))}


def _log(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    user = arguments.get("user")
    page = storage.log(
        agent,
        arguments["path"],
        user=None if user is None else _user(user),
        since=arguments.get("since"),
        until=arguments.get("until"),
        after=arguments.get("after"),
        limit=arguments["limit"],
    )
    return {"actions": [answers.action(each) for each in page.entries], "next": page.next}


def _lock(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    lease = storage.lock(agent, arguments["path"], arguments["seconds"], arguments.get("lock"))
    return {"lock": lease.lock, "until": lease.until}


def _unlock(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    storage.unlock(agent, arguments["path"], arguments["lock"])
    return {}


def _user(named: dict[str, Any]) -> int | str:
    given: list[int | str] = [each for each in (named.get("id"), named.get("name")) if each is not None]
    if len(given) != 1:
        raise InvalidPayload("a user is named by id or by name: one of the two")
    return given[0]
