"""Strangers, noise and impatience at the console's port, and what must not reach a terminal or a log."""

from __future__ import annotations

import os
import random
import select
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from console_server import ConsoleServer
from cryptography.hazmat.primitives.asymmetric import dsa
from twisted.conch.ssh.keys import Key
from twisted.cred.portal import Portal
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import ConnectionInterface
from fluxon.console.editor import MAX_LINE
from fluxon.console.script import MAX_WAITING
from fluxon.console.ssh.keys import authorized, fingerprint, host_key
from fluxon.console.ssh.transport import CONNECTIONS, LOGIN_WITHIN, ConsoleFactory
from fluxon.errors import InsecureSecrets


@pytest.fixture(scope="class")
def console(request: pytest.FixtureRequest) -> Any:
    cls: Any = request.cls
    cls.server = ConsoleServer()
    yield
    cls.server.remove()


class _ServedTestCase(SynchronousTestCase):
    server: ConsoleServer

    def still_serves(self) -> None:
        done = self.server.ssh("loglevel")
        self.assertEqual((done.returncode, done.stdout), (0, "everything: info\n"), done.stderr)
        self.assertNotIn("Traceback", self.server.log)


@pytest.mark.usefixtures("console")
class StrangerTests(_ServedTestCase):
    """Who has no key."""

    def test_another_key(self) -> None:
        """Is refused, and the log says from where."""
        self.server.make_key("stranger", "ed25519")
        done = self.server.ssh("help", key="stranger")
        self.assertEqual((done.returncode, done.stdout), (255, ""))
        self.assertIn("Permission denied (publickey)", done.stderr)
        self.still_serves()

    def test_one_that_was_taken_out(self) -> None:
        """The file is read at each login: in as soon as it is added, out as soon as it is removed."""
        self.server.make_key("newcomer", "ecdsa")
        self.assertEqual(self.server.ssh("help", key="newcomer").returncode, 255)
        self.server.authorize("ed25519", "newcomer")
        self.assertEqual(self.server.ssh("help", key="newcomer").returncode, 0)
        self.server.authorize("ed25519", "ecdsa", "rsa")
        self.assertEqual(self.server.ssh("help", key="newcomer").returncode, 255)

    def test_a_file_that_others_may_write(self) -> None:
        """Lets nobody in, and the log says what to type."""
        path = self.server.folder / "secrets" / "authorized_keys"
        path.chmod(0o666)
        try:
            self.assertEqual(self.server.ssh("help").returncode, 255)
            self.server.logged("nobody can log in at the console: .*chmod 600")
        finally:
            path.chmod(0o644)
        self.still_serves()

    def test_passwords(self) -> None:
        """There are none to try: the client is told so before it asks for one."""
        words = self.server.command("help", options=("-o", "PreferredAuthentications=password,keyboard-interactive"))
        words[words.index("BatchMode=yes")] = "BatchMode=no"
        done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=30, check=False)
        self.assertEqual(done.returncode, 255)
        self.assertIn("Permission denied (publickey)", done.stderr)

    def test_an_agent_with_many_keys(self) -> None:
        """The right one may come late: an offer of another key is no attempt."""
        options: list[str] = []
        for number in range(8):
            if not (self.server.folder / "keys" / f"other{number}").exists():
                self.server.make_key(f"other{number}", "ed25519")
            options += ["-i", str(self.server.folder / "keys" / f"other{number}")]
        words = self.server.command("help")
        place = words.index("-i")
        words[place:place] = options
        done = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=40, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_sha1(self) -> None:
        """An RSA key with an old signature is refused, with a new one it is not."""
        for algorithm, status in (("ssh-rsa", 255), ("rsa-sha2-256", 0)):
            options = ("-o", f"PubkeyAcceptedAlgorithms={algorithm}")
            self.assertEqual(self.server.ssh("help", key="rsa", options=options).returncode, status, algorithm)


