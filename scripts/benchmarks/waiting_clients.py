"""``bench idle`` and ``bench fanout``: thousands of clients that wait, what each costs, and how soon all hear of it.

Rules of this file: the memory of a connection is what the server's processes have more with all of them than with a
few, apart from files that they mapped; what the kernel keeps for its socket is the same for all and not counted.
"""

from __future__ import annotations

import contextlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks import process_tree
from benchmarks.certificate import write_certificate
from benchmarks.crowds import crowd
from benchmarks.disturbance import Disturbance
from benchmarks.listening import Listening
from benchmarks.processes import ServerFailed, cores, environment, free_port, running
from benchmarks.results import Results, rotated

#: There before memory is looked at: what a server makes once is made.
_FEW = 200

#: A server's memory has come to rest when it changes by less than this, in MiB, from one look to the next.
_AT_REST = 0.1


class CrowdFailed(Exception):
    """The clients could not all be there, or did not all hear; their words say why."""


class _Crowd:
    """The process of the clients."""

    def __init__(self, process: subprocess.Popen[str], output: Path) -> None:
        self._process = process
        self._output = output

    def tell(self, line: str) -> dict[str, Any]:
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(f"{line}\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        if not answer:
            raise CrowdFailed(self._output.read_text(errors="replace").strip()[-2000:])
        told: dict[str, Any] = json.loads(answer)
        return told


@contextlib.contextmanager
def _gathered(name: str, listening: Listening, pid: int) -> Iterator[_Crowd]:
    command = [sys.executable, "-m", "benchmarks.crowd", name, "--port", str(listening.port), "--pid", str(pid)]
    command += ["--folder", str(listening.folder), "--cpu", str(cores()[1])]
    if listening.tls:
        command.append("--tls")
    output = listening.folder / "crowd.txt"
    with output.open("wb") as sink:
        process = subprocess.Popen(
            command, env=environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=sink, text=True
        )
    try:
        yield _Crowd(process, output)
    finally:
        process.kill()
        process.wait()


def packages(names: Iterable[str]) -> list[str]:
    return [package for name in names for package in crowd(name).VERSIONS]


def able(names: Sequence[str], kind: str) -> list[str]:
    """Those of the names that can be measured so."""
    listening = Listening(port=0, folder=Path())
    return [name for name in names if kind == "idle" or crowd(name).speech(listening).shout]


def measure(names: Sequence[str], kind: str, *, rounds: int, connections: int, secure: int, times: int) -> Results:
    """``connections`` plain ones and ``secure`` with TLS (0 for none of the kind); ``times`` messages to all."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < max(connections, secure) + 200:
        raise SystemExit(f"bench: a process may have {most} descriptors here (ulimit -Hn); ask for fewer connections")
    # Inherited by servers and clients.
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    results = Results()
    for number in range(rounds):
        for name in rotated(names, number):
            for tls, count in ((False, connections), (True, secure)):
                if count and (crowd(name).TLS or not tls):
                    _measure_server(name, kind, tls, count, times, results)
        print(f"bench: round {number + 1} of {rounds}", file=sys.stderr)
    return results


def _measure_server(name: str, kind: str, tls: bool, count: int, times: int, results: Results) -> None:
    case = f"{kind}-{count}{'-tls' if tls else ''}"
    with tempfile.TemporaryDirectory(prefix=f"fluxon-bench-{name}-") as folder:
        listening = Listening(port=free_port(), folder=Path(folder), tls=tls)
        if tls:
            write_certificate(listening.certificate, listening.key)
        try:
            with running(crowd(name), listening) as pid, _gathered(name, listening, pid) as clients:  # type: ignore[arg-type]
                disturbance = Disturbance(pid)
                measures = _idle(clients, pid, count) if kind == "idle" else _fanout(clients, count, times)
                results.add(case, name, {**measures, "others": disturbance.share()})
        except (ServerFailed, CrowdFailed) as problem:
            results.fail(f"{name}, {case}", problem)


def _idle(clients: _Crowd, pid: int, count: int) -> dict[str, float]:
    clients.tell(f"open {_FEW}")
    before = _memory(pid)
    opened = clients.tell(f"open {_FEW + count}")
    each = max((_memory(pid) - before) * 1024 / count, 0.01)
    return {
        "rate": 1024 / each,
        "kib": each,
        "opened": count / opened["seconds"],
        "open_us": opened["server_seconds"] * 1e6 / count,
        "per_server_cpu_second": count / max(opened["server_seconds"], 0.01),
    }


def _memory(pid: int) -> float:
    """MiB, when it changes no more."""
    last = process_tree.resident(pid)
    for _ in range(20):
        time.sleep(0.5)
        now = process_tree.resident(pid)
        if abs(now - last) < _AT_REST:
            return now
        last = now
    return last


def _fanout(clients: _Crowd, count: int, times: int) -> dict[str, float]:
    clients.tell(f"open {count}")
    # What a server makes once is made.
    clients.tell("shout 1")
    told = clients.tell(f"shout {times}")
    took = statistics.median(told["seconds"])
    return {
        "rate": count / took,
        "ms": took * 1e3,
        "worst_ms": max(told["seconds"]) * 1e3,
        "server_ms": told["server_seconds"] * 1e3,
        "server_us": told["server_seconds"] * 1e6 / count,
        "client_ms": told["client_seconds"] * 1e3,
        "per_server_cpu_second": count / max(told["server_seconds"], 0.001),
    }
