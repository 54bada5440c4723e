"""Every ask is answered once, whatever its responder does, and none of them harms another."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks, succeed
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import AlreadyExists, FluxonError, NotFound, PermissionDenied
from fluxon.wire import frame
from fluxon.wire.messages import write_ask


class AnsweringCase(SynchronousTestCase):
    make_line: Any
    logged: list[dict[str, Any]]

    def setUp(self) -> None:
        self.line = self.make_line()
        self.jobs = self.line.jobs

    def raising(self, error: BaseException) -> Any:
        def job(_: Any) -> Any:
            raise error

        return job

    def assert_others_served(self) -> None:
        """The connection answers what comes after."""
        self.assertEqual(self.line.outcome(self.line.ask("echo", "still here")), "still here")
        self.assertIsNone(self.line.ended)


class ValueTests(AnsweringCase):
    """Results that are there at once."""

    def test_values(self) -> None:
        """Whatever crosses comes back, of whatever kind."""
        for value in (None, True, 0, -1, 1.5, "text", b"bytes", [], [1, [2]], {}, {"a": {"b": None}}):
            self.assertEqual(self.line.outcome(self.line.ask("echo", value)), value)

    def test_one_write_a_read(self) -> None:
        """Fifty asks of one read are answered by one write."""
        tags = [self.line.put("echo", number) for number in range(50)]
        self.line.push()
        self.assertEqual([self.line.outcome(tag) for tag in tags], list(range(50)))
        self.assertEqual(len(self.line.transport.writes), 1)

    def test_no_timer(self) -> None:
        """A request that is answered at once costs no timer."""
        before = len(self.line.clock.getDelayedCalls())
        self.line.ask("echo", 1)
        self.assertEqual(len(self.line.clock.getDelayedCalls()), before)

    def test_last_request_is_let_go(self) -> None:
        """An idle connection does not keep its last request's payload alive."""
        self.line.ask("echo", "x" * 1000)
        self.assertIsNone(self.line.peer.current)

    def test_ready_deferred_and_coroutine(self) -> None:
        """A Deferred that has fired and a coroutine that does not wait are answered in the same write."""

        async def coroutine(value: Any) -> Any:
            return await succeed(value)

        @inlineCallbacks
        def generator(value: Any) -> Any:
            result = yield succeed(value)
            return result

        self.jobs.update(deferred=lambda value: succeed(value), coroutine=coroutine, generator=generator)
        tags = [self.line.put(job, job) for job in ("deferred", "coroutine", "generator")]
        self.line.push()
        self.assertEqual([self.line.outcome(tag) for tag in tags], ["deferred", "coroutine", "generator"])
        self.assertEqual(self.line.protocol.conversation.answering, {})

    def test_coroutine_handed_on(self) -> None:
        """A function that returns another's coroutine, and a coroutine that returns one, or a Deferred, are awaited."""

        async def inner(value: Any) -> Any:
            return value

        async def returns_coroutine(value: Any) -> Any:
            return inner(value)

        async def returns_deferred(value: Any) -> Any:
            return succeed(value)

        async def waits_first(value: Any) -> Any:
            await waiting
            return returns_coroutine(value)

        waiting: Deferred[None] = Deferred()
        self.jobs.update(
            plain=lambda value: returns_coroutine(value),
            coroutine=returns_coroutine,
            deferred=returns_deferred,
            deep=lambda value: returns_deferred(value),
            waits=waits_first,
        )
        for job in ("plain", "coroutine", "deferred", "deep"):
            self.assertEqual(self.line.outcome(self.line.ask(job, job)), job)
        tag = self.line.ask("waits", 7)
        self.assertIs(self.line.outcome(tag), ...)
        waiting.callback(None)
        self.assertEqual(self.line.outcome(tag), 7)

    def test_coroutine_without_end(self) -> None:
        """A coroutine that returns itself again and again is an incident, not an endless loop, and frees its place."""

        async def again(value: Any) -> Any:
            return again(value)

        self.jobs["again"] = again
        self.assertEqual(self.line.code(self.line.ask("again")), "Internal")
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)
        self.assertEqual(self.line.peer._load._count, 0)
        self.assert_others_served()


