"""How long a session is relied on, what ends it, and what a failing store may and may not do."""

import os
import shutil
import sqlite3
import tempfile
from contextlib import closing
from typing import Any

import attrs
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from fluxon.database.apis import SQLiteDatabase
from fluxon.errors import ConfigurationError
from fluxon.limits import Limits
from fluxon.sessions import Ending, Session, SQLStore

DAY = 86_400.0


class VerificationCase(SynchronousTestCase):
    """Words that the tests below share."""

    house: Any

    def logged_in(self, user_id: int = 1) -> tuple[Session, str]:
        session = self.successResultOf(self.house.sessions.resume(None)).session
        return self.successResultOf(self.house.sessions.login(session, user_id))

    def verify(self, session: Session) -> bool:
        return self.successResultOf(self.house.sessions.verify(session))

    def fresh(self, session: Session) -> bool:
        return session.fresh(self.house.clock.seconds())

    def stored_use(self, session: Session) -> float:
        return self.successResultOf(self.house.store.load(session.key)).used


class FreshnessTests(VerificationCase):
    """The two seconds for which nothing is read."""

    def test_two_seconds(self) -> None:
        """A new session is fresh until the limit, exactly, and again after it was verified; nothing is read before."""
        session, _ = self.logged_in()
        self.house.clock.advance(1.75)
        asked = self.house.users.asked
        self.assertTrue(self.fresh(session))
        self.assertTrue(self.verify(session))
        self.assertEqual(self.house.users.asked, asked)
        self.house.clock.advance(0.25)
        self.assertFalse(self.fresh(session))
        self.assertTrue(self.verify(session))
        self.assertEqual(self.house.users.asked, asked + 1)
        self.assertTrue(self.fresh(session))

    def test_setting(self) -> None:
        """The limit is the one of Setup."""
        sessions = self.house.process(limits=Limits(session_freshness=30))
        session = self.successResultOf(sessions.resume(None)).session
        self.house.clock.advance(29.5)
        self.assertTrue(self.fresh(session))

    def test_age_counts_from_before_the_reading(self) -> None:
        """A reading that took a second is a second old when it arrives."""
        session, _ = self.logged_in()
        self.house.clock.advance(2)
        self.house.users.slow = True
        verified = self.house.sessions.verify(session)
        self.house.clock.advance(1)
        self.house.users.answer()
        self.assertTrue(self.successResultOf(verified))
        self.assertTrue(self.fresh(session))
        self.house.clock.advance(1)
        self.assertFalse(self.fresh(session))

    def test_one_reading_for_all(self) -> None:
        """A hundred requests of a session that went stale cost one reading."""
        session, _ = self.logged_in()
        self.house.clock.advance(2)
        self.house.users.slow = True
        asked = self.house.users.asked
        answers = [self.house.sessions.verify(session) for _ in range(100)]
        self.house.users.answer()
        self.assertEqual([self.successResultOf(each) for each in answers], [True] * 100)
        self.assertEqual(self.house.users.asked, asked + 1)

    def test_no_relying_on_a_reading_that_hangs(self) -> None:
        """A request that joins a reading of long ago gets one of its own: what was revoked meanwhile is seen."""
        session, _ = self.logged_in()
        self.house.clock.advance(2)
        self.house.users.slow = True
        early = self.house.sessions.verify(session)
        self.house.clock.advance(3)
        late = self.house.sessions.verify(session)
        self.successResultOf(self.house.store.delete(session.key))
        self.house.users.answer()
        self.assertFalse(self.successResultOf(late))
        self.successResultOf(early)
        self.assertTrue(session.ended)

    def test_one_who_gives_up_stops_no_other(self) -> None:
        """Cancelling one wait leaves the reading to those who wait too."""
        session, _ = self.logged_in()
        self.house.clock.advance(2)
        self.house.users.slow = True
        one, other = self.house.sessions.verify(session), self.house.sessions.verify(session)
        one.cancel()
        self.failureResultOf(one)
        self.house.users.answer()
        self.assertTrue(self.successResultOf(other))

    def test_clock_turned_back(self) -> None:
        """A clock that was set back an hour does not keep a revoked session alive for that hour."""
        session, _ = self.logged_in()
        self.house.clock.rightNow -= 3_600
        self.successResultOf(self.house.store.delete(session.key))
        self.assertFalse(self.fresh(session))
        self.assertFalse(self.verify(session))

    def test_ended_is_never_fresh(self) -> None:
        """After the end the hot path says no at once, and verifying reads nothing."""
        session, _ = self.logged_in()
        self.successResultOf(self.house.sessions.revoke(session))
        asked = self.house.users.asked
        self.assertFalse(self.fresh(session))
        self.assertFalse(self.verify(session))
        self.assertEqual(self.house.users.asked, asked)

    def test_ended_while_being_read(self) -> None:
        """A reading that began before the end does not answer that the session holds, nor make it fresh again."""
        session, _ = self.logged_in()
        self.house.clock.advance(2)
        self.house.users.slow = True
        verified = self.house.sessions.verify(session)
        self.successResultOf(self.house.sessions.revoke_user(1))
        self.house.users.answer()
        self.assertFalse(self.successResultOf(verified))
        self.assertFalse(self.fresh(session))


