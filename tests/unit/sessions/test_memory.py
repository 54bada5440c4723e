"""The memory store's own promise, beyond the contract: a bound, and who goes when it is reached."""

from twisted.trial.unittest import SynchronousTestCase

from fluxon.sessions import MemoryStore, SessionRecord


def record(number: int, user_id: int | None = None) -> SessionRecord:
    return SessionRecord(number.to_bytes(32, "big"), user_id, 1_000.0, 1_000.0 + number)


class BoundTests(SynchronousTestCase):
    """What happens at the bound."""

    def kept(self, store: MemoryStore, count: int) -> list[int]:
        return [number for number in range(count) if self.successResultOf(store.load(record(number).key)) is not None]

    def test_unused_longest_goes(self) -> None:
        """The one more pushes out the one that was used longest ago, not the one that was made first."""
        store = MemoryStore(3)
        for number in range(3):
            store.save(record(number))
        store.touch(record(0).key, 2_000.0)
        store.save(record(3))
        self.assertEqual(self.kept(store, 4), [0, 2, 3])

    def test_saving_again_pushes_out_nobody(self) -> None:
        """A record that is there already takes no second place, and counts as used."""
        store = MemoryStore(2)
        store.save(record(0))
        store.save(record(1))
        store.save(record(0))
        self.assertEqual(self.kept(store, 2), [0, 1])
        store.save(record(2))
        self.assertEqual(self.kept(store, 3), [0, 2])

    def test_users_of_what_went(self) -> None:
        """What was pushed out is no longer listed, and leaves nothing behind."""
        store = MemoryStore(1)
        store.save(record(0, user_id=7))
        store.save(record(1, user_id=8))
        self.assertEqual(self.successResultOf(store.list_user(7)), [])
        self.assertEqual(self.successResultOf(store.delete_user(7)), 0)
        self.successResultOf(store.delete_user(8))
        self.assertEqual((len(store), store._keys_of_user), (0, {}))

    def test_no_room(self) -> None:
        """A store that could hold nothing is a mistake in the settings."""
        with self.assertRaises(ValueError):
            MemoryStore(0)
