"""The server that is soaked: a program of its own.

Run with a JSON object: ``{"folder": ..., "secure": false}``. It prints its two ports when it listens, and ends with its
standard input.
"""

from __future__ import annotations

import ctypes
import gc
import json
import os
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.internet.task import deferLater
from twisted.logger import globalLogBeginner, textFileLogObserver

from fluxon.cloud.authorization_models import (
    AnonymousPermissions,
    DefaultRole,
    Permissions,
    RoleBasedAccessControl,
    RootPermissions,
)
from fluxon.database import models
from fluxon.database.apis import SQLiteDatabase
from fluxon.database.query import where
from fluxon.endpoint import AsyncServer, CloudStorageServer
from fluxon.errors import AlreadyExists, PermissionDenied
from fluxon.limits import Limits
from fluxon.routing import Setup
from fluxon.security import Secrets

reactor: Any = _reactor

USERS = 20

#: What is kept for a while is kept for seconds, so that a round's end sees it gone.
LIMITS = Limits(
    handshake=2,
    view_timeout=3,
    anonymous_sessions=200,
    session_anonymous_idle=2,
    cloud_upload_kept=2,
    cloud_commit_kept=2,
    cloud_stalled=3,
    output_stalled=30,
    group_away=1,
    outbox_time=2,
    repeat_time=2,
)


class User(models.AuthenticatedUser):
    username = models.CharField(max_length=100, unique=True)
    password = models.PasswordField()
    told = models.IntegerField(default=0)


class Model(RoleBasedAccessControl):
    class owner(RoleBasedAccessControl.Role):
        permissions = list(Permissions)

    DefaultRole(None)
    AnonymousPermissions(permissions=[])
    RootPermissions(permissions=[Permissions.CREATE_SUB_DIRECTORY])


async def echo(request: Any) -> Any:
    return request.payload


def plain(request: Any) -> Any:
    time.sleep(0.001)
    return request.payload


@inlineCallbacks
def later(request: Any) -> Any:
    yield deferLater(reactor, 0.002)
    return request.payload


async def hang(request: Any) -> Any:
    await Deferred()


def hang_plain(request: Any) -> None:
    time.sleep(0.2)


async def make(request: Any) -> bytes:
    return b"x" * int(request.payload)


def read_slowly(request: Any) -> int:
    """Hold a thread for a moment, and its connection to the database from now on."""
    time.sleep(0.3)
    return len(User.Check(fetch=2))


def fail(request: Any) -> Any:
    raise ValueError("as it was asked to")


async def login(request: Any) -> str:
    user = await User.Authenticate(request.payload, "password")
    if user is None:
        raise PermissionDenied("wrong username or password")
    await request.login(user.id)
    return str(user.username)


async def logout(request: Any) -> None:
    await request.logout()


async def who(request: Any) -> Any:
    return request.user.username if request.user else None


async def note(request: Any) -> Any:
    """A read, a write and a read."""
    rows = await User.Check(where[User.username == request.payload], fetch=1)
    await User.Update({User.told: rows[0].told + 1}, where[User.id == rows[0].id])
    return (await User.Check(where[User.id == rows[0].id], columns=[User.told]))[0].told


async def own_folder(request: Any) -> str:
    """A directory of the cloud for whoever is logged in, made if there is none."""
    path = f"/{request.user.username}"
    try:
        await Model.filesystem.create_directory(path)
    except AlreadyExists:
        pass
    else:
        await Model.assign_role(role=Model.owner, path=path, user=request.user)
    return path


async def call_back(request: Any) -> Any:
    return await request.connection.send("told", {"number": request.payload}, 2)


async def tell_user(request: Any) -> bool:
    return bool(await request.server.reverse_request(request.user.id, "told", {"number": request.payload}, 2))


async def join(request: Any) -> None:
    await request.server.groups.join(request.payload, request)


async def leave(request: Any) -> None:
    await request.server.groups.leave(request.payload, request)


async def tell_group(request: Any) -> bool:
    return bool(await request.server.groups.send(request.payload, "told", {"number": 1}, timeout=2))


async def hang_up(request: Any) -> None:
    request.connection.close()


async def state(request: Any) -> dict[str, Any]:
    """What has to come back to where it was, this request's own share included."""
    await request.server.sessions.purge()
    gc.collect()
    give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if give_back is not None:  # glibc
        give_back(0)
    engine = request.server._running()
    listeners = [engine.listener, request.server.cloud_storage.cloud_port.listener]
    uploads = request.server.cloud_storage.cloud_port
    counts = {
        **_descriptors(),
        "timers": len(reactor.getDelayedCalls()),
        "threads": threading.active_count(),
        "sessions": engine.sessions.live_count,
        "peers": sum(len(each.factory.peers) for each in listeners),
        "working": sum(each.factory.load.count for each in listeners),
        "waiting": engine.router.waiting + uploads.waiting,
    }
    return {"counts": counts, "objects": dict(_objects())}


#: A folder of objects has a name of so many letters, and one of them stays open.
_SHELF = 2


def _descriptors() -> dict[str, int]:
    """Open descriptors, by what they are."""
    counts = dict.fromkeys(("sockets", "cloud_files", "database_files", "other_files"), 0)
    for name in os.listdir("/proc/self/fd"):
        try:
            place = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:  # that of the listing itself
            continue
        if place.startswith("socket:"):
            counts["sockets"] += 1
        elif "/cloud/uploads/" in place or ("/cloud/objects/" in place and len(os.path.basename(place)) > _SHELF):
            counts["cloud_files"] += 1
        else:
            counts["database_files" if "/database.sqlite3" in place else "other_files"] += 1
    return counts


def _objects() -> Counter[str]:
    """Live objects that the garbage collector knows, by their type."""
    return Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects())


VIEWS = (echo, plain, later, hang, hang_plain, make, fail, login, logout, who, note, own_folder, call_back, tell_user)
VIEWS += (read_slowly, join, leave, tell_group, hang_up, state)


def main() -> None:
    options = json.loads(sys.argv[1])
    folder = Path(options["folder"])
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
    setup = Setup(
        mapping={view.__name__: view for view in VIEWS},
        models=[User],
        secrets=Secrets(folder / "secrets"),
        database_schema_dir=folder / "schema",
        database_path=folder / "database.sqlite3",
        database_api=SQLiteDatabase,
        cloud_folder=folder / "cloud",
        cloud_auth_model=Model,
        cloud_versions=2,
        limits=LIMITS,
    )
    secure = options["secure"]
    cloud = CloudStorageServer(0, secure, host="127.0.0.1")
    server = AsyncServer(0, secure, setup, host="127.0.0.1", cloud_storage=cloud)

    async def begin() -> None:
        await server.when_ready()
        for number in range(USERS):
            await User.Insert(username=f"user{number}", password="password")
        print(server.listening_port.getHost().port, cloud.listening_port.getHost().port, flush=True)

    def end_with_input() -> None:
        sys.stdin.read()
        reactor.callFromThread(reactor.stop)

    def start() -> None:
        server.startService()
        Deferred.fromCoroutine(begin()).addErrback(lambda failure: (failure.printTraceback(), reactor.stop()))
        threading.Thread(target=end_with_input, daemon=True).start()

    reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
    reactor.callWhenRunning(start)
    reactor.run()


if __name__ == "__main__":
    main()
