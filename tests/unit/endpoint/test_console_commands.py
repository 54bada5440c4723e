"""The console's commands on a running server: what they say of it, what they refuse, and what Tab offers."""

from __future__ import annotations

import sys
from functools import partialmethod
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs
from at_console import Operator, Said
from cloud_serving import CloudTestCase
from people import SessionsTestCase
from serving import Person
from twisted.internet.defer import Deferred

from fluxon.cloud.storage import Storage
from fluxon.console.actions import ACTIONS
from fluxon.console.console import FAILED, WRONG, Run
from fluxon.console.shell import Shell
from fluxon.database import models
from fluxon.endpoint import AsyncServer
from fluxon.errors import PermissionDenied
from fluxon.limits import Limits
from fluxon.routing import Request


class PeopleTests(SessionsTestCase):
    """Users, sessions and connections."""

    async def at_the_console(self, server: AsyncServer) -> Operator:
        operator = Operator(server)
        self.addCleanup(operator.leave)
        return operator

    async def test_users(self) -> None:
        """Who is connected, and everybody, as many as are wanted; a stranger is nobody's user."""
        server = await self.people()
        operator = await self.at_the_console(server)
        self.assertEqual(await operator.type("users"), "no user is connected")
        await self.wire(server)
        await self.logged_in(server, 2)
        self.assertEqual([each["user"] for each in await operator.told("users")], ["bob"])
        self.assertEqual([each["user"] for each in await operator.told("users --all")], ["ann", "bob"])
        some = await operator.type("users --all --limit 1")
        self.assertIn("ann", some)
        self.assertIn("1 of 2; --limit shows more", some)

    async def test_a_session_that_is_ended(self) -> None:
        """By the beginning of its name, or by a number that is no connection's; its connections stay, as strangers."""
        server = await self.people()
        operator = await self.at_the_console(server)
        wire = await self.logged_in(server)
        [name] = [each["session"] for each in await operator.told("sessions")]
        self.assertIn("ann", await operator.type(f"session {name[:6]}"))
        self.assertIn("go on as strangers", await operator.type(f"kick {name}"))
        self.assertIsNone(await wire.call("who"))
        for line in (f"session {name}", f"kick {name}", "kick 999999"):
            self.assertIn("is called", await operator.type(line, FAILED))

    async def test_a_connection_that_is_ended(self) -> None:
        """At once, by its number."""
        server = await self.people()
        operator = await self.at_the_console(server)
        wire = await self.wire(server)
        [number] = [each["number"] for each in await operator.told("connections")]
        self.assertIn("ended connection", await operator.type(f"kick {number}"))
        await wire.lost

    async def test_a_push_that_reaches_nobody(self) -> None:
        """Fails, and says why: nobody is there, or what the client made of it."""
        server = await self.people()
        operator = await self.at_the_console(server)
        self.assertIn("none is connected", await operator.type("push ann show", FAILED))
        await self.logged_in(server)
        self.assertIn("no such function", await operator.type("push ann show", FAILED))

    async def test_words_that_are_offered(self) -> None:
        """Tab knows the commands, views and levels, and who is there; a name that a terminal would obey is left out."""
        server = await self.people()
        await Person.Insert(username="eve \x1b[2J", password="x")
        operator = await self.at_the_console(server)
        for user_id in (1, 3):
            await self.logged_in(server, user_id)
        names = sorted(each["session"] for each in await operator.told("sessions"))
        for line, words in (
            ("help sta", ["status"]),
            ("call login_c", ["login_caught"]),
            ("loglevel w", ["warn"]),
            ("logout ", ["ann"]),
            ("session ", names),
            ("kick ", names),
            ("storage unassign ann /a ", []),
            ("push ann sh", []),
        ):
            self.assertEqual(operator.offered(line), words, line)


class Guest(models.AuthenticatedUser):
    """A user who has no name."""

    room = models.IntegerField()


class Member(models.AuthenticatedUser):
    """A user who may have a name, and is called by another."""

    username = models.CharField(max_length=20, null=True)
    email = models.CharField(max_length=100, unique=True)


