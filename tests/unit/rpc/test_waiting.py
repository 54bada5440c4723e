"""Responders that wait: their deadlines, what cancels them, and whose place they hold until they have really ended."""

from __future__ import annotations

from contextvars import ContextVar
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, inlineCallbacks, succeed
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import NotFound

WHO: ContextVar[str] = ContextVar("WHO", default="nobody")


class WaitingCase(SynchronousTestCase):
    make_line: Any
    logged: list[dict[str, Any]]

    def setUp(self) -> None:
        self.line = self.make_line(view_timeout=30.0, in_flight=4)
        self.jobs = self.line.jobs
        self.waits: list[Deferred[Any]] = []

    def wait(self, canceller: Any = None) -> Deferred[Any]:
        """A Deferred of the test's, as a database's would be."""
        self.waits.append(Deferred(canceller))
        return self.waits[-1]

    def assert_idle(self) -> None:
        """Nothing is counted, timed or remembered any more."""
        conversation = self.line.protocol.conversation
        self.assertEqual((conversation.answering, conversation._lingering), ({}, 0))
        self.assertEqual(self.line.peer._load._count, 0)
        self.assertFalse(self.line.peer._tasks or self.line.peer._lingering or self.line.peer._cancelled)


class ResultTests(WaitingCase):
    def test_in_any_order(self) -> None:
        """Answers leave when they are there, not in the order of the asks; those of one turn in one write."""
        self.jobs["wait"] = lambda _: self.wait()
        tags = [self.line.ask("wait") for _ in range(3)]
        self.waits[2].callback("c")
        self.waits[0].callback("a")
        self.assertEqual([self.line.outcome(tag) for tag in tags], ["a", ..., "c"])
        self.assertEqual(len(self.line.transport.writes), 1)
        self.waits[1].errback(NotFound())
        self.assertEqual(self.line.code(tags[1]), "NotFound")
        self.assert_idle()

    def test_many_steps(self) -> None:
        """A coroutine that waits again and again, through coroutines of its own and failures that it catches."""

        async def inner() -> Any:
            return await self.wait()

        async def job(_: Any) -> Any:
            seen = [await inner()]
            try:
                await inner()
            except KeyError as error:
                seen.append(repr(error))
            return [*seen, await inner()]

        self.jobs["job"] = job
        tag = self.line.ask("job")
        self.waits[0].callback(1)
        self.waits[1].errback(KeyError("two"))
        self.assertIs(self.line.outcome(tag), ...)
        self.waits[2].callback(3)
        self.assertEqual(self.line.outcome(tag), [1, "KeyError('two')", 3])
        self.assert_idle()

    def test_foreign_awaitable(self) -> None:
        """Awaiting what the reactor does not know is an error at that place, which the coroutine may catch."""

        class Foreign:
            def __await__(self) -> Any:
                yield "an asyncio future"

        async def fails(_: Any) -> Any:
            return await Foreign()

        async def catches(_: Any) -> Any:
            try:
                await Foreign()
            except TypeError as error:
                return f"{error}"[:30]

        async def after_waiting(_: Any) -> Any:
            await self.wait()
            return await Foreign()

        self.jobs.update(fails=fails, catches=catches, after=after_waiting)
        self.assertEqual(self.line.code(self.line.ask("fails")), "Internal")
        self.assertEqual(self.line.outcome(self.line.ask("catches")), "a coroutine on the reactor can")
        tag = self.line.ask("after")
        self.waits[0].callback(None)
        self.assertEqual(self.line.code(tag), "Internal")
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 2)
        self.assert_idle()

    def test_context(self) -> None:
        """Each request has context variables of its own, kept over its waits and seen by nobody else."""

        async def job(name: Any) -> Any:
            WHO.set(name)
            await self.wait()
            return WHO.get()

        self.jobs["job"] = job
        tags = [self.line.ask("job", name) for name in ("ann", "bob")]
        for each in self.waits:
            each.callback(None)
        self.assertEqual([self.line.outcome(tag) for tag in tags], ["ann", "bob"])
        self.assertEqual(WHO.get(), "nobody")


