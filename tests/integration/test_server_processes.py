"""Servers that die, and servers that share a database: what clients with a session notice of either."""

from __future__ import annotations

import socket
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from children import Child
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import ConnectionInterface
from fluxon.errors import FluxonError, OutcomeUnknown

SERVER = """
import sys, threading
from pathlib import Path
from fluxon.database import models
from fluxon.database.apis import SQLiteDatabase
from fluxon.database.query import where
from fluxon.endpoint import AsyncServer, run_server
from fluxon.routing import Setup
from fluxon.security import Secrets

class User(models.AuthenticatedUser):
    username = models.CharField(max_length=100, unique=True)
    password = models.PasswordField()

async def sign_up(request):
    await request.login(await User.Insert(username=request.payload, password="Secret123"))

async def login(request):
    user = await User.Authenticate(request.payload, "Secret123")
    request.login(user.id)

async def who(request):
    return request.user and request.user.username

async def tell(request):
    rows = await User.Check(where[User.username == request.payload])
    return await request.server.reverse_request(rows[0].id, "told", {"word": "hello"})

async def revoke(request):
    return await request.server.sessions.revoke_user(request.payload)

async def change_password(request):
    return await User.Update({User.password: "Other1234"}, where[User.username == request.payload])

async def delete(request):
    return await User.Delete(where[User.username == request.payload])

def stuck(request):
    request.connection.send("running")
    threading.Event().wait()

BASE = Path(__file__).parent
VIEWS = (sign_up, login, who, tell, revoke, change_password, delete, stuck)
setup = Setup(
    mapping={view.__name__: view for view in VIEWS},
    models=[User],
    secrets=Secrets(BASE / "secrets"),
    database_schema_dir=BASE / "schema",
    database_path=BASE / "data.sqlite3",
    database_api=SQLiteDatabase,
)
run_server(AsyncServer(port=int(sys.argv[1]), setup=setup))
"""

#: What a process learns of another's doings: the freshness of sessions, and a generous machine.
NOTICED_WITHIN = 2.0 + 1.5


class ProcessesTestCase(SynchronousTestCase):
    """Server processes of one project."""

    def setUp(self) -> None:
        Path("server.py").write_text(SERVER)

    def serve(self, port: int = 0) -> tuple[Child, int]:
        server = Child("the server", [sys.executable, "server.py", str(port)], Path.cwd())
        self.addCleanup(server.discard)
        return server, int(server.expect(r"listening on tcp 127\.0\.0\.1:(\d+)")[1])

    def connect(self, port: int, **keywords: Any) -> ConnectionInterface:
        connection = ConnectionInterface(port=port, timeout=30, **keywords)
        self.addCleanup(connection.close)
        return connection


class KilledTests(ProcessesTestCase):
    """``kill -9``, and the server is started again."""

    def test_clients_come_back(self) -> None:
        """They connect by themselves, are still logged in, and can be called; a call under way ends."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        server, _ = self.serve(port)
        lost: list[str] = []
        emma, mike = (self.connect(port, on_session_lost=lambda name=name: lost.append(name)) for name in "em")
        emma.send_request("sign_up", "emma")
        mike.send_request("sign_up", "mike")
        told, running = threading.Event(), threading.Event()
        mike.reverse_request_mapping({"told": lambda word: told.set()})
        emma.reverse_request_mapping({"running": running.set})
        outcome: list[Any] = []
        stuck = threading.Thread(target=lambda: outcome.append(_outcome(emma, "stuck")), daemon=True)
        stuck.start()
        self.assertTrue(running.wait(20))

        server.kill()
        stuck.join(20)
        self.assertIsInstance(outcome[0], OutcomeUnknown)
        # Asked while nobody is there: it waits for the server that comes.
        waiting = threading.Thread(target=lambda: outcome.append(_outcome(emma, "who")), daemon=True)
        waiting.start()
        self.serve(port)
        waiting.join(30)
        self.assertEqual(outcome[1], "emma")
        self.assertEqual(mike.send_request("who"), "mike")
        self.assertTrue(emma.send_request("tell", "mike"))
        self.assertTrue(told.wait(20))
        self.assertEqual(lost, [])


class SharedDatabaseTests(ProcessesTestCase):
    """Two server processes, one database and one secrets folder."""

    def setUp(self) -> None:
        super().setUp()
        _, here = self.serve()
        _, there = self.serve()
        self.here, self.there = self.connect(here), self.connect(there)
        self.there_port = there

    def noticed(self, change: Callable[[], object]) -> None:
        """Emma is logged in here; after ``change`` over there she is nobody here, within the time."""
        self.assertEqual(self.here.send_request("who"), "emma")
        change()
        end = time.monotonic() + NOTICED_WITHIN
        while self.here.send_request("who") is not None:
            self.assertLess(time.monotonic(), end, "it was not noticed in time")

    def test_sessions_hold_in_both(self) -> None:
        """A session made here is honoured there: a client may change servers."""
        self.here.send_request("sign_up", "emma")
        moved = self.connect(self.there_port, session=self.here)
        self.assertEqual(moved.send_request("who"), "emma")

    def test_revocation(self) -> None:
        """Sessions revoked by another process are over here within two seconds."""
        self.here.send_request("sign_up", "emma")
        self.noticed(lambda: self.assertEqual(self.there.send_request("revoke", 1), 1))

    def test_password_change(self) -> None:
        """The same for a password that was changed over there."""
        self.here.send_request("sign_up", "emma")
        self.noticed(lambda: self.assertEqual(self.there.send_request("change_password", "emma"), 1))

    def test_deletion(self) -> None:
        """And for a user who was deleted over there."""
        self.here.send_request("sign_up", "emma")
        self.noticed(lambda: self.assertEqual(self.there.send_request("delete", "emma"), 1))


def _outcome(connection: ConnectionInterface, view: str) -> Any:
    try:
        return connection.send_request(view)
    except FluxonError as error:
        return error
