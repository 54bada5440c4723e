"""A real server in a process of its own, for the tests of clients: to be talked to, killed, and started again."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fluxon
from fluxon.connect import ConnectionInterface

#: A child process finds the same Fluxon as this one.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(fluxon.__file__).parent.parent)}

SERVER = """
import sys
from pathlib import Path
from fluxon.database import models
from fluxon.database.apis import SQLiteDatabase
from fluxon.endpoint import AsyncServer, run_server
from fluxon.errors import PermissionDenied
from fluxon.routing import Setup
from fluxon.security import Secrets
from twisted.internet import reactor
from twisted.internet.task import deferLater


class User(models.AuthenticatedUser):
    username = models.CharField(max_length=100, unique=True)


async def echo(request):
    return request.payload


async def slow(request):
    await deferLater(reactor, 60)


async def refuse(request):
    raise PermissionDenied("not for you")


async def fail(request):
    raise ValueError("a secret of the server")


async def sign_in(request):
    rows = await User.Check(fetch=1)
    await request.login(rows[0].id if rows else await User.Insert(username="emma"))


async def password(request):
    if request.payload != {"username": "emma", "password": "secret"}:
        return {"response": "wrong username or password"}
    await sign_in(request)
    return {"response": "logged in"}


async def sign_out(request):
    await request.logout()


async def who(request):
    return request.user.username if request.user else None


async def session(request):
    return request.sessionid


async def call_back(request):
    return await request.connection.send(request.payload["name"], request.payload["payload"])


async def tell_user(request):
    return await request.server.reverse_request(request.user.id, "told", request.payload)


async def large(request):
    return b"x" * request.payload


FOLDER = Path(__file__).parent
VIEWS = [echo, slow, refuse, fail, sign_in, password, sign_out, who, session, call_back, tell_user, large]
setup = Setup(
    mapping={view.__name__: view for view in VIEWS},
    models=[User],
    secrets=Secrets(FOLDER / "secrets"),
    database_schema_dir=FOLDER / "schema",
    database_path=FOLDER / "database.sqlite3",
    database_api=SQLiteDatabase,
)
server = AsyncServer(port=int(sys.argv[1]), secure=sys.argv[2] == "secure", setup=setup, host=sys.argv[3])
reactor.callWhenRunning(lambda: server.when_ready().addCallback(lambda _: print("READY", flush=True)))
run_server(server)
"""


class ServerProcess:
    """A server process, to be killed and started again at the same port."""

    def __init__(self, *, secure: bool = False, host: str = "127.0.0.1") -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fluxon-client-"))
        (self.folder / "server.py").write_text(SERVER)
        self.secure = secure
        self.host = host
        with socket.create_server((host, 0)) as probe:
            self.port: int = probe.getsockname()[1]
        self.start()

    @property
    def certificate(self) -> str:
        return str(self.folder / "secrets" / "certificate.pem")

    def start(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "server.py", str(self.port), "secure" if self.secure else "plain", self.host],
            cwd=self.folder,
            env=ENVIRONMENT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        said = []
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said.append(line)
            if line == "READY\n":
                break
        else:
            raise AssertionError("the server did not start:\n" + "".join(said))
        # Nobody may block on a full pipe.
        threading.Thread(target=self.process.stdout.read, daemon=True).start()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def remove(self) -> None:
        self.kill()
        shutil.rmtree(self.folder)


def _connect(self: Any, **keywords: Any) -> ConnectionInterface:
    """A connection to the class's server, closed by the end of the test."""
    if self.server.secure:
        keywords = {"secure": True, "trust": self.server.certificate, **keywords}
    connection = ConnectionInterface(keywords.pop("host", "localhost"), self.server.port, **keywords)
    self.addCleanup(connection.close)
    return connection


@pytest.fixture(scope="class")
def servers(request: pytest.FixtureRequest) -> None:
    """``self.new_server(...)`` starts a server, the test removes it; with ``self.environment`` a child finds Fluxon."""
    cls: Any = request.cls
    cls.new_server = ServerProcess
    cls.environment = ENVIRONMENT


@pytest.fixture(scope="class")
def server(request: pytest.FixtureRequest, servers: None) -> Iterator[None]:
    """``self.server``: one for all tests of a class, over TLS if the class says ``secure = True``.

    ``self.connect(...)`` gives a connection to it.
    """
    cls: Any = request.cls
    cls.server = ServerProcess(secure=getattr(cls, "secure", False))
    cls.connect = _connect
    yield
    cls.server.remove()
