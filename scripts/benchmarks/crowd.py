"""``python -m benchmarks.crowd NAME --port N --folder DIR --pid N --cpu N [--tls]``: thousands of clients in a process.

Told on its input, a line each, and answering with a line of JSON: ``open N`` has N clients there in all, ``shout N``
has the server send its message to all of them N times, one after the other.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import socket
import ssl
import sys
import time
from pathlib import Path

from benchmarks import process_tree
from benchmarks.conversation import TEXT
from benchmarks.crowds import crowd
from benchmarks.listening import HOST, Listening

#: Opened at once: fewer than a server lets wait for being accepted.
_TOGETHER = 40

#: Handshakes are made one by one, and a server gives each only so long to say something.
_TOGETHER_WITH_TLS = 5

#: A message that has not come for so long does not come.
_PATIENCE = 60.0

#: Seconds that one client may keep the others from being looked after.
_LONGEST_LOOK = 0.2

#: After a message the server may have acknowledgements to read.
_SETTLED = 0.3

_MARK = TEXT.encode()


class Clients:
    """All of them, and what they have heard."""

    def __init__(self, name: str, listening: Listening, pid: int) -> None:
        self._speech = crowd(name).speech(listening)
        self._listening = listening
        self._pid = pid
        self._context: ssl.SSLContext | None = None
        if listening.tls:
            # Fluxon has a certificate of its own; whose it is costs the server nothing.
            self._context = ssl.create_default_context()
            self._context.check_hostname, self._context.verify_mode = False, ssl.CERT_NONE
        self._poll = select.epoll()
        self._sockets: dict[int, socket.socket] = {}
        self._heard = 0
        self._done = False
        self._poll.register(0, select.EPOLLIN)

    def run(self) -> None:
        """Until the input ends."""
        while line := self._next_line():
            word, number = line.split()
            answer = self._open(int(number)) if word == "open" else self._shout(int(number))
            print(json.dumps(answer), flush=True)

    def _next_line(self) -> str:
        while not self._look(1.0):
            pass
        return sys.stdin.readline()

    def _open(self, count: int) -> dict[str, float]:
        before, began = process_tree.seconds(self._pid), time.monotonic()
        while len(self._sockets) < count:
            together = _TOGETHER if self._context is None else _TOGETHER_WITH_TLS
            self._open_some(min(together, count - len(self._sockets)))
            self._look(0)
        return {"seconds": time.monotonic() - began, "server_seconds": process_tree.seconds(self._pid) - before}

    def _open_some(self, count: int) -> None:
        made = [self._connect() for _ in range(count)]
        for said, wanted in self._speech.steps:
            for each in made:
                each.sendall(said)
            for each in made:
                self._expect(each, wanted)
        for each in made:
            each.setblocking(False)
            self._sockets[each.fileno()] = each
            self._poll.register(each.fileno(), select.EPOLLIN)

    def _connect(self) -> socket.socket:
        made = socket.create_connection((HOST, self._listening.port), timeout=_PATIENCE)
        return made if self._context is None else self._context.wrap_socket(made, server_hostname="localhost")

    def _expect(self, made: socket.socket, wanted: bytes) -> None:
        came, start = b"", time.monotonic()
        made.settimeout(_LONGEST_LOOK)
        while wanted not in came:
            try:
                data = made.recv(65_536)
            except TimeoutError:
                # Those who are there have pings to answer.
                self._look(0)
                if time.monotonic() - start > _PATIENCE:
                    raise SystemExit(f"no answer, with {len(self._sockets)} there, after {came!r}") from None
                continue
            if not data:
                raise SystemExit(f"the server closed a connection, with {len(self._sockets)} there, after {came!r}")
            came += data

    def _look(self, patience: float) -> bool:
        """Deal with what has come; whether a line has."""
        told = False
        speech, sockets = self._speech, self._sockets
        for number, _ in self._poll.poll(patience):
            if number == 0:
                told = True
                continue
            try:
                data = sockets[number].recv(65_536)
            except (BlockingIOError, ssl.SSLWantReadError):
                continue
            if not data:
                raise SystemExit("the server closed a connection")
            if _MARK in data:
                self._heard += 1
            if speech.done and speech.done in data:
                self._done = True
            answers = speech.answers(data)
            if answers:
                sockets[number].sendall(answers)
        return told

    def _shout(self, times: int) -> dict[str, object]:
        speech, took = self._speech, []
        before, began = process_tree.seconds(self._pid), time.process_time()
        asking = next(iter(self._sockets.values()))
        for _ in range(times):
            self._heard, self._done = 0, not speech.done
            start = time.monotonic()
            asking.sendall(speech.shout)
            while self._heard < len(self._sockets):
                self._wait(start)
            took.append(time.monotonic() - start)
            while not self._done:
                self._wait(start)
        settled = time.monotonic() + _SETTLED
        while time.monotonic() < settled:
            self._look(_SETTLED / 4)
        server = (process_tree.seconds(self._pid) - before) / times
        return {"seconds": took, "server_seconds": server, "client_seconds": (time.process_time() - began) / times}

    def _wait(self, start: float) -> None:
        self._look(1.0)
        if time.monotonic() - start > _PATIENCE:
            raise SystemExit(f"{self._heard} of {len(self._sockets)} clients have heard it, and the server is not done")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--pid", type=int, required=True)
    parser.add_argument("--cpu", type=int, required=True)
    parser.add_argument("--tls", action="store_true")
    told = parser.parse_args()
    os.sched_setaffinity(0, {told.cpu})
    Clients(told.name, Listening(port=told.port, folder=told.folder, tls=told.tls), told.pid).run()


if __name__ == "__main__":
    main()
