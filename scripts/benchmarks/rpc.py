"""``bench rpc``: every server under the same load, in interleaved rounds, each round in fresh processes."""

from __future__ import annotations

import re
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.certificate import write_certificate
from benchmarks.listening import Listening
from benchmarks.load_generator import LoadFailed, LoadGenerator
from benchmarks.processes import ServerFailed, free_port, running
from benchmarks.results import Results, rotated
from benchmarks.servers import server


@dataclass(frozen=True, kw_only=True)
class Case:
    """Connections, requests in flight on each, with or without TLS; written as ``100x1`` or ``1x64-tls``."""

    connections: int
    in_flight: int
    tls: bool

    @classmethod
    def parse(cls, text: str) -> Case:
        found = re.fullmatch(r"(\d+)x(\d+)(-tls)?", text)
        if not found:
            raise SystemExit(f"bench: a case is written as 100x1 or 1x64-tls, not {text!r}")
        return cls(connections=int(found[1]), in_flight=int(found[2]), tls=found[3] is not None)

    def __str__(self) -> str:
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
        for number in range(rounds):
            for name in rotated(names, number):
                for tls in (False, True):
                    wanted = [case for case in cases if case.tls == tls]
                    if wanted and (server(name).TLS or not tls):
                        _measure_server(name, wanted, tls, seconds, generator, results)
            print(f"bench: round {number + 1} of {rounds}", file=sys.stderr)
    return results


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
                    shape = {"connections": case.connections, "in_flight": case.in_flight}
                    measures = generator.run(conversation, listening, pid, seconds=seconds, **shape)
                    results.add(str(case), name, measures)
        except (ServerFailed, LoadFailed) as problem:
            results.fail(f"{name}, {case}", problem)
