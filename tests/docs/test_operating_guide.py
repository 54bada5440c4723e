"""What the guide to operating says about backups and keys, done to a real project: nothing acknowledged is missing."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
import sys
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from children import Child
from pages import ROOT, Page
from terminal import Terminal
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import CloudStorageConnector, ConnectionInterface
from fluxon.endpoint.metrics import figures
from fluxon.errors import Internal
from fluxon.limits import Limits
from fluxon.startproject import generate

GUIDE = "docs/operating.rst"
TWISTD = Path(sys.executable).with_name("twistd")
LOCAL = "tcp:0:interface=127.0.0.1"
NAMED = "SELECT object FROM filesystem_items WHERE object IS NOT NULL UNION SELECT object FROM filesystem_versions"
EMMA = {"username": "emma", "email": "emma@example.com", "password": "Secret123"}


@pytest.mark.slow
@pytest.mark.timeout(300)
class OperatingGuideTests(SynchronousTestCase):
    def setUp(self) -> None:
        generate("AsyncServer", "chat", cloud=True)
        page = Page(self, GUIDE)
        page.write_files()
        self.install, self.foreground, self.metrics, self.backup, self.rotate, self.schema = page.commands()
        self.log, _ = page.shown()

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

    def type(self, commands: list[str]) -> str:
        """The commands of one block, where the text has /srv/chat."""
        terminal = Terminal(self)
        terminal.places = {"/srv/chat": Path("chat"), "/backup/2026-01-05": Path("backup")}
        return "".join(terminal.type(line) for line in commands)

    def test_backup_and_restore(self) -> None:
        """A backup of a running server, restored in another folder: users, passwords and files are there again."""
        child, port, cloud_port = self.serve("chat")
        with ConnectionInterface(port=port, timeout=30) as connection:
            connection.send_request("create_user", EMMA)
            with CloudStorageConnector(port=cloud_port, connection=connection, timeout=30) as cloud:
                cloud.create_directory("/emmas")
                connection.send_request("assign_me_as_owner", {"path": "/emmas"})
                cloud.write_file("/emmas/letter.txt", b"kept" * 1_000)
                self.type(self.backup)
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

    def test_backup_under_load(self) -> None:
        """Every object that the copied database names was copied, though its file is replaced again and again."""
        router = Path("chat", "router.py")
        router.write_text(router.read_text().replace("cloud_folder=", "cloud_versions=0,\n    cloud_folder="))
        _, port, cloud_port = self.serve("chat")
        backed_up = threading.Event()
        written = threading.Event()

        def replace(cloud: CloudStorageConnector) -> None:
            number = 0
            while not backed_up.is_set():
                number += 1
                cloud.write_file("/emmas/letter.txt", b"%d" % number)
                if number == 10:
                    written.set()

        with ConnectionInterface(port=port, timeout=30) as connection:
            connection.send_request("create_user", EMMA)
            with CloudStorageConnector(port=cloud_port, connection=connection, timeout=30) as cloud:
                cloud.create_directory("/emmas")
                connection.send_request("assign_me_as_owner", {"path": "/emmas"})
                for number in range(500):  # what takes a while to be copied
                    cloud.write_file(f"/emmas/{number}", b"%d" % number)
                with ThreadPoolExecutor(1) as pool:
                    replacing = pool.submit(replace, cloud)
                    self.assertTrue(written.wait(60))
                    try:
                        self.type(self.backup)
                    finally:
                        backed_up.set()
                    replacing.result()
        with closing(sqlite3.connect("backup/database.sqlite3")) as copy:
            named = {name for (name,) in copy.execute(NAMED)}
        self.assertGreater(len(named), 500)
        self.assertLessEqual(named, {each.name for each in Path("backup/cloud/objects").glob("*/*")})

    def test_backup_of_nothing(self) -> None:
        """A database that is not where the backup looks for it is an error, and not an empty copy."""
        Path("chat", "secrets").mkdir(exist_ok=True)
        done = subprocess.run(
            [sys.executable, "backup.py", "chat", "backup"], capture_output=True, text=True, timeout=60
        )
        self.assertEqual(done.returncode, 1)
        self.assertIn("unable to open database file", done.stderr)
        self.assertFalse(Path("chat", "database.sqlite3").exists())

    def test_rotate(self) -> None:
        """A new key signs, and who was logged in before still is after the restart."""
        child, port, _ = self.serve("chat")
        connection = ConnectionInterface(port=port, timeout=30)
        self.addCleanup(connection.close)
        connection.send_request("create_user", EMMA)
        token = connection.session.token
        self.assertEqual(self.type(self.rotate), "signing with key 2\n")
        child.stop()
        child, port, _ = self.serve("chat")
        again = ConnectionInterface(port=port, timeout=30)
        self.addCleanup(again.close)
        again.session.token = token
        self.assertEqual(again.send_request("whoami"), {"response": "emma"})

    def test_service(self) -> None:
        """The commands of a service, on a project; what it tells over HTTP; the lines of its log."""
        self.assertEqual(self.type(self.install), "")
        terminal = Terminal(self, Path("chat").absolute())
        for line in self.schema:
            terminal.type(line)
        views = Path("chat", "views.py")
        views.write_text(views.read_text() + "\n\nasync def report(request):\n    raise ValueError\n")
        for (line,) in (self.foreground, self.metrics):
            terminal.type(line)
            trust = "chat/secrets/certificate.pem"
            with ConnectionInterface(
                port=int(terminal.ports["8080"]), secure=True, trust=trust, timeout=60
            ) as connection:
                connection.send_request("create_user" if line is self.foreground[0] else "login", EMMA)
                self.assertRaises(Internal, connection.send_request, "report")
            if "9100" in terminal.ports:
                where = f"http://127.0.0.1:{terminal.ports['9100']}"
                with urllib.request.urlopen(f"{where}/health", timeout=60) as answer:
                    self.assertEqual(answer.read().strip(), b"ok")
                with urllib.request.urlopen(f"{where}/metrics", timeout=60) as answer:
                    self.assertIn(b'fluxon_requests_total{code="Internal",view="report"}', answer.read())
            terminal.stop_servers()
        written = Path("chat", "logs", "fluxon.log").read_text()
        self.assertLessEqual(set(map(shape, self.log.splitlines())), set(map(shape, written.splitlines())))


def shape(line: str) -> str:
    """A line of the log without the numbers, and the view, that are another's."""
    numbers = re.sub(r"\b[0-9a-f]{12,16}\b|\d+(?:\.\d+)?", "0", line.replace("send_message", "login"))
    return numbers.replace("create_user", "login")


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
