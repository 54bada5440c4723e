"""Tokens of a key that another process took up first: judged after a look at the keys, one a second at most."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import InsecureSecrets, Unavailable
from fluxon.security.tokens import TokenSigner
from fluxon.sessions.key_looks import EVERY, KeyLooks

KEYS = {"1": bytes(32), "2": bytes(range(32))}


class ResumeTests(SynchronousTestCase):
    """A login in one process, shown to another whose keys are older."""

    house: Any

    def shown(self, look: Any) -> Deferred[Any]:
        """The token of a login, signed with the newest key, shown to a process that knows the first."""
        newer = self.house.process(signer=TokenSigner(KEYS))
        stranger = self.successResultOf(newer.resume(None)).session
        self.session, token = self.successResultOf(newer.login(stranger, 1))
        older = self.house.process(signer=self.signer, look_for_keys=look)
        return older.resume(token)

    def setUp(self) -> None:
        self.signer = TokenSigner({"1": KEYS["1"]})

    def test_found(self) -> None:
        """Who logged in there is logged in here, and gets a token of the newest key."""

        def look() -> Deferred[None]:
            self.signer.use_keys(KEYS)
            return succeed(None)

        resumed = self.successResultOf(self.shown(look))
        self.assertEqual((resumed.session.id, resumed.fresh), (self.session.id, False))
        self.assertEqual(resumed.token.split(".")[1], "2")

    def test_not_there(self) -> None:
        """A key that is nowhere: a stranger, as ever."""
        resumed = self.successResultOf(self.shown(lambda: succeed(None)))
        self.assertTrue(resumed.fresh)
        self.assertIsNone(resumed.session.user_id)

    def test_unreadable(self) -> None:
        """Keys that cannot be read now take nobody's session away: the client is to ask again."""
        self.failureResultOf(self.shown(lambda: fail(Unavailable())), Unavailable)

    def test_forged(self) -> None:
        """A token of a key that is known is judged without a look."""
        sessions = self.house.process(signer=self.signer, look_for_keys=self.fail)
        forged = TokenSigner({"1": bytes(range(32))}).sign(bytes(16))
        self.assertTrue(self.successResultOf(sessions.resume(forged)).fresh)


class LooksTests(SynchronousTestCase):
    """One a second, for all who ask."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.looks: list[Deferred[bool]] = []
        self.key_looks = KeyLooks(self.look, self.clock)

    def look(self) -> Deferred[bool]:
        self.looks.append(Deferred())
        return self.looks[-1]

    def test_shared(self) -> None:
        """Whoever asks while a look is under way, or soon after, waits for the next one, a second later."""
        first = [self.key_looks.after_a_look() for _ in range(3)]
        self.clock.advance(0)
        second = [self.key_looks.after_a_look() for _ in range(3)]
        self.looks[0].callback(True)
        for each in first:
            self.successResultOf(each)
        self.clock.advance(EVERY * 0.9)
        self.assertEqual(len(self.looks), 1)
        self.clock.advance(EVERY * 0.2)
        self.assertEqual(len(self.looks), 2)
        for each in second:
            self.assertNoResult(each)
        self.looks[1].callback(False)
        for each in second:
            self.successResultOf(each)

    def test_fails(self) -> None:
        """The log has why; whoever waited is told to try again, and a client that has gone is no matter."""
        waiting, gone = self.key_looks.after_a_look(), self.key_looks.after_a_look()
        gone.addErrback(lambda _: None).cancel()
        self.clock.advance(0)
        self.looks[0].errback(InsecureSecrets("secrets is open to other users"))
        self.assertNotIn("users", self.failureResultOf(waiting, Unavailable).value.text)
        again = self.key_looks.after_a_look()
        self.clock.advance(EVERY)
        self.looks[1].callback(True)
        self.successResultOf(again)

    def test_stopped(self) -> None:
        """Whoever waits, or comes later, is refused, and nothing is left in the reactor."""
        waiting = self.key_looks.after_a_look()
        self.key_looks.stop()
        for each in (waiting, self.key_looks.after_a_look()):
            self.failureResultOf(each, Unavailable)
        self.assertEqual((self.clock.getDelayedCalls(), self.looks), ([], []))

    def test_a_clock_that_is_set_back(self) -> None:
        """Nobody waits for longer than a second."""
        self.key_looks.after_a_look()
        self.clock.advance(0)
        self.clock.rightNow -= 10_000
        self.key_looks.after_a_look()
        self.clock.advance(EVERY)
        self.assertEqual(len(self.looks), 2)