class RefusedTests(AnsweringCase):
    """What never reaches a responder."""

    def test_unknown_command(self) -> None:
        """NotFound, with the name cut short, and the connection lives."""
        self.line.raw(write_ask(1, "x" * 255, {}, None, {}))
        self.line.remote.asked[1] = self.line.remote.asked.get(1) or _asked()
        self.assertEqual(self.line.code(1), "NotFound")
        self.assertNotIn("x" * 65, self.line.outcomes[1].text)
        self.assert_others_served()

    def test_wrong_arguments(self) -> None:
        """InvalidPayload that names the argument, also for a command that declares no such error; no incident."""
        for command in ("do", "strict"):
            for arguments in ({}, {"job": 1, "value": 1}, {"job": "echo"}, {"job": "echo", "value": 1, "more": 1}):
                tag = self.line.remote.ask(command, arguments, waiter=None)
                self.line.push()
                self.assertEqual(self.line.code(tag), "InvalidPayload")
        self.assertEqual([event for event in self.logged if "incident" in event], [])
        self.assert_others_served()

    def test_before_hello(self) -> None:
        """Only what declares so is answered before hello, and what is not known is not."""
        line = self.make_line(greeted=False)
        self.assertEqual(line.code(line.ask("echo")), "Unauthenticated")
        self.assertEqual(line.outcome(line.ask("", command="open")), "open")
        line.peer.greeted = True
        self.assertEqual(line.outcome(line.ask("echo", 1)), 1)

    def test_too_many_at_once(self) -> None:
        """The ask beyond the cap is ResourceExhausted, and there is room again when one has ended."""
        line = self.make_line(in_flight=3)
        jobs: list[Deferred[Any]] = []
        line.jobs["wait"] = lambda _: jobs.append(Deferred()) or jobs[-1]
        tags = [line.ask("wait") for _ in range(4)]
        self.assertEqual(line.code(tags[3]), "ResourceExhausted")
        self.assertEqual(len(jobs), 3)
        jobs[0].callback("done")
        self.assertEqual(line.outcome(line.ask("echo", 1)), 1)

    def test_too_many_on_the_server(self) -> None:
        """All connections together have a limit; whoever comes beyond is told, and served when there is room."""
        line = self.make_line(in_flight_total=5)
        jobs: list[Deferred[Any]] = []
        line.jobs["wait"] = lambda _: jobs.append(Deferred()) or jobs[-1]
        for _ in range(5):
            line.ask("wait")
        line.connect()
        tag = line.ask("wait")
        self.assertEqual(line.code(tag), "ResourceExhausted")
        jobs.pop().callback(1)
        line.ask("wait")
        self.assertEqual(len(jobs), 5)


