"""The throttle of logins: what is free, what has to wait, and that it forgets."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fluxon.database.throttle import LoginThrottle
from fluxon.errors import ResourceExhausted
from fluxon.limits import Limits

FREE_TRIES = Limits().login_tries
FREE_TRIES_OF_A_NAME = Limits().login_tries_per_name
FREE_TRIES_OF_AN_ADDRESS = int(Limits().login_tries_per_address)
LONGEST_WAIT = Limits().login_wait


class Tries(SynchronousTestCase):
    """Failing logins, in the time of a clock that the test moves."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.throttle = LoginThrottle(self.clock.seconds)

    def fail_times(self, times: int, name: str | None = "Jane", address: str | None = "192.0.2.1") -> None:
        for _ in range(times):
            self.throttle.begin(name, address)

    def wait(self, name: str | None = "Jane", address: str | None = "192.0.2.1") -> int:
        """How long a try has to wait, in seconds; 0 when it was taken."""
        try:
            self.throttle.begin(name, address)
        except ResourceExhausted as error:
            self.assertIn(str(error.details["retry_after"]), error.text)
            return int(error.details["retry_after"])
        return 0

    def test_waits_double_up_to_the_longest(self) -> None:
        """After the free tries 1 s, 2 s, 4 s …, and never more than 15 minutes; a refused try makes it no longer."""
        self.fail_times(FREE_TRIES)
        waits = []
        for _ in range(13):
            waits.append(self.wait())
            self.assertEqual(self.wait(), waits[-1])
            self.clock.advance(waits[-1])
            self.assertEqual(self.wait(), 0)
        self.assertEqual(waits[:10], [2**n for n in range(10)])
        self.assertEqual(waits[10:], [LONGEST_WAIT] * 3)

    def test_others_are_not_held_up(self) -> None:
        """Another name from that address, and that name from another address, are free."""
        self.fail_times(FREE_TRIES)
        self.assertEqual(self.wait(), 1)
        self.assertEqual(self.wait(name="Mike"), 0)
        self.assertEqual(self.wait(address="192.0.2.2"), 0)

    def test_one_name_from_many_addresses(self) -> None:
        """Many strangers who share a victim are slowed down together."""
        for number in range(FREE_TRIES_OF_A_NAME):
            self.fail_times(1, address=f"192.0.2.{number}")
        self.assertEqual(self.wait(address="198.51.100.1"), 1)

    def test_one_address_with_many_names(self) -> None:
        """One stranger who tries one password on many names is slowed down, unknown names or not."""
        for number in range(FREE_TRIES_OF_AN_ADDRESS):
            self.fail_times(1, name=f"user {number}")
        self.assertEqual(self.wait(name="new"), 1)
        self.assertEqual(self.wait(name=None), 1)
        self.assertEqual(self.wait(name="new", address="192.0.2.2"), 0)

    def test_addresses_of_one_network_are_one(self) -> None:
        """Whoever has one IPv6 address has 2**64; an IPv4 address is the same in its IPv6 form."""
        for number in range(FREE_TRIES_OF_AN_ADDRESS):
            self.fail_times(1, name=f"user {number}", address=f"2001:db8::{number:x}")
            self.fail_times(1, name=f"user {number}", address="192.0.2.9")
        self.assertEqual(self.wait(name="new", address="2001:db8::ffff"), 1)
        self.assertEqual(self.wait(name="new", address="2001:db8:0:1::1"), 0)
        self.assertEqual(self.wait(name="new", address="::ffff:192.0.2.9"), 1)

    def test_success_forgets_the_name_and_keeps_the_address(self) -> None:
        """A person who got it right at last is as before; an attacker's own account clears nothing for others."""
        self.fail_times(FREE_TRIES - 1)
        self.throttle.begin("Jane", "192.0.2.1").succeeded()
        self.fail_times(FREE_TRIES)
        self.assertEqual(self.wait(), 1)
        for number in range(FREE_TRIES_OF_AN_ADDRESS - 2 * FREE_TRIES):
            self.fail_times(1, name=f"user {number}")
            self.throttle.begin("own", "192.0.2.1").succeeded()
        self.fail_times(1, name="the last")
        self.assertEqual(self.wait(name="own"), 1)

    def test_tries_at_once_count_before_they_fail(self) -> None:
        """A thousand tries sent together are not a thousand free ones; one that came to no answer does not count."""
        under_way = [self.throttle.begin("Jane", "192.0.2.1") for _ in range(FREE_TRIES)]
        self.assertEqual(self.wait(), 1)
        under_way[0].undone()
        self.assertEqual(self.wait(), 0)

    def test_failures_are_forgotten(self) -> None:
        """An hour after the last try everything is as in the beginning."""
        self.fail_times(FREE_TRIES)
        self.clock.advance(3_601)
        self.fail_times(FREE_TRIES)
        self.assertEqual(self.wait(), 1)

    def test_memory_is_bounded(self) -> None:
        """A million made-up names push out only what is older."""
        self.throttle = LoginThrottle(self.clock.seconds, Limits(login_remembered=30))
        for number in range(100):
            self.fail_times(1, name=f"{'x' * 1000}{number}", address=None)
        self.assertEqual(len(self.throttle), 30)

    def test_one_that_was_pushed_out_while_it_was_under_way(self) -> None:
        """Its end changes nothing: there is no failure of its name to take back, and others keep theirs."""
        self.throttle = LoginThrottle(self.clock.seconds, Limits(login_remembered=2, login_tries=1))
        attempt = self.throttle.begin("Jane", None)
        self.fail_times(1, name="another", address=None)
        attempt.undone()
        self.assertEqual(len(self.throttle), 2)
        self.assertEqual(self.wait(name="another", address=None), 1)

    def test_without_an_address_names_are_counted(self) -> None:
        """A script has no address; it is slowed down all the same."""
        self.fail_times(FREE_TRIES, address=None)
        self.assertEqual(self.wait(address=None), 1)
        self.assertEqual(self.wait(name=None, address=None), 0)

    def test_this_machine(self) -> None:
        """Its own address is no one stranger's: it is counted as one only if a number was set. Names always are."""
        for number in range(FREE_TRIES_OF_AN_ADDRESS + 10):
            self.fail_times(1, name=f"user {number}", address="127.0.0.1")
        self.assertEqual(self.wait(name="new", address="127.0.0.1"), 0)
        self.fail_times(FREE_TRIES, address="127.0.0.1")
        self.assertEqual(self.wait(address="127.0.0.1"), 1)
        self.throttle = LoginThrottle(self.clock.seconds, Limits(login_tries_per_address=3))
        self.fail_times(3, name=None, address="127.0.0.1")
        self.assertEqual(self.wait(name="new", address="127.0.0.1"), 1)
