"""A generated project with a cloud storage: its walk-through, and its servers in one process and in two."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from children import Child
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import CloudStorageConnector, ConnectionInterface
from fluxon.errors import PermissionDenied
from fluxon.security import Secrets
from fluxon.startproject import generate

TWISTD = Path(sys.executable).with_name("twistd")
LOCAL = "tcp:0:interface=127.0.0.1"
PASSWORD = "Secret123"
LISTENING = r"listening on tcp \S+:(\d+) (with(?:out)? TLS)"


class CloudProjectTestCase(SynchronousTestCase):
    """A new project, whose servers take free ports."""

    def setUp(self) -> None:
        self.project = Path("files").absolute()
        generate("AsyncServer", self.project, cloud=True)
        self.trust = str(self.project / "secrets" / "certificate.pem")

    def start(self, *command: str | Path) -> Child:
        child = Child("a server", command, self.project)
        self.addCleanup(child.discard)
        return child

    def twistd(self, *arguments: str) -> Child:
        return self.start(TWISTD, "-n", "--pidfile=", *arguments)

    def port(self, child: Child, cloud: bool, tls: str = "without TLS") -> int:
        found = child.expect(("cloud storage: " if cloud else r"(?<!storage: )") + LISTENING)
        self.assertEqual(found[2], tls)
        return int(found[1])

    def ports(self, child: Child, tls: str = "without TLS") -> tuple[int, int]:
        """Of one process: the main one, and the cloud's, which it says first."""
        cloud = self.port(child, True, tls)
        return self.port(child, False, tls), cloud

    def enter(self, name: str, port: int, cloud: int, **more: Any) -> tuple[ConnectionInterface, CloudStorageConnector]:
        """Sign up, with a connection to each server."""
        main = ConnectionInterface(host="localhost", port=port, timeout=20, **more)
        self.addCleanup(main.close)
        payload = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        self.assertEqual(main.send_request("create_user", payload), {"response": "signed up successfully"})
        files = CloudStorageConnector(host="localhost", port=cloud, connection=main, timeout=20, **more)
        self.addCleanup(files.close)
        return main, files

    def walk_through(self, port: int, cloud: int, *more: str) -> list[str]:
        """What cloud_client.py says."""
        command = [sys.executable, "cloud_client.py", "--port", str(port), "--cloud-port", str(cloud), *more]
        done = subprocess.run(command, cwd=self.project, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout.splitlines()


#: The client that the project was asked for with, its module's name in snake_case.
SEED = """
from fluxon.connect import ConnectionInterface, CloudStorageConnector

# starting the connection
server_connection = ConnectionInterface(host='localhost', port=8080)
cloud_connection = CloudStorageConnector(host='localhost', port=8888)

# logging in
server_connection.send_request("login", {
    'username': "Jane",
    'password': "Jane123@abc"
})

# creating a directory in the cloud root dir
cloud_response = cloud_connection.create_directory(relative_path="/janes_dir")

# claim ownership of the directory
response = server_connection.send_request("assign_me_as_owner", {'path': "/janes_dir"})

cloud_response = cloud_connection.create_file(relative_path="/janes_dir/some_file.txt")
cloud_response = cloud_connection.write_file(
    relative_path="/janes_dir/some_file.txt", data=b"some text... 123, some more text @#$abc"
)

# assign Mike as a viewer to `/janes_dir/some_file.txt`
response = server_connection.send_request("assign_user_as_viewer", {'user_to_assign': "Mike", 'path': "/janes_dir"})
print(response)
"""


@pytest.mark.slow
class GeneratedTests(CloudProjectTestCase):
    """As its owner uses it on the first day."""

    def edit(self, old: str, new: str) -> None:
        text = (self.project / "server.py").read_text()
        self.assertIn(old, text)
        (self.project / "server.py").write_text(text.replace(old, new))

    def check(self, said: list[str], fresh: bool) -> None:
        self.assertIn("Jane: created /janes_dir" if fresh else "Jane: /janes_dir is there already", said)
        self.assertEqual(said.count("Jane: role assigned successfully"), 2, said)
        self.assertIn("Mike: sees ['/janes_dir/some_file.txt']", said)
        self.assertIn("Mike: downloaded b'some text... 123, some more text @#$abc'", said)
        self.assertTrue(said[-1].startswith("Mike: may not change it:"), said)

    def test_walk_through(self) -> None:
        """Jane and Mike, with ``python server.py``; and again, when everything is there."""
        self.edit("port=8080", "port=0")
        self.edit("port=8888", "port=0")
        server = self.start(sys.executable, "server.py")
        ports = self.ports(server)
        for fresh in (True, False):
            self.check(self.walk_through(*ports), fresh)
        self.assertEqual((self.project / "cloud").stat().st_mode & 0o777, 0o700)
        server.stop()
        self.assertFalse(any("Traceback" in line for line in server.transcript), server.transcript)

    def test_as_it_was_asked_for(self) -> None:
        """The very text that describes the cloud's client, but for the ports: its calls, their names, their order."""
        self.edit("port=8080", "port=0")
        self.edit("port=8888", "port=0")
        port, cloud = self.ports(self.start(sys.executable, "server.py"))
        for name in ("Jane", "Mike"):
            with ConnectionInterface(host="localhost", port=port, timeout=20) as main:
                user = {"username": name, "email": f"{name}@example.com", "password": f"{name}123@abc"}
                self.assertEqual(main.send_request("create_user", user), {"response": "signed up successfully"})
        text = SEED.replace("8080", str(port)).replace("8888", str(cloud))
        (self.project / "seed.py").write_text(text)
        command = [sys.executable, "seed.py"]
        done = subprocess.run(command, cwd=self.project, capture_output=True, text=True, timeout=60)
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("'user_assigned': 'username: Mike; id: 2'", done.stdout)
        self.assertIn("'role': 'viewer', 'status': 'role assigned successfully'", done.stdout)

    def test_over_tls(self) -> None:
        """Both ports, with the project's certificate."""
        self.edit("port=8080,\n    secure=False", "port=0,\n    secure=True")
        self.edit("port=8888,\n        secure=False", "port=0,\n        secure=True")
        ports = self.ports(self.start(sys.executable, "server.py"), "with TLS")
        self.check(self.walk_through(*ports, "--secure", "--trust", self.trust), True)


@pytest.mark.slow
class ProcessesTests(CloudProjectTestCase):
    """With twistd: one process, and two on one project."""

    def two(self, *more: str) -> tuple[Child, Child]:
        return (
            self.twistd("fluxon", "--config", "router.py", "--port", LOCAL, *more),
            self.twistd("fluxon-cloud", "--config", "router.py", "--port", LOCAL, *more),
        )

    def until_denied(self, files: CloudStorageConnector, path: str) -> None:
        """The session's end reaches another process within the freshness limit of two seconds; and some patience."""
        end = time.monotonic() + 15
        while True:
            try:
                files.read_file(path)
            except PermissionDenied:
                return
            self.assertLess(time.monotonic(), end, "a revoked session still reads")

    def test_one_process(self) -> None:
        """``--cloud-port`` beside ``--port``; ``--secure`` is for both."""
        child = self.twistd("fluxon", "--config", "router.py", "--port", LOCAL, "--cloud-port", LOCAL, "--secure")
        port, cloud = self.ports(child, "with TLS")
        main, files = self.enter("emma", port, cloud, secure=True, trust=self.trust)
        self.assertEqual(files.create_directory("/emma").creator, "emma")
        self.assertEqual(main.send_request("assign_me_as_owner", {"path": "/emma"})["role"], "owner")
        files.write_file("/emma/a", b"hers")
        self.assertEqual(files.read_file("/emma/a"), b"hers")
        child.stop()
        self.assertTrue(any("Server Shut Down" in line for line in child.transcript), child.transcript)
        self.assertFalse(any("Traceback" in line for line in child.transcript), child.transcript)

    def test_two_processes(self) -> None:
        """A login in one is known in the other, roles that a view gives hold at once, and a logout is the end."""
        server, storage = self.two()
        port, cloud = self.port(server, False), self.port(storage, True)
        main, files = self.enter("emma", port, cloud)
        _, others = self.enter("mike", port, cloud)
        changes: list[tuple[str, str]] = []
        told = threading.Event()

        def note(change: Any) -> None:
            changes.append((change.action, change.path))
            told.set()

        files.create_directory("/emma")
        self.assertRaises(PermissionDenied, files.write_file, "/emma/a", b"1")
        others.watch("/emma", note)
        # The view runs in the other process, and so does what it changes.
        self.assertEqual(main.send_request("assign_me_as_owner", {"path": "/emma"})["role"], "owner")
        self.assertTrue(told.wait(20))
        self.assertEqual(changes, [("assign_role", "/emma")])
        data = hashlib.shake_128(b"files").digest(3_000_000)
        files.write_file("/emma/a", data)
        self.assertEqual(others.read_file("/emma/a"), data)
        self.assertRaises(PermissionDenied, others.write_file, "/emma/a", b"1")
        again = CloudStorageConnector(host="localhost", port=cloud, connection=main, timeout=20)
        self.addCleanup(again.close)
        self.assertEqual(again.read_file("/emma/a"), data)
        main.send_request("logout", {})
        self.until_denied(again, "/emma/a")
        for child in (server, storage):
            child.stop()
            self.assertFalse(any("Traceback" in line for line in child.transcript), child.transcript)
        # Two that rotated one file would each take it away from the other.
        logs = {each.name for each in (self.project / "logs").glob("*.log")}
        self.assertEqual(logs, {"fluxon.log", "fluxon-cloud.log"})

    def test_new_session_key(self) -> None:
        """A restart of one of the two takes up a new key; who is logged in is so in the other as well, all the time."""
        server, storage = self.two()
        port, cloud = self.port(server, False), self.port(storage, True)
        main, files = self.enter("emma", port, cloud)
        files.create_directory("/emma")
        secrets = Secrets(self.project / "secrets")
        secrets.open()
        self.assertEqual(secrets.rotate_session_key(), "2")
        server.stop()
        server = self.twistd("fluxon", "--config", "router.py", "--port", f"tcp:{port}:interface=127.0.0.1")
        self.assertEqual(self.port(server, False), port)
        self.assertEqual(main.send_request("whoami"), {"response": "emma"})
        assert main.session.token is not None
        self.assertEqual(main.session.token.split(".")[1], "2")
        for connection in (files, CloudStorageConnector(host="localhost", port=cloud, connection=main, timeout=20)):
            self.addCleanup(connection.close)
            self.assertEqual([each.name for each in connection.list_directory("/")], ["emma"])

    def test_reloaded_with_a_session_key(self) -> None:
        """SIGHUP takes a new key up without a restart."""
        server, _ = self.two()
        port = self.port(server, False)
        secrets = Secrets(self.project / "secrets")
        secrets.open()
        secrets.rotate_session_key()
        os.kill(server.pid, signal.SIGHUP)
        server.expect("reloaded: signing sessions with key 2")
        with ConnectionInterface(host="localhost", port=port, timeout=20) as main:
            main.send_request("whoami")
            assert main.session.token is not None
            self.assertEqual(main.session.token.split(".")[1], "2")

    def test_stopped_while_it_sends(self) -> None:
        """SIGTERM in the middle of an upload: it goes on to its end, and then the process ends."""
        server, storage = self.two()
        main, files = self.enter("emma", self.port(server, False), self.port(storage, True))
        files.create_directory("/emma")
        main.send_request("assign_me_as_owner", {"path": "/emma"})
        data = bytes(24_000_000)
        signalled = False

        def progress(sent: int, total: int) -> None:
            nonlocal signalled
            if sent and not signalled:
                signalled = True
                storage._process.send_signal(signal.SIGTERM)

        Path("large.bin").write_bytes(data)
        item = files.upload_file("/emma/large.bin", "large.bin", progress=progress)
        self.assertTrue(signalled)
        self.assertEqual((item.size, item.sha256), (len(data), hashlib.sha256(data).hexdigest()))
        storage.expect("Server Shut Down")

    def test_killed(self) -> None:
        """What was acknowledged before the kill is there after the next start, and what was not leaves nothing."""
        server, storage = self.two()
        port = self.port(server, False)
        main, files = self.enter("emma", port, self.port(storage, True))
        files.create_directory("/emma")
        main.send_request("assign_me_as_owner", {"path": "/emma"})
        for number in range(20):
            files.write_file(f"/emma/{number}", b"%d" % number)
        storage.kill()
        storage = self.twistd("fluxon-cloud", "--config", "router.py", "--port", LOCAL)
        cloud = self.port(storage, True)
        again = CloudStorageConnector(host="localhost", port=cloud, connection=main, timeout=20)
        self.addCleanup(again.close)
        self.assertEqual(len(again.list_directory("/emma")), 20)
        for number in range(20):
            self.assertEqual(again.read_file(f"/emma/{number}"), b"%d" % number)

    def test_wrong_configurations(self) -> None:
        """A setup without a cloud, and a port that is none, are said in one line."""
        generate("AsyncServer", self.project / "plain")
        for arguments, word in (
            (("fluxon-cloud", "--config", "plain/router.py"), "cloud_folder"),
            (("fluxon", "--config", "plain/router.py", "--cloud-port", "0"), "cloud_folder"),
            (("fluxon-cloud", "--config", "router.py", "--port", "http"), "--port"),
            (("fluxon", "--config", "router.py", "--cloud-port", "http"), "--cloud-port"),
            (("fluxon-cloud",), "--config"),
        ):
            done = subprocess.run(
                [TWISTD, "-n", "--pidfile=", *arguments], cwd=self.project, capture_output=True, text=True, timeout=60
            )
            said = (done.stdout + done.stderr).strip()
            self.assertEqual(done.returncode, 1, said)
            self.assertIn(word, said.splitlines()[-1])
            self.assertNotIn("Traceback", said)
