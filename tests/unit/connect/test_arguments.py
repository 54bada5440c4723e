"""What clients are given."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.arguments import (
    Address,
    check_trust,
    checked_address,
    checked_timeout,
    checked_wait,
    parsed_address,
)
from fluxon.errors import ConfigurationError, InvalidPayload


class AddressTests(SynchronousTestCase):
    def test_written_as_people_do(self) -> None:
        """A port after a bare IPv6 address could not be told from the address."""
        self.assertEqual(str(Address("example.org", 8080)), "example.org:8080")
        self.assertEqual(str(Address("::1", 8080)), "[::1]:8080")

    def test_parsed(self) -> None:
        """Names and addresses, with and without a port; whatever else it is, is left to Twisted's endpoints."""
        for text, host, port in (
            ("example.org:99", "example.org", 99),
            ("localhost", "localhost", 8080),
            ("127.0.0.1:8080", "127.0.0.1", 8080),
            ("[::1]:99", "::1", 99),
            ("[fe80::1%eth0]", "fe80::1%eth0", 8080),
        ):
            self.assertEqual(parsed_address(text), Address(host, port))
        for text in ("tcp:localhost:8080", "unix:/run/fluxon", "", "::1", "a b:3"):
            self.assertIsNone(parsed_address(text))
        self.assertRaises(ConfigurationError, parsed_address, "localhost:0")
        self.assertRaises(ConfigurationError, parsed_address, "localhost:70000")

    def test_wrong_hosts_and_ports(self) -> None:
        """What can never be connected to is refused."""
        for host, port in (("", 1), (" ", 1), (None, 1), ("a", 0), ("a", 65_536), ("a", True), ("a", "1")):
            self.assertRaises(ConfigurationError, checked_address, host, port)

    def test_trust_without_tls(self) -> None:
        """Who passes a certificate means to be protected by it."""
        check_trust("certificate.pem", True)
        check_trust(None, False)
        self.assertRaises(ConfigurationError, check_trust, "certificate.pem", False)

    def test_waiting_for_a_server(self) -> None:
        """As timeouts, and zero: not at all."""
        self.assertEqual((checked_wait(0), checked_wait(3)), (0.0, 3.0))
        for wrong in (-1, float("nan"), float("inf"), 86_401, True, "3", None):
            self.assertRaises(ConfigurationError, checked_wait, wrong)

    def test_timeouts(self) -> None:
        """Positive, finite, a day at most, and a number."""
        self.assertEqual(checked_timeout(3), 3.0)
        for wrong in (0, -1, float("nan"), float("inf"), 86_401, True, "3", None):
            self.assertRaises(InvalidPayload, checked_timeout, wrong)
