"""What is asked of a server that leaves, whose connection is lost, or that has to hear of a newer session first."""

from __future__ import annotations

from typing import Any

from raw_peer import welcome
from scripted_server import MemoryTestCase, Visit

from fluxon.connect import Client
from fluxon.errors import Unavailable, stopping


class ServiceTestCase(MemoryTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.asking = self.client()
        self.visit = self.server.now(self.server.visit())

    def next_visit(self) -> Visit:
        """This connection is lost, and the client comes again."""
        self.server.settle()
        self.visit.cut()
        self.server.settle(1)
        visit: Visit = self.server.now(self.server.visit())
        return visit

    def asked(self, visit: Visit) -> Any:
        return self.server.now(visit.asks.get())

    def carried_out(self, answer: Any, visit: Visit) -> None:
        """``visit`` is asked for the view, and its answer is what the program gets."""
        ask = self.asked(visit)
        self.assertEqual(ask.arguments["view"], "work")
        visit.answer(ask, "done")
        self.server.settle()
        self.assertEqual(self.successResultOf(answer), "done")

    def move_session(self) -> None:
        """Another connection of the session logged in."""
        self.asking.session.changed("newer", "s", True)


class LeavingTests(ServiceTestCase):
    """A server that stops; ``idempotent`` or not, what it did not do goes to the next one."""

    def test_refused_because_it_stops(self) -> None:
        """A request that was refused because the server leaves is asked again on the next connection."""
        for idempotent in (False, True):
            answer = self.asking.call("work", idempotent=idempotent)
            ask = self.asked(self.visit)
            self.visit.ask("leaving", {})
            self.visit.fail(ask, stopping())
            self.visit = self.next_visit()
            self.carried_out(answer, self.visit)

    def test_leaves_while_it_hears_of_the_session(self) -> None:
        """It was to be told of a newer session first: what waited for that is asked on the next connection."""
        for idempotent in (False, True):
            self.move_session()
            answer = self.asking.call("work", idempotent=idempotent)
            hello = self.asked(self.visit)
            self.assertEqual((hello.command, hello.arguments["token"]), ("hello", "newer"))
            self.visit.ask("leaving", {})
            self.server.settle()
            self.visit.fail(hello, stopping())
            self.visit = self.next_visit()
            self.carried_out(answer, self.visit)

    def test_leaves_and_takes_the_session(self) -> None:
        """It answers the hello all the same: what waited for that is not asked of it, but of the next one."""
        for idempotent in (False, True):
            self.move_session()
            answer = self.asking.call("work", idempotent=idempotent)
            hello = self.asked(self.visit)
            self.visit.ask("leaving", {})
            self.server.settle()
            self.visit.answer(hello, welcome(token="newest", authenticated=True))
            self.server.settle()
            self.assertEqual(self.visit.asks.pending, [])
            self.visit = self.next_visit()
            self.carried_out(answer, self.visit)

    def test_its_last_word_of_the_session(self) -> None:
        """A server that leaves may still log in or out: the next connection presents the token that it gave."""
        self.visit.ask("leaving", {})
        self.visit.ask("session", {"session": "s", "token": "last", "authenticated": True})
        self.server.settle()
        self.assertEqual([each.value for each in self.visit.heard], [{}, {}])
        self.visit.cut()
        self.server.settle(1)
        visit = self.server.now(self.server.come.get())
        self.assertEqual(self.server.now(visit.greet()).arguments["token"], "last")


class CatchingUpTests(ServiceTestCase):
    """The session has a newer token than the connection: that is presented first."""

    def test_lost_meanwhile(self) -> None:
        """Neither the request that it was told for, nor one that waited for that, was sent: both go out next."""
        for idempotent in (False, True):
            self.move_session()
            answers = [self.asking.call("work", idempotent=idempotent) for _ in range(2)]
            self.assertEqual(self.asked(self.visit).command, "hello")
            self.assertEqual(self.visit.asks.pending, [])
            self.visit = self.next_visit()
            for _ in answers:
                self.visit.answer(self.asked(self.visit), "done")
            self.server.settle()
            self.assertEqual([self.successResultOf(each) for each in answers], ["done", "done"])

    def test_refused(self) -> None:
        """The server's reason is the request's, which was not sent; the next one says hello again."""
        self.move_session()
        answer = self.asking.call("work")
        self.visit.fail(self.asked(self.visit), Unavailable("not now"))
        self.server.settle()
        self.assertEqual(str(self.failureResultOf(answer, Unavailable).value), "not now")
        self.asking.call("work").addErrback(lambda _: None)
        self.assertEqual(self.asked(self.visit).command, "hello")


class UnsentTests(ServiceTestCase):
    """More than a server takes at once waits on this side."""

    def test_lost_before_it_was_sent(self) -> None:
        """What waited for its place is asked on the next connection; what was sent is not."""
        client: Client = self.client()
        limits = {"frame": 2**17, "frame_authenticated": 2**20, "frame_to_client": 2**24, "in_flight": 5}
        visit = self.server.now(self.server.visit(limits=limits))
        sent = client.call("first")
        waits = [client.call("work", idempotent=each) for each in (False, True)]
        self.assertEqual(self.asked(visit).arguments["view"], "first")
        self.server.settle()
        visit.cut()
        self.server.settle(1)
        self.failureResultOf(sent)
        visit = self.server.now(self.server.visit())
        for each in waits:
            self.carried_out(each, visit)
