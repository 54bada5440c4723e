"""A project that was generated for a database server (``--database``), whose URL its environment names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import database_servers
from children import Child
from twisted.trial.unittest import SynchronousTestCase

import fluxon
from fluxon.connect import ConnectionInterface
from fluxon.startproject import generate


class ProjectOnAServer:
    """The first day, on another database. A server's test case says which adapter and where."""

    database: str

    def place(self: Any) -> str:
        """The URL of a new, empty database."""
        raise NotImplementedError

    def setUp(self: Any) -> None:
        self.project = Path("chat").absolute()
        generate("AsyncServer", self.project, database=self.database)
        self.url = self.place()
        self.edit("server.py", "port=8080", "port=0")
        os.environ["DATABASE_URL"] = self.url
        self.addCleanup(os.environ.pop, "DATABASE_URL")

    def edit(self: Any, name: str, old: str, new: str) -> None:
        """Change a file as its owner would in an editor."""
        text = (self.project / name).read_text()
        self.assertIn(old, text)
        (self.project / name).write_text(text.replace(old, new))

    def serve(self: Any) -> Any:
        """``python server.py``, and a client of it."""
        server = Child("the server", (sys.executable, "server.py"), self.project)
        self.addCleanup(server.discard)
        port = int(server.expect(r"listening on tcp 127\.0\.0\.1:(\d+)").group(1))
        client = ConnectionInterface(host="localhost", port=port, timeout=20)
        self.addCleanup(client.close)
        return server, client

    def command(self: Any, *arguments: str, status: int = 0) -> str:
        """What ``python -m fluxon.database`` prints."""
        done = subprocess.run(
            [sys.executable, "-m", "fluxon.database", "--config", "router.py", *arguments],
            cwd=self.project,
            env={**os.environ, "PYTHONPATH": str(Path(fluxon.__file__).parent.parent)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_the_first_day_and_the_second(self: Any) -> None:
        """Sign-up and login; a restart; a new column from the command line; the user is still there."""
        server, client = self.serve()
        emma = {"username": "emma", "email": "emma@example.com", "password": "Secret123"}
        self.assertEqual(client.send_request("create_user", emma), {"response": "signed up successfully"})
        self.assertNotEqual(client.send_request("create_user", emma), {"response": "signed up successfully"})
        client.close()
        server.discard()
        self.edit("models.py", "email = ", "age = models.IntegerField(default=17)\n    email = ")
        self.assertIn("saveschema", self.command("check", status=1))
        self.assertIn("schema_00002.sql", self.command("saveschema"))
        self.assertIn("new column age", self.command("updateschema", "--plan"))
        self.assertIn("schema 00002", self.command("updateschema"))
        self.assertIn("agree", self.command("check"))
        self.assertIn("schema_00002.sql", self.command("schemas").splitlines()[-1])
        self.assertEqual([tuple(row) for row in database_servers.fetch(self.url, self.query)], [("emma", 17)])
        _, client = self.serve()
        login = {"username": "emma", "password": "Secret123"}
        self.assertEqual(client.send_request("login", login), {"response": "logged in successfully"})


class OnPostgreSQL(ProjectOnAServer, SynchronousTestCase):
    """PostgreSQL."""

    database = "postgresql"
    query = 'SELECT username, age FROM "user"'

    def place(self) -> str:
        return database_servers.postgresql()


class OnMySQL(ProjectOnAServer, SynchronousTestCase):
    """MariaDB or MySQL."""

    database = "mysql"
    query = "SELECT username, age FROM user"

    def place(self) -> str:
        return database_servers.mysql()
