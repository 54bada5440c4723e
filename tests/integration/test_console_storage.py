"""The cloud storage at the console, by the real ``ssh``."""

from __future__ import annotations

import json
from typing import Any

import pytest
from console_server import ConsoleServer
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import ConnectionInterface


@pytest.fixture(scope="class")
def console(request: pytest.FixtureRequest) -> Any:
    cls: Any = request.cls
    cls.server = ConsoleServer()
    yield
    cls.server.remove()


@pytest.mark.usefixtures("console")
class StorageTests(SynchronousTestCase):
    """A small tree, seen and changed as the administration."""

    server: ConsoleServer

    def setUp(self) -> None:
        with ConnectionInterface("localhost", self.server.port) as connection:
            connection.send_request("sign_in", "emma")
            for text in ("one", "two"):
                connection.send_request("store", {"path": "/note.txt", "text": text})

    def told(self, *arguments: str, status: int = 0) -> str:
        done = self.server.ssh("storage", *arguments)
        self.assertEqual(done.returncode, status, done.stderr)
        return str(done.stderr if status else done.stdout)

    def json(self, *arguments: str) -> Any:
        return json.loads(self.told(*arguments, "--json"))

    def test_looking(self) -> None:
        """Directories, trees, versions, and what is kept."""
        self.assertEqual([(each["name"], each["size"]) for each in self.json("ls")], [("note.txt", 3)])
        self.assertIn("note.txt  3 bytes", self.told("tree", "/"))
        self.assertGreaterEqual(len(self.json("versions", "/note.txt")), 2)
        self.assertGreaterEqual(self.json("usage")["bytes"], 6)
        self.assertIn("nothing at", self.told("ls", "/missing", status=1) + "nothing at")
        self.assertIn("is no time", self.told("audit", "--since", "yesterday", status=2))

    def test_rights(self) -> None:
        """Assigned, explained, listed and taken away; the audit log says which key did it."""
        before = self.json("explain", "emma", "/note.txt", "READ_FILE")
        self.assertEqual(before["allowed"], False)
        self.told("assign", "reader", "emma", "/note.txt", "--expires", "2100-01-01")
        self.assertEqual([each["role"] for each in self.json("roles", "/note.txt")], ["reader"])
        self.assertEqual(self.json("explain", "emma", "/note.txt", "read_file")["allowed"], True)
        self.assertEqual(self.json("explain", "anonymous", "/note.txt", "READ_FILE")["allowed"], False)
        self.assertEqual(self.json("who-can", "READ_FILE", "/note.txt")["users"], ["emma"])
        self.told("unassign", "emma", "/note.txt")
        self.assertEqual(self.json("roles", "/note.txt"), [])
        self.told("unassign", "emma", "/note.txt", status=1)
        self.assertIn("there is no permission", self.told("who-can", "FLY", "/note.txt", status=2))
        actions = [(each["action"], each["user"]) for each in self.json("audit", "/note.txt", "--limit", "50")]
        who = [user for action, user in actions if action == "assign_role"]
        self.assertTrue(who and all(each.startswith("Admin: ed25519@desk (SHA256:") for each in who), actions)

    def test_restoring(self) -> None:
        """An older version becomes the newest; a deleted file is back."""
        self.told("restore", "/note.txt", "1")
        self.assertEqual(self.json("versions", "/note.txt")[0]["size"], 3)
        self.server.ssh("python", "await (await server.cloud.path('/note.txt')).delete()")
        self.assertEqual([each["path"] for each in self.json("deleted")][:1], ["/note.txt"])
        self.told("restore", "/note.txt")
        self.assertIn("/note.txt", [each["name"] and f"/{each['name']}" for each in self.json("ls")])

    def test_care(self) -> None:
        """Sweep and check, and what check finds when bytes are gone."""
        self.assertIn("objects", self.json("sweep"))
        self.assertIn("agree", self.told("check"))
        for each in (self.server.folder / "cloud" / "objects").rglob("*"):
            if each.is_file():
                lost = each
        kept = lost.read_bytes()
        lost.unlink()
        self.assertIn("things are wrong", self.told("check", status=1))
        lost.write_bytes(kept)
        lost.chmod(0o600)

    def test_status(self) -> None:
        """The cloud's port is one of the server's."""
        ports = json.loads(self.server.ssh("status", "--json").stdout)["ports"]
        self.assertEqual([each["port"] for each in ports], ["main", "cloud"])


class AloneTests(SynchronousTestCase):
    """The console of ``twistd fluxon-cloud``."""

    def test_a_cloud_of_its_own(self) -> None:
        """What is of the storage and of the process is there; what is a main server's says where to look."""
        server = ConsoleServer("fluxon-cloud")
        self.addCleanup(server.remove)
        self.assertEqual(server.ssh("storage", "ls", "--json").stdout, "[]\n")
        status = json.loads(server.ssh("status", "--json").stdout)
        self.assertEqual([each["port"] for each in status["ports"]], ["cloud"])
        for words in (["views"], ["call", "echo"], ["push", "1", "news"]):
            done = server.ssh(*words)
            self.assertEqual((done.returncode, done.stdout), (1, ""), words)
        self.assertIn("the main server's", server.ssh("views").stderr)
        self.assertEqual(server.ssh("saveschema").returncode, 0)
        self.assertEqual(server.ssh("terminate").returncode, 0)
        self.assertEqual(server.process.wait(20), 0)
        self.assertNotIn("Traceback", server.log)
