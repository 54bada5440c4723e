"""Views of every kind over a real connection: where each runs, and what a forgotten ``await`` does."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Generator
from typing import Any

from serving import Person, ServingTestCase
from twisted.internet import reactor
from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.internet.task import deferLater
from twisted.logger import globalLogPublisher
from twisted.python.threadable import isInIOThread

from fluxon.blocking import Pending
from fluxon.database.query import where
from fluxon.errors import Cancelled, DeadlineExceeded, Internal, PermissionDenied, ResourceExhausted, Unserialisable
from fluxon.routing import Request


def on_reactor() -> bool:
    return bool(isInIOThread())


async def coroutine(request: Request) -> bool:
    await deferLater(reactor, 0)
    return on_reactor()


@inlineCallbacks
def callbacks(request: Request) -> Generator[Deferred[Any], Any, bool]:
    yield deferLater(reactor, 0)
    return on_reactor()


def annotated(request: Request) -> Deferred[bool]:
    return succeed(on_reactor())


def plain(request: Request) -> bool:
    return on_reactor()


def guarded(view: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A decorator as people write them."""

    @functools.wraps(view)
    def wrapper(request: Request) -> Any:
        return view(request)

    return wrapper


class Callable_:
    def __call__(self, request: Request) -> bool:
        return on_reactor()

    def method(self, request: Request) -> bool:
        return on_reactor()

    async def waiting_method(self, request: Request) -> bool:
        return on_reactor()


class WaitingCallable:
    async def __call__(self, request: Request) -> bool:
        return on_reactor()


def two(first: Any, request: Request) -> bool:
    return on_reactor()


async def waiting_two(first: Any, request: Request) -> bool:
    return on_reactor()


REACTOR = {
    "coroutine": coroutine,
    "inlineCallbacks": callbacks,
    "annotated": annotated,
    "decorated coroutine": guarded(coroutine),
    "decorated inlineCallbacks": guarded(callbacks),
    "partial of a coroutine": functools.partial(waiting_two, 1),
    "method that waits": Callable_().waiting_method,
    "object that waits": WaitingCallable(),
}
THREAD = {
    "plain": plain,
    "decorated": guarded(plain),
    "partial": functools.partial(two, 1),
    "method": Callable_().method,
    "object": Callable_(),
    "lambda": lambda request: on_reactor(),
}


class WhereViewsRunTests(ServingTestCase):
    """What a view is decides, and nothing else."""

    async def test_each_kind(self) -> None:
        """Views that can wait run on the reactor's thread, all others in threads; so their answers say themselves."""
        server = await self.start(self.setup_of(mapping=REACTOR | THREAD))
        wire = await self.wire(server)
        self.assertEqual({name: await wire.call(name) for name in REACTOR}, dict.fromkeys(REACTOR, True))
        self.assertEqual({name: await wire.call(name) for name in THREAD}, dict.fromkeys(THREAD, False))

    async def test_what_a_view_returns_to_be_awaited(self) -> None:
        """A Deferred, a coroutine, from a view of any kind, is awaited, and its value is the answer."""

        async def later(value: Any) -> Any:
            await deferLater(reactor, 0)
            return value

        def plain_coroutine(request: Request) -> Any:
            return later("plain")

        def plain_deferred(request: Request) -> Any:
            return succeed("deferred")

        async def forgotten(request: Request) -> Any:
            return later("forgotten")

        async def nested(request: Request) -> Any:
            return later(1)

        async def twice(request: Request) -> Any:
            return nested(request)

        def failing(request: Request) -> Any:
            async def fail() -> None:
                raise PermissionDenied("later")

            return fail()

        server = await self.serve(plain_coroutine, plain_deferred, forgotten, twice, failing)
        wire = await self.wire(server)
        self.assertEqual(await wire.call("plain_coroutine"), "plain")
        self.assertEqual(await wire.call("plain_deferred"), "deferred")
        self.assertEqual(await wire.call("forgotten"), "forgotten")
        self.assertEqual(await wire.call("twice"), 1)
        await self.fails(PermissionDenied, wire.call("failing"))


