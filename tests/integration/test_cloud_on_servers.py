"""A generated project with a cloud storage on a database server, its two processes started at once on nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import database_servers
import pytest
from children import Child
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import CloudStorageConnector, ConnectionInterface
from fluxon.startproject import generate

TWISTD = Path(sys.executable).with_name("twistd")


class CloudOnAServer:
    """The first day. A server's test case says which adapter and where."""

    adapter: str

    def place(self: Any) -> str:
        """The URL of a new, empty database."""
        raise NotImplementedError

    def start(self: Any, command: str) -> Child:
        arguments = [TWISTD, "-n", "--pidfile=", command, "--config", "router.py"]
        child = Child(command, [*arguments, "--port", "tcp:0:interface=127.0.0.1"], self.project)
        self.addCleanup(child.discard)
        return child

    def test_two_processes_at_once(self: Any) -> None:
        """Both make what is missing, neither is in the other's way; a login in one is known in the other."""
        self.project = Path("files").absolute()
        generate("AsyncServer", self.project, cloud=True)
        router = self.project / "router.py"
        text = router.read_text().replace("SQLiteDatabase", self.adapter)
        router.write_text(text.replace('BASE_DIR / "database.sqlite3"', repr(self.place())))
        children = [self.start("fluxon"), self.start("fluxon-cloud")]
        port, cloud = (int(child.expect(r"listening on tcp \S+:(\d+)", timeout=60)[1]) for child in children)
        with ConnectionInterface(host="localhost", port=port, timeout=20) as main:
            user = {"username": "emma", "email": "emma@example.com", "password": "Secret123"}
            self.assertEqual(main.send_request("create_user", user), {"response": "signed up successfully"})
            with CloudStorageConnector(host="localhost", port=cloud, connection=main, timeout=20) as files:
                self.assertEqual(files.create_directory("/emma").creator, "emma")
                self.assertEqual(main.send_request("assign_me_as_owner", {"path": "/emma"})["role"], "owner")
                files.write_file("/emma/a", bytes(1_000_000))
                self.assertEqual(files.read_file("/emma/a"), bytes(1_000_000))
                self.assertEqual([item.path for item in files.read_tree_directory("/emma")], ["/emma/a"])
        for child in children:
            child.stop()
            self.assertFalse(any("Traceback" in line for line in child.transcript), child.transcript)


@pytest.mark.slow
class PostgreSQLCloudTests(CloudOnAServer, SynchronousTestCase):
    """On PostgreSQL."""

    adapter = "PostgreSQLDatabase"

    def place(self) -> str:
        return database_servers.postgresql()


@pytest.mark.slow
class MySQLCloudTests(CloudOnAServer, SynchronousTestCase):
    """On MariaDB or MySQL."""

    adapter = "MySQLDatabase"

    def place(self) -> str:
        return database_servers.mysql()