class EndingTests(VerificationCase):
    """What ends a session that nobody here ended."""

    def assert_over(self, session: Session, token: str, ending: Ending) -> None:
        self.house.clock.advance(2)
        self.assertFalse(self.verify(session))
        self.assertIs(session.ending, ending)
        self.assertIsNone(self.successResultOf(self.house.store.load(session.key)), "nothing is left behind")
        resumed = self.successResultOf(self.house.process().resume(token))
        self.assertTrue(resumed.fresh)
        self.assertIsNone(resumed.session.user)

    def test_revoked_elsewhere(self) -> None:
        """A revocation by another process arrives within two seconds."""
        session, token = self.logged_in()
        self.successResultOf(self.house.process().revoke_user(1))
        self.assert_over(session, token, Ending.REVOKED)

    def test_user_deleted(self) -> None:
        """A deleted user is nobody: the session ends, and no row of theirs is ever handed out again."""
        session, token = self.logged_in()
        del self.house.users.rows[1]
        self.assert_over(session, token, Ending.USER_DELETED)

    def test_password_changed(self) -> None:
        """A changed password ends the sessions that the old one opened, wherever it was changed."""
        session, token = self.logged_in()
        other, _ = self.logged_in(2)
        self.house.users.change_password(1)
        self.assert_over(session, token, Ending.PASSWORD_CHANGED)
        self.assertTrue(self.verify(other))

    def test_another_row_of_the_user(self) -> None:
        """Any other change of the user ends nothing, and is seen with the next reading."""
        session, _ = self.logged_in()
        self.house.users.rows[1] = attrs.evolve(self.house.users.rows[1], username="anne")
        self.house.clock.advance(2)
        self.assertTrue(self.verify(session))
        self.assertEqual(session.user.username, "anne")

    def test_deleted_user_meets_resume(self) -> None:
        """A hello for a deleted user answers a stranger, and takes the row away."""
        session, token = self.logged_in()
        key = session.key
        del session, self.house.users.rows[1]
        self.house.ended.clear()
        resumed = self.successResultOf(self.house.sessions.resume(token))
        self.assertTrue(resumed.fresh)
        self.assertIsNone(resumed.session.user)
        self.assertIsNone(self.successResultOf(self.house.store.load(key)))


class ExpiryTests(VerificationCase):
    """Idle and absolute time, for users and strangers."""

    def resumes(self, token: str) -> bool:
        return not self.successResultOf(self.house.process().resume(token)).fresh

    def test_idle(self) -> None:
        """Thirty days unused is over; each use begins them anew."""
        _, token = self.logged_in()
        self.house.clock.advance(30 * DAY - 1)
        self.assertTrue(self.resumes(token))
        self.house.clock.advance(30 * DAY - 1)
        self.assertTrue(self.resumes(token))
        self.house.clock.advance(30 * DAY)
        self.assertFalse(self.resumes(token))

    def test_absolute(self) -> None:
        """Ninety days after the login it is over, however much it was used."""
        _, token = self.logged_in()
        for _ in range(4):
            self.house.clock.advance(20 * DAY)
            self.assertTrue(self.resumes(token))
        self.house.clock.advance(10 * DAY - 1)
        self.assertTrue(self.resumes(token))
        self.house.clock.advance(1)
        self.assertFalse(self.resumes(token))

    def test_absolute_while_connected(self) -> None:
        """A connection held open does not lengthen it."""
        session, _ = self.logged_in()
        session.attach("connection")
        for _ in range(89):
            self.house.clock.advance(DAY)
            self.assertTrue(self.verify(session))
        self.house.clock.advance(DAY)
        self.assertFalse(self.verify(session))
        self.assertIs(session.ending, Ending.EXPIRED)

    def test_connected_is_used(self) -> None:
        """A client that only listens is using its session: it stays, and has its idle time after it went."""
        session, token = self.logged_in()
        session.attach("connection")
        for _ in range(8):
            self.house.clock.advance(5 * DAY)
            self.successResultOf(self.house.sessions.purge())
        session.detach("connection")
        del session
        self.house.clock.advance(30 * DAY - 1)
        self.assertTrue(self.resumes(token))

    def test_connected_for_longer_than_idle(self) -> None:
        """The first request of a client that listened for forty days is answered as its user's."""
        session, _ = self.logged_in()
        session.attach("connection")
        self.house.clock.advance(40 * DAY)
        self.assertTrue(self.verify(session))

    def test_anonymous(self) -> None:
        """A stranger's session is kept for an hour after the connection went, and not longer."""
        session = self.successResultOf(self.house.sessions.resume(None))
        token = session.token
        session.session.attach("connection")
        self.house.clock.advance(2 * 3_600)
        self.assertTrue(self.verify(session.session))
        session.session.detach("connection")
        del session
        self.house.clock.advance(3_599)
        self.assertFalse(self.successResultOf(self.house.sessions.resume(token)).fresh)
        self.house.clock.advance(3_600)
        self.assertTrue(self.successResultOf(self.house.sessions.resume(token)).fresh)

    def test_anonymous_that_is_too_old(self) -> None:
        """A stranger's session ends after its longest time, also under a connection that asks all the time."""
        session = self.successResultOf(self.house.sessions.resume(None)).session
        session.attach("connection")
        while self.verify(session):
            self.assertLess(self.house.clock.seconds(), session.created + self.house.limits.session_absolute)
            self.house.clock.advance(DAY)
        self.assertIs(session.ending, Ending.EXPIRED)
        self.assertEqual(self.house.ended, [session])

    def test_purge(self) -> None:
        """Purging takes the expired from the store and ends what is too old here; the rest is left."""
        old, _ = self.logged_in(1)
        old.attach("connection")
        self.house.clock.advance(89 * DAY)
        young, token = self.logged_in(2)
        self.house.clock.advance(DAY)
        self.successResultOf(self.house.sessions.purge())
        self.assertIs(old.ending, Ending.EXPIRED)
        self.assertEqual(self.successResultOf(self.house.sessions.list_user(1)), [])
        self.assertFalse(young.ended)
        self.assertTrue(self.resumes(token))