class FacadeTests(ServingTestCase):
    """Models and reverse requests are the same calls in views of both kinds."""

    async def test_models_from_both_kinds(self) -> None:
        """One blocks, one awaits; both get the same rows."""

        def plain_people(request: Request) -> Any:
            Person.Insert(username="ann", password="x")
            return Person.Check(where[Person.username == "ann"], columns=["id"])[0][0]

        async def people(request: Request) -> Any:
            await Person.Insert(username="bob", password="x")
            return (await Person.Check(where[Person.username == "bob"], columns=["id"]))[0][0]

        wire = await self.wire(await self.serve(plain_people, people, users=True))
        self.assertEqual([await wire.call("plain_people"), await wire.call("people")], [1, 2])

    async def test_a_forgotten_await(self) -> None:
        """Using what was not awaited raises TypeError, which is the view's failure and not a wrong answer."""
        caught: list[TypeError] = []
        forgotten: list[Any] = []

        def note(promise: Any, use: Callable[[Any], Any]) -> Any:
            forgotten.append(promise)
            try:
                return use(promise)
            except TypeError as error:
                caught.append(error)
                raise

        async def truth(request: Request) -> Any:
            return note(Person.Check(where[Person.username == "nobody"]), lambda found: "in" if found else "out")

        async def index(request: Request) -> Any:
            return note(Person.Check(), lambda found: found[0])

        async def online(request: Request) -> Any:
            return note(request.server.reverse_request(1, "ping"), lambda taken: not taken)

        wire = await self.wire(await self.serve(truth, index, online, users=True))
        for name in ("truth", "index", "online"):
            await self.fails(Internal, wire.call(name))
        self.assertEqual(len(caught), 3)
        self.assertTrue(all("forgot to await" in str(each) for each in caught))
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 3)
        self.assertEqual([await each for each in forgotten], [[], [], False])

    async def test_returned_without_await(self) -> None:
        """A view that returns the call itself has it awaited; inside something else it cannot be sent."""

        async def people(request: Request) -> Any:
            return Person.Check(columns=["username"])

        async def hidden(request: Request) -> Any:
            forgotten.append(Person.Check())
            return {"people": forgotten[0]}

        forgotten: list[Any] = []
        wire = await self.wire(await self.serve(people, hidden, users=True))
        self.assertEqual(await wire.call("people"), [])
        await self.fails(Unserialisable, wire.call("hidden"))
        self.assertEqual(await forgotten[0], [])

    async def test_calls_into_clients_from_both_kinds(self) -> None:
        """``connection.send``, and a boolean of ``reverse_request``; in a thread they block."""

        def plain_call(request: Request) -> Any:
            return request.connection.send("double", 4)

        async def call(request: Request) -> Any:
            return await request.connection.send("double", 5)

        def plain_reverse(request: Request) -> Any:
            return request.server.reverse_request(1, "double", 6)

        async def reverse(request: Request) -> Any:
            return await request.server.reverse_request(1, "double", 6)

        async def kind(request: Request) -> Any:
            returned = request.connection.send("double", 1)
            await returned
            return isinstance(returned, Pending)

        wire = await self.wire(await self.serve(plain_call, call, plain_reverse, reverse, kind))
        wire.functions["double"] = lambda payload: payload * 2
        self.assertEqual([await wire.call("plain_call"), await wire.call("call")], [8, 10])
        self.assertEqual([await wire.call("plain_reverse"), await wire.call("reverse")], [False, False])
        self.assertTrue(await wire.call("kind"))

    async def test_inside_a_transaction(self) -> None:
        """Logins and calls into clients there would wait for the writer that they hold up: they raise at once."""
        raised: list[str] = []

        def inside(request: Request) -> Any:
            def work() -> Any:
                Person.Insert(username="ann", password="x")
                for call in (
                    lambda: request.login(1),
                    lambda: request.logout(),
                    lambda: request.connection.send("told"),
                    lambda: request.server.reverse_request(1, "told"),
                    lambda: request.server.call_client(1, "told"),
                ):
                    try:
                        call()
                    except RuntimeError as error:
                        raised.append(str(error))

            request.server.database.transaction(work)
            request.login(1)
            return request.user.username

        wire = await self.wire(await self.serve(inside, users=True))
        self.assertEqual(await wire.call("inside"), "ann")
        self.assertEqual(len(raised), 5)
        self.assertTrue(all("transaction()" in each for each in raised))