class NameTests(SessionsTestCase):
    """What users are called."""

    async def operator(self, model: Any) -> Operator:
        operator = Operator(await self.serve(users=True, models=[model]))
        self.addCleanup(operator.leave)
        return operator

    async def test_users_without_names(self) -> None:
        """Are called by their numbers, and by nothing else."""
        operator = await self.operator(Guest)
        await Guest.Insert(room=7)
        self.assertEqual([each["user"] for each in await operator.told("users --all")], ["1"])
        await operator.type("sessions --user 1")
        for who in ("7", "ann"):
            self.assertIn("give a name or a number", await operator.type(f"sessions --user {who}", FAILED))

    async def test_users_with_two_names(self) -> None:
        """Are shown by the first that they have, and found by the one that nobody else can have."""
        operator = await self.operator(Member)
        await Member.Insert(username="ann", email="ann@example.com")
        await Member.Insert(email="bob@example.com")
        self.assertEqual([each["user"] for each in await operator.told("users --all")], ["ann", "bob@example.com"])
        await operator.type("sessions --user ann@example.com")
        self.assertIn("no user 'ann'", await operator.type("sessions --user ann", FAILED))


class ServerTests(SessionsTestCase):
    """Its log, database, certificate and views."""

    async def test_the_last_lines(self) -> None:
        """As many as are asked for, and then the command is over."""
        operator = Operator(await self.people())
        self.addCleanup(operator.leave)
        for number in range(3):
            await operator.type(f"loglevel error part{number}")
        lines = (await operator.type("tail logs 2")).splitlines()
        self.assertEqual(len(lines), 2)
        self.assertIn("loglevel error part2: done", lines[-1])
        self.assertGreater(len((await operator.type("tail logs")).splitlines()), 4)

    async def test_python_that_is_not_allowed(self) -> None:
        """Is no command; and who came past the table of commands is refused all the same."""
        server = await self.people()
        operator = Operator(server)
        self.addCleanup(operator.leave)
        self.assertIn("there is no command", await operator.type("python 1", WRONG))
        self.assertNotIn("python", operator.offered("p"))
        run = Run({"code": "1"}, "emma", Said(), False, operator.console._threads, {})
        await self.fails(PermissionDenied, Deferred.fromCoroutine(ACTIONS["python"](server.served, run)))

    async def test_a_block_of_python(self) -> None:
        """Ctrl+C that comes as a signal forgets its lines, and the prompt goes on."""
        operator = Operator(await self.people(console_python=True))
        self.addCleanup(operator.leave)
        shown: list[str] = []
        shell = Shell(operator.console, shown.append, lambda: 80, on_end=lambda: None)
        shell.received(b"python\rfor each in range(3):\r")
        self.assertIn("... ", shown[-1])
        self.assertTrue(shell.interrupt())
        self.assertIn(">>> ", shown[-1])
        self.assertEqual(operator.offered("he"), [])
        shell.received(b"print('still ' 'here')\r")
        self.assertIn("still here\r\n", shown)

    async def test_how_much_is_logged(self) -> None:
        """Of everything or of one part; a level that does not exist is told with those that do."""
        server = await self.people()
        operator = Operator(server)
        self.addCleanup(operator.leave)
        self.assertIn("there are debug, info", await operator.type("loglevel loud", WRONG))
        self.assertIn("fluxon.rpc is logged from error on", await operator.type("loglevel error fluxon.rpc"))
        self.assertIn("fluxon.rpc: error", await operator.type("loglevel"))
        self.assertIn("everything is logged from warn on", await operator.type("loglevel warn"))
        self.assertEqual(await operator.type("loglevel"), "everything: warn")

    async def test_help(self) -> None:
        """Of one command, of all that begin with a word, and of none."""
        operator = Operator(await self.people())
        self.addCleanup(operator.leave)
        self.assertIn("end a connection", await operator.type("help kick"))
        self.assertIn("storage sweep", await operator.type("help storage"))
        self.assertIn("there is no command 'dance'", await operator.type("help dance", WRONG))

    async def test_the_database(self) -> None:
        """How long a read takes now, beside what is open of it."""
        operator = Operator(await self.people())
        self.addCleanup(operator.leave)
        told = await operator.told("database")
        self.assertIn("people.sqlite3", told["database"])
        self.assertEqual(told["models"], 1)
        self.assertGreaterEqual(told["a_read_now_ms"], 0)

    async def test_the_certificate(self) -> None:
        """A server without TLS has none to take up, and says so."""
        operator = Operator(await self.people())
        self.addCleanup(operator.leave)
        self.assertEqual(await operator.type("reload certificates"), "no port has TLS, so no certificate is in use")

    async def test_a_view_that_does_not_end(self) -> None:
        """Is given up when a client would have been answered."""

        async def never(request: Request) -> None:
            await Deferred()

        server = await self.serve(never, limits={"view_timeout": 0.2})
        operator = Operator(server)
        self.addCleanup(operator.leave)
        self.assertIn("did not end within 0.2 seconds", await operator.type("call never", FAILED))

    async def test_a_view_that_is_not_there(self) -> None:
        """Is told with the one that was perhaps meant."""

        async def echo(request: Request) -> Any:
            return request.payload

        operator = Operator(await self.serve(echo))
        self.addCleanup(operator.leave)
        self.assertIn("12345", await operator.type("call echo 12345"))
        self.assertIn("echo", await operator.type("call ecko", FAILED))

    async def test_a_view_that_logs_in(self) -> None:
        """There is no client that could be logged in, or out, so that fails, and leaves no session behind."""
        server = await self.people()
        operator = Operator(server)
        self.addCleanup(operator.leave)
        for view in ("login", "logout"):
            for as_ in ("", " as ann"):
                self.assertIn("there is no client", await operator.type(f"call {view}{as_} 1", FAILED))
        self.assertEqual(await server.sessions.list_user(1), [])
        self.assertEqual(server.sessions.live_count, 0)

    async def test_what_is_not_there(self) -> None:
        """A server without users, database and files says so to whoever asks for them."""
        operator = Operator(await self.serve())
        self.addCleanup(operator.leave)
        for line, word in (
            ("users --all", "no users"),
            ("logout ann", "no users"),
            ("database", "no database"),
            ("schemas", "no database"),
            ("storage ls", "no cloud storage"),
        ):
            self.assertIn(word, await operator.type(line, FAILED))


