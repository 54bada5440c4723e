"""``bench blocking``: blocking clients in Python, one call at a time, each against a Python server of its own kind."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.clients import client
from benchmarks.disturbance import Disturbance
from benchmarks.listening import Listening
from benchmarks.processes import ServerFailed, cores, environment, free_port, running
from benchmarks.results import Measures, Results, rotated
from benchmarks.servers import server

CASE = "blocking-1x1"


class ClientFailed(Exception):
    """A client did not get through its calls; its words say why."""


def packages(names: Iterable[str]) -> list[str]:
    return [package for name in names for package in client(name).VERSIONS]


def measure(names: Sequence[str], *, rounds: int, seconds: float) -> Results:
    """Runs everything, server and client in fresh processes each time."""
    results = Results()
    for number in range(rounds):
        for name in rotated(names, number):
            with tempfile.TemporaryDirectory(prefix=f"fluxon-bench-{name}-") as folder:
                listening = Listening(port=free_port(), folder=Path(folder))
                try:
                    with running(server(client(name).SERVER), listening) as pid:
                        disturbance = Disturbance(pid)
                        measures = _call(name, listening, seconds)
                        results.add(CASE, name, {**measures, "others": disturbance.share()})
                except (ServerFailed, ClientFailed) as problem:
                    results.fail(name, problem)
        print(f"bench: round {number + 1} of {rounds}", file=sys.stderr)
    return results


def _call(name: str, listening: Listening, seconds: float) -> Measures:
    command = [sys.executable, "-m", "benchmarks.call", name, "--port", str(listening.port)]
    command += ["--folder", str(listening.folder), "--cpu", str(cores()[1]), "--seconds", str(seconds)]
    try:
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=seconds + 60)
    except subprocess.TimeoutExpired:
        raise ClientFailed("a call hung") from None
    if done.returncode:
        raise ClientFailed(done.stderr.strip()[-2000:])
    measures: Measures = json.loads(done.stdout.splitlines()[-1])
    return measures
