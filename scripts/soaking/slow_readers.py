"""How others fare beside clients that ask much and read slowly."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from typing import Any

from fluxon.wire.messages import write_ask
from soaking.process import Soaked

MIB = 1024 * 1024

#: What each asks for, again and again, and what it reads in a round of a tenth of a second.
_ANSWER, _ASKS, _READ = 100_000, 40, 4_000


class SlowReader:
    """A connection that owes its server 4 MB of reading."""

    def __init__(self, server: Soaked) -> None:
        plain = socket.socket()
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        plain.settimeout(30)
        plain.connect(("127.0.0.1", server.port))
        self.socket = plain
        if server.secure:
            context = ssl.create_default_context(cafile=str(server.certificate))
            self.socket = context.wrap_socket(plain, server_hostname="localhost")
        hello: dict[str, Any] = {"version": 1, "token": None, "seen": 0, "features": []}
        self.socket.sendall(write_ask(0, "hello", hello, None, {}))
        self.socket.recv(4_096)

    def ask(self) -> None:
        arguments = {"view": "make", "payload": _ANSWER}
        self.socket.sendall(b"".join(write_ask(tag, "call", arguments, None, {}) for tag in range(1, _ASKS + 1)))

    def read(self) -> None:
        self.socket.recv(_READ)


def measure(server: Soaked, count: int, seconds: float) -> dict[str, float]:
    """Latencies of one client's requests without and with ``count`` slow readers (ms), and what those cost (MiB)."""
    alone = _percentiles(_probe(server, seconds / 3))
    before = server.memory()["rss"]
    readers = [SlowReader(server) for _ in range(count)]
    stop = threading.Event()

    def read_slowly() -> None:
        for reader in readers:
            reader.ask()
        while not stop.wait(0.1):
            for reader in readers:
                reader.read()

    reading = threading.Thread(target=read_slowly)
    reading.start()
    beside = _percentiles(_probe(server, seconds))
    cost = (server.memory()["rss"] - before) / MIB
    stop.set()
    reading.join()
    for reader in readers:
        reader.socket.close()
    return {
        "p50_alone": alone[0],
        "p99_alone": alone[1],
        "p50": beside[0],
        "p99": beside[1],
        "longest": beside[2],
        "mib": cost,
        "mib_each": cost / count,
    }


def _probe(server: Soaked, seconds: float) -> list[float]:
    times = []
    with server.connect() as connection:
        until = time.monotonic() + seconds
        while (began := time.monotonic()) < until:
            connection.send_request("echo", 1)
            times.append(time.monotonic() - began)
            time.sleep(0.01)
    return sorted(times)


def _percentiles(times: list[float]) -> tuple[float, float, float]:
    return tuple(1_000 * each for each in (times[len(times) // 2], times[int(len(times) * 0.99)], times[-1]))  # type: ignore[return-value]
