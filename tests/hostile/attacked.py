"""The server that the hostile tests attack: a program of its own, with views that misbehave in every way.

Run with a JSON object: ``{"folder": ..., "secure": false, "proxy": false, "users": [], "limits": {...}}``. With users
there is a database in which each has their name as password. It prints its port when it listens, and ends with its
standard input.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import threading
import time
from pathlib import Path
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred, DeferredList
from twisted.logger import globalLogBeginner, textFileLogObserver

from fluxon.console.actions import ACTIONS
from fluxon.console.console import Console
from fluxon.database import models
from fluxon.database.apis import SQLiteDatabase
from fluxon.database.query import where
from fluxon.endpoint import AsyncServer
from fluxon.errors import PermissionDenied
from fluxon.limits import Limits
from fluxon.routing import Setup
from fluxon.security import Secrets
from fluxon.workers import WorkerPool

reactor: Any = _reactor
released = threading.Event()
#: How often a view that counts was begun, and how often it came to its end.
counts = {"begun": 0, "ended": 0}


class User(models.AuthenticatedUser):
    username = models.CharField(max_length=100, unique=True)
    password = models.PasswordField()


def resident() -> int:
    """Bytes of memory that this process holds now."""
    with open("/proc/self/statm") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def echo(request: Any) -> Any:
    return request.payload


def plain_echo(request: Any) -> Any:
    return request.payload


async def state(request: Any) -> dict[str, Any]:
    """What has to come back to where it was."""
    if request.payload == "collect":
        gc.collect()
    engine = request.server._engine
    peers = engine.listener.factory.peers
    return {
        "resident": resident(),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "timers": len(reactor.getDelayedCalls()),
        "sessions": engine.sessions.live_count,
        "peers": len(peers),
        "working": engine.listener.factory.load._count,
        "busy": engine.listener.factory.busy.count,
        "backlog": max((peer.protocol.backlog for peer in peers), default=0),
        "answering": max((len(peer.conversation.answering) for peer in peers), default=0),
        "threads": threading.active_count(),
    }


class Said:
    """A console's sink: what it said."""

    width: int | None = None
    has_room = True
    text = ""

    def write(self, lines: list[str]) -> None:
        self.text += "".join(lines)

    def complain(self, line: str) -> None:
        raise AssertionError(line)


async def limits(request: Any) -> dict[str, Any]:
    """What ``status --json`` says of each limit: what of it is used, and the limit."""
    said = Said()
    console = Console(request.server.served, "tests", WorkerPool("console", 1, reactor), ACTIONS)
    await console.run("status --json", said)
    return {each["limit"]: [each["used"], each["of"]] for each in json.loads(said.text)["limits"]}


async def where_from(request: Any) -> Any:
    """The client's address."""
    return request.peername[0]


async def ask_back(request: Any) -> list[str]:
    """Calls the client ``payload`` times at once, or so often with so many bytes; what they came to, by code."""
    times, size = request.payload if isinstance(request.payload, list) else (request.payload, 0)
    calls = [request.connection.send("answer", bytes(size)) for _ in range(times)]
    return ["ok" if fine else each.value.code for fine, each in await DeferredList(calls, consumeErrors=True)]


async def hang(request: Any) -> Any:
    await Deferred()


async def hang_stubbornly(request: Any) -> Any:
    while True:
        try:
            await Deferred()
        except Exception:
            pass


def hang_thread(request: Any) -> Any:
    """Until ``release`` is called, or a test has gone wrong."""
    released.wait(60)
    return "released"


def sleep(request: Any) -> Any:
    time.sleep(request.payload)


async def release(request: Any) -> None:
    released.set()


async def later(request: Any) -> Any:
    """Answers ``payload`` bytes after a turn of the reactor."""
    done: Deferred[bytes] = Deferred()
    reactor.callLater(0.001, done.callback, b"x" * request.payload)
    return await done


async def make(request: Any) -> bytes:
    return b"x" * int(request.payload)


def raise_plain(request: Any) -> Any:
    raise ValueError("the password is hunter2")


async def raise_async(request: Any) -> Any:
    raise KeyError("the password is hunter2")


async def leave(request: Any) -> Any:
    raise SystemExit(1)


def leave_plain(request: Any) -> Any:
    sys.exit(1)


async def an_object(request: Any) -> Any:
    return object()


async def deep(request: Any) -> Any:
    value: Any = None
    for _ in range(100_000):
        value = [value]
    return value


def circle(request: Any) -> Any:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


async def count(request: Any) -> Any:
    """Begin, wait for the database if there is one (else for ever), and end."""
    counts["begun"] += 1
    await (User.Check(where[User.id == 1]) if request.payload else Deferred())
    counts["ended"] += 1


def count_plain(request: Any) -> Any:
    """The same in a thread, for a moment."""
    counts["begun"] += 1
    time.sleep(0.002)
    counts["ended"] += 1


async def counted(request: Any) -> Any:
    return dict(counts)


async def login(request: Any) -> Any:
    user = await User.Authenticate(request.payload["username"], request.payload["password"])
    if user is None:
        raise PermissionDenied("wrong username or password")
    await request.login(user.id)


async def logout(request: Any) -> None:
    await request.logout()


async def who(request: Any) -> Any:
    return None if request.user is None else request.user.username


async def change_password(request: Any) -> None:
    await User.Update({User.password: request.payload}, where[User.id == request.user.id])


async def hang_up(request: Any) -> None:
    request.connection.close()


VIEWS = (echo, plain_echo, state, hang, hang_stubbornly, hang_thread, sleep, release, later, make, raise_plain)
VIEWS += (raise_async, leave, leave_plain, an_object, deep, circle)
VIEWS += (limits, where_from, ask_back, count, count_plain, counted, login, logout, who, change_password, hang_up)


def main() -> None:
    options = json.loads(sys.argv[1])
    if options["descriptors"]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (options["descriptors"], options["descriptors"]))
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
    folder, users = Path(options["folder"]), options["users"]
    database: dict[str, Any] = {
        "models": [User],
        "database_api": SQLiteDatabase,
        "database_path": folder / "users.sqlite3",
        "database_schema_dir": folder / "schema",
    }
    setup = Setup(
        mapping={view.__name__: view for view in VIEWS},
        secrets=Secrets(folder / "secrets"),
        limits=Limits(**options["limits"]),
        **(database if users else {}),
    )
    # As behind a proxy that says who its clients are: so that some of them can be of other machines.
    proxied = {"endpoint": "haproxy:tcp:0:interface=127.0.0.1"}
    server = AsyncServer(0, options["secure"], setup, **(proxied if options["proxy"] else {"host": "127.0.0.1"}))

    async def make_users() -> None:
        for name in users:
            await User.Insert(username=name, password=name)

    def ready(_: Any) -> None:
        print(server.listening_port.getHost().port, flush=True)

    def end_with_input() -> None:
        sys.stdin.read()
        reactor.callFromThread(reactor.stop)

    def start() -> None:
        server.startService()  # type: ignore[no-untyped-call]
        made = server.when_ready().addCallback(lambda _: Deferred.fromCoroutine(make_users()))
        made.addCallbacks(ready, lambda failure: reactor.stop())
        threading.Thread(target=end_with_input, daemon=True).start()

    reactor.callWhenRunning(start)
    reactor.run()


if __name__ == "__main__":
    main()
