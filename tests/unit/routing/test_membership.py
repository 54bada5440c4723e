"""The table of groups and their members."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import ResourceExhausted
from fluxon.routing.membership import Key, Membership


def keys(table: Membership, group: str) -> list[Key]:
    return [seat.key for seat in table.members(group)]


class MembershipTests(SynchronousTestCase):
    """Joining, leaving, bounds."""

    def test_join_and_leave(self) -> None:
        """Each is told whether it changed anything; members are listed in the order in which they came."""
        table = Membership(10, 10)
        self.assertTrue(table.join("a", b"one"))
        self.assertTrue(table.join("a", 2))
        self.assertFalse(table.join("a", b"one"))
        self.assertTrue(table.join("b", 2))
        self.assertEqual((keys(table, "a"), keys(table, "b"), keys(table, "c")), ([b"one", 2], [2], []))
        self.assertEqual((table.of(2), table.of(3), table.groups()), (["a", "b"], [], {"a": 2, "b": 1}))
        self.assertFalse(table.leave("b", b"one"))
        self.assertFalse(table.leave("c", 2))
        self.assertTrue(table.leave("b", 2))
        self.assertEqual((len(table), table.places, 2 in table), (1, 2, True))

    def test_nothing_is_left(self) -> None:
        """When the last one has left, by whichever way, the table is as it was before the first came."""
        table = Membership(10, 10)
        for end in (
            lambda: table.leave("a", 1),
            lambda: table.forget(1),
            lambda: table.close("a"),
        ):
            table.join("a", 1)
            end()
            self.assertEqual((len(table), table.places, table._seats, table._groups), (0, 0, {}, {}))

    def test_bounds(self) -> None:
        """Beyond a bound it is an error that names the limit, and changes nothing; leaving makes room."""
        table = Membership(3, 2)
        table.join("a", 1)
        table.join("b", 1)
        error = self.assertRaises(ResourceExhausted, table.join, "c", 1)
        self.assertIn("groups_per_member", error.text)
        table.join("a", 2)
        error = self.assertRaises(ResourceExhausted, table.join, "a", 3)
        self.assertIn("group_places", error.text)
        self.assertEqual((table.places, 3 in table, len(table)), (3, False, 2))
        table.leave("a", 1)
        self.assertTrue(table.join("a", 3))

    def test_one_follows_another(self) -> None:
        """A member that goes on under another key keeps its places, and whoever holds its seat sees it there."""
        table = Membership(10, 10)
        table.join("a", b"old")
        table.join("b", b"old")
        (seat,) = table.members("a")
        table.move(b"old", b"new")
        self.assertEqual((seat.key, table.of(b"new"), table.of(b"old"), table.places), (b"new", ["a", "b"], [], 2))
        table.move(b"nobody", b"new")
        self.assertEqual(table.of(b"new"), ["a", "b"])
        table.join("c", b"other")
        table.move(b"new", b"other")
        self.assertEqual((table.of(b"other"), table.places), (["c"], 1))

    def test_of_many(self) -> None:
        """Ten thousand members come, and go in another order; what is left is right at every step."""
        table = Membership(20_000, 10)
        for number in range(10_000):
            table.join("all", number)
        for number in reversed(range(0, 10_000, 2)):
            self.assertTrue(table.leave("all", number))
        self.assertEqual(keys(table, "all"), list(range(1, 10_000, 2)))
        self.assertEqual(table.close("all"), 5_000)
        self.assertEqual(table.places, 0)
