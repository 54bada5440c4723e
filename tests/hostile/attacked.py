"""The server that the hostile tests attack: a program of its own, with views that misbehave in every way.

Run with a JSON object: ``{"folder": ..., "secure": false, "limits": {...}}``. It prints its port when it listens, and
ends with its standard input.
"""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import threading
import time
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.defer import Deferred
from twisted.logger import globalLogBeginner, textFileLogObserver

from fluxon.endpoint import AsyncServer
from fluxon.limits import Limits
from fluxon.routing import Setup
from fluxon.security import Secrets

reactor: Any = _reactor
released = threading.Event()


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
        "backlog": max((peer.protocol.backlog for peer in peers), default=0),
        "answering": max((len(peer.conversation.answering) for peer in peers), default=0),
        "threads": threading.active_count(),
    }


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


VIEWS = (echo, plain_echo, state, hang, hang_stubbornly, hang_thread, sleep, release, later, make, raise_plain)
VIEWS += (raise_async, leave, leave_plain, an_object, deep, circle)


def main() -> None:
    options = json.loads(sys.argv[1])
    if options["descriptors"]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (options["descriptors"], options["descriptors"]))
    globalLogBeginner.beginLoggingTo([textFileLogObserver(sys.stderr)], redirectStandardIO=False)
    setup = Setup(
        mapping={view.__name__: view for view in VIEWS},
        secrets=Secrets(options["folder"]),
        limits=Limits(**options["limits"]),
    )
    server = AsyncServer(0, options["secure"], setup, host="127.0.0.1")

    def ready(_: Any) -> None:
        print(server.listening_port.getHost().port, flush=True)

    def end_with_input() -> None:
        sys.stdin.read()
        reactor.callFromThread(reactor.stop)

    def start() -> None:
        server.startService()  # type: ignore[no-untyped-call]
        server.when_ready().addCallbacks(ready, lambda failure: reactor.stop())
        threading.Thread(target=end_with_input, daemon=True).start()

    reactor.callWhenRunning(start)
    reactor.run()


if __name__ == "__main__":
    main()
