"""How often a login may be tried.

Rules kept here:

- Some tries are free; after them each failure doubles the time until the next try, up to ``Limits.login_wait``.
- Counted are the tries of one name from one address, of one name from everywhere, and of one address for all names:
  guessing is slow for one stranger, for many of them together, and over many names. Users at one address (an office,
  a school) share its count, so it has more free tries; a login that succeeds takes its try back. This machine's own
  address is not counted as one unless ``Limits.login_tries_per_address`` was set.
- Whether a user exists is not asked here: a name that is nobody's is counted the same.
- A try counts while it is under way: tries sent all at once are as many as tries sent one by one.
- What is remembered is bounded and holds no names. It is lost with the process, and each process counts for itself: to
  share the counts every try would be a write to the database, which strangers could then make as many of as they like.
"""

from __future__ import annotations

import hashlib
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable

import attrs

from fluxon.addresses import is_local, network_of
from fluxon.bounds import for_client
from fluxon.errors import ResourceExhausted
from fluxon.limits import Limits

_Key = bytes


@attrs.define
class _Count:
    """Failures, and when the last try was."""

    failures: int = 0
    last: float = 0.0


class LoginThrottle:
    """The tries at the users of one database. May be called from any thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, limits: Limits | None = None) -> None:
        self._clock = clock
        #: A server gives its own.
        self.limits = Limits() if limits is None else limits
        self._counts: OrderedDict[_Key, _Count] = OrderedDict()
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._counts)

    def used(self) -> dict[str, float]:
        """What is used of its limits, by their names."""
        return {"login_remembered": len(self._counts)}

    def begin(self, name: str | None, address: str | None) -> Attempt:
        """Count a try; ``ResourceExhausted`` when it comes too early. What is None is not counted."""
        limits = self.limits
        where = "" if address is None else network_of(address)
        personal, shared = [], []
        if name is not None:
            personal.append((_key("pair", name, where), limits.login_tries))
            personal.append((_key("name", name), limits.login_tries_per_name))
        of_address = for_client(limits.login_tries_per_address, is_local(address))
        if of_address is not None:
            shared.append((_key("address", where), of_address))
        now = self._clock()
        with self._lock:
            wait = max((self._wait(key, free, now) for key, free in personal + shared), default=0.0)
            if wait > 0:
                seconds = math.ceil(wait)
                raise ResourceExhausted(
                    f"too many logins failed; try again in {seconds} s", details={"retry_after": seconds}
                )
            for key, _ in personal + shared:
                self._add(key, now)
        return Attempt(self, [key for key, _ in personal], [key for key, _ in shared])

    def _wait(self, key: _Key, free: int, now: float) -> float:
        count = self._counts.get(key)
        if count is None:
            return 0.0
        if now - count.last > self.limits.login_forgotten:
            del self._counts[key]
            return 0.0
        if count.failures < free:
            return 0.0
        # An exponent of 25 is a year, and beyond the longest wait already.
        return count.last + min(self.limits.login_wait, 2.0 ** min(count.failures - free, 25)) - now

    def _add(self, key: _Key, now: float) -> None:
        count = self._counts.setdefault(key, _Count())
        count.failures += 1
        count.last = now
        self._counts.move_to_end(key)
        if len(self._counts) > self.limits.login_remembered:
            self._counts.popitem(last=False)

    def _take_back(self, keys: list[_Key]) -> None:
        with self._lock:
            for key in keys:
                count = self._counts.get(key)
                if count is not None:
                    count.failures -= 1
                    if count.failures <= 0:
                        del self._counts[key]

    def _forget(self, keys: list[_Key]) -> None:
        with self._lock:
            for key in keys:
                self._counts.pop(key, None)


@attrs.frozen
class Attempt:
    """One try that is under way. It stays a failure unless one of these is called."""

    _throttle: LoginThrottle
    _personal: list[_Key]
    _shared: list[_Key]

    def succeeded(self) -> None:
        """The right password: the name's failures are forgotten, and the address has its try back."""
        self._throttle._forget(self._personal)
        self._throttle._take_back(self._shared)

    def undone(self) -> None:
        """It came to no answer (the database failed): as if it had not been made."""
        self._throttle._take_back(self._personal + self._shared)


def _key(*parts: str) -> _Key:
    # Names may be long and are nobody's business: a digest has one size and tells nothing.
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return hashlib.blake2b(text, digest_size=16).digest()