class StorageTests(CloudTestCase):
    """The cloud's part."""

    async def test_pages(self) -> None:
        """As many as are wanted, and whether there are more; for programs the entries alone."""
        server = await self.serve_cloud()
        operator = Operator(server)
        self.addCleanup(operator.leave)
        for name in ("a", "b", "c"):
            await server.cloud.create_directory(f"/{name}")
        self.assertIn("these are the first 2; --limit shows more", await operator.type("storage ls / --limit 2"))
        self.assertEqual([each["name"] for each in await operator.told("storage ls --limit 2")], ["a", "b"])
        self.assertEqual([each["name"] for each in await operator.told("storage tree /")], ["/a", "/b", "/c"])

    async def test_what_a_user_may_and_keeps(self) -> None:
        """All permissions with their reason, one of them, and bytes; by the user's name."""
        server = await self.serve_cloud()
        operator = Operator(server)
        self.addCleanup(operator.leave)
        every = await operator.told("storage explain ann /")
        one = await operator.told("storage explain ann / READ_FILE")
        self.assertEqual(set(one) - set(every), {"permission", "allowed"})
        self.assertEqual((await operator.told("storage usage --user ann"))["bytes"], 0)
        self.assertEqual(operator.offered("storage explain ann / READ_F"), ["READ_FILE"])
        self.assertTrue(operator.offered("storage unassign ann / "))

    async def test_what_was_never_there(self) -> None:
        """Cannot be brought back."""
        server = await self.serve_cloud()
        operator = Operator(server)
        self.addCleanup(operator.leave)
        self.assertIn("nothing that was deleted at /x", await operator.type("storage restore /x", FAILED))

    async def test_what_was_deleted_last(self) -> None:
        """Is what comes back, wherever it stands among what was deleted, however many pages that is."""
        server = await self.serve_cloud()
        operator = Operator(server)
        self.addCleanup(operator.leave)
        self.patch(Storage, "deleted", partialmethod(Storage.deleted, limit=2))
        for name, text in (("/a", "old"), ("/a", "new"), ("/b", ""), ("/c", ""), ("/d", "")):
            await server.cloud.write(name, text)
            await (await server.cloud.path(name)).delete()
        self.assertEqual(await operator.type("storage restore /a"), "/a is back")
        self.assertEqual(await (await server.cloud.path("/a")).read(), b"new")
        self.assertIn("nothing that was deleted at /x", await operator.type("storage restore /x", FAILED))


