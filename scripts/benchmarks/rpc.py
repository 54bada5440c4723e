"""``bench rpc``: every server under the same load, in interleaved rounds, each round in fresh processes."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.certificate import write_certificate
from benchmarks.listening import Listening
from benchmarks.load_generator import LoadFailed, LoadGenerator
from benchmarks.processes import ServerFailed, free_port, running
from benchmarks.results import STOCK, Results, rotated
from benchmarks.servers import server

#: Requests that may wait on a connection when they come by the clock: a server that has more does not keep up.
_QUEUE = 128


@dataclass(frozen=True, kw_only=True)
class Case:
    """Connections, requests in flight on each, with or without TLS; written as ``100x1`` or ``1x64-tls``.

    With ``-half`` behind it, the requests come by the clock instead, half as many as stock Twisted answered in the case
    without it: then latencies tell how long a request takes, and not how many wait.
    """

    connections: int
    in_flight: int
    tls: bool
    half: bool = False

    @classmethod
    def parse(cls, text: str) -> Case:
        found = re.fullmatch(r"(\d+)x(\d+)(-tls)?(-half)?", text)
        if not found:
            raise SystemExit(f"bench: a case is written as 100x1, 1x64-tls or 100x1-half, not {text!r}")
        return cls(connections=int(found[1]), in_flight=int(found[2]), tls=bool(found[3]), half=bool(found[4]))

    def __str__(self) -> str:
        return f"{self.full}{'-half' if self.half else ''}"

    @property
    def full(self) -> str:
        """The case in which nobody waits for the clock."""
        return f"{self.connections}x{self.in_flight}{'-tls' if self.tls else ''}"


def packages(names: Iterable[str]) -> list[str]:
    return [package for name in names for package in server(name).VERSIONS]


def measure(names: Sequence[str], cases: Sequence[Case], *, rounds: int, seconds: float) -> Results:
    """Runs everything. A server that fails in a round is named in the failures and missing from that round."""
    results = Results()
    with tempfile.TemporaryDirectory(prefix="fluxon-bench-") as folder:
        generator = LoadGenerator(Path(folder))
        if not generator.tls and any(case.tls for case in cases):
            print("bench: no OpenSSL headers: leaving out the cases with TLS", file=sys.stderr)
            cases = [case for case in cases if not case.tls]
        for half in (False, True):
            told = [case for case in cases if case.half == half and (not half or _is_known(case, results))]
            for number in range(rounds if told else 0):
                for name in rotated(names, number):
                    for tls in (False, True):
                        wanted = [case for case in told if case.tls == tls]
                        if wanted and (server(name).TLS or not tls):
                            _measure_server(name, wanted, tls, seconds, generator, results)
                print(f"bench: round {number + 1} of {rounds}{' at half load' if half else ''}", file=sys.stderr)
    return results


def _is_known(case: Case, results: Results) -> bool:
    if results.has(case.full, STOCK):
        return True
    print(f"bench: leaving out {case}: it needs {case.full} of {STOCK} in the same run", file=sys.stderr)
    return False


def _measure_server(
    name: str, cases: Sequence[Case], tls: bool, seconds: float, generator: LoadGenerator, results: Results
) -> None:
    with tempfile.TemporaryDirectory(prefix=f"fluxon-bench-{name}-") as folder:
        listening = Listening(port=free_port(), folder=Path(folder), tls=tls)
        if tls:
            write_certificate(listening.certificate, listening.key)
        case: Case | str = "starting"
        try:
            with running(server(name), listening) as pid:
                conversation = server(name).conversation(listening)
                for case in cases:
                    shape: dict[str, Any] = {"connections": case.connections, "in_flight": case.in_flight}
                    if case.half:
                        shape |= {"in_flight": _QUEUE, "rate": results.median(case.full, STOCK) / 2}
                    measures = generator.run(conversation, listening, pid, seconds=seconds, **shape)
                    results.add(str(case), name, measures)
        except (ServerFailed, LoadFailed) as problem:
            results.fail(f"{name}, {case}", problem)
