"""``python -m benchmarks.call NAME --port N --folder DIR --cpu CORE --seconds S``: one blocking client's calls.

Every answer is checked; a line of JSON has calls a second, latencies and the client's CPU time for a call, all of
its threads counted.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.clients import client
from benchmarks.conversation import TEXT
from benchmarks.listening import Listening

WARMUP = 0.3


def _call_for(seconds: float, call: Callable[[], str]) -> list[int]:
    """Nanoseconds of each call."""
    latencies = []
    begin = time.perf_counter_ns()
    end = begin + int(seconds * 1e9)
    while begin < end:
        if call() != TEXT:
            raise SystemExit("a wrong answer")
        done = time.perf_counter_ns()
        latencies.append(done - begin)
        begin = done
    return latencies


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--cpu", type=int, required=True)
    parser.add_argument("--seconds", type=float, required=True)
    told = parser.parse_args()
    os.sched_setaffinity(0, {told.cpu})
    call = client(told.name).connect(Listening(port=told.port, folder=told.folder))
    _call_for(WARMUP, call)
    cpu, start = time.process_time(), time.perf_counter()
    latencies = _call_for(told.seconds, call)
    cpu, taken = time.process_time() - cpu, time.perf_counter() - start
    latencies.sort()
    calls = len(latencies)
    measures = {
        "rate": calls / taken,
        "p50_us": latencies[calls // 2] / 1000,
        "p99_us": latencies[calls * 99 // 100] / 1000,
        "client_cpu_us": cpu / calls * 1e6,
    }
    print(json.dumps(measures), flush=True)
    # Some clients keep threads that would hold the process: its work is done.
    os._exit(0)


if __name__ == "__main__":
    main()