class DeadlineTests(WaitingCase):
    """An ask's time is up."""

    def test_own_limit(self) -> None:
        """Without a timeout of the asker's the server's applies; the one who asked for less gets less."""
        self.jobs["wait"] = lambda _: self.wait()
        patient, hasty, greedy = (
            self.line.ask("wait"),
            self.line.ask("wait", None, 2.5),
            self.line.ask("wait", None, 80),
        )
        self.line.clock.advance(2.4)
        self.assertIs(self.line.outcome(hasty), ...)
        self.line.clock.advance(0.1)
        self.assertEqual(self.line.code(hasty), "DeadlineExceeded")
        self.assertIs(self.line.outcome(patient), ...)
        self.line.clock.advance(27.5)
        self.assertEqual([self.line.code(patient), self.line.code(greedy)], ["DeadlineExceeded"] * 2)
        self.assert_idle()

    def test_earlier_deadline_after_later(self) -> None:
        """One timer serves all: an earlier deadline moves it forward, and the later one is still kept."""
        self.jobs["wait"] = lambda _: self.wait()
        tags = [self.line.ask("wait", None, seconds) for seconds in (20, 5, 10)]
        for seconds, done in ((5, 1), (5, 2), (10, 3)):
            self.line.clock.advance(seconds)
            self.line.pull()
            self.assertEqual(len(self.line.outcomes), done)
        self.assertEqual({self.line.code(tag) for tag in tags}, {"DeadlineExceeded"})

    def test_place_is_held(self) -> None:
        """What goes on after its deadline keeps its place: timeouts are no way around the cap. Its tag is free."""

        async def stubborn(_: Any) -> Any:
            while True:
                try:
                    return await self.wait()
                except CancelledError:
                    pass

        self.jobs["stubborn"] = stubborn
        tags = [self.line.ask("stubborn", None, 1) for _ in range(4)]
        self.line.clock.advance(1)
        self.assertEqual({self.line.code(tag) for tag in tags}, {"DeadlineExceeded"})
        self.assertEqual(self.line.code(self.line.ask("echo")), "ResourceExhausted")
        self.waits[-1].callback("too late")
        self.assertEqual(self.line.pull(), [])
        self.line.remote._next_tag = tags[0]
        again = self.line.ask("stubborn", None, 9)
        self.assertEqual(again, tags[0])
        for wait in self.waits[4:7]:
            wait.callback("too late, too")
        self.assertIs(self.line.remote.asked.get(again) is None, False)
        self.waits[-1].callback("in time")
        self.assertEqual(self.line.outcome(again), "in time")
        self.assert_idle()

    def test_late_failure_is_logged(self) -> None:
        """What fails after its deadline, with nobody to tell, is an incident in the log; a cancellation is none."""

        async def cleans_up_badly(_: Any) -> Any:
            try:
                await self.wait()
            finally:
                raise ValueError("while cleaning up")

        self.jobs.update(bad=cleans_up_badly, good=lambda _: self.wait())
        self.line.ask("bad", None, 1)
        self.line.ask("good", None, 1)
        self.line.clock.advance(1)
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        self.assert_idle()

    def test_one_ends_another(self) -> None:
        """Two deadlines at once, where cancelling the first ends the second: both are answered, and time goes on."""
        second: Deferred[str] = Deferred()

        def first(_: Any) -> Any:
            return self.wait(lambda _: second.callback("ended by the other"))

        self.jobs.update(first=first, second=lambda _: second, third=lambda _: self.wait())
        tags = [self.line.ask(job, None, 1) for job in ("first", "second")]
        later = self.line.ask("third", None, 2)
        self.line.clock.advance(1)
        self.assertEqual(self.line.code(tags[0]), "DeadlineExceeded")
        self.assertEqual(self.line.outcome(tags[1]), "ended by the other")
        self.line.clock.advance(1)
        self.assertEqual(self.line.code(later), "DeadlineExceeded")
        self.assert_idle()

    def test_canceller_that_raises(self) -> None:
        """A canceller of the application's that raises is logged, and stops no other deadline."""

        def canceller(_: Any) -> None:
            raise ValueError("cannot cancel")

        self.jobs.update(bad=lambda _: self.wait(canceller), good=lambda _: self.wait())
        tags = [self.line.ask("bad", None, 1), self.line.ask("good", None, 1), self.line.ask("good", None, 2)]
        self.line.clock.advance(1)
        self.line.clock.advance(1)
        self.assertEqual([self.line.code(tag) for tag in tags], ["DeadlineExceeded"] * 3)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.waits[0].callback(None)
        self.assert_idle()


