"""What Fluxon set itself to reach, as numbers that a run either meets or misses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.results import FLUXON, RAW, STOCK, Results

#: Instead of a name: whichever peer was fastest in the case.
FASTEST_PEER = "the fastest peer"


@dataclass(frozen=True, kw_only=True)
class Target:
    """In ``case``, Fluxon's ``measure`` over that of ``against`` is at least ``at_least``, or at most ``at_most``."""

    case: str
    against: str
    measure: str = "rate"
    at_least: float | None = None
    at_most: float | None = None

    def verdict(self, results: Results) -> tuple[bool, str] | None:
        """Whether it was met, and a line that says so; None where the run has not measured it."""
        other = results.fastest_peer(self.case) if self.against == FASTEST_PEER else self.against
        if other is None or not results.has(self.case, other) or not results.has(self.case, FLUXON):
            return None
        ratio = results.ratio(self.case, FLUXON, other, self.measure)
        met = ratio >= self.at_least if self.at_least is not None else ratio <= (self.at_most or 0)
        wanted = f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"
        against = f"{self.against} ({other})" if other != self.against else other
        line = f"{self.case}: {self.measure} {ratio:.2f} x {against}, wanted {wanted}"
        return met, line


TARGETS = (
    Target(case="1x64", against=STOCK, at_least=0.6),
    Target(case="1x64", against=FASTEST_PEER, at_least=2.0),
    Target(case="100x1", against=FASTEST_PEER, at_least=1.0),
    Target(case="1x1", against=STOCK, measure="p50_us", at_most=1.25),
    Target(case="1x64-tls", against=FASTEST_PEER, at_least=1.0),
    Target(case="100x1-tls", against=FASTEST_PEER, at_least=1.0),
    # websockets.sync and http.client are shown beside it, but Fluxon only set itself to be ahead of these.
    Target(case="blocking-1x1", against="rpyc", at_least=1.0),
    Target(case="blocking-1x1", against="pyro5", at_least=1.0),
    Target(case="blocking-1x1", against="grpc-sync", at_least=1.0),
    Target(case="blocking-1x1", against="requests", at_least=1.0),
    Target(case="select-key-thread", against="django", at_least=5.0),
    Target(case="select-key-thread", against="peewee", at_least=5.0),
    Target(case="select-key-thread", against="sqlalchemy", at_least=5.0),
    Target(case="select-key-thread", against=RAW, at_least=0.35),
    Target(case="select-key-async-64", against="django", at_least=4.0),
    Target(case="insert-async-64", against="django", at_least=5.0),
)


def verdicts(results: Results) -> Iterable[tuple[bool, str]]:
    for target in TARGETS:
        verdict = target.verdict(results)
        if verdict is not None:
            yield verdict
