"""Counting what a server does, for whoever asks: the console, Prometheus.

Rules kept here:

- Pure: no clock, no I/O, no library. Who counts hands the seconds in; who asks reads.
- Counting is on the path of every request, so it is a handful of operations and allocates nothing. Whatever is worth
  computing (shares, sums) is computed when somebody asks.
- Counted on the reactor's thread, and only there. Counts begin with the process and never go back.
"""

from __future__ import annotations

from collections.abc import Iterator

#: Bits of a number of microseconds that its bucket keeps below the highest: four buckets an octave, so that the middle
#: of one is at most an eighth away from what it stands for.
_BITS = 2
_PER_OCTAVE = 1 << _BITS

#: A day in microseconds has 37 bits, and no request runs longer.
_BUCKETS = (38 - _BITS) * _PER_OCTAVE


class Latencies:
    """How long things took, as counts in buckets that grow with the time."""

    __slots__ = ("_counts", "seconds")

    def __init__(self) -> None:
        self._counts = [0] * _BUCKETS
        #: All of them together.
        self.seconds = 0.0

    def add(self, seconds: float, count: int = 1) -> None:
        """``count`` more that took so long each. A clock that was turned back counts as no time."""
        self.seconds += seconds * count
        # Four at least, so that every number has the bits that a bucket keeps.
        micros = int(seconds * 1_000_000) if seconds > 0.000_004 else 4
        shift = micros.bit_length() - 3
        place = (shift << 2) + (micros >> shift)
        self._counts[place if place < _BUCKETS else -1] += count

    @property
    def count(self) -> int:
        """How many."""
        return sum(self._counts)

    def quantile(self, share: float) -> float | None:
        """The seconds that ``share`` (0 to 1) of them did not exceed, within an eighth; None without any."""
        wanted = share * self.count
        seen = 0
        for place, count in enumerate(self._counts):
            seen += count
            if count and seen >= wanted:
                return (_beginning(place) + _beginning(place + 1)) / 2_000_000
        return None

    def up_to(self, bounds: tuple[float, ...]) -> Iterator[tuple[float, int]]:
        """For each of ``bounds`` (seconds, ascending) how many did not exceed it, as far as the buckets tell."""
        place = seen = 0
        for bound in bounds:
            while place < _BUCKETS and _beginning(place + 1) <= bound * 1_000_000:
                seen += self._counts[place]
                place += 1
            yield bound, seen


def _beginning(place: int) -> int:
    """The least microseconds of a bucket."""
    if place < _PER_OCTAVE:
        return place
    return (_PER_OCTAVE + place % _PER_OCTAVE) << (place // _PER_OCTAVE - 1)


class Requests:
    """What became of the requests for one name."""

    __slots__ = ("failed", "latencies")

    def __init__(self) -> None:
        #: How long each took, whatever came of it.
        self.latencies = Latencies()
        #: Of those: how many were answered with an error, by its code.
        self.failed: dict[str, int] = {}

    def failed_with(self, code: str, seconds: float) -> None:
        """One was answered with an error. (One that was not goes to ``latencies`` alone.)"""
        self.latencies.add(seconds)
        self.failed[code] = self.failed.get(code, 0) + 1

    @property
    def count(self) -> int:
        """How many there were."""
        return self.latencies.count

    @property
    def failures(self) -> int:
        """How many were answered with an error."""
        return sum(self.failed.values())
