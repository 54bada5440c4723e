"""A generated project, used as its owner would on the first day."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from children import Child
from twisted.trial.unittest import SynchronousTestCase

import fluxon
from fluxon.connect import ConnectionInterface
from fluxon.errors import ResourceExhausted, UnknownView
from fluxon.startproject import generate

#: In no file of a project, its tests included.
PASSWORD = "Secret987"

#: A child process finds the same Fluxon as this one.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(fluxon.__file__).parent.parent)}


class ProjectTestCase(SynchronousTestCase):
    """A new project in ``self.project``, whose server takes any free port."""

    def setUp(self) -> None:
        self.project = Path("chat").absolute()
        generate("AsyncServer", self.project)
        self.edit("server.py", "port=8080", "port=0")

    def edit(self, name: str, old: str, new: str) -> None:
        """Change a file as its owner would in an editor."""
        text = (self.project / name).read_text()
        self.assertIn(old, text)
        (self.project / name).write_text(text.replace(old, new))

    def start(self, *command: str | Path, folder: Path | None = None) -> Child:
        server = Child("the server", command, folder or self.project)
        self.addCleanup(server.discard)
        return server

    def serve(self) -> tuple[Child, int]:
        """``python server.py``, and the port that it chose."""
        server = self.start(sys.executable, "server.py")
        return server, int(server.expect(r"listening on tcp 127\.0\.0\.1:(\d+)").group(1))

    def connect(self, port: int, **more: Any) -> ConnectionInterface:
        connection = ConnectionInterface(host="localhost", port=port, timeout=20, **more)
        self.addCleanup(connection.close)
        return connection

    def sign_up(self, port: int, name: str, **more: Any) -> ConnectionInterface:
        connection = self.connect(port, **more)
        payload = {"username": name, "email": f"{name}@example.com", "password": PASSWORD}
        self.assertEqual(connection.send_request("create_user", payload), {"response": "signed up successfully"})
        return connection


class FirstDayTests(ProjectTestCase):
    """``python server.py`` and its views."""

    def test_two_people_talk(self) -> None:
        """Sign-up logs in, and a message arrives as a call of the receiver's function, in both directions."""
        _, port = self.serve()
        heard: list[tuple[str, str, str]] = []
        arrived = threading.Semaphore(0)

        def listener(me: str) -> Callable[[str, str], None]:
            def receive_message(sender: str, message: str) -> None:
                heard.append((me, sender, message))
                arrived.release()

            return receive_message

        emma, mike = self.sign_up(port, "emma"), self.sign_up(port, "mike")
        emma.reverse_request_mapping({"receive_message": listener("emma")})
        mike.reverse_request_mapping({"receive_message": listener("mike")})
        self.assertEqual(
            emma.send_request("send_message", {"receiver": "mike", "message": "hello"}), {"response": "sent"}
        )
        self.assertEqual(mike.send_request("send_message", {"receiver": "emma", "message": "hi"}), {"response": "sent"})
        self.assertTrue(arrived.acquire(timeout=10) and arrived.acquire(timeout=10))
        self.assertEqual(heard, [("mike", "emma", "hello"), ("emma", "mike", "hi")])

    def test_what_login_says(self) -> None:
        """The right password logs in; a wrong one and an unknown name get one and the same answer."""
        _, port = self.serve()
        self.sign_up(port, "emma").close()
        emma = self.connect(port)
        refused = {"response": "wrong username or password"}
        for username, password in (("emma", "Secret986"), ("nobody", PASSWORD), ("emma", ""), ("", "")):
            with self.subTest((username, password)):
                answer = emma.send_request("login", {"username": username, "password": password})
                self.assertEqual(answer, refused)
        self.assertEqual(
            emma.send_request("login", {"username": "emma", "password": PASSWORD}),
            {"response": "logged in successfully"},
        )
        self.assertEqual(
            emma.send_request("send_message", {"receiver": "zoe", "message": "x"}), {"response": "there is no zoe"}
        )
        self.assertEqual(emma.send_request("logout", {}), {"response": "logged out"})
        self.assertEqual(
            emma.send_request("send_message", {"receiver": "zoe", "message": "x"}), {"response": "login needed"}
        )

    def test_what_sign_up_refuses(self) -> None:
        """Bad names, addresses and passwords, and what somebody else has already."""
        _, port = self.serve()
        self.sign_up(port, "emma")
        stranger = self.connect(port)
        good = {"username": "mike", "email": "mike@example.com", "password": PASSWORD}
        name = "invalid username: 3 to 32 letters, digits, dots and dashes, a letter first"
        password = "invalid password: 8 characters or more, with a capital and a small letter and a digit"
        for change, response in (
            ({"username": "m"}, name),
            ({"username": "mike\n"}, name),
            ({"email": "mike"}, "invalid email"),
            ({"password": "secret"}, password),
            ({"username": "emma"}, "username or email already exists"),
            ({"email": "emma@example.com"}, "username or email already exists"),
        ):
            with self.subTest(change):
                self.assertEqual(stranger.send_request("create_user", good | change), {"response": response})

    def test_payloads_of_any_shape(self) -> None:
        """A client may send whatever it likes: the views answer, and none of them fails."""
        _, port = self.serve()
        emma = self.sign_up(port, "emma")
        for payload in (None, [], "text", 7, {}, {"username": 1, "password": [], "receiver": {}, "message": None}):
            for view in ("create_user", "login", "send_message"):
                with self.subTest((view, payload)):
                    try:
                        self.assertIn("response", emma.send_request(view, payload))
                    except ResourceExhausted:  # so many logins that fail: the next have to wait
                        self.assertEqual(view, "login")

    def test_only_the_views_are_views(self) -> None:
        """Neither what views.py imports nor its private functions answer requests."""
        _, port = self.serve()
        stranger = self.connect(port)
        for name in ("_sent", "validate_email", "where", "User", "__name__"):
            with self.subTest(name):
                self.assertRaises(UnknownView, stranger.send_request, name, {})

    def test_the_client_stays_logged_in(self) -> None:
        """``client.py --stay``: killed and started again it is who it was; after a logout, and with junk, nobody."""
        _, port = self.serve()
        kept = self.project / "emma.session"

        def client() -> Child:
            command = [sys.executable, "-u", "client.py", "--port", str(port), "--stay", kept.name]
            child = self.start(*command)
            child.expect("^Commands: ")
            return child

        emma = client()
        for line in ("create_user", "emma", "emma@example.com", PASSWORD):
            emma.say(line)
        emma.expect("signed up successfully")
        self.assertEqual(kept.stat().st_mode & 0o777, 0o600)
        emma.kill()

        emma = client()
        emma.expect("^welcome back, emma$")
        emma.say("logout")
        emma.expect("^logged out$")
        emma.say("exit")
        self.assertEqual(emma.end_of_input(), 0)

        client().expect("^please log in$")
        kept.write_text("v1.1.junk.junk")
        client().expect("^please log in$")

    def test_the_password_is_stored_hashed(self) -> None:
        """No file of the project holds it, the write-ahead log and the server's log included."""
        server, port = self.serve()
        self.sign_up(port, "emma")
        server.stop()
        contents = {each.name: each.read_bytes() for each in self.project.rglob("*") if each.is_file()}
        self.assertTrue(any(b"$argon2id$" in content for content in contents.values()))
        self.assertEqual([name for name, content in contents.items() if PASSWORD.encode() in content], [])

    def test_the_first_start_makes_the_database(self) -> None:
        """It says so, the schema file is there, and the second start has nothing to do."""
        server, _ = self.serve()
        self.assertTrue(any("schema_00001.sql" in line for line in server.transcript), server.transcript)
        self.assertEqual(os.listdir(self.project / "database_schema"), ["schema_00001.sql"])
        server.stop()
        again, _ = self.serve()
        self.assertFalse(any("schema_0000" in line for line in again.transcript), again.transcript)
        self.assertEqual(os.listdir(self.project / "database_schema"), ["schema_00001.sql"])

    def test_ctrl_c(self) -> None:
        """SIGINT ends the server in good order, with status 0 and no traceback."""
        server, _ = self.serve()
        os.kill(server.pid, signal.SIGINT)
        self.assertEqual(server.end_of_input(), 0)
        self.assertFalse(any("Traceback" in line for line in server.transcript), server.transcript)


