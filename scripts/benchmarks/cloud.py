"""``bench cloud``: servers of files under the same transfers, interleaved, each round in fresh processes.

Rules of this file:

- One server runs at a time; what another left to be written to the disk is on it before the clock starts.
- Every answer is checked, and what was uploaded is read back whole, off the clock.
- A large file that is sent is in the system's memory before the clock starts, whichever way its server once wrote it
  there; in ``large-down-cold`` nobody's is.
- Small files stay until the end. An ext4 without a journal looks at every inode that was deleted in the last minutes
  before it takes another: who creates files after 2,000 were removed pays some tenths of a millisecond for each.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks import process_tree, programs
from benchmarks.certificate import write_certificate
from benchmarks.content import SMALL_SIZE, Content
from benchmarks.listening import Listening
from benchmarks.processes import ServerFailed, free_port, running
from benchmarks.programs import ProgramFailed
from benchmarks.results import Measures, Results, rotated
from benchmarks.storages import Storage, storage
from benchmarks.transfer_client import Action, TransferClient, TransferFailed

#: Files of 64 KiB under way at a time: on one connection where the protocol can, on as many connections in HTTP/1.1.
AT_ONCE = 16

#: How often the folder is listed, its entries together being the rate.
LISTINGS = 3

MIB = 2**20


@dataclass(frozen=True, kw_only=True)
class Case:
    """An action, by the transfer client or by a peer's own program."""

    action: Action
    #: What its rate counts of each file or listing: MiB, files or items.
    units: float
    tls: bool = False
    own_program: bool = False
    #: Whether the file has to come from the disk.
    cold: bool = False


def cases(content: Content) -> dict[str, Case]:
    """Every case by its name; those with TLS have a server of their own."""
    large = Action(operation="get", path="/large", count=1, size=content.large_size, single=True)
    small = Action(operation="get", path="/small", count=content.small_count, size=SMALL_SIZE)
    listed = Action(operation="list", path="/listed", count=LISTINGS, size=content.listed_count)
    made = {}
    for tls in (False, True):
        ending = "-tls" if tls else ""
        for way, operation in (("down", "get"), ("up", "put")):
            action = replace(large, operation=operation, path="/large" if way == "down" else "/up/large")
            each = content.large_size / MIB
            made[f"large-{way}{ending}"] = Case(action=action, units=each, tls=tls)
            made[f"program-{way}{ending}"] = Case(action=action, units=each, tls=tls, own_program=True)
    made["large-down-cold"] = replace(made["large-down"], cold=True)
    for way, operation in (("down", "get"), ("up", "put")):
        for at_once in (1, AT_ONCE):
            action = replace(small, operation=operation, at_once=at_once, path="/small" if way == "down" else "/up")
            made[f"small-{way}-{at_once}"] = Case(action=action, units=1)
    made["list"] = Case(action=listed, units=content.listed_count)
    return made


#: Their names, which do not depend on sizes.
CASES = tuple(cases(Content(folder=Path(), large_size=0, small_count=0, listed_count=0)))


def able(names: Sequence[str]) -> list[str]:
    """Those of the names that are installed; what is missing is said."""
    found = []
    for name in names:
        missing = storage(name).missing()
        if missing is None:
            found.append(name)
        else:
            print(f"bench: going on without {name}: {missing}", file=sys.stderr)
    return found


def packages(names: Iterable[str]) -> list[str]:
    return [package for name in names for package in storage(name).VERSIONS]


def describe(names: Iterable[str]) -> dict[str, str]:
    """What else the report says of the machine: where files are, and the versions of peers that are programs."""
    folder = Path(tempfile.gettempdir()).resolve()
    mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    _, _, system = max((len(place), place, system) for _, place, system, *_ in mounts if folder.is_relative_to(place))
    words = (version for name in names if (version := storage(name).version()) is not None)
    return {"files in": f"{folder}, {system}", "programs": ", ".join(words)}


