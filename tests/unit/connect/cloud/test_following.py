"""Whose session a cloud client presents, and to whom."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import living
from fluxon.connect.cloud.following import ANONYMOUS, session_for
from fluxon.connect.session import FollowedSession, SessionHolder
from fluxon.errors import ConfigurationError


class Client:
    """Something with a session."""

    def __init__(self, host: str, secure: bool) -> None:
        self.session = SessionHolder(host, secure)


class WhoseSessionTests(SynchronousTestCase):
    def open(self, host: str = "example.org", secure: bool = False) -> Client:
        client = Client(host, secure)
        living.opened(client, client.session)
        self.addCleanup(living.closed, client)
        return client

    def test_none_is_a_stranger(self) -> None:
        """Without any connection it has a session of its own, that nobody logs in to."""
        self.assertIsInstance(session_for(None, "example.org", False), SessionHolder)

    def test_the_only_one(self) -> None:
        """It is followed."""
        client = self.open()
        client.session.resume("t1")
        session = session_for(None, "EXAMPLE.org", False)
        self.assertIsInstance(session, FollowedSession)
        self.assertEqual(session.token, "t1")

    def test_one_session_of_two_connections(self) -> None:
        """Two that share a session are one."""
        client = self.open()
        living.opened(other := object(), client.session)
        self.addCleanup(living.closed, other)
        self.assertIsInstance(session_for(None, "example.org", False), FollowedSession)

    def test_several(self) -> None:
        """It has to be said whose."""
        self.open()
        self.open()
        error = self.assertRaises(ConfigurationError, session_for, None, "example.org", False)
        self.assertIn("connection=", error.text)

    def test_another_host(self) -> None:
        """A token does not go there, by itself or when told to."""
        client = self.open()
        for connection in (None, client):
            error = self.assertRaises(ConfigurationError, session_for, connection, "example.com", False)
            self.assertIn("example.com", error.text)

    def test_from_tls_to_plain(self) -> None:
        """A token does not go there, by itself or when told to."""
        client = self.open(secure=True)
        for connection in (None, client):
            error = self.assertRaises(ConfigurationError, session_for, connection, "example.org", False)
            self.assertIn("secure=True", error.text)
        self.assertIsInstance(session_for(client, "example.org", True), FollowedSession)

    def test_from_plain_to_tls(self) -> None:
        """That is no loss."""
        self.open()
        self.assertIsInstance(session_for(None, "example.org", True), FollowedSession)

    def test_closed(self) -> None:
        """One that was closed is not followed any more."""
        client = self.open()
        living.closed(client)
        self.assertIsInstance(session_for(None, "example.org", False), SessionHolder)

    def test_anonymous(self) -> None:
        """Nobody's, though there are connections; also to another host."""
        self.open(secure=True)
        session = session_for(ANONYMOUS, "example.com", False)
        self.assertIsInstance(session, SessionHolder)
        self.assertIsNone(session.token)

    def test_what_has_no_session(self) -> None:
        """It is said what is meant."""
        self.assertRaises(ConfigurationError, session_for, "Jane", "example.org", False)


class FollowedSessionTests(SynchronousTestCase):
    """A token that is presented and never replaced."""

    def setUp(self) -> None:
        self.leader = SessionHolder("example.org", False)
        self.session = FollowedSession(self.leader)

    def greet(self, token: str, *, authenticated: bool = False, fresh: bool = False) -> tuple[bool, str | None]:
        presented = self.session.token
        refused = self.session.greeted(presented, token, "s", authenticated=authenticated, fresh=fresh)
        return refused, self.session.known_as(presented, token, fresh=fresh)

    def test_strangers(self) -> None:
        """The server's own anonymous session is none of the leader's business, and no newer one needs a hello."""
        self.assertEqual(self.greet("x"), (False, None))
        self.assertIsNone(self.leader.token)
        self.leader.greeted(None, "t1", "s", authenticated=False, fresh=False)
        self.assertFalse(self.session.is_behind(None))

    def test_login(self) -> None:
        """From then on the token has to be presented, and is then known."""
        self.greet("x")
        self.leader.changed("t2", "s", authenticated=True)
        self.assertTrue(self.session.is_behind(None))
        self.assertEqual(self.greet("t2", authenticated=True), (False, "t2"))
        self.assertFalse(self.session.is_behind("t2"))

    def test_logout(self) -> None:
        """A connection that is still somebody's must not stay so."""
        self.leader.resume("t2")
        self.greet("t2", authenticated=True)
        self.leader.changed("t3", "s", authenticated=False)
        self.assertTrue(self.session.is_behind("t2"))

    def test_server_that_does_not_know_it(self) -> None:
        """It is refused, which is told, and the leader keeps its session."""
        self.leader.resume("t2")
        self.assertEqual(self.greet("x", fresh=True), (True, None))
        self.assertTrue(self.session.is_behind(None))
        self.assertEqual((self.leader.token, self.leader.authenticated), ("t2", True))