@pytest.mark.usefixtures("console")
class NoiseTests(_ServedTestCase):
    """What is no SSH, or the wrong SSH, at the port."""

    def send(self, data: bytes) -> bytes:
        """Send and hang up; what came back meanwhile."""
        with socket.create_connection(("127.0.0.1", self.server.console_port), 10) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                received = b""
                while part := connection.recv(65536):
                    received += part
                return received
            except ConnectionError:
                return b""

    def test_noise(self) -> None:
        """Random bytes, other protocols, broken packets: no traceback, and others are served."""
        chance = random.Random(5)
        for greeting in (b"", b"GET / HTTP/1.1\r\n\r\n", b"SSH-1.5-old\r\n", b"SSH-2.0-x\r\n", b"\x16\x03\x01"):
            for size in (0, 1, 5, 100, 5_000):
                self.send(greeting + chance.randbytes(size))
        # Proper lengths around nonsense, of every kind of message.
        for kind in range(256):
            payload = bytes([kind]) + chance.randbytes(chance.randrange(0, 40))
            padding = 8 - (len(payload) + 5) % 8 + 8
            packet = (len(payload) + 1 + padding).to_bytes(4, "big") + bytes([padding]) + payload + bytes(padding)
            self.send(b"SSH-2.0-x\r\n" + packet)
        self.send(b"SSH-2.0-x\r\n" + b"\xff\xff\xff\xff" + bytes(100))
        self.send(b"SSH-2.0-" + b"x" * 100_000)
        self.still_serves()

    def test_an_end_at_every_moment(self) -> None:
        """A client whose connection breaks after any number of bytes, of the handshake and of the login."""
        with socket.create_server(("127.0.0.1", 0)) as line:
            port = line.getsockname()[1]
            for count in (0, 1, 21, 22, 100, 1000, 1500, 1600, 1700, 2000, 2300, 2600, 2900, 3300):
                words = self.server.command("help")
                words[words.index("-p") + 1] = str(port)
                with subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=-3, stderr=-3) as client:
                    theirs, _ = line.accept()
                    with theirs, socket.create_connection(("127.0.0.1", self.server.console_port)) as ours:
                        _relay(theirs, ours, count)
                    client.wait(20)
        self.still_serves()

    def test_too_many(self) -> None:
        """A flood of connections is refused beyond a bound, and whoever is logged in is not disturbed."""
        shell = self.server.terminal()
        self.addCleanup(shell.close, True)
        shell.expect("fluxon> ")
        held = [socket.create_connection(("127.0.0.1", self.server.console_port)) for _ in range(CONNECTIONS + 10)]
        self.server.logged("a connection was refused")
        shell.send("loglevel\r")
        shell.expect("everything: info")
        for each in held:
            each.close()
        end = time.monotonic() + 20
        while self.server.ssh("help").returncode and time.monotonic() < end:
            pass
        self.still_serves()


def _relay(theirs: socket.socket, ours: socket.socket, count: int) -> None:
    """Pass bytes both ways until ``count`` have gone to the server."""
    passed = 0
    while passed < count:
        for each in select.select([theirs, ours], [], [], 5)[0]:
            data = each.recv(min(4096, max(count - passed, 1)) if each is theirs else 4096)
            if not data:
                return
            if each is theirs:
                passed += len(data)
                ours.sendall(data)
            else:
                theirs.sendall(data)


