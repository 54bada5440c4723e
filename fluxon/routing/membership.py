"""Who is in which group: a table and nothing else.

Rules of this module:

- A member is a session, by the key that stores know it by, or a user, by id. Joining and leaving take the same time
  however many there are; so does a session that another one follows.
- It holds no more than its bounds. A group without members is none, and who is in no group is nobody here.
"""

from __future__ import annotations

from fluxon.errors import ResourceExhausted

#: Of a session or of a user.
Key = bytes | int


class Seat:
    """A member, with the groups that it is in. Its ``key`` changes when another session follows its own."""

    __slots__ = ("groups", "key")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.groups: set[str] = set()


class Membership:
    """At most ``places`` in all groups together, and ``per_member`` of one member."""

    def __init__(self, places: int, per_member: int) -> None:
        self._bound = places
        self._per_member = per_member
        #: How many are taken.
        self.places = 0
        self._seats: dict[Key, Seat] = {}
        # In the order in which they came.
        self._groups: dict[str, dict[Seat, None]] = {}

    def __len__(self) -> int:
        """How many groups there are."""
        return len(self._groups)

    def __contains__(self, key: Key) -> bool:
        """Whether it is in any group."""
        return key in self._seats

    def join(self, group: str, key: Key) -> bool:
        """Whether it was not there before. ``ResourceExhausted`` beyond a bound."""
        seat = self._seats.get(key) or Seat(key)
        if group in seat.groups:
            return False
        if len(seat.groups) >= self._per_member:
            raise ResourceExhausted(f"a member of {self._per_member} groups already (Limits.groups_per_member)")
        if self.places >= self._bound:
            raise ResourceExhausted(f"groups have {self._bound:,} members already (Limits.group_places)")
        self._seats[key] = seat
        seat.groups.add(group)
        self._groups.setdefault(group, {})[seat] = None
        self.places += 1
        return True

    def leave(self, group: str, key: Key) -> bool:
        """Whether it was there."""
        seat = self._seats.get(key)
        if seat is None or group not in seat.groups:
            return False
        self._take_out(group, seat)
        return True

    def _take_out(self, group: str, seat: Seat) -> None:
        members = self._groups[group]
        del members[seat]
        if not members:
            del self._groups[group]
        self.places -= 1
        seat.groups.discard(group)
        if not seat.groups:
            del self._seats[seat.key]

    def forget(self, key: Key) -> None:
        """It leaves every group."""
        seat = self._seats.get(key)
        if seat is not None:
            for group in tuple(seat.groups):
                self._take_out(group, seat)

    def move(self, former: Key, key: Key) -> None:
        """What was ``former`` is ``key`` from now on."""
        seat = self._seats.get(former)
        if seat is None or key in self._seats:
            self.forget(former)  # it has places of its own
            return
        del self._seats[former]
        seat.key = key
        self._seats[key] = seat

    def close(self, group: str) -> int:
        """Everybody leaves: how many."""
        members = self.members(group)
        for seat in members:
            self._take_out(group, seat)
        return len(members)

    def members(self, group: str) -> tuple[Seat, ...]:
        """In the order in which they came; none where there is no such group."""
        return tuple(self._groups.get(group, ()))

    def of(self, key: Key) -> list[str]:
        """The groups that it is in, by name."""
        seat = self._seats.get(key)
        return [] if seat is None else sorted(seat.groups)

    def groups(self) -> dict[str, int]:
        """How many members each has, by name."""
        return {name: len(self._groups[name]) for name in sorted(self._groups)}
