"""A server under twistd, from its options to its end."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from children import Child
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import ConnectionInterface
from fluxon.startproject import generate

TWISTD = Path(sys.executable).with_name("twistd")
LOCAL = "tcp:0:interface=127.0.0.1"


@pytest.mark.slow
class RunningTests(SynchronousTestCase):
    """Each starts a generated project from a folder that is not the project's."""

    def setUp(self) -> None:
        generate("AsyncServer", "chat")

    def twistd(self, *arguments: str, before: tuple[str, ...] = ()) -> Child:
        child = Child("twistd", [TWISTD, "-n", "--pidfile=", *before, "fluxon", *arguments], Path.cwd())
        self.addCleanup(child.discard)
        return child

    def listening(self, child: Child) -> tuple[str, int, str]:
        """Interface, port and "with TLS" or "without TLS"."""
        found = child.expect(r"listening on tcp (\S+):(\d+) (with(?:out)? TLS)")
        return found[1], int(found[2]), found[3]

    def answer(self, port: int, **more: object) -> object:
        with ConnectionInterface(host="localhost", port=port, timeout=20, **more) as connection:  # type: ignore[arg-type]
            return connection.send_request("send_message", {})

    def test_a_router(self) -> None:
        """The endpoint is the option's, the views answer, and SIGTERM ends it in good order."""
        child = self.twistd("--config", "chat/router.py", "--port", LOCAL)
        host, port, tls = self.listening(child)
        self.assertEqual((host, tls), ("127.0.0.1", "without TLS"))
        self.assertEqual(self.answer(port), {"response": "login needed"})
        child.stop()
        self.assertTrue(any("Server Shut Down" in line for line in child.transcript), child.transcript)
        self.assertFalse(any("Traceback" in line for line in child.transcript), child.transcript)

    def test_tls(self) -> None:
        """--secure serves the project's own certificate, which names localhost."""
        child = self.twistd("--config", "chat/router.py", "--port", LOCAL, "--secure")
        _, port, tls = self.listening(child)
        self.assertEqual(tls, "with TLS")
        answer = self.answer(port, secure=True, trust="chat/secrets/certificate.pem")
        self.assertEqual(answer, {"response": "login needed"})

    def test_a_server_file_gives_the_defaults(self) -> None:
        """What server.py says holds where the command line says nothing, and its run_server is not called."""
        server = Path("chat/server.py")
        server.write_text(server.read_text().replace("port=8080", "port=0").replace("secure=False", "secure=True"))
        host, port, tls = self.listening(self.twistd("--config", "chat/server.py"))
        self.assertEqual((host, tls), ("0.0.0.0", "with TLS"))
        self.assertEqual(
            self.answer(port, secure=True, trust="chat/secrets/certificate.pem"), {"response": "login needed"}
        )

    def test_options_go_before_the_file(self) -> None:
        """A bare port replaces the server's; without TLS it is this machine's alone."""
        free = socket.create_server(("127.0.0.1", 0))
        number = free.getsockname()[1]
        free.close()
        host, port, tls = self.listening(self.twistd("--config", "chat/server.py", "--port", str(number)))
        self.assertEqual((host, port, tls), ("127.0.0.1", number, "without TLS"))

    def test_a_unix_socket(self) -> None:
        """Any endpoint that Twisted knows will do."""
        child = self.twistd("--config", "chat/router.py", "--port", "unix:chat.socket")
        child.expect("listening on .*chat.socket")
        self.assertTrue(Path("chat.socket").is_socket())
        child.stop()
        self.assertFalse(Path("chat.socket").exists())

    def test_another_reactor(self) -> None:
        """Which reactor runs is twistd's to say: nothing of the plugin has chosen one before."""
        child = self.twistd("--config", "chat/router.py", "--port", LOCAL, "--secure", before=("--reactor=asyncio",))
        child.expect("reactor class: .*AsyncioSelectorReactor")
        _, port, _ = self.listening(child)
        answer = self.answer(port, secure=True, trust="chat/secrets/certificate.pem")
        self.assertEqual(answer, {"response": "login needed"})

    def test_a_port_in_use(self) -> None:
        """twistd ends with status 1 and a line that names the port, instead of staying and serving nobody."""
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        child = self.twistd("--config", "chat/router.py", "--port", str(port))
        child.expect(f"cannot start.*{port}")
        self.assertEqual(child.end_of_input(), 1)
        self.assertFalse(any("Traceback" in line for line in child.transcript), child.transcript)

    def test_a_console_port_in_use(self) -> None:
        """The same for the port of the console."""
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]
        child = self.twistd("--config", "chat/router.py", "--port", LOCAL, "--manhole", f"tcp:{port}")
        child.expect(f"cannot start.*{port}")
        self.assertEqual(child.end_of_input(), 1)
        self.assertFalse(any("Traceback" in line for line in child.transcript), child.transcript)

    def test_a_console_is_this_machines(self) -> None:
        """Unless an interface is named; and without keys it says so."""
        child = self.twistd("--config", "chat/router.py", "--port", LOCAL, "--manhole", "tcp:0")
        self.assertEqual(child.expect(r"console by SSH on (\S+):\d+, host key SHA256:")[1], "127.0.0.1")
        child.expect("nobody can log in at the console yet")
        child = self.twistd("--config", "chat/router.py", "--port", LOCAL, "--manhole", "tcp:0:interface=0.0.0.0")
        self.assertEqual(child.expect(r"console by SSH on (\S+):\d+,")[1], "0.0.0.0")

    def test_secrets_that_others_can_read(self) -> None:
        """The same for keys with loose modes: the line says what to type."""
        Path("chat/secrets").chmod(0o755)
        child = self.twistd("--config", "chat/router.py", "--port", LOCAL)
        child.expect("cannot start.*chmod 700")
        self.assertEqual(child.end_of_input(), 1)

    def test_as_a_daemon(self) -> None:
        """twistd forks after it has loaded the project: threads and database are opened on the right side of that."""
        subprocess.run(
            [
                TWISTD,
                "--pidfile=twistd.pid",
                "--logfile=twistd.log",
                "fluxon",
                "--config=chat/router.py",
                f"--port={LOCAL}",
            ],
            check=True,
            capture_output=True,
            timeout=60,
        )
        pid = int(Path("twistd.pid").read_text())
        self.addCleanup(_end, pid)
        log = Path("chat/logs/fluxon.log")
        port = int(_eventually(lambda: log.exists() and re.search(r"listening on tcp \S+:(\d+)", log.read_text()))[1])
        with ConnectionInterface(port=port, timeout=20) as connection:
            payload = {"username": "emma", "email": "emma@example.com", "password": "Secret123"}
            self.assertEqual(connection.send_request("create_user", payload), {"response": "signed up successfully"})
        os.kill(pid, 15)
        _eventually(lambda: not Path("twistd.pid").exists())


def _eventually(condition, seconds: float = 30):  # type: ignore[no-untyped-def]
    """What ``condition`` returns once it is true. A daemon has no output to wait on."""
    end = time.monotonic() + seconds
    while not (found := condition()):
        if time.monotonic() > end:
            raise AssertionError("it did not happen")
        time.sleep(0.02)
    return found


def _end(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return
