"""How often the clients of a port may ask: an allowance for each connection, by its session and by its address.

Rules of this module: clients of this machine have none unless one was set. What an address has used is remembered until
it would be forgiven anyway, so connecting again is no way around; what a session has used, as long as it is live.
"""

from __future__ import annotations

from typing import Protocol

from fluxon.addresses import is_local, network_of
from fluxon.bounds import for_client
from fluxon.limits import Limits
from fluxon.rates import Allowance, Bucket

#: Addresses that are remembered before those with nothing to remember are dropped.
_MANY = 1_000


class Holder(Protocol):
    """What has a bucket of its own: a session."""

    bucket: Bucket | None


class Allowances:
    """Makes the allowances of all connections of a port."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_address: dict[str, Bucket] = {}
        self._many = _MANY

    def of(self, address: str | None, holder: Holder | None, now: float) -> Allowance | None:
        """What a connection from ``address`` may do as ``holder`` (None before it has a session); None: anything."""
        limits, local = self._limits, is_local(address)
        buckets: list[Bucket] = []
        rate = for_client(limits.request_rate, local)
        if rate is not None and holder is not None:
            if holder.bucket is None:
                holder.bucket = Bucket(rate, limits.request_burst, now, "session")
            buckets.append(holder.bucket)
        rate = for_client(limits.request_rate_per_address, local)
        if rate is not None and address is not None:
            buckets.append(self._of_address(network_of(address), rate, now))
        return Allowance(buckets) if buckets else None

    def _of_address(self, network: str, rate: int, now: float) -> Bucket:
        bucket = self._by_address.get(network)
        if bucket is None:
            if len(self._by_address) >= self._many:
                self._forget(now)
            bucket = self._by_address[network] = Bucket(rate, self._limits.request_burst, now, "address")
        return bucket

    def _forget(self, now: float) -> None:
        """Drop the addresses whose bucket is full again: a new one is the same."""
        self._by_address = {name: each for name, each in self._by_address.items() if each.used(now)}
        self._many = max(_MANY, 2 * len(self._by_address))

    def busiest(self, now: float) -> float:
        """Requests a second of the busiest address, over the last ``request_burst`` seconds."""
        return max((each.used(now) for each in self._by_address.values()), default=0.0) / self._limits.request_burst