class CancelTests(WaitingCase):
    """The asker gives up."""

    def test_running(self) -> None:
        """A coroutine meets CancelledError where it waits; the answer is Cancelled, and comes when it has ended."""
        cleaned: list[str] = []

        async def job(_: Any) -> Any:
            try:
                await self.wait()
            except CancelledError:
                await self.wait()
                cleaned.append("up")
                raise

        @inlineCallbacks
        def generator(_: Any) -> Any:
            yield self.wait()

        self.jobs.update(job=job, generator=generator, deferred=lambda _: self.wait())
        tag = self.line.ask("job")
        self.line.cancel(tag)
        self.assertIs(self.line.outcome(tag), ...)
        self.waits[1].callback(None)
        self.assertEqual((self.line.code(tag), cleaned), ("Cancelled", ["up"]))
        for kind in ("generator", "deferred"):
            tag = self.line.ask(kind)
            self.line.cancel(tag)
            self.assertEqual(self.line.code(tag), "Cancelled")
        self.assertEqual(self.logged, [])
        self.assert_idle()

    def test_finished_anyway(self) -> None:
        """Whoever swallows the cancellation answers with what they have."""

        async def job(_: Any) -> Any:
            try:
                await self.wait()
            except CancelledError:
                return "kept"

        self.jobs["job"] = job
        tag = self.line.ask("job")
        self.line.cancel(tag)
        self.assertEqual(self.line.outcome(tag), "kept")
        self.assert_idle()

    def test_without_effect(self) -> None:
        """Before the ask was read, after its answer, twice, or for a tag that never was: nothing happens."""
        self.jobs["wait"] = lambda _: self.wait()
        tag = self.line.put("wait")
        self.line.cancel(tag)  # ask and cancel in one read
        self.assertEqual(self.line.code(tag), "Cancelled")
        self.line.remote.output.append(b"\x00\x00\x00\x08\x00\x82\x03\x1a\x00\x00\xff\xff")
        self.line.push()
        tag = self.line.put("echo", 1)
        self.line.cancel(tag)
        self.assertEqual(self.line.outcome(tag), 1)
        self.assertIsNone(self.line.ended)
        self.assert_idle()

    def test_while_it_settles(self) -> None:
        """A responder that is cancelled and has something to settle first was still cancelled, and is no incident."""

        async def job(_: Any) -> Any:
            self.line.peer.current.settle = lambda result: self.wait().addCallback(lambda _: result)
            await self.wait()

        self.jobs["job"] = job
        tag = self.line.ask("job")
        self.line.cancel(tag)
        self.assertIs(self.line.outcome(tag), ...)
        self.waits[1].callback(None)
        self.assertEqual(self.line.code(tag), "Cancelled")
        self.assertEqual(self.logged, [])
        self.assert_idle()

    def test_cancelled_by_itself(self) -> None:
        """A responder that cancelled something of its own is an incident: nobody asked it to stop."""

        async def job(_: Any) -> Any:
            inner = self.wait()
            inner.cancel()
            await inner

        self.jobs["job"] = job
        self.assertEqual(self.line.code(self.line.ask("job")), "Internal")
        self.assertEqual(len(self.flushLoggedErrors(CancelledError)), 1)

    def test_canceller_that_raises(self) -> None:
        """It is logged; the request goes on to its end."""

        def canceller(_: Any) -> None:
            raise ValueError("cannot cancel")

        self.jobs["bad"] = lambda _: self.wait(canceller)
        tag = self.line.ask("bad")
        self.line.cancel(tag)
        self.waits[0].callback("done")
        self.assertEqual(self.line.outcome(tag), "done")
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertIsNone(self.line.ended)

    def test_storm(self) -> None:
        """10,000 cancels of one that does not care, and of tags that are not in use, cost nothing that stays."""

        async def stubborn(_: Any) -> Any:
            for _ in range(20_000):
                try:
                    return await self.wait()
                except CancelledError:
                    del self.waits[:]
            raise AssertionError("cancelled more often than it was told")

        self.jobs["stubborn"] = stubborn
        tag = self.line.ask("stubborn")
        cancel = b"\x00\x00\x00\x08\x00\x82\x03\x1a"
        self.line.raw(b"".join(cancel + number.to_bytes(4, "big") for number in (tag, tag + 9) * 10_000))
        self.waits[0].callback("survived")
        self.assertEqual(self.line.outcome(tag), "survived")
        self.assert_idle()


