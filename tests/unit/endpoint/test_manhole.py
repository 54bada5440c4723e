"""The console over SSH in this process: what sessions may ask for, and how they end."""

from __future__ import annotations

import os
import struct
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa
from operators import ConsoleTestCase
from serving import Person
from twisted.conch.error import ConchError
from twisted.conch.ssh.common import NS
from twisted.conch.ssh.connection import MSG_CHANNEL_DATA, OPEN_RESOURCE_SHORTAGE
from twisted.conch.ssh.keys import Key
from twisted.cred.credentials import SSHPrivateKey
from twisted.cred.error import UnauthorizedLogin
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.protocol import Protocol
from twisted.logger import globalLogPublisher

from fluxon.console.ssh import channel as channel_module
from fluxon.console.ssh import manhole as manhole_module
from fluxon.console.ssh.authentication import KeyChecker
from fluxon.endpoint import AsyncServer
from fluxon.errors import InsecureSecrets
from fluxon.routing import Request
from fluxon.workers import WorkerPool


class SessionTests(ConsoleTestCase):
    """What a client asks for."""

    async def test_a_command(self) -> None:
        """Ends with its status; what went wrong is on standard error."""
        operator = await self.operator(await self.serve_console())
        for line, status in (("loglevel", 0), ("kick 99999", 1), ("nonsense", 2)):
            session = await operator.session()
            await session.ask_command(line)
            await session.over
            self.assertEqual(session.statuses, [status], line)
            self.assertEqual((bool(session.told), bool(session.complaints)), (not status, bool(status)), line)

    async def test_too_many_sessions(self) -> None:
        """As many as OpenSSH allows on one connection; when one has ended there is room for another.

        A refusal is no fault: nothing of it is in the log (trial fails a test that logs a traceback).
        """
        operator = await self.operator(await self.serve_console())
        sessions = [await operator.session() for _ in range(10)]
        error = await self.fails(ConchError, operator.session())
        self.assertEqual(error.data, OPEN_RESOURCE_SHORTAGE)
        await sessions[0].ask_command("loglevel")
        await sessions[0].over
        await operator.session()

    async def test_a_second_request(self) -> None:
        """A session runs one thing: what is asked besides is refused, and the first goes on."""
        operator = await self.operator(await self.serve_console())
        session = await operator.session()
        await session.ask(b"shell")
        await self.fails(ConchError, session.ask(b"shell"))
        await self.fails(ConchError, session.ask_command("loglevel"))
        session.write(b"loglevel\n")
        session.conn.sendEOF(session)
        await session.over
        self.assertEqual((session.told, session.statuses), ("everything: info\n", [0]))

    async def test_windows(self) -> None:
        """One command fits the terminal as it is then; without a terminal nothing is cut, whatever a client says."""
        operator = await self.operator(await self.serve_console())
        for columns in (None, 100):
            session = await operator.session()
            if columns is not None:
                await session.ask_terminal(columns)
            await session.ask_window(40)
            await session.ask_command("help")
            await session.over
            self.assertEqual("…" in session.told, columns is not None, session.told)
            self.assertEqual(max(map(len, session.told.splitlines()[:5])) <= 40, columns is not None, session.told)

    async def test_a_prompt(self) -> None:
        """Is drawn anew in another window, and ends with the last command's status when nothing more is typed."""
        operator = await self.operator(await self.serve_console())
        session = await operator.session()
        await session.ask_terminal(80)
        await session.ask(b"shell")
        await session.tells("fluxon> ")
        session.write(b"kick 99999\r")
        await session.tells("is called '99999'")
        await session.ask_window(60)
        prompts = session.told.count("fluxon> ")
        await session.ask_window(50)
        self.assertEqual(session.told.count("fluxon> "), prompts + 1)
        session.conn.sendEOF(session)
        await session.over
        self.assertEqual(session.statuses, [1])

    async def test_signals(self) -> None:
        """``INT`` stops a command, as Ctrl+C does; where nothing runs there is nobody to tell."""
        operator = await self.operator(await self.serve_console())
        session = await operator.session()
        await self.fails(ConchError, session.ask(b"signal", NS(b"INT")))
        await session.ask_command("tail logs -f")
        await session.tells("\n")
        await session.ask(b"signal", NS(b"INT"))
        await session.over
        self.assertEqual(session.statuses, [0])

    async def test_keys_for_one_command(self) -> None:
        """On a terminal only Ctrl+C is heard; without one there is no standard input at all."""
        operator = await self.operator(await self.serve_console())
        piped, typed = await operator.session(), await operator.session()
        await typed.ask_terminal(80)
        for session in (piped, typed):
            await session.ask_command("tail logs -f")
            await session.tells("\n")
        piped.write(b"terminate\n\x03")
        typed.write(b"terminate\r")
        # By the same way, and so after the keys.
        await typed.ask_window(50)
        self.assertEqual((piped.statuses, typed.statuses), ([], []))
        typed.write(b"\x03")
        await typed.over
        self.assertEqual((piped.statuses, typed.statuses), ([], [0]))

    async def test_a_client_that_is_broken(self) -> None:
        """Loses its connection, and is named in the log; others go on."""
        named: list[Any] = []

        def observe(event: Any) -> None:
            if "log_failure" in event and "operator" in event:
                named.append(event["operator"].comment)

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        server = await self.serve_console()
        operator, other = await self.operator(server), await self.operator(server)
        operator.connection.transport.sendPacket(MSG_CHANNEL_DATA, struct.pack(">L", 77) + NS(b"for nobody"))
        await self.until(lambda: not operator.link.open)
        self.assertEqual(named, ["emma"])
        self.assertTrue(self.flushLoggedErrors())
        going_on = await other.session()
        await going_on.ask_command("loglevel")
        await going_on.over
        self.assertEqual(going_on.statuses, [0])

    async def test_one_that_reads_nothing(self) -> None:
        """Is let go when too much waits for it, and the server holds no more than that."""
        self.patch(channel_module, "MAX_UNREAD", 400_000)

        async def much(request: Request) -> str:
            return "x" * 100_000

        operator = await self.operator(await self.serve_console(much))
        session = await operator.session()
        await session.ask_terminal(80)
        await session.ask(b"shell")
        await session.tells("fluxon> ")
        operator.link.to_client.hold()
        for _ in range(20):
            session.write(b"call much\r")
        await self.until(lambda: not operator.link.open)
        await session.over
        self.assertEqual(session.statuses, [])