class BusyTests(ServingTestCase):
    """Views that hang, and what they cost others."""

    async def test_a_hung_plain_view(self) -> None:
        """Its caller gets ``DeadlineExceeded`` in time; reactor and other threads go on; its late result is dropped."""
        released = threading.Event()
        self.addCleanup(released.set)

        def hang(request: Request) -> Any:
            released.wait(30)
            return "late"

        wire = await self.wire(await self.serve(hang, plain, coroutine, limits={"view_timeout": 0.2}))
        hung = wire.ask("hang")
        self.assertFalse(await wire.call("plain"))
        self.assertTrue(await wire.call("coroutine"))
        await self.fails(DeadlineExceeded, hung)
        released.set()
        self.assertFalse(await wire.call("plain"))

    async def test_a_hung_coroutine(self) -> None:
        """It is cancelled at the deadline, and may clean up."""
        cleaned: list[str] = []

        async def hang(request: Request) -> Any:
            try:
                await Deferred()
            finally:
                cleaned.append("yes")

        wire = await self.wire(await self.serve(hang, coroutine, limits={"view_timeout": 0.1}))
        await self.fails(DeadlineExceeded, wire.call("hang"))
        self.assertEqual(cleaned, ["yes"])

    async def test_one_session_has_a_quarter_of_the_threads(self) -> None:
        """Two of eight here: the third waits for them, another session does not; all are answered in the end."""
        running = threading.Semaphore(0)
        released = threading.Event()
        self.addCleanup(released.set)

        def hang(request: Request) -> str:
            running.release()
            released.wait(30)
            return "done"

        server = await self.serve(hang, plain, limits={"view_threads": 8})
        greedy, other = await self.wire(server), await self.wire(server)
        hung = [greedy.ask("hang") for _ in range(5)]
        self.assertFalse(await other.call("plain"))
        for _ in range(2):
            self.assertTrue(running.acquire(timeout=10))
        waiting = greedy.ask("plain")
        self.assertFalse(await other.call("plain"))
        self.assertFalse(waiting.called)
        self.assertFalse(running.acquire(blocking=False))
        released.set()
        self.assertEqual([await each for each in hung], ["done"] * 5)
        self.assertFalse(await waiting)

    async def test_a_session_cannot_fill_the_queue(self) -> None:
        """A quarter of the places to wait is a session's: beyond it is refused, others still get in."""
        released = threading.Event()
        self.addCleanup(released.set)

        def hang(request: Request) -> None:
            released.wait(30)

        server = await self.serve(hang, plain, limits={"view_threads": 4, "view_queue": 8})
        greedy, other = await self.wire(server), await self.wire(server)
        hung = [greedy.ask("hang") for _ in range(3)]
        await self.fails(ResourceExhausted, greedy.ask("hang"))
        self.assertFalse(await other.call("plain"))
        # Giving up frees the place at once.
        hung[2].addErrback(lambda failure: failure.trap(Cancelled))
        hung[2].cancel()
        again = greedy.ask("plain")
        released.set()
        self.assertFalse(await again)
        await hung[0]
        await hung[1]

    async def test_failures_stay_with_their_request(self) -> None:
        """Exceptions of every kind, and answers that cannot be sent, harm neither the connection nor the server."""

        def exits(request: Request) -> None:
            raise SystemExit(3)

        async def exits_here(request: Request) -> None:
            raise KeyboardInterrupt

        async def object_(request: Request) -> Any:
            return object()

        async def huge(request: Request) -> Any:
            return b"x" * (17 * 2**20)

        def huge_plain(request: Request) -> Any:
            return b"x" * (17 * 2**20)

        wire = await self.wire(await self.serve(exits, exits_here, object_, huge, huge_plain, plain))
        for name in ("exits", "exits_here"):
            error = await self.fails(Internal, wire.call(name))
            self.assertIn("incident", error.details)
        for name in ("object_", "huge", "huge_plain"):
            await self.fails(Unserialisable, wire.call(name))
        self.assertFalse(await wire.call("plain"))
        self.assertEqual(len(self.flushLoggedErrors(SystemExit, KeyboardInterrupt)), 2)

    async def test_an_incident_is_found_in_the_log(self) -> None:
        """The client learns a number and nothing else; the log has the traceback under that number."""
        events: list[dict[str, Any]] = []
        globalLogPublisher.addObserver(events.append)
        self.addCleanup(globalLogPublisher.removeObserver, events.append)

        def broken(request: Request) -> None:
            raise ValueError("the safe's number is 1234")

        wire = await self.wire(await self.serve(broken))
        error = await self.fails(Internal, wire.call("broken"))
        self.assertNotIn("1234", error.text)
        found = [each for each in events if each.get("incident") == error.details["incident"]]
        traced = [each for each in found if "log_failure" in each]
        self.assertEqual(len(traced), 1)
        self.assertIn("1234", str(traced[0]["log_failure"].value))
        self.assertEqual([each["view"] for each in found if each not in traced], ["broken"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
