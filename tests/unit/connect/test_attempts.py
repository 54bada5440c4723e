"""When a request that is carried out once may be asked again: where it is not carried out twice, and not too soon."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.attempts import Attempts
from fluxon.connect.session import SessionHolder
from fluxon.errors import OutcomeUnknown, ResourceExhausted, Unavailable


class AttemptsTests(SynchronousTestCase):
    """One request's."""

    def setUp(self) -> None:
        self.session = SessionHolder("localhost", False)
        self.greet(None, "t1", "s1")
        self.attempts = Attempts(self.session, lambda: 0.0)
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

    def test_refused(self) -> None:
        """Never sooner than the server said, later each time, and not where the time is over by then."""
        for kind in (ResourceExhausted, Unavailable):
            self.setUp()
            error = kind(details={"retry_after": 2})
            waits = [self.attempts.refused(error, 60) for _ in range(5)]
            self.assertEqual(waits, sorted(waits))
            self.assertGreater(waits[0], 2)
            self.assertIs(self.assertRaises(kind, self.attempts.refused, error, 2.0), error)

    def test_refused_for_good(self) -> None:
        """Whoever does not say when is not asked again; nor whoever says nonsense."""
        for details in (
            {},
            {"retry_after": None},
            {"retry_after": -1},
            {"retry_after": float("nan")},
            {"retry_after": "2"},
        ):
            error = ResourceExhausted(details=details)
            self.assertIs(self.assertRaises(ResourceExhausted, self.attempts.refused, error, 60.0), error)

    def test_refused_after_a_loss(self) -> None:
        """The one that was lost may have been carried out, whatever becomes of the next."""
        self.attempts.lost(OutcomeUnknown(), "t1")
        self.assertGreater(self.attempts.refused(ResourceExhausted(details={"retry_after": 2}), 60), 2)
        self.assertRaises(OutcomeUnknown, self.attempts.refused, ResourceExhausted(), 60.0)

    def test_random_part(self) -> None:
        """Those who are refused together come again one by one."""
        error = ResourceExhausted(details={"retry_after": 1})
        waits = {Attempts(self.session, lambda part=part: part / 10).refused(error, 60) for part in range(10)}  # type: ignore[misc]
        self.assertEqual(len(waits), 10)