class FailureTests(AnsweringCase):
    """Responders that raise."""

    def test_declared(self) -> None:
        """A declared error crosses with its text and details, and is not logged."""
        self.jobs["raise"] = self.raising(NotFound("no such room", details={"room": 5}))
        for command in ("do", "strict"):
            error = self.line.outcome(self.line.ask("raise", command=command))
            self.assertEqual((type(error), error.text, error.details), (NotFound, "no such room", {"room": 5}))
        self.assertEqual(self.logged, [])

    def test_undeclared(self) -> None:
        """An error that the command does not declare is an incident, though it is one of Fluxon's."""
        self.jobs["raise"] = self.raising(PermissionDenied("secret reason"))
        error = self.line.outcome(self.line.ask("raise", command="strict"))
        self.assertEqual(error.code, "Internal")
        self.assertNotIn("secret", error.text)
        self.assertEqual(len(self.flushLoggedErrors(PermissionDenied)), 1)

    def test_incident(self) -> None:
        """Anything else is Internal with an incident id; the traceback is in the log under it, and only there."""

        async def coroutine(_: Any) -> Any:
            raise ValueError("password=hunter2")

        self.jobs.update(plain=self.raising(ValueError("password=hunter2")), coroutine=coroutine)
        for job in ("plain", "coroutine"):
            error = self.line.outcome(self.line.ask(job))
            self.assertEqual(error.code, "Internal")
            self.assertNotIn("hunter2", repr((error.text, error.details)))
            (event,) = [each for each in self.logged if each.get("incident") == error.details["incident"]]
            self.assertEqual(event["log_failure"].type, ValueError)
            self.assertIn("do", event["what"])
        self.flushLoggedErrors(ValueError)

    def test_every_exception(self) -> None:
        """What ends a program elsewhere ends one request here, whether raised at once or after waiting."""
        kinds = (SystemExit, KeyboardInterrupt, GeneratorExit, StopIteration, StopAsyncIteration, MemoryError)
        for kind in kinds:
            waiting: Deferred[None] = Deferred()

            async def at_once(_: Any, kind: Any = kind) -> Any:
                raise kind()

            async def later(_: Any, kind: Any = kind, waiting: Any = waiting) -> Any:
                await waiting
                raise kind()

            self.jobs.update(plain=self.raising(kind()), at_once=at_once, later=later)
            tags = [self.line.ask(job) for job in ("plain", "at_once", "later")]
            waiting.callback(None)
            self.assertEqual([self.line.code(tag) for tag in tags], ["Internal"] * 3, kind)
            self.flushLoggedErrors()
        self.assert_others_served()

    def test_errors_of_every_make(self) -> None:
        """An application's errors are sent whatever they were made with: no text, a number, a dict, odd details."""

        class Unfinished(PermissionDenied):
            default_text = "you are too poor"

            def __init__(self, amount: int) -> None:
                self.amount = amount

        class Hostile(PermissionDenied):
            def __init__(self) -> None:
                pass

            @property
            def text(self) -> str:  # type: ignore[override]
                raise RuntimeError("no text")

        class OddCode(FluxonError):
            code = 5  # type: ignore[assignment]

        class Own(FluxonError):
            code = "TooPoor"

        stripped = NotFound("x")
        stripped.details = None  # type: ignore[assignment]
        cases: list[tuple[BaseException, str, str]] = [
            (Unfinished(5), "PermissionDenied", "you are too poor"),
            (NotFound(17), "NotFound", "17"),  # type: ignore[arg-type]
            (NotFound({"name": "too short"}), "NotFound", "{'name': 'too short'}"),  # type: ignore[arg-type]
            (stripped, "NotFound", "x"),
            (NotFound("lone \ud800"), "NotFound", NotFound.default_text),
            (NotFound("x", details={"object": object()}), "NotFound", "x"),
            (NotFound("y" * 5_000), "NotFound", "y" * 1_024),
            (Own("you have 3"), "Internal", "TooPoor: you have 3"),
        ]
        for error, code, text in cases:
            self.jobs["raise"] = self.raising(error)
            got = self.line.outcome(self.line.ask("raise"))
            self.assertEqual((got.code, got.text), (code, text))
        for error in (Hostile(), OddCode()):
            self.jobs["raise"] = self.raising(error)
            self.assertEqual(self.line.code(self.line.ask("raise")), "Internal")
            self.flushLoggedErrors()
        self.assert_others_served()

    def test_neighbours(self) -> None:
        """Of asks in one read, those around one that fails are answered as if it were not there."""
        self.jobs["raise"] = self.raising(AlreadyExists())
        self.jobs["exit"] = self.raising(SystemExit())
        tags = [self.line.put(job, job) for job in ("echo", "raise", "echo", "exit", "echo")]
        self.line.push()
        self.line.pull()
        got = [self.line.outcomes[tag] for tag in tags]
        self.assertEqual([got[0], got[2], got[4]], ["echo"] * 3)
        self.assertEqual([got[1].code, got[3].code], ["AlreadyExists", "Internal"])
        self.flushLoggedErrors()


