"""``python -m benchmarks.query NAME --file PATH --cases … --seconds S``: one contender's calls, in its own process.

A case is ``select-key-thread``, ``insert-threads-4`` or ``update-async-64``: what is done, and by whom. Every answer is
checked, and after the last case so is the file. A line of JSON has, for each case, calls a second, latencies and the
process's CPU time for a call, all threads counted.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import tables
from benchmarks.databases import Calls, database

WARMUP = 0.15

#: WAL, and ``synchronous=FULL`` (2).
DURABILITY = ("wal", 2)

#: One after another over the whole run, so that every inserted name is new.
_numbers = itertools.count(1)

#: Arguments that a caller has ready, so that making them up is not measured.
_PREPARED = 1_000


class WrongAnswer(Exception):
    """A contender answered something else than what is in the file."""


class Work:
    """One operation: the arguments of its calls, and what the answers must be.

    Checking each call must cost little beside the fastest of them, so that is done for the key, the number of rows;
    whole rows are looked at once, and the file at the end.
    """

    def __init__(self, calls: Calls, operation: str) -> None:
        name = operation.replace("-", "_")
        self.plain: Callable[..., Any] = getattr(calls, name)
        self.coroutine: Callable[..., Any] = getattr(calls, f"{name}_async")
        self.arguments: Callable[[random.Random], Iterator[tuple[Any, ...]]] = getattr(self, f"_{name}_arguments")
        self.is_right: Callable[[tuple[Any, ...], Any], bool] = getattr(self, f"_is_{name}")
        self._key_of = calls.key_of

    def _select_key_arguments(self, chance: random.Random) -> Iterator[tuple[Any, ...]]:
        return itertools.cycle([(chance.randint(1, tables.ROWS),) for _ in range(_PREPARED)])

    def _is_select_key(self, asked: tuple[Any, ...], answer: Any) -> bool:
        return self._key_of(answer) == asked[0]

    def _select_list_arguments(self, chance: random.Random) -> Iterator[tuple[Any, ...]]:
        return itertools.cycle([(chance.randrange(tables.TEAMS),) for _ in range(_PREPARED)])

    def _is_select_list(self, asked: tuple[Any, ...], answer: Any) -> bool:
        return len(answer) == tables.TEAM_SIZE and self._key_of(answer[-1]) % tables.TEAMS == asked[0]

    def _insert_arguments(self, chance: random.Random) -> Iterator[tuple[Any, ...]]:
        return ((f"new {number}", tables.NEW_TEAM) for number in _numbers)

    def _is_insert(self, asked: tuple[Any, ...], answer: Any) -> bool:
        return type(answer) is int and answer > tables.ROWS

    def _update_arguments(self, chance: random.Random) -> Iterator[tuple[Any, ...]]:
        # A new score each time: SQLite syncs nothing for a row that stays as it is.
        keys = itertools.cycle([chance.randint(1, tables.ROWS) for _ in range(_PREPARED)])
        return zip(keys, _numbers, strict=False)

    def _is_update(self, asked: tuple[Any, ...], answer: Any) -> bool:
        return type(answer) is int and answer == 1


class Clock:
    """When a measurement ends, and how long its calls took."""

    def __init__(self, seconds: float) -> None:
        self.end = time.perf_counter_ns() + int(seconds * 1e9)
        self.latencies: list[int] = []


def _in_threads(calls: Calls, work: Work, clock: Clock, count: int) -> None:
    problems: list[BaseException] = []

    def run(seed: int) -> None:
        call, is_right, now, took = work.plain, work.is_right, time.perf_counter_ns, clock.latencies.append
        try:
            begin = now()
            for asked in work.arguments(random.Random(seed)):
                answer = call(*asked)
                if not is_right(asked, answer):
                    raise WrongAnswer(f"{answer!r} for {asked}")
                done = now()
                took(done - begin)
                if done > clock.end:
                    break
                begin = done
            calls.thread_done()
        except BaseException as problem:
            problems.append(problem)

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(count)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if problems:
        raise problems[0]


def _in_coroutines(calls: Calls, work: Work, clock: Clock, count: int) -> None:
    seeds = itertools.count()

    async def main() -> None:
        call, is_right, now, took = work.coroutine, work.is_right, time.perf_counter_ns, clock.latencies.append
        begin = now()
        for asked in work.arguments(random.Random(next(seeds))):
            answer = await call(*asked)
            if not is_right(asked, answer):
                raise WrongAnswer(f"{answer!r} for {asked}")
            done = now()
            took(done - begin)
            if done > clock.end:
                break
            begin = done

    calls.run(main, count)


def _measure(calls: Calls, case: str, seconds: float) -> tuple[dict[str, float], int]:
    """The measures of one case, and how many calls were made, the warm-up's included."""
    operation, way, *count = case.rsplit("-", 2) if case[-1].isdigit() else case.rsplit("-", 1)
    work = Work(calls, operation)
    run = _in_coroutines if way == "async" else _in_threads
    callers = int(count[0]) if count else 1
    warm = Clock(WARMUP)
    run(calls, work, warm, callers)
    clock = Clock(seconds)
    cpu, start = time.process_time(), time.perf_counter()
    run(calls, work, clock, callers)
    cpu, taken = time.process_time() - cpu, time.perf_counter() - start
    latencies = sorted(clock.latencies)
    made = len(latencies)
    measures = {
        "rate": made / taken,
        "p50_us": latencies[made // 2] / 1000,
        "p99_us": latencies[made * 99 // 100] / 1000,
        "cpu_us": cpu / made * 1e6,
        "per_cpu_second": made / cpu,
    }
    return measures, made + len(warm.latencies)


def _check_rows(calls: Calls) -> None:
    """One row and one list with all their columns, in a thread of their own as the measurements are."""
    found: list[Any] = []
    asking = threading.Thread(target=lambda: found.extend([calls.select_key(77), *calls.select_list(5)]))
    asking.start()
    asking.join()
    for each, key in zip(found, [77, *tables.team_keys(5)], strict=True):
        columns = each if isinstance(each, tuple) else [getattr(each, name) for name in tables.COLUMNS]
        if tuple(columns) != tables.row(key):
            raise WrongAnswer(f"{columns} for {key}")


def _run(name: str, path: Path, cases: Iterable[str], seconds: float) -> dict[str, dict[str, float]]:
    calls = database(name).open_calls(path)
    if (durability := calls.durability()) != DURABILITY:
        raise SystemExit(f"it writes with {durability}, not {DURABILITY}")
    _check_rows(calls)
    measured = {}
    done = {"insert": 0, "update": 0}
    for case in cases:
        measured[case], made = _measure(calls, case, seconds)
        operation = case.partition("-")[0]
        done[operation] = done.get(operation, 0) + made
    problem = tables.verify(path, done["insert"], done["update"])
    if problem:
        raise SystemExit(problem)
    return measured


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("name")
    parser.add_argument("--file", type=Path, required=True)
    parser.add_argument("--cases", required=True)
    parser.add_argument("--seconds", type=float, required=True)
    told = parser.parse_args()
    print(json.dumps(_run(told.name, told.file, told.cases.split(","), told.seconds)), flush=True)
    sys.stdout.flush()
    # Some keep threads that would hold the process: its work is done.
    os._exit(0)


if __name__ == "__main__":
    main()
