"""``python server.py``: a program of its own, from its first start to Ctrl+C."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from children import Child
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import ConnectionInterface
from fluxon.errors import FluxonError, Unavailable

MODELS = """
from fluxon.database import models

class User(models.AuthenticatedUser):
    username = models.CharField(max_length=100, unique=True)
"""

SERVER = """
import gc, sys, threading
from pathlib import Path
from fluxon.database.apis import SQLiteDatabase
from fluxon.endpoint import AsyncServer, run_server
from fluxon.routing import Setup
from fluxon.security import Secrets
import models

finish = threading.Event()

async def echo(request):
    return request.payload

def slow(request):
    request.connection.send("running")
    finish.wait(2)
    return "finished"

def stuck(request):
    request.connection.send("running")
    threading.Event().wait()

async def go(request):
    finish.set()

async def heap(request):
    return [gc.get_freeze_count(), len(gc.get_objects())]

BASE = Path(__file__).parent
setup = Setup(
    mapping={"echo": echo, "slow": slow, "stuck": stuck, "go": go, "heap": heap},
    models=models,
    secrets=Secrets(BASE / "secrets"),
    database_schema_dir=BASE / "schema",
    database_path=BASE / "data.sqlite3",
    database_api=SQLiteDatabase,
    logs_dir=BASE / "logs",
)
run_server(AsyncServer(port=int(sys.argv[1]), setup=setup))
print("run_server has returned", flush=True)
"""


class RunServerTests(SynchronousTestCase):
    """Each starts a small project as its owner would."""

    def setUp(self) -> None:
        Path("models.py").write_text(MODELS)
        Path("server.py").write_text(SERVER)

    def start(self, port: int = 0) -> Child:
        child = Child("the server", [sys.executable, "server.py", str(port)], Path.cwd())
        self.addCleanup(child.discard)
        return child

    def listening(self, child: Child) -> int:
        return int(child.expect(r"listening on tcp 127\.0\.0\.1:(\d+) without TLS")[1])

    def connect(self, port: int) -> ConnectionInterface:
        connection = ConnectionInterface(port=port, timeout=20)
        self.addCleanup(connection.close)
        return connection

    def in_background(self, connection: ConnectionInterface, view: str) -> tuple[threading.Thread, list[Any]]:
        """Ask for ``view`` in a thread; returns when the view runs."""
        outcome: list[Any] = []
        running = threading.Event()
        connection.reverse_request_mapping({"running": running.set})

        def ask() -> None:
            try:
                outcome.append(connection.send_request(view))
            except FluxonError as error:
                outcome.append(error)

        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        self.assertTrue(running.wait(20))
        return thread, outcome

    def test_ctrl_c(self) -> None:
        """A view that runs finishes and its answer arrives; what is new waits in vain; then the program goes on."""
        server = self.start()
        port = self.listening(server)
        connection = self.connect(port)
        thread, outcome = self.in_background(connection, "slow")
        os.kill(server.pid, signal.SIGINT)
        server.expect(f"Port {port} Closed")
        error = self.assertRaises(Unavailable, connection.send_request, "go", timeout=0.5)
        self.assertIn("stopping", error.text)
        self.assertRaises(ConnectionRefusedError, socket.create_connection, ("127.0.0.1", port))
        # Nothing but its own end lets the view go: the wait in it is bounded.
        thread.join(30)
        self.assertEqual(outcome, ["finished"])
        server.expect("run_server has returned")
        self.assertEqual(server.end_of_input(), 0)
        self.assertFalse(any("Traceback" in line for line in server.transcript), server.transcript)

    def test_ctrl_c_twice(self) -> None:
        """The second one does not wait for a view that hangs; its client is told, and the program ends all the same."""
        server = self.start()
        connection = self.connect(self.listening(server))
        thread, outcome = self.in_background(connection, "stuck")
        os.kill(server.pid, signal.SIGINT)
        server.expect("stopping")
        os.kill(server.pid, signal.SIGINT)
        thread.join(20)
        self.assertEqual(len(outcome), 1)
        self.assertIsInstance(outcome[0], FluxonError)
        self.assertEqual(server.end_of_input(), 0)
        self.assertFalse(any("Traceback" in line for line in server.transcript), server.transcript)

    def test_ctrl_c_at_once(self) -> None:
        """While it still starts: it ends in good order."""
        server = self.start()
        server.expect("fluxon")
        os.kill(server.pid, signal.SIGINT)
        self.assertEqual(server.end_of_input(), 0, server.transcript)
        self.assertFalse(any("Traceback" in line for line in server.transcript), server.transcript)

    def test_sigterm(self) -> None:
        """As a service manager ends it."""
        server = self.start()
        self.listening(server)
        self.assertEqual(server.stop(), 0)

    def test_what_stays_is_not_collected_again(self) -> None:
        """Of the objects of a server that listens, the collector goes through few."""
        frozen, others = self.connect(self.listening(self.start())).send_request("heap")
        self.assertGreater(frozen, 50_000)
        self.assertLess(others, frozen // 5)

    def test_a_port_in_use(self) -> None:
        """Status 1 and one line that names the port; the program does not go on."""
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            server = self.start(port)
            self.assertEqual(server.end_of_input(), 1)
        said = [line for line in server.transcript if "cannot start" in line]
        self.assertEqual(len(said), 1, server.transcript)
        self.assertIn(str(port), said[0])
        self.assertFalse([line for line in server.transcript if "Traceback" in line or "returned" in line])

    def test_loose_secrets(self) -> None:
        """The line says what to type."""
        server = self.start()
        self.listening(server)
        server.stop()
        Path("secrets").chmod(0o755)
        server = self.start()
        self.assertEqual(server.end_of_input(), 1)
        self.assertEqual(len([line for line in server.transcript if "chmod 700" in line]), 1, server.transcript)

    def test_schemas(self) -> None:
        """The first start saves and applies the schema; after a change of the models it says what to type, and runs."""
        server = self.start()
        server.expect("schema_00001")
        self.listening(server)
        server.stop()
        server = self.start()
        self.listening(server)
        server.stop()
        self.assertFalse([line for line in server.transcript if "schema" in line], server.transcript)
        Path("models.py").write_text(MODELS + "    nickname = models.CharField(max_length=10, null=True)\n")
        server = self.start()
        connection = self.connect(self.listening(server))
        self.assertEqual(connection.send_request("echo", 1), 1)
        self.assertTrue([line for line in server.transcript if "saveschema" in line], server.transcript)

    def test_without_a_terminal(self) -> None:
        """Input, output and errors closed, or /dev/null: it serves, and ends when told; its log is in its folder."""
        for number, closing in enumerate(("<&- >&- 2>&-", "</dev/null >/dev/null 2>&1")):
            log = Path("logs/fluxon.log")
            log.unlink(missing_ok=True)
            child = subprocess.Popen(
                ["/bin/sh", "-c", f'exec "$0" server.py 0 {closing}', sys.executable], start_new_session=True
            )
            self.addCleanup(child.kill)
            port = self._port_in(log, child)
            self.assertEqual(self.connect(port).send_request("echo", number), number)
            before = _processor_time(child.pid)
            self.assertEqual(self.connect(port).send_request("echo", number), number)
            self.assertLess(_processor_time(child.pid) - before, 1.0)
            child.terminate()
            self.assertEqual(child.wait(20), 0)

    def _port_in(self, log: Path, child: subprocess.Popen[bytes]) -> int:
        end = time.monotonic() + 30
        while time.monotonic() < end and child.poll() is None:
            found = re.search(r"listening on tcp \S+:(\d+)", log.read_text() if log.exists() else "")
            if found:
                return int(found[1])
            time.sleep(0.02)
        return self.fail(f"it does not listen; its status is {child.poll()}")  # type: ignore[no-any-return]


def _processor_time(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
