"""The session holder: which token survives what."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.session import SessionHolder
from fluxon.errors import ConfigurationError


class SessionHolderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.session = SessionHolder("example.org", secure=True)

    def greet(self, presented: str | None, token: str, *, authenticated: bool = False, fresh: bool = False) -> bool:
        return self.session.greeted(presented, token, "s", authenticated=authenticated, fresh=fresh)

    def test_first_hello_begins_it(self) -> None:
        """The first answer's token is the one to present from then on; nothing was lost."""
        self.assertFalse(self.greet(None, "t1"))
        self.assertEqual(self.session.token, "t1")

    def test_login_travels_in_session_changed(self) -> None:
        """What the server announces replaces the token whatever it was."""
        self.greet(None, "t1")
        self.session.changed("t2", "s2", authenticated=True)
        self.assertEqual((self.session.token, self.session.authenticated), ("t2", True))

    def test_answer_to_an_old_token_is_dropped(self) -> None:
        """A connection that came back with the token from before a login must not log the other one out."""
        self.greet(None, "t1")
        self.session.changed("t2", "s2", authenticated=True)
        self.assertFalse(self.greet("t1", "t9", fresh=True))
        self.assertEqual((self.session.token, self.session.authenticated), ("t2", True))

    def test_two_first_hellos_become_one_session(self) -> None:
        """Of two connections that greet at the same time the first decides; the other is behind, and greets again."""
        self.greet(None, "t1")
        self.greet(None, "t2")
        self.assertEqual(self.session.token, "t1")

    def test_fresh_means_lost(self) -> None:
        """The newest token was not honoured: the session is over, and nobody is logged in."""
        self.greet(None, "t1")
        self.session.changed("t2", "s2", authenticated=True)
        self.assertTrue(self.greet("t2", "t3", fresh=True))
        self.assertEqual((self.session.token, self.session.authenticated), ("t3", False))

    def test_resumed_login(self) -> None:
        """A resumed session is as logged in as the server says."""
        self.greet(None, "t1")
        self.assertFalse(self.greet("t1", "t1", authenticated=True))
        self.assertTrue(self.session.authenticated)

    def test_token_goes_to_no_other_host(self) -> None:
        """Sharing it with a connection to another host, or to plain TCP, is refused."""
        self.session.check_shared_with("EXAMPLE.org", True)
        self.assertRaises(ConfigurationError, self.session.check_shared_with, "example.com", True)
        self.assertRaises(ConfigurationError, self.session.check_shared_with, "example.org", False)

    def test_plain_session_may_go_over_tls(self) -> None:
        """The other way round loses nothing."""
        SessionHolder("localhost", secure=False).check_shared_with("localhost", True)

    def test_repr_keeps_the_token(self) -> None:
        """A token in a log is a stolen session."""
        self.greet(None, "secret-token")
        self.assertNotIn("secret", repr(self.session))