class UseTests(VerificationCase):
    """``used`` on its way to the store."""

    def test_once_a_minute(self) -> None:
        """Use is written back at most once a minute, whatever the number of requests."""
        session, _ = self.logged_in()
        begun = self.stored_use(session)
        written = set()
        for _ in range(90):
            self.house.clock.advance(2)
            self.verify(session)
            written.add(self.stored_use(session))
        self.assertEqual(sorted(written - {begun}), [begun + 60, begun + 120, begun + 180])

    def test_request_does_not_wait_for_it(self) -> None:
        """A touch that hangs in the store holds up no verification."""
        session, _ = self.logged_in()
        self.house.clock.advance(60)
        hanging: list[Deferred[None]] = []

        def touch(key: bytes, used: float) -> Deferred[None]:
            hanging.append(Deferred())
            return hanging[-1]

        self.house.store.touch = touch
        self.assertTrue(self.verify(session))
        self.assertEqual(len(hanging), 1)


class FailingDatabaseTests(TestCase):
    """What happens when the database fails: a real one, whose table is taken away and put back."""

    house: Any

    async def setUp(self) -> None:
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.path = os.path.join(folder, "project.db")
        self.database = SQLiteDatabase(self.path)
        self.sessions = self.house.process(persistent=SQLStore(self.database))
        await self.database.start(reactor)
        self.addCleanup(self.database.stop)
        anonymous = (await self.sessions.resume(None)).session
        self.session, self.token = await self.sessions.login(anonymous, 1)

    def rename(self, old: str, new: str) -> None:
        with closing(sqlite3.connect(self.path)) as connection:
            connection.execute(f"ALTER TABLE {old} RENAME TO {new}")

    def take_away(self) -> None:
        self.rename("fluxon_sessions", "away")

    def put_back(self) -> None:
        self.rename("away", "fluxon_sessions")

    async def assert_fails(self, *calls: Deferred[Any]) -> None:
        for call in calls:
            with self.assertRaises(ConfigurationError):
                await call

    async def test_touch_fails_nobody(self) -> None:
        """A use that could not be noted is logged; the user does not notice."""
        self.session.attach("connection")
        self.take_away()
        self.house.clock.advance(60)
        self.session.detach("connection")
        await self.database.write(lambda connection: None)  # answered after what was asked before
        self.assertEqual(len(self.flushLoggedErrors(ConfigurationError)), 1)
        self.assertFalse(self.session.ended)

    async def test_nothing_is_confirmed_and_nothing_ended(self) -> None:
        """A session that cannot be read is neither relied on nor thrown away; it goes on when the database does."""
        other = self.house.process(persistent=SQLStore(self.database))
        self.take_away()
        self.house.clock.advance(2)
        await self.assert_fails(self.sessions.verify(self.session), other.resume(self.token))
        self.assertFalse(self.session.ended)
        self.assertFalse(self.session.fresh(self.house.clock.seconds()))
        self.put_back()
        self.assertTrue(await self.sessions.verify(self.session))
        self.assertFalse((await other.resume(self.token)).fresh)

    async def test_failed_login_and_logout_change_nothing(self) -> None:
        """When the database fails nobody is logged in or out, and the sessions are as they were."""
        anonymous = (await self.sessions.resume(None)).session
        self.take_away()
        await self.assert_fails(
            self.sessions.login(anonymous, 1),
            self.sessions.login(self.session, 2),
            self.sessions.logout(self.session),
            self.sessions.revoke(self.session),
            self.sessions.revoke_user(1),
        )
        self.assertFalse(anonymous.ended or self.session.ended)
        self.put_back()
        self.assertEqual([each.key for each in await self.sessions.list_user(1)], [self.session.key])
        following, _ = await self.sessions.logout(self.session)
        self.assertIsNone(following.user_id)