class StatusTests(SessionsTestCase):
    """How the server is, on one screen, and every limit for whoever asks."""

    async def test_a_screen(self) -> None:
        """Without an argument what is used, the fullest first, ten at most; a program is told all."""
        server = await self.people(limits={"connections": 4, "view_threads": 1_000})
        operator = Operator(server)
        self.addCleanup(operator.leave)
        for _ in range(3):
            await self.wire(server)
        said = await operator.type("status")
        self.assertLess(len(said.split("\n")), 30)
        first = said.partition("limits, the fullest of ")[2].split("\n")[2]
        self.assertEqual(first.split()[:3], ["connections", "3", "4"])
        self.assertNotIn("view_timeout", said)
        told = {each["limit"]: each for each in (await operator.told("status"))["limits"]}
        self.assertEqual((told["connections"]["used"], told["view_threads"]["of"]), (3, 1_000))
        self.assertIn("view_timeout", told)

    async def test_limits_by_name(self) -> None:
        """One with its reason, those whose names begin so, all; and what no name begins with."""
        operator = Operator(await self.people())
        self.addCleanup(operator.leave)
        said = await operator.type("status view_timeout")
        self.assertIn("why: Nobody waits longer for an answer.\nbeyond: ", said)
        self.assertIn("beyond: DeadlineExceeded", said)
        names = [each["limit"] for each in await operator.told("status view_")]
        self.assertEqual(names, ["view_timeout", "view_threads", "view_queue"])
        every = [each["limit"] for each in await operator.told("status all")]
        self.assertEqual(every, [*attrs.fields_dict(Limits), "descriptors"])
        self.assertIn("status all shows every limit", await operator.type("status nothing", WRONG))
        self.assertEqual(operator.offered("status view_t"), ["view_threads", "view_timeout"])


class SchemaTests(SessionsTestCase):
    """The child process that saves and applies schemas."""

    async def operator(self) -> Operator:
        operator = Operator(await self.people())
        self.addCleanup(operator.leave)
        return operator

    async def child(self, program: str) -> Operator:
        """``program`` instead of Python, for a server whose setup is a module's."""
        operator = await self.operator()
        module = ModuleType("router_of_this_test")
        module.__file__ = "router.py"
        module.setup = operator.console.served.setup  # type: ignore[attr-defined]
        self.patch(sys, "modules", {**sys.modules, module.__name__: module})
        path = Path("interpreter").absolute()
        path.write_text(f"#!/bin/sh\n{program}\n")
        path.chmod(0o700)
        self.patch(sys, "executable", str(path))
        return operator

    async def test_a_setup_that_no_file_has(self) -> None:
        """A child could not find it: the command says what to do instead."""
        operator = await self.operator()
        self.assertIn("no module has this server's setup", await operator.type("saveschema", FAILED))

    async def test_what_the_child_is_told(self) -> None:
        """The file of the setup and every option; what may be dropped as one word, though it begins with a dash."""
        operator = await self.child('printf "%s\\n" "$@"')
        run = ["-m", "fluxon.database", "--config", str(Path("router.py").absolute())]
        told = await operator.told("updateschema 3 --drop Person.email --drop -x --plan")
        self.assertEqual(
            told,
            [*run, "updateschema", "--plan", "--drop=Person.email", "--drop=-x", "3"],
        )
        self.assertEqual((await operator.told("saveschema"))[-1], "saveschema")

    async def test_a_child_that_says_nothing(self) -> None:
        """Is judged by its exit status; one that complains, by its last line."""
        operator = await self.child("exit 0")
        self.assertEqual(await operator.type("saveschema"), "")
        for program, said in (("exit 3", "ended with status 3"), ("echo one; echo two; exit 1", "saveschema: two")):
            Path("interpreter").write_text(f"#!/bin/sh\n{program}\n")
            self.assertIn(said, await operator.type("saveschema", FAILED))

    async def test_models_that_changed_since_the_start(self) -> None:
        """``schemas`` tells of the models in the files: those of the server may be older, and then that is said."""
        operator = await self.child("echo models, schema files and database agree")
        served = operator.console.served
        next(served.setup.database_schema_dir.glob("*.sql")).unlink()
        self.assertIn("start it again to have them used", await operator.type("schemas"))
        self.assertNotIn("saveschema", (await operator.type("schemas")).partition("\n")[2])
        saved = (
            "the models are not saved as a schema yet; type: python -m fluxon.database --config router.py saveschema"
        )
        for program, seen in (
            ("echo one; echo two; exit 1", ["one", "two", "start it again"]),
            ("echo broken; exit 2", [saved]),
        ):
            Path("interpreter").write_text(f"#!/bin/sh\n{program}\n")
            said = await operator.type("schemas")
            for each in seen:
                self.assertIn(each, said)
