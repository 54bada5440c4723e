"""The chat: windows of Textual, driven headless and on real terminals, with a real server and real connections."""

from __future__ import annotations

import asyncio
import importlib.util
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pexpect
import pytest
from benchmarks.processes import free_port
from children import Child
from example import Example
from pages import Page
from terminal import Terminal
from textual.pilot import Pilot
from textual.widgets import RichLog, Static
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import ConnectionInterface
from fluxon.errors import Unavailable

README = "docs/examples/chat/README.md"
PASSWORD = "Secret123"


class Served(SynchronousTestCase):
    """A server of the example's, as its own program."""

    def setUp(self) -> None:
        self.example = Example(self, "chat")

    def serve(self, line: str, port: str = "0") -> tuple[Child, str]:
        server = self.example.start(f"{line} --port {port}")
        return server, server.expect(r"listening on tcp \S+:(\d+)", 60)[1]


class Person:
    """Somebody in front of a window that no terminal shows."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self._shown = AsyncExitStack()
        self.pilot: Pilot[Any]

    async def __aenter__(self) -> Person:
        self.pilot = await self._shown.enter_async_context(self.app.run_test(size=(100, 30)))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.app.action_quit()
        await self._shown.aclose()

    async def leave(self) -> None:
        """Until the window, and its connection, is closed."""
        await self.type("/quit")
        await self._shown.aclose()

    async def type(self, line: str, into: str = "line") -> None:
        """Into a field, when it has the focus, and Enter. (Key by key it would take seconds.)"""
        await self.until(lambda: getattr(self.app.screen.focused, "id", "") == into)
        self.app.screen.focused.value = line
        await self.pilot.press("enter")

    async def sign_up(self, name: str) -> None:
        await self.type(name, into="name")
        self.app.screen.query_one("#password").value = PASSWORD
        await self.pilot.click("#sign_up")
        await self.until(lambda: self.title == f"{name} in lobby: connected")

    async def until(self, condition: Callable[[], Any]) -> None:
        """Until it is so; the limit of the whole test is that of this, too."""
        while not condition():
            await self.pilot.pause(0.02)

    async def sees(self, text: str) -> None:
        await self.until(lambda: any(text in line for line in self.lines))

    @property
    def lines(self) -> list[str]:
        return [line.text.rstrip() for line in self.app.query_one("#said", RichLog).lines]

    @property
    def title(self) -> str:
        return str(self.app.sub_title)

    @property
    def people(self) -> list[str]:
        return str(self.app.query_one("#people", Static).content).split("\n")


class WindowTests(Served):
    """Two people, each with a window."""

    def setUp(self) -> None:
        super().setUp()
        self.server, self.port = self.serve("python server.py")
        # By a name of its own: every example has a client.
        spec = importlib.util.spec_from_file_location("chat_client", self.example.folder / "client.py")
        assert spec is not None and spec.loader is not None
        self.client: ModuleType = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(self.client)
        # What is typed waits for a server that is started again, however slow the machine is.
        self.patch(self.client, "ConnectionInterface", partial(ConnectionInterface, timeout=100))

    def meet(self, story: Callable[[Person, Person], Awaitable[None]]) -> None:
        async def main() -> None:
            async with self.person() as emma, self.person() as mike:
                await emma.sign_up("emma")
                await mike.sign_up("mike")
                await story(emma, mike)

        asyncio.run(main())

    def person(self) -> Person:
        return Person(self.client.ChatApp("localhost", int(self.port)))

    def test_talk(self) -> None:
        """What one types, the other sees, where both are; who is there is beside it; commands do what they say."""

        async def story(emma: Person, mike: Person) -> None:
            await emma.sees("mike is here")
            await emma.until(lambda: emma.people == mike.people == ["emma", "mike"])
            await emma.type("hello [b]mike[/b]")
            for each in (emma, mike):
                await each.sees("emma  hello [b]mike[/b]")  # as it was typed
            await mike.type("/join kitchen")
            await mike.until(lambda: mike.title == "mike in kitchen: connected")
            self.assertFalse([line for line in mike.lines if "hello" in line])
            await emma.type("nobody hears this")
            await emma.type("/msg mike where are you?")
            await mike.sees("emma, to you: where are you?")
            await emma.sees("to mike: where are you?")
            self.assertFalse([line for line in mike.lines if "nobody" in line])
            await mike.type("/join lobby")
            await mike.sees("nobody hears this")
            await mike.type("/join no/room")
            await mike.sees("a room's name has")
            await emma.type("still heard")
            await mike.sees("emma  still heard")
            await mike.type("/msg zoe hi")
            await mike.sees("there is no zoe")
            await mike.type("/help")
            await mike.sees("/msg NAME TEXT")
            await mike.leave()
            await emma.sees("mike has left")
            await emma.until(lambda: emma.people == ["emma"])
            await emma.type("/msg mike still there?")
            await emma.sees("they are away")

        self.meet(story)

    def test_the_wrong_password(self) -> None:
        """It is said, and can be typed again."""

        async def story(emma: Person, mike: Person) -> None:
            async with self.person() as other:
                await other.type("emma", into="name")
                await other.type("guessed", into="password")
                said = other.app.screen.query_one("#trouble", Static)
                await other.until(lambda: "wrong name or password" in str(said.content))
                await other.type(PASSWORD, into="password")
                await other.until(lambda: other.title == "emma in lobby: connected")
            self.assertEqual(mike.people, ["emma", "mike"])

        self.meet(story)

    def test_the_server_goes_and_comes(self) -> None:
        """Both see it; what is typed meanwhile is said when it is back, and nobody has to log in again."""

        async def story(emma: Person, mike: Person) -> None:
            self.server.kill()
            for each in (emma, mike):
                await each.until(lambda each=each: "trying again" in each.title)
            await mike.type("said meanwhile")
            await asyncio.to_thread(self.serve, "python server.py", self.port)
            for each in (emma, mike):
                await each.until(lambda each=each: each.title.endswith("in lobby: connected"))
                await each.sees("mike  said meanwhile")
            await emma.type("all there?")
            await mike.sees("emma  all there?")
            self.assertEqual(sum("said meanwhile" in line for line in emma.lines), 1)
            await emma.until(lambda: emma.people == ["emma", "mike"])

        self.meet(story)

    def test_leaving_without_a_server(self) -> None:
        """A window closes at once, though what was typed still waits to be asked."""

        async def story(emma: Person, mike: Person) -> None:
            self.server.kill()
            await emma.until(lambda: "trying again" in emma.title)
            await emma.type("never said")
            await emma.leave()

        self.meet(story)


class TerminalTests(Served):
    """The commands of the README, on pseudo-terminals."""

    def open(self, line: str, folder: Path) -> pexpect.spawn:
        words = self.example.words(line)
        environment = {**self.example.environment, "TERM": "xterm-256color"}
        window = pexpect.spawn(
            words[0], words[1:], cwd=str(folder), env=environment, encoding="utf-8", dimensions=(30, 100), timeout=60
        )
        self.addCleanup(window.close, force=True)
        return window

    def press(self, window: pexpect.spawn, keys: str, seen: str) -> None:
        """One field at a time, as people do: until the screen shows it."""
        window.send(keys)
        window.expect(seen)

    def come_in(self, window: pexpect.spawn, name: str, *, known: bool = False) -> None:
        # What is typed goes where the focus is, which the hint follows.
        window.expect("Enter: to the password")
        self.press(window, name, name)
        self.press(window, "\r", "Enter: log in, Tab")
        self.press(window, PASSWORD, "•")
        if not known:
            self.press(window, "\t", "an account that is there")
            self.press(window, "\t", "Enter: make an account")
        self.press(window, "\r", f"{name} in lobby: connected")

    def leave(self, window: pexpect.spawn) -> None:
        window.send("/quit\r")
        window.expect(pexpect.EOF)
        window.wait()
        self.assertEqual(window.exitstatus, 0)

    @pytest.mark.slow
    @pytest.mark.timeout(300)
    def test_readme(self) -> None:
        """The one command, the parts alone, TLS, and the example's own tests."""
        (install, one), (step, serve, join), (secure, trusting), (test,) = Page(self, README).commands()
        Terminal(self).type(install)
        self.one_command(one)
        self.assertEqual(self.example.top / step.removeprefix("cd "), self.example.folder)
        self.parts(serve, join)
        self.parts(secure, trusting)
        self.example.test(test)

    def one_command(self, line: str) -> None:
        """It brings a server along, shows what others say, and takes the server away; the account stays."""
        port = str(free_port())
        window = self.open(f"{line} --port {port}", self.example.top)
        self.come_in(window, "emma")
        with ConnectionInterface("localhost", int(port)) as mike:
            mike.send_request("sign_up", {"username": "mike", "password": PASSWORD})
            window.expect("mike is here")
            mike.send_request("join", {"room": "lobby"})
            mike.send_request("say", {"room": "lobby", "text": "hello from another program"})
            window.expect("mike.*hello from another program")
            second = self.open(f"{line} --port {port}", self.example.top)
            self.come_in(second, "emma", known=True)
            second.expect("hello from another program")
            self.leave(second)
            mike.send_request("say", {"room": "lobby", "text": "the server is there"})
            window.expect("the server is there")
        self.leave(window)
        with ConnectionInterface("localhost", int(port)) as nobody, self.assertRaises(Unavailable):
            nobody.send_request("join", {"room": "lobby"})

    def parts(self, serve: str, join: str) -> None:
        """A server and a client in terminals of their own; the account is that of the one command."""
        server, port = self.serve(serve)
        window = self.open(f"{join} --port {port}", self.example.folder)
        self.come_in(window, "emma", known=True)
        self.press(window, "typed by hand\r", "emma.*typed by hand")
        self.leave(window)
        self.assertEqual(server.stop(), 0)