class Benchmark:
    """One run; its files are in a folder of its own, removed at the end."""

    def __init__(self, folder: Path, content: Content) -> None:
        self.folder, self.content = folder, content
        self.results = Results()
        self.client = TransferClient(content)
        self._certificate = Listening(port=0, folder=folder)
        write_certificate(self._certificate.certificate, self._certificate.key)

    def prepare(self, names: Sequence[str]) -> None:
        self.content.make()
        for name in names:
            own = self._listening(name, tls=False)
            own.folder.mkdir()
            shutil.copy2(self._certificate.certificate, own.certificate)
            shutil.copy2(self._certificate.key, own.key)
            storage(name).prepare(own, self.content, self.client)

    def _listening(self, name: str, tls: bool) -> Listening:
        return Listening(port=free_port(), folder=self.folder / name, tls=tls)

    def measure(self, name: str, chosen: dict[str, Case], tls: bool) -> None:
        """All cases with or without TLS of one server, in a fresh process."""
        wanted = {title: case for title, case in chosen.items() if case.tls == tls}
        title = "starting"
        listening = self._listening(name, tls)
        try:
            with running(storage(name), listening) as pid:
                idle = self._warm(name, listening, pid)
                for title, case in wanted.items():
                    if case.own_program:
                        self._measure_program(title, name, case, listening, pid, idle)
                        continue
                    if case.action.operation == "get" and case.action.single:
                        self._have_in_memory(name, case, listening, pid)
                    self._measure_case(title, name, case, case.action, listening, pid, idle)
                    if case.action.operation == "put" and storage(name).SYNCED:
                        synced = replace(case.action, synced=True)
                        self._measure_case(title, name, case, synced, listening, pid, idle)
        except (ServerFailed, TransferFailed, ProgramFailed) as problem:
            self.results.fail(f"{name}, {title}", problem)

    def _warm(self, name: str, listening: Listening, pid: int) -> float:
        """Lets the server import and open what it does at first use; returns what it has in memory then, idle."""
        count = min(AT_ONCE, self.content.small_count)
        few = Action(operation="get", path="/small", count=count, size=SMALL_SIZE)
        self.client.run(few, storage(name).words(listening, few), listening, pid, idle=0, whole=True)
        time.sleep(0.2)
        return process_tree.resident(pid)

    def _have_in_memory(self, name: str, case: Case, listening: Listening, pid: int) -> None:
        """The large file, or nothing that is large."""
        if not case.cold:
            self.client.run(case.action, storage(name).words(listening, case.action), listening, pid, idle=0)
            return
        os.sync()  # what is not on the disk yet stays in memory
        for path in self.folder.rglob("*"):
            if path.is_file() and path.stat().st_size >= MIB:
                with path.open("rb") as file:
                    os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def _measure_case(
        self, title: str, name: str, case: Case, action: Action, listening: Listening, pid: int, idle: float
    ) -> None:
        server = storage(name)
        os.sync()
        measured = self.client.run(action, server.words(listening, action), listening, pid, idle=idle)
        self._add(title, f"{name}-fsync" if action.synced else name, case, measured)
        if action.operation == "put":
            self._read_back(action, server, listening, pid)
            server.clear(listening, keep=not action.single)

    def _read_back(self, action: Action, server: Storage, listening: Listening, pid: int) -> None:
        back = replace(action, operation="get", synced=False)
        self.client.run(back, server.words(listening, back), listening, pid, idle=0, whole=True)

    def _measure_program(self, title: str, name: str, case: Case, listening: Listening, pid: int, idle: float) -> None:
        server, original = storage(name), self.content.served / "large"
        received = listening.folder / "received"
        local = original if case.action.operation == "put" else received
        command = server.program(listening, case.action, local)
        if command is None:
            return
        os.sync()
        measured = programs.run(command, listening, pid, idle=idle)
        self._add(title, {"nginx": "curl"}.get(name, name), case, measured)
        if case.action.operation == "get":
            programs.compare(received, original)
            received.unlink()
        else:
            self._read_back(case.action, server, listening, pid)
            server.clear(listening, keep=False)

    def _add(self, title: str, name: str, case: Case, measured: Measures) -> None:
        done = case.units * case.action.count
        rates = {
            "rate": done / measured["seconds"],
            "per_server_cpu_second": done / max(measured["server_seconds"], 0.01),
            "server_us": measured["server_seconds"] / done * 1e6,
            "p50_ms": measured["p50_us"] / 1e3,
            "p99_ms": measured["p99_us"] / 1e3,
        }
        self.results.add(title, name, {**measured, **rates})


def measure(names: Sequence[str], only: Sequence[str], *, rounds: int, size: int, files: int, items: int) -> Results:
    """Runs everything. A server that fails in a round is named in the failures and missing from that round."""
    with tempfile.TemporaryDirectory(prefix="fluxon-bench-cloud-") as made:
        folder = Path(made)
        content = Content(folder=folder, large_size=size, small_count=files, listed_count=items)
        chosen = {title: case for title, case in cases(content).items() if title in only}
        benchmark = Benchmark(folder, content)
        if not benchmark.client.tls and any(case.tls for case in chosen.values()):
            print("bench: no OpenSSL headers: leaving out the cases with TLS", file=sys.stderr)
            chosen = {title: case for title, case in chosen.items() if not case.tls}
        benchmark.prepare(names)
        try:
            for number in range(rounds):
                for name in rotated(names, number):
                    for tls in (False, True):
                        if any(case.tls == tls for case in chosen.values()):
                            benchmark.measure(name, chosen, tls)
                print(f"bench: round {number + 1} of {rounds}", file=sys.stderr)
        except KeyboardInterrupt:  # it takes minutes: what was measured is not to be lost
            print("bench: ended early; this is what was measured until then", file=sys.stderr)
        return benchmark.results