class PythonTests(ConsoleTestCase):
    """The Python prompt of a session."""

    async def test_a_block_that_is_abandoned(self) -> None:
        """Ctrl+C forgets the lines of a block and stays in the prompt, where Tab has nothing to offer."""
        operator = await self.operator(await self.serve_console(console_python=True))
        session = await operator.session()
        await session.ask_terminal(80)
        await session.ask(b"shell")
        session.write(b"python\r")
        await session.tells(">>> ")
        session.write(b"for each in range(3):\r")
        await session.tells("... ")
        session.write(b"\x03print('still ' 'here')\rhel\t\x15exit\rloglevel\r")
        await session.tells("everything: info")
        self.assertIn("still here\r\n", session.told)
        self.assertNotIn("Error", session.told)
        self.assertNotIn("help", session.told.partition("still here")[2])


class EndTests(ConsoleTestCase):
    """The server stops."""

    async def test_everybody_is_let_go(self) -> None:
        """Who asked for nothing yet, who looks on, and who has not logged in: nobody is waited for."""
        server = await self.serve_console()
        operator = await self.operator(server)
        idle, following = await operator.session(), await operator.session()
        await following.ask_command("tail logs -f")
        await following.tells("\n")
        _, link = await self.stranger(server, Protocol)
        await server.stopService()
        await idle.over
        await following.over
        self.assertEqual((idle.statuses, following.statuses), ([], [1]))
        self.assertFalse(link.open)

    async def test_who_does_not_go(self) -> None:
        """Whose program hears nothing is cut off after a moment; a session that was over has no second status."""
        self.patch(manhole_module, "_CLOSE_WITHIN", 0.05)
        server = await self.serve_console()
        operator = await self.operator(server)
        done, following = await operator.session(), await operator.session()
        await following.ask_command("tail logs -f")
        await following.tells("\n")
        operator.link.to_client.hold()
        done.ask_command("kick 99999").addErrback(lambda _: None)
        # It was told to end, and does not know yet.
        [transport] = server._manhole._factory.transports  # type: ignore[union-attr]
        await self.until(lambda: any(each.localClosed for each in transport.service.channels.values()))
        await server.stopService()
        await done.over
        self.assertFalse(operator.link.open)
        self.assertEqual((done.statuses, following.statuses), ([], []))