class UnserialisableTests(AnsweringCase):
    """Results that cannot cross."""

    def test_each_kind(self) -> None:
        """Objects, circles, depth, sets, huge integers and what raises when looked at harm their own request."""
        circle: list[Any] = []
        circle.append(circle)
        deep: Any = None
        for _ in range(5_000):
            deep = [deep]

        class Evil(dict):  # type: ignore[type-arg]
            def values(self) -> Any:
                raise RuntimeError("no values")

        async def waits(_: Any) -> Any:
            return object()

        for value in (object(), circle, deep, {1, 2}, 2**70, Evil(a=1), {1: 2}, {"a": object()}, "\ud800"):
            self.jobs["bad"] = lambda _, value=value: value
            self.assertEqual(self.line.code(self.line.ask("bad")), "Unserialisable")
        self.jobs["bad"] = waits
        self.assertEqual(self.line.code(self.line.ask("bad")), "Unserialisable")
        told = [event for event in self.logged if "cannot be sent" in event.get("log_format", "")]
        self.assertEqual(len(told), 10)
        self.assertEqual(told[0]["what"], "command 'do'")
        self.assert_others_served()

    def test_too_large(self) -> None:
        """An answer above the frame limit fails alone; the log says how large, and what to do."""
        line = self.make_line(frame_to_client=50_000)
        line.jobs["large"] = lambda _: "x" * 60_000
        tags = [line.put("large"), line.put("echo", 1)]
        line.push()
        self.assertEqual(line.code(tags[0]), "Unserialisable")
        self.assertEqual(line.outcome(tags[1]), 1)
        self.assertIn("cloud storage", self.logged[-1]["text"])

    def test_details_too_large(self) -> None:
        """An error whose details are too large is sent without them."""
        line = self.make_line(frame_to_client=50_000)
        line.jobs["raise"] = self.raising(NotFound("x", details={"all": "x" * 60_000}))
        self.assertEqual(line.code(line.ask("raise")), "NotFound")


class OffenceTests(AnsweringCase):
    """What ends the connection, and what is left undone then."""

    def test_broken_frame(self) -> None:
        """A read with a broken frame runs none of its asks, and aborts."""
        ran: list[Any] = []
        self.jobs["note"] = ran.append
        self.line.put("note", 1)
        good = b"".join(self.line.remote.output)
        self.line.raw(good + frame(b"\xff"))
        self.assertEqual(self.line.ended, "ConnectionAborted")
        self.assertEqual(ran, [])
        self.line.raw(good)
        self.assertEqual(ran, [])

    def test_stream_that_was_never_opened(self) -> None:
        """A chunk of no stream aborts, and the asks behind it in the same read are not run."""
        ran: list[Any] = []
        self.jobs["note"] = ran.append
        self.line.put("note", 1)
        self.line.raw(frame(b"\x00\x00\x00\x01data", 2) + b"".join(self.line.remote.output))
        self.assertEqual(self.line.ended, "ConnectionAborted")
        self.assertEqual(ran, [])

    def test_two_asks_with_one_tag(self) -> None:
        """That the outcome is unknown is said, as far as it can be, and the connection aborted; what runs goes on."""
        done: list[Any] = []

        async def wait(_: Any) -> None:
            done.append(await waiting)

        waiting: Deferred[str] = Deferred()
        self.jobs["wait"] = wait
        self.line.raw(write_ask(5, "do", {"job": "wait", "value": None}, None, {}))
        self.line.remote.asked[5] = _asked()
        self.line.raw(write_ask(5, "do", {"job": "echo", "value": None}, None, {}))
        self.assertEqual(self.line.code(5), "OutcomeUnknown")
        self.assertEqual(self.line.ended, "ConnectionAborted")
        waiting.callback("work goes on")
        self.assertEqual(done, ["work goes on"])
        self.assertEqual(self.line.clock.getDelayedCalls(), [])

    def test_transport_that_cannot_abort(self) -> None:
        """A transport without abortConnection is closed, and an address that it does not have is no matter."""
        self.line.transport.abortConnection = None
        del self.line.transport.abortConnection
        transport = self.line.transport

        class Bare:
            loseConnection = staticmethod(lambda: transport.lose(ConnectionError()))
            getPeer = staticmethod(lambda: None)

        self.line.protocol.transport = Bare()
        self.line.raw(b"\xff\xff\xff\xff\xff")
        self.assertEqual(self.line.ended, "ConnectionError")


def _asked() -> Any:
    from fluxon.wire.conversation import Asked

    return Asked(None, None, None)
