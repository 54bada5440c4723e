"""Which function answers which command of the cloud.

Rules of this module: an explicit table; what only asks the storage is a function from (storage, agent, arguments) to
the answer, run in a thread; transfers and watches have modules of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fluxon.cloud.agent import Agent
from fluxon.cloud.serving import answers
from fluxon.cloud.serving.clients import Clients
from fluxon.cloud.serving.downloads import Downloads
from fluxon.cloud.serving.uploads import Uploads
from fluxon.cloud.serving.watching import Watches
from fluxon.cloud.storage import Storage
from fluxon.commands import Command, Hello, cloud
from fluxon.errors import InvalidPayload
from fluxon.rpc.responders import Responder

_Arguments = dict[str, Any]
_Work = Callable[[Storage, Agent, _Arguments], Any]


def responders(
    hello: Responder, storage: Storage, clients: Clients, uploads: Uploads, downloads: Downloads, watches: Watches
) -> dict[type[Command], Responder]:
    """The table for a cloud's port. ``hello`` answers what opens every conversation."""

    def asks(work: _Work) -> Responder:
        return lambda peer, arguments: clients.run(peer, lambda agent: work(storage, agent, arguments))

    return {
        Hello: hello,
        cloud.Stat: asks(_stat),
        cloud.List: asks(_list),
        cloud.Tree: asks(_tree),
        cloud.Find: asks(_find),
        cloud.MakeDirectory: asks(_make_directory),
        cloud.MakeFile: asks(_make_file),
        cloud.Write: asks(_write),
        cloud.Upload: uploads.upload,
        cloud.Commit: uploads.commit,
        cloud.Discard: uploads.discard,
        cloud.Read: downloads.read,
        cloud.Delete: asks(_delete),
        cloud.Move: asks(_move),
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


def _stat(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    return {"item": answers.item(storage.stat(agent, arguments["path"]))}


def _list(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    return answers.items(storage.listing(agent, arguments["path"], arguments.get("after"), arguments["limit"]))


def _tree(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    return answers.items(storage.tree(agent, arguments["path"], arguments.get("after"), arguments["limit"]))


def _find(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    path, pattern = arguments["path"], arguments["pattern"]
    return answers.items(storage.find(agent, path, pattern, arguments.get("after"), arguments["limit"]))


def _make_directory(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    made = storage.make_directory(agent, arguments["path"], parents=arguments["parents"])
    return {"item": answers.item(made)}


def _make_file(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    return {"item": answers.item(storage.make_file(agent, arguments["path"]))}


def _write(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    written = storage.write(
        agent,
        arguments["path"],
        arguments["data"],
        create=arguments["create"],
        if_version=arguments.get("if_version"),
        lock=arguments.get("lock"),
    )
    return {"item": answers.item(written)}


def _delete(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    kind = arguments.get("type")
    if kind not in (None, "file", "directory"):
        raise InvalidPayload("type is file, directory or nothing")
    storage.delete(agent, arguments["path"], type=kind, lock=arguments.get("lock"))
    return {}


def _move(storage: Storage, agent: Agent, arguments: _Arguments) -> Any:
    return {"item": answers.item(storage.move(agent, arguments["path"], arguments["to"]))}


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