@pytest.mark.usefixtures("console")
class OperatorTests(_ServedTestCase):
    """Who is logged in, and does not mean it."""

    def test_huge_scripts(self) -> None:
        """One line without end, and more lines than are kept waiting: an error, and the session ends."""
        done = self.server.ssh(input="x" * (MAX_WAITING + 100_000), options=("-T",))
        self.assertEqual(done.returncode, 2)
        self.assertIn("send a script in parts", done.stderr)
        done = self.server.ssh(input="help\n" * 2_000, options=("-T",))
        self.assertEqual(done.returncode, 0)
        self.still_serves()

    def test_huge_lines_and_noise_at_a_prompt(self) -> None:
        """Pasted or thrown at it: a bell at most, and then it works."""
        shell = self.server.terminal()
        self.addCleanup(shell.close, True)
        shell.expect("fluxon> ")
        shell.send("x" * (MAX_LINE + 5_000))
        shell.send("\x15")
        chance = random.Random(3)
        os.write(
            shell.child_fd,
            bytes(each for each in chance.randbytes(4_000) if each not in b"\x04\x03\x0d\x0a\x1a\x1c\x7e"),
        )
        shell.send("\x1b\x1b[Z\x03loglevel\r")
        shell.expect("everything: info")
        self.still_serves()

    def test_strangers_names(self) -> None:
        """A user whose name commands terminals does not command the operator's."""
        with ConnectionInterface("localhost", self.server.port) as connection:
            connection.send_request("sign_in", "eve\x1b]0;owned\x07\x1b[2J\u202e")
            shell = self.server.terminal()
            self.addCleanup(shell.close, True)
            shell.expect("fluxon> ")
            shell.send("users\r")
            shell.expect(r"eve\\x1b\]0;owned\\x07")
            shell.send("logout \t\t")
            shell.send("\x15help\r")
            shell.expect("terminate")
            self.assertNotIn("\x1b]0", shell.before)
            self.assertNotIn("\x1b[2J", shell.before)

    def test_a_client_that_does_not_read(self) -> None:
        """Of a log that is followed, lines are left out; the server holds a bounded part, and serves others."""
        client = subprocess.Popen(
            self.server.command("tail", "logs", "-f"), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
        )
        self.addCleanup(client.wait)
        self.addCleanup(client.kill)
        assert client.stdout is not None
        client.stdout.readline()
        before = _resident(self.server.process.pid)
        flood = "__import__('twisted.logger').logger.Logger(namespace='flood').info('x' * 5000)"
        self.told_python(f"[{flood} for _ in range(20_000)] and None")
        self.assertLess(_resident(self.server.process.pid) - before, 60 * 2**20)
        self.assertIn("everything", self.server.ssh("loglevel").stdout)

    def told_python(self, code: str) -> None:
        done = self.server.ssh("python", code)
        self.assertEqual((done.returncode, done.stdout), (0, ""), done.stderr)


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class TimeTests(SynchronousTestCase):
    """By a clock of the test's."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.factory = ConsoleFactory(self.clock, host_key(Path("secrets")), Portal(None, []))
        self.factory.doStart()
        self.addCleanup(self.factory.doStop)

    def connection(self) -> tuple[Any, StringTransport]:
        protocol, transport = self.factory.buildProtocol(None), StringTransport()
        transport.abortConnection = transport.loseConnection  # type: ignore[method-assign]
        protocol.makeConnection(transport)
        return protocol, transport

    def test_silence(self) -> None:
        """Whoever says nothing, or something now and then, is gone when the time for a login is over."""
        _, silent = self.connection()
        talking, slow = self.connection()
        talking.dataReceived(b"SSH-2.0-slow\r\n")
        self.clock.advance(LOGIN_WITHIN - 0.1)
        self.assertFalse(silent.disconnecting or slow.disconnecting)
        self.clock.advance(0.2)
        self.assertTrue(silent.disconnecting and slow.disconnecting)
        self.assertEqual(LOGIN_WITHIN, 30)

    def test_nothing_is_left(self) -> None:
        """A connection that has ended has no timer."""
        protocol, _ = self.connection()
        protocol.connectionLost(None)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.factory.transports, set())


class KeyFileTests(SynchronousTestCase):
    """``authorized_keys`` and the host key as files."""

    GOOD = Path("good.pub")

    def setUp(self) -> None:
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "me at home", "-f", "good"], check=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "rsa", "-b", "1024", "-N", "", "-f", "weak"], check=True)
        self.good = self.GOOD.read_text().strip()
        host_key(Path("secrets"))

    def read(self, text: str) -> tuple[list[str], list[str]]:
        Path("secrets/authorized_keys").write_text(text)
        said: list[str] = []

        class Log:
            def warn(self, text: str, **more: Any) -> None:
                said.append(text.format(**more))

        found = authorized(Path("secrets"), Log())  # type: ignore[arg-type]
        return [str(each) for each in found.values()], said

    def test_lines(self) -> None:
        """Comments are none; what cannot be honoured in full is refused by its number, and the rest still counts."""
        lines = [
            "# comment",
            "",
            f'from="10.0.0.1" {self.good}',
            f'command="status" {self.good}',
            "ssh-ed25519 AAAA",
            "ssh-ed25519",
            Path("weak.pub").read_text().strip(),
            "\x00\xff",
            Path("good").read_text().splitlines()[0],
            Key(dsa.generate_private_key(1024)).public().toString("openssh").decode(),
            self.good,
        ]
        found, said = self.read("\n".join(lines))
        self.assertEqual(found, [f"me at home ({fingerprint(Key.fromString(self.good.encode()))})"])
        self.assertEqual(
            [each.split("line ")[1].split(" ")[0] for each in said], ["3", "4", "5", "6", "7", "8", "9", "10"]
        )
        self.assertIn("DSA keys are not safe", said[-1])

    def test_no_file(self) -> None:
        """Nobody may log in."""
        self.assertEqual(authorized(Path("secrets")), {})

    def test_links_and_loose_files(self) -> None:
        """Are refused, whatever they hold."""
        path = Path("secrets/authorized_keys")
        path.symlink_to(self.GOOD.absolute())
        self.assertRaises(InsecureSecrets, authorized, Path("secrets"))
        path.unlink()
        path.write_text(self.good)
        path.chmod(0o664)
        self.assertRaises(InsecureSecrets, authorized, Path("secrets"))
        path.chmod(0o644)
        self.assertEqual(len(authorized(Path("secrets"))), 1)
        Path("secrets").chmod(0o755)
        self.assertRaises(InsecureSecrets, authorized, Path("secrets"))

    def test_the_host_key(self) -> None:
        """The same again; a damaged or public one is refused, never replaced."""
        path = Path("secrets/ssh_host_ed25519_key")
        self.assertEqual(host_key(Path("secrets")), host_key(Path("secrets")))
        for content in (b"", b"noise", self.good.encode()):
            path.write_bytes(content)
            self.assertRaises(InsecureSecrets, host_key, Path("secrets"))
            self.assertEqual(path.read_bytes(), content)
