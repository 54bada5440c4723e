"""How often something may happen: token buckets, and an allowance that makes them cheap.

Rules of this module:

- Pure: whoever asks hands the time in. A clock that was turned back gives nothing and takes nothing.
- A bucket gains ``rate`` tokens a second and keeps ``burst`` seconds' worth.
- An allowance takes tokens from its buckets in lots and hands them out one by one, without looking at a clock: each
  request costs it a subtraction. A lot is as large as what was taken before, so that what a lot leaves unused, and the
  others at a bucket have to do without, is never more than what was used.
"""

from __future__ import annotations

from collections.abc import Sequence

#: The largest lot, which is what an allowance may have left when its buckets are full again.
_LARGEST_LOT = 32


class Bucket:
    """``rate`` tokens a second, ``burst`` seconds' worth at most; full at first. ``of`` says whose it is."""

    __slots__ = ("_at", "_most", "_tokens", "of", "rate")

    def __init__(self, rate: float, burst: float, now: float, of: str) -> None:
        self.rate = rate
        self.of = of
        self._most = max(1.0, rate * burst)
        self._tokens = self._most
        self._at = now

    def holds(self, now: float) -> float:
        """How many tokens it has."""
        if now > self._at:
            self._tokens = min(self._most, self._tokens + (now - self._at) * self.rate)
        self._at = now
        return self._tokens

    def wait(self, now: float) -> float:
        """Seconds until it has a token."""
        return max(0.0, 1 - self.holds(now)) / self.rate

    def take(self, count: int) -> None:
        """Take so many; ``holds`` has said that they are there."""
        self._tokens -= count

    def used(self, now: float) -> float:
        """How many it would need to be full."""
        return self._most - self.holds(now)


class Allowance:
    """What one connection may do, by all of ``buckets`` together. Raises nothing: who asks decides what to say."""

    __slots__ = ("_buckets", "_lot", "left", "refused")

    def __init__(self, buckets: Sequence[Bucket]) -> None:
        self._buckets = tuple(buckets)
        #: Tokens in hand.
        self.left = 0
        self._lot = 1
        #: How many times in a row there was none.
        self.refused = 0

    def refill(self, now: float) -> Bucket | None:
        """Take the next lot, of which one is used at once. The bucket that has nothing to give, if there is one."""
        scarce = max(self._buckets, key=lambda bucket: bucket.wait(now))
        if scarce.wait(now):
            self.left = 0
            self._lot = 1
            self.refused += 1
            return scarce
        lot = min(self._lot, *(int(bucket.holds(now)) for bucket in self._buckets))
        for bucket in self._buckets:
            bucket.take(lot)
        self._lot = min(2 * lot, _LARGEST_LOT)
        self.left = lot - 1
        self.refused = 0
        return None
