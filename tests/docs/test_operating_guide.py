"""What the guide to operating says about backups and keys, done to a real project: nothing acknowledged is missing."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from children import Child
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import CloudStorageConnector, ConnectionInterface
from fluxon.endpoint.metrics import figures
from fluxon.limits import Limits
from fluxon.startproject import generate

sys.path.insert(0, str(Path(__file__).parent))

from test_code_blocks import ROOT, blocks

GUIDE = "docs/operating.rst"
TWISTD = Path(sys.executable).with_name("twistd")
LOCAL = "tcp:0:interface=127.0.0.1"
EMMA = {"username": "emma", "email": "emma@example.com", "password": "Secret123"}


@pytest.mark.slow
class OperatingGuideTests(SynchronousTestCase):
    def setUp(self) -> None:
        generate("AsyncServer", "chat", cloud=True)
        for block in blocks("python"):
            if block.document == GUIDE:
                Path(str(block.file_name)).write_text(block.text)

    def serve(self, project: str) -> tuple[Child, int, int]:
        command = [TWISTD, "-n", "--pidfile=", "fluxon", "--config", f"{project}/router.py", "--port", LOCAL]
        child = Child("twistd", [*command, "--cloud-port", LOCAL], Path.cwd())
        self.addCleanup(child.discard)
        cloud = int(child.expect(r"the cloud storage: listening on tcp \S+:(\d+)")[1])
        return child, int(child.expect(r"listening on tcp \S+:(\d+)")[1]), cloud

    def run_file(self, name: str, *arguments: str) -> str:
        done = subprocess.run([sys.executable, name, *arguments], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_backup_and_restore(self) -> None:
        """A backup of a running server, restored in another folder: users, passwords and files are there again."""
        child, port, cloud_port = self.serve("chat")
        with ConnectionInterface(port=port, timeout=30) as connection:
            connection.send_request("create_user", EMMA)
            with CloudStorageConnector(port=cloud_port, connection=connection, timeout=30) as cloud:
                cloud.create_directory("/emmas")
                connection.send_request("assign_me_as_owner", {"path": "/emmas"})
                cloud.write_file("/emmas/letter.txt", b"kept" * 1_000)
                self.run_file("backup.py", "chat", "backup")
                cloud.write_file("/emmas/later.txt", b"not in the backup")
        child.stop()
        generate("AsyncServer", "other", cloud=True)
        shutil.rmtree("chat")
        self.run_file("restore.py", "backup", "other")
        _, port, cloud_port = self.serve("other")
        with ConnectionInterface(port=port, timeout=30) as connection:
            answer = connection.send_request("login", {"username": "emma", "password": "Secret123"})
            self.assertEqual(answer, {"response": "logged in successfully"})
            with CloudStorageConnector(port=cloud_port, connection=connection, timeout=30) as cloud:
                self.assertEqual(cloud.read_file("/emmas/letter.txt"), b"kept" * 1_000)
                self.assertEqual([each.name for each in cloud.list_directory("/emmas")], ["letter.txt"])

    def test_rotate(self) -> None:
        """A new key signs, and who was logged in before still is after the restart."""
        child, port, _ = self.serve("chat")
        connection = ConnectionInterface(port=port, timeout=30)
        self.addCleanup(connection.close)
        connection.send_request("create_user", EMMA)
        token = connection.session.token
        self.assertEqual(self.run_file("rotate.py", "chat/secrets"), "signing with key 2\n")
        child.stop()
        child, port, _ = self.serve("chat")
        again = ConnectionInterface(port=port, timeout=30)
        self.addCleanup(again.close)
        again.session.token = token
        self.assertEqual(again.send_request("whoami"), {"response": "emma"})


class FactsTests(SynchronousTestCase):
    def test_metrics(self) -> None:
        """Every number that a server tells has a line in the table."""
        text = (ROOT / GUIDE).read_text()
        for name in set(re.findall(r'"(fluxon_\w+)"', Path(figures.__file__).read_text())):
            self.assertIn(name.removesuffix("_accepted_total"), text)

    def test_limits(self) -> None:
        """Limits that are named are there, with the numbers that are given."""
        for name in re.findall(r"Limits\.(\w+)", (ROOT / GUIDE).read_text()):
            self.assertTrue(hasattr(Limits(), name), name)
        self.assertEqual(Limits().request_lines, 100)
