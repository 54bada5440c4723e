"""Whose an address is."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from fluxon.addresses import is_local, network_of


class AddressTests(SynchronousTestCase):
    def test_local(self) -> None:
        """This machine's own, in every form; a Unix socket has none."""
        for address, local in (
            ("127.0.0.1", True),
            ("127.8.0.1", True),
            ("::1", True),
            ("::ffff:127.0.0.1", True),
            (None, True),
            ("10.0.0.1", False),
            ("::2", False),
            ("::1:2", False),
        ):
            self.assertIs(is_local(address), local, address)

    def test_network(self) -> None:
        """Whoever has one address of a /64 has all of them; IPv4 is the same in both forms; odd text is itself."""
        for address, network in (
            ("192.0.2.1", "192.0.2.1"),
            ("::ffff:192.0.2.1", "192.0.2.1"),
            ("2001:db8::1", "2001:db8::/64"),
            ("2001:db8::ffff:1", "2001:db8::/64"),
            ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
            ("fe80::1%eth0", "fe80::/64"),
            ("nonsense", "nonsense"),
        ):
            self.assertEqual(network_of(address), network)
