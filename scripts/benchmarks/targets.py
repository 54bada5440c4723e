"""What Fluxon set itself to reach, as numbers that a run either meets or misses."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from benchmarks.results import FLUXON, RAW, STOCK, Results

#: Instead of a name: whichever peer was fastest in the case.
FASTEST_PEER = "the fastest peer"


@dataclass(frozen=True, kw_only=True)
class Target:
    """``measure`` of ``ours`` over that of ``against``, in ``case``, is at least or at most so much."""

    case: str
    against: str
    ours: str = FLUXON
    measure: str = "rate"
    at_least: float | None = None
    at_most: float | None = None

    def verdict(self, results: Results) -> tuple[bool, str] | None:
        """Whether it was met, and a line that says so; None where the run has not measured it."""
        other = results.fastest_peer(self.case) if self.against == FASTEST_PEER else self.against
        if other is None or not results.has(self.case, other) or not results.has(self.case, self.ours):
            return None
        ratio = results.ratio(self.case, self.ours, other, self.measure)
        met = ratio >= self.at_least if self.at_least is not None else ratio <= (self.at_most or 0)
        wanted = f"at least {self.at_least:g}" if self.at_least is not None else f"at most {self.at_most:g}"
        against = f"{self.against} ({other})" if other != self.against else other
        line = f"{self.case}: {self.measure} {ratio:.2f} x {against}, wanted {wanted}"
        return met, line


@dataclass(frozen=True, kw_only=True)
class Bound:
    """In every case that begins so, Fluxon's ``measure`` is at most ``at_most``, whatever others have."""

    cases: str
    measure: str
    at_most: float

    def verdict(self, results: Results) -> tuple[bool, str] | None:
        found = [case for case in results.cases() if case.startswith(self.cases) and results.has(case, FLUXON)]
        if not found:
            return None
        most, case = max((max(results.rounds(case, FLUXON, self.measure)), case) for case in found)
        return most <= self.at_most, f"{case}: {self.measure} {most:.1f} at most, wanted {self.at_most:g}"


TARGETS: tuple[Target | Bound, ...] = (
    Target(case="1x64", against=STOCK, at_least=1.0),
    Target(case="1x64", against=FASTEST_PEER, at_least=2.5),
    Target(case="100x1", against=STOCK, at_least=1.1),
    Target(case="100x1", against=FASTEST_PEER, at_least=1.0),
    Target(case="100x1-half", against=STOCK, measure="p99_us", at_most=2.0),
    Target(case="1x1", against=STOCK, measure="p50_us", at_most=1.25),
    # What counting requests and logging them costs; measured when fluxon-untold is named.
    Target(case="1x64", against="fluxon-untold", at_least=0.95),
    Target(case="100x1", against="fluxon-untold", at_least=0.95),
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
    Target(case="large-down", against="nginx", at_least=0.8),
    Target(case="large-down-tls", against="nginx", at_least=0.6),
    # Fluxon has hashed and fsynced what it acknowledges; nginx has done neither, nor have sftp and wsgidav.
    Target(case="large-up", against="nginx", at_least=1.0),
    Target(case="large-up-tls", against="nginx", at_least=1.0),
    *(Target(case=f"large-{way}{tls}", against="sftp", at_least=1.5) for way in ("down", "up") for tls in ("", "-tls")),
    *(
        Target(case=f"small-{way}-{at_once}", against=peer, at_least=3.0)
        for way in ("down", "up")
        for at_once in (1, 16)
        for peer in ("sftp", "wsgidav")
    ),
    # Its clients acknowledge what Fluxon sends, and it counts them; what others send is only sent.
    Target(case="fanout-10000", against="socketio-uvicorn", measure="per_server_cpu_second", at_least=2.0),
    Target(case="fanout-10000", against="websockets-uvloop", measure="per_server_cpu_second", at_least=0.33),
    Target(
        case="fanout-10000",
        against="websockets-uvloop",
        ours="fluxon-unacknowledged",
        measure="per_server_cpu_second",
        at_least=1.0,
    ),
    # KiB of a connection; with TLS most of it is OpenSSL's.
    Bound(cases="idle-10000", measure="kib", at_most=6.0),
    Target(case="idle-2000-tls", against="twisted-bare", measure="kib", at_most=1.25),
    # MiB above idle.
    Bound(cases="large-", measure="memory", at_most=64.0),
)


def verdicts(results: Results) -> Iterable[tuple[bool, str]]:
    for target in TARGETS:
        verdict = target.verdict(results)
        if verdict is not None:
            yield verdict
