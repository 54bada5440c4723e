"""A cloud in a process of its own, and a line to it that can be cut in the middle of a transfer."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections import deque
from pathlib import Path
from typing import Any

import fluxon
from fluxon.connect import ConnectionInterface

#: A child process finds the same Fluxon as this one.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(fluxon.__file__).parent.parent)}


class RealCloud:
    """``tests/real/cloud_program.py``: a server with a cloud storage, to be killed and started again."""

    def __init__(self, *, secure: bool = False) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fluxon-cloud-"))
        self.secure = secure
        probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        self.main_port, self.port = (probe.getsockname()[1] for probe in probes)
        for probe in probes:
            probe.close()
        self.start()

    @property
    def certificate(self) -> str:
        return str(self.folder / "secrets" / "certificate.pem")

    def start(self) -> None:
        program = str(Path(__file__).with_name("cloud_program.py"))
        kind = "secure" if self.secure else "plain"
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, program, str(self.main_port), str(self.port), kind],
                cwd=self.folder,
                env=ENVIRONMENT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        assert self.process.stdout is not None
        said = []
        for line in self.process.stdout:
            said.append(line)
            if line == "READY\n":
                break
        else:
            raise AssertionError("the server did not start:\n" + "".join(said) + (self.folder / "log").read_text())
        # Nobody may block on a full pipe.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def somebody(self, name: str) -> ConnectionInterface:
        """A connection that is logged in as ``name``."""
        keywords: dict[str, Any] = {"secure": True, "trust": self.certificate} if self.secure else {}
        connection = ConnectionInterface("localhost", self.main_port, **keywords)
        connection.send_request("login", {"username": name})
        return connection

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder)


class CuttingLine:
    """Carries bytes to ``port`` and back. Each connection takes the next of ``cuts``, and is cut by it; then none is.

    A cut is ``("up", count)`` or ``("down", count)``: after so many bytes to the server, or from it.
    """

    def __init__(self, port: int, cuts: list[tuple[str, int]]) -> None:
        self._to = port
        self._cuts = deque(cuts)
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listening.getsockname()[1]
        #: How many connections there were.
        self.connections = 0
        self._open: set[socket.socket] = set()
        self._servers: set[socket.socket] = set()
        #: After so many bytes from the server nothing more comes, which sets ``stalled``.
        self.stall_down: int | None = None
        self.stalled = threading.Event()
        self._closed = threading.Event()
        self._next_down: int | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def cuts_left(self) -> int:
        return len(self._cuts)

    def close(self) -> None:
        self._closed.set()
        with contextlib.suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self.cut()

    def cut_next_down(self, count: int) -> None:
        """After so many bytes more from the server, once."""
        self._next_down = count

    def cut(self) -> None:
        """Now, whatever is under way."""
        for each in list(self._open):
            _end(each)

    def _accept(self) -> None:
        while True:
            try:
                ours, _ = self._listening.accept()
            except OSError:
                return
            self.connections += 1
            cut = self._cuts.popleft() if self._cuts else ("", 0)
            try:
                theirs = socket.create_connection(("127.0.0.1", self._to))
            except OSError:
                ours.close()
                continue
            self._open |= {ours, theirs}
            self._servers.add(theirs)
            for source, target, direction in ((ours, theirs, "up"), (theirs, ours, "down")):
                limit = cut[1] if cut[0] == direction else None
                stall = self.stall_down if direction == "down" else None
                threading.Thread(target=self._carry, args=(source, target, limit, stall), daemon=True).start()

    def _carry(self, source: socket.socket, target: socket.socket, left: int | None, stall: int | None) -> None:
        try:
            while data := source.recv(65_536 if left is None else min(left, 65_536)):
                if source in self._servers and self._next_down is not None:
                    data = data[: self._next_down]
                    self._next_down -= len(data)
                target.sendall(data)
                if source in self._servers and self._next_down == 0:
                    self._next_down = None
                    break
                if stall is not None and (stall := stall - len(data)) <= 0:
                    self.stalled.set()
                    self._closed.wait()
                    break
                if left is not None:
                    left -= len(data)
                    if not left:
                        break
        except OSError:
            pass
        for each in (source, target):
            _end(each)
            self._open.discard(each)


def _end(each: socket.socket) -> None:
    with contextlib.suppress(OSError):
        each.shutdown(socket.SHUT_RDWR)