class ProjectsTestsTests(SynchronousTestCase):
    """A new project brings tests of its own."""

    def run_tests(self, folder: Path, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-m", *command], cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=100
        )
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return done.stdout + done.stderr

    def test_they_pass(self) -> None:
        """With the command that README.md shows; they ask no database server, and leave the project as it was."""
        folder = Path("files")
        generate("AsyncServer", folder, cloud=True, database="postgresql")
        self.assertIn("Ran 10 tests", self.run_tests(folder, "unittest"))
        left = {each.name for each in folder.iterdir()}
        self.assertFalse(left & {"database.sqlite3", "cloud"}, left)
        self.assertEqual(os.listdir(folder / "logs") + os.listdir(folder / "database_schema"), [])

    def test_they_fail(self) -> None:
        """When a view does something else."""
        generate("AsyncServer", "broken")
        views = Path("broken/views.py")
        views.write_text(views.read_text().replace('{"response": "sent" if taken', '{"response": "sent" if not taken'))
        with self.assertRaises(self.failureException) as caught:
            self.run_tests(Path("broken"), "unittest", "-k", "message")
        self.assertIn("mike is offline", str(caught.exception))

    def test_pytest_and_its_fixtures(self) -> None:
        """Runs them too, and plain functions with a server of their own, as docs/testing.rst has them."""
        generate("AsyncServer", "chat")
        Path("chat/tests/conftest.py").write_text(
            "import pytest\nimport router\n\npytest_plugins = 'fluxon.testing.pytest'\n\n"
            "@pytest.fixture\ndef fluxon_setup():\n    return router.setup\n"
        )
        Path("chat/tests/test_functions.py").write_text(
            "def test_nobody(app):\n    assert app.connect().send_request('whoami') == {'response': None}\n"
        )
        self.assertIn("7 passed", self.run_tests(Path("chat"), "pytest", "-q", "-p", "no:cacheprovider"))


@pytest.mark.slow
class RestartTests(ProjectTestCase):
    """The server goes away and comes back."""

    def test_nobody_is_logged_out(self) -> None:
        """Killed and started again on its port: a client reconnects by itself and is still who it was."""
        server, port = self.serve()
        emma = self.sign_up(port, "emma")
        server.kill()
        self.edit("server.py", "port=0", f"port={port}")
        self.serve()
        self.assertEqual(
            emma.send_request("send_message", {"receiver": "zoe", "message": "x"}), {"response": "there is no zoe"}
        )
