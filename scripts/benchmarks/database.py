"""``bench database``: every way to an SQLite file under the same calls, interleaved, each in a fresh process."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks import tables
from benchmarks.databases import database
from benchmarks.disturbance import Disturbance
from benchmarks.processes import environment
from benchmarks.results import Measures, Results, rotated

#: What is done, and by whom: one thread, several, or so many coroutines at once. What writes comes last.
CASES = tuple(
    f"{operation}-{callers}"
    for operation in ("select-key", "select-list", "update", "insert")
    for callers in ("thread", "threads-4", "async-64")
)


class CallsFailed(Exception):
    """A contender did not get through its calls; its words say why."""


def packages(names: Iterable[str]) -> list[str]:
    return [package for name in names for package in database(name).VERSIONS]


def measure(names: Sequence[str], cases: Sequence[str], *, rounds: int, seconds: float) -> Results:
    """Runs everything. A contender that fails in a round is named in the failures and missing from that round."""
    results = Results()
    with tempfile.TemporaryDirectory(prefix="fluxon-bench-") as folder:
        original = Path(folder, "original.sqlite3")
        tables.make(original)
        for number in range(rounds):
            for name in rotated(names, number):
                own = Path(folder, name)
                own.mkdir()
                shutil.copyfile(original, own / "data.sqlite3")
                try:
                    _measure_one(name, own / "data.sqlite3", cases, seconds, results)
                except CallsFailed as problem:
                    results.fail(name, problem)
                shutil.rmtree(own)
            print(f"bench: round {number + 1} of {rounds}", file=sys.stderr)
    return results


def _measure_one(name: str, path: Path, cases: Sequence[str], seconds: float, results: Results) -> None:
    disturbance = Disturbance()
    for case, measures in _call(name, path, cases, seconds).items():
        results.add(case, name, {**measures, "others": disturbance.share()})


def _call(name: str, path: Path, cases: Sequence[str], seconds: float) -> dict[str, Measures]:
    command = [sys.executable, "-m", "benchmarks.query", name, "--file", str(path)]
    command += ["--cases", ",".join(cases), "--seconds", str(seconds)]
    patience = 60 + len(cases) * (seconds + 10)
    try:
        done = subprocess.run(command, env=environment(), capture_output=True, text=True, timeout=patience)
    except subprocess.TimeoutExpired:
        raise CallsFailed("a call hung") from None
    if done.returncode:
        raise CallsFailed(done.stderr.strip()[-2000:])
    measured: dict[str, Measures] = json.loads(done.stdout.splitlines()[-1])
    return measured