class StartTests(ConsoleTestCase):
    """A console that cannot be."""

    async def refused(self, kind: type[BaseException], server: AsyncServer) -> Any:
        server.startService()
        self.addCleanup(server.stopService)
        return await self.fails(kind, server.when_ready())

    async def test_a_host_key_that_is_none(self) -> None:
        """The server does not start without its console, and says what to do; nothing listens."""
        setup = self.setup_with_key(users=True)
        path = Path("project/keys/ssh_host_ed25519_key")
        path.write_text("no key")
        path.chmod(0o600)
        place = self.new_place()
        error = await self.refused(InsecureSecrets, AsyncServer(setup=setup, endpoint=place, manhole=self.new_place()))
        self.assertIn("remove it to have a new one made", error.text)
        self.assertEqual(self.network._listening, {})
        # Nothing holds the database.
        path.unlink()
        await self.start(setup, endpoint=place, manhole=self.new_place())
        self.assertEqual(await Person.Count(), 0)

    async def test_metrics_of_a_server_that_did_not_start(self) -> None:
        """Their port is closed again with everything else, whatever failed."""
        setup = self.setup_with_key()
        path = Path("project/keys/ssh_host_ed25519_key")
        path.write_text("no key")
        path.chmod(0o600)
        await self.refused(
            InsecureSecrets,
            AsyncServer(setup=setup, endpoint=self.new_place(), manhole=self.new_place(), metrics=self.new_place()),
        )
        self.assertEqual(self.network._listening, {})

    async def test_metrics_that_cannot_be(self) -> None:
        """A port of theirs that is taken ends the start, and nothing is left of it."""
        setup = self.setup_with_key()
        taken = await self.start(self.setup_of(folder="other"), host="127.0.0.1")
        number = taken.listening_port.getHost().port
        error = await self.refused(
            CannotListenError,
            AsyncServer(setup=setup, endpoint=self.new_place(), manhole=self.new_place(), metrics=number),
        )
        self.assertIn(str(number), str(error))
        self.assertEqual(self.network._listening, {})


class ProofTests(ConsoleTestCase):
    """Signatures."""

    async def test_old_signatures(self) -> None:
        """A proof by SHA-1 is none, though it holds; the same key proves itself by SHA-2."""
        threads = WorkerPool("console", 1, reactor)  # type: ignore[arg-type]
        self.addCleanup(threads.stop)
        self.key = Key(rsa.generate_private_key(65537, 2048))
        setup = self.setup_with_key()
        checker = KeyChecker(setup.secrets.path, threads)
        text = os.urandom(40)

        def attempt(kind: bytes, signed: bytes = text) -> Deferred[Any]:
            signature = self.key.sign(signed, signatureType=kind)
            return checker.requestAvatarId(SSHPrivateKey(b"anybody", kind, self.key.blob(), text, signature))

        self.assertEqual((await attempt(b"rsa-sha2-512")).comment, "emma")
        await self.fails(UnauthorizedLogin, attempt(b"ssh-rsa"))
        await self.fails(UnauthorizedLogin, attempt(b"rsa-sha2-512", b"something else"))
