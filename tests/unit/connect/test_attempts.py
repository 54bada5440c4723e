"""When a request that is carried out once may be asked again: only where it cannot be carried out twice."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.attempts import Attempts
from fluxon.connect.session import SessionHolder
from fluxon.errors import OutcomeUnknown, Unavailable


class AttemptsTests(SynchronousTestCase):
    """One request's."""

    def setUp(self) -> None:
        self.session = SessionHolder("localhost", False)
        self.greet(None, "t1", "s1")
        self.attempts = Attempts(self.session)
        self.attempts.check_remembered()

    def greet(self, presented: str | None, token: str, name: str, recovered: bool = False) -> None:
        self.session.greeted(presented, token, name, authenticated=False, fresh=False, recovered=recovered)

    def test_recovered(self) -> None:
        """The session goes on: as often as it takes."""
        for _ in range(3):
            self.attempts.lost(OutcomeUnknown(), "t1")
            self.greet("t1", "t1", "s1", recovered=True)
            self.attempts.check_remembered()

    def test_the_server_does_not_remember(self) -> None:
        """Once said is enough, though a later hello is better."""
        self.attempts.lost(OutcomeUnknown(), "t1")
        self.greet("t1", "t1", "s1")
        self.greet("t1", "t1", "s1", recovered=True)
        self.assertRaises(OutcomeUnknown, self.attempts.check_remembered)

    def test_nothing_was_sent_yet(self) -> None:
        """What the server forgot before it was asked does not matter."""
        self.greet("t1", "t1", "s1")
        self.attempts.check_remembered()
        self.attempts.check_nothing_sent(Unavailable())

    def test_another_session(self) -> None:
        """By a hello, or by a login elsewhere after the loss."""
        self.attempts.lost(OutcomeUnknown(), "t1")
        self.session.changed("t2", "s2", True)
        self.greet("t2", "t2", "s2", recovered=True)
        self.assertRaises(OutcomeUnknown, self.attempts.check_remembered)

    def test_a_login_elsewhere_before_the_loss(self) -> None:
        """The connection that was lost was behind: what it had under way is where nobody comes back to."""
        self.session.changed("t2", "s2", True)
        error = OutcomeUnknown("of the connection")
        self.assertIs(self.assertRaises(OutcomeUnknown, self.attempts.lost, error, "t1"), error)

    def test_a_login_on_the_connection_itself(self) -> None:
        """What was under way went with it."""
        self.session.changed("t2", "s2", True)
        self.attempts.lost(OutcomeUnknown(), "t2")
        self.greet("t2", "t2", "s2", recovered=True)
        self.attempts.check_remembered()

    def test_no_connection_for_another(self) -> None:
        """Then it is not true that nothing was done."""
        self.attempts.lost(OutcomeUnknown(), "t1")
        self.assertRaises(OutcomeUnknown, self.attempts.check_nothing_sent, Unavailable())
