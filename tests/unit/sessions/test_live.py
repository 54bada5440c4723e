"""Live sessions: shared while somebody has them, and gone without a trace afterwards."""

import gc
import threading
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import Conflict, ResourceExhausted
from fluxon.limits import Limits
from fluxon.sessions import MemoryStore, Session, SessionRecord
from fluxon.sessions.session import new_session


class LiveCase(SynchronousTestCase):
    """Words that the tests below share."""

    house: Any

    def anonymous(self) -> Session:
        return self.successResultOf(self.house.sessions.resume(None)).session

    def logged_in(self, user_id: int = 1) -> Session:
        return self.successResultOf(self.house.sessions.login(self.anonymous(), user_id))[0]


class ConnectionTests(LiveCase):
    """Who shares a session."""

    def test_bound(self) -> None:
        """As many connections as the limit says share a session; one more is refused and changes nothing."""
        session = self.anonymous()
        bound = Limits().connections_per_session
        for connection in range(bound):
            session.attach(connection)
        with self.assertRaises(ResourceExhausted):
            session.attach("one more")
        self.assertEqual(session.connections, tuple(range(bound)))
        session.attach(0)
        session.detach(0)
        session.attach("in its place")

    def test_ended(self) -> None:
        """Nobody joins a session that is over, and leaving it is no error."""
        session = self.logged_in()
        session.attach("connection")
        self.successResultOf(self.house.sessions.revoke(session))
        with self.assertRaises(Conflict):
            session.attach("another")
        session.detach("connection")
        self.assertEqual(session.connections, ())
        self.assertEqual(self.house.sessions.live_count, 0)

    def test_unknown(self) -> None:
        """Detaching what never was attached does not count as the last one leaving."""
        session = self.anonymous()
        session.attach("connection")
        session.detach("another")
        self.assertEqual(self.house.sessions.connected(), [session])

    def test_of_user(self) -> None:
        """A user's live sessions are found on all devices, and no one else's; ended ones are not."""
        phone, laptop, bob = self.logged_in(1), self.logged_in(1), self.logged_in(2)
        self.assertEqual(set(self.house.sessions.of_user(1)), {phone, laptop})
        self.assertEqual(set(self.house.sessions.of_user(2)), {bob})
        self.assertEqual(self.house.sessions.of_user(3), [])
        self.successResultOf(self.house.sessions.logout(phone))
        self.assertEqual(self.house.sessions.of_user(1), [laptop])

    def test_another_of_its_key(self) -> None:
        """One that came since is not taken for the one that ended, nor for the one that is gone."""
        live = self.house.sessions._live
        ended = self.logged_in(1)
        gone, there = (self.another(ended) for _ in range(2))
        live.remove(ended)
        self.assertIs(live.get(ended.key), there)
        ended = ended.key
        self.house.ended.clear()
        del gone
        gc.collect()
        self.assertEqual(len(live), 1)
        self.assertIs(live.get(ended), there)
        self.assertEqual(live.of_user(1), [there])
        del there
        gc.collect()
        self.assertEqual((len(live), live._by_user), (0, {}))

    def another(self, session: Session) -> Session:
        """A second object for what ``session`` stands for, as a process that lost sight of the first one makes it."""
        record = SessionRecord(session.key, session.user_id, session.created, session.used)
        return new_session(session.id, record, session.user, session.verified_at, session.fresh_until, session.live)

    def test_held_by_its_connections(self) -> None:
        """A session with a connection stays, whoever else lets go of it."""
        self.logged_in(1).attach("connection")
        gc.collect()
        self.assertEqual(len(self.house.sessions.of_user(1)), 1)


class LeakTests(LiveCase):
    """Coming and going leaves nothing."""

    def setUp(self) -> None:
        gc.collect()
        self.before = self.objects()

    def objects(self) -> int:
        return sum(isinstance(each, Session) for each in gc.get_objects())

    def assert_nothing_left(self) -> None:
        sessions = self.house.sessions
        self.assertEqual(sessions.live_count, 0)
        self.assertEqual(sessions.connected(), [])
        live = sessions._live
        self.assertEqual((live._by_key, live._by_user, live._held), ({}, {}, set()))
        self.assertLessEqual(self.objects(), self.before)

    def test_strangers(self) -> None:
        """A thousand strangers that come and go leave no live session, at once and without the collector."""
        gc.disable()
        self.addCleanup(gc.enable)
        for number in range(1_000):
            session = self.anonymous()
            session.attach(number)
            session.detach(number)
        del session
        self.house.ended.clear()
        self.assert_nothing_left()

    def test_users(self) -> None:
        """Nor do logins, resumes, failed logins, logouts and revocations."""
        sessions = self.house.sessions
        for number in range(100):
            session, token = self.successResultOf(sessions.login(self.anonymous(), 1 + number % 2))
            session.attach(number)
            self.assertIs(self.successResultOf(sessions.resume(token)).session, session)
            self.failureResultOf(sessions.login(session, 99))
            if number % 3 == 0:
                self.successResultOf(sessions.logout(session))
            elif number % 3 == 1:
                self.successResultOf(sessions.revoke_user(session.user_id))
            session.detach(number)
            del session
        self.house.ended.clear()
        gc.collect()  # failures hold tracebacks, and those the frames above
        self.assert_nothing_left()

    def test_refused_tokens(self) -> None:
        """Hellos with worthless tokens leave none, and no work under way."""
        for number in range(100):
            self.successResultOf(self.house.sessions.resume(self.house.signer.sign(number.to_bytes(16, "big"))))
        self.assertEqual(self.house.sessions._loading._waiting, {})
        self.assert_nothing_left()

    def test_flood_is_bounded(self) -> None:
        """A flood of strangers fills the anonymous sessions up to their bound, and logs nobody out."""
        memory = MemoryStore(50)
        sessions = self.house.process(memory=memory, persistent=None, limits=Limits(anonymous_sessions=50))
        kept = self.successResultOf(sessions.resume(None)).session
        _, token = self.successResultOf(sessions.login(kept, 1))
        for _ in range(500):
            self.successResultOf(sessions.resume(None))
        self.assertEqual(len(memory), 50)
        self.assertFalse(self.successResultOf(sessions.resume(token)).fresh)

    def test_pushed_out_while_connected(self) -> None:
        """A stranger whose record a flood pushed out keeps the session, and may come back after the connection."""
        memory = MemoryStore(5)
        sessions = self.house.process(memory=memory)
        resumed = self.successResultOf(sessions.resume(None))
        resumed.session.attach("connection")
        for _ in range(10):
            self.successResultOf(sessions.resume(None))
        self.house.clock.advance(2)
        self.assertTrue(self.successResultOf(sessions.verify(resumed.session)))
        resumed.session.detach("connection")
        session_id, token = resumed.session.id, resumed.token
        del resumed
        self.assertEqual(self.successResultOf(sessions.resume(token)).session.id, session_id)

    def test_dropped_by_a_thread(self) -> None:
        """A view's thread may be the last to let go of a session while others come and go."""
        sessions = self.house.sessions
        box = [self.logged_in(1) for _ in range(200)]

        def let_go() -> None:
            while box:
                box.pop()

        thread = threading.Thread(target=let_go, daemon=True)
        self.house.ended.clear()
        thread.start()
        for _ in range(200):
            self.logged_in(1)
            sessions.of_user(1)
        thread.join(10)
        self.house.ended.clear()
        self.assertFalse(thread.is_alive())
        self.assertEqual(sessions.of_user(1), [])
        self.assert_nothing_left()