class HandedOnTests(WaitingCase):
    """Coroutines that return coroutines."""

    def test_how_often(self) -> None:
        """Some are waited for; whoever goes on like this has failed, whatever it would be in the end."""

        async def handed(left: int, last: Any) -> Any:
            return handed(left - 1, last) if left else last

        self.jobs["few"] = lambda _: handed(15, succeed("in the end"))
        self.jobs["many"] = lambda _: handed(16, succeed("never looked at"))
        self.jobs["more"] = lambda _: handed(40, None)
        self.assertEqual(self.line.outcome(self.line.ask("few")), "in the end")
        for job in ("many", "more"):
            self.assertEqual(self.line.code(self.line.ask(job)), "Internal")
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 2)
        self.assert_idle()


class EndAllTests(WaitingCase):
    """A server that hurries ends what runs, perhaps at the word of what runs."""

    def test_by_one_that_waited(self) -> None:
        """Its own deadline is over with the others', and it is not stopped in the middle of what it does."""
        done: list[Any] = []

        async def hurry(_: Any) -> Any:
            await self.wait()
            self.line.peer.end_all()
            done.append("went on")
            return "nobody hears"

        self.jobs["hurry"], self.jobs["wait"] = hurry, lambda _: self.wait()
        tags = [self.line.ask("hurry"), self.line.ask("wait")]
        self.waits[0].callback(None)
        self.assertEqual([self.line.code(tag) for tag in tags], ["DeadlineExceeded"] * 2)
        self.assertEqual(done, ["went on"])
        self.assertTrue(self.waits[1].called)
        self.assert_idle()

    def test_by_one_that_has_ended(self) -> None:
        """What is to be settled behind a result, and ends everything, is answered once, and stays counted till then."""

        def settle(result: Any) -> Any:
            self.line.peer.end_all()
            return self.wait()

        async def enter(_: Any) -> Any:
            self.line.peer.current.settle = settle
            return await self.wait()

        self.jobs["enter"] = enter
        tag = self.line.ask("enter")
        self.waits[0].callback(None)
        self.assertEqual(self.line.code(tag), "DeadlineExceeded")
        self.waits[1].callback("nobody hears")
        self.assertEqual(self.line.code(tag), "DeadlineExceeded")
        self.assertIsNone(self.line.ended)
        self.assert_idle()


class LostTests(WaitingCase):
    """The connection is gone while something runs."""

    def test_goes_on(self) -> None:
        """Work is not cancelled, its result is dropped, and no timer is left when it has ended."""
        done: list[Any] = []

        async def job(_: Any) -> Any:
            done.append(await self.wait())
            return "x" * 100_000

        self.jobs["job"] = job
        self.line.ask("job")
        self.line.transport.lose(ConnectionError())
        self.assertEqual(len(self.line.clock.getDelayedCalls()), 1)
        self.waits[0].callback("carried out")
        self.assertEqual(done, ["carried out"])
        self.assertEqual(self.line.clock.getDelayedCalls(), [])
        self.assertEqual((self.line.protocol.conversation.output, self.line.transport.sent), ([], b""))
        self.assert_idle()

    def test_until_its_deadline(self) -> None:
        """What never ends is cancelled at its deadline all the same."""
        self.jobs["wait"] = lambda _: self.wait()
        self.line.ask("wait", None, 5)
        self.line.transport.lose(ConnectionError())
        self.line.clock.advance(5)
        self.assertEqual(self.line.clock.getDelayedCalls(), [])
        self.assertTrue(self.waits[0].called)
        self.assert_idle()

    def test_failure_is_logged(self) -> None:
        """An exception after the connection was lost is an incident in the log."""

        async def job(_: Any) -> Any:
            await self.wait()
            raise ValueError("nobody listens")

        self.jobs["job"] = job
        self.line.ask("job")
        self.line.transport.lose(ConnectionError())
        self.waits[0].callback(None)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.line.protocol.conversation.output, [])
        self.assert_idle()
