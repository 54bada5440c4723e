"""Programs that people move a large file with: curl, sftp, Fluxon's own client; starting and ending included."""

from __future__ import annotations

import filecmp
import os
import resource
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks import process_tree
from benchmarks.disturbance import Disturbance
from benchmarks.listening import Listening
from benchmarks.processes import cores, environment
from benchmarks.results import Measures

_PATIENCE = 300.0


class ProgramFailed(Exception):
    """A program did not move its file; its words say why."""


def _children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _onto_core(core: int) -> None:
    os.sched_setaffinity(0, {core})


def run(command: Sequence[str], listening: Listening, pid: int, *, idle: float) -> Measures:
    """Runs the program on the client's core, with the measures of the transfer client."""
    disturbance, core = Disturbance(pid), cores()[1]
    with process_tree.MemoryPeak(pid) as peak:
        server, client, start = process_tree.seconds(pid), _children_seconds(), time.monotonic()
        try:
            done = subprocess.run(
                command,
                env=environment(),
                cwd=listening.folder,
                preexec_fn=lambda: _onto_core(core),
                capture_output=True,
                text=True,
                timeout=_PATIENCE,
            )
        except subprocess.TimeoutExpired:
            raise ProgramFailed(f"{command[0]} hung") from None
        took = time.monotonic() - start
        client, server = _children_seconds() - client, process_tree.seconds(pid) - server
    if done.returncode:
        raise ProgramFailed((done.stderr or done.stdout).strip()[-2000:])
    return {
        "seconds": took,
        "client_seconds": client,
        "server_seconds": server,
        "server_cpu": server / took,
        "client_cpu": client / took,
        "memory": peak.mib - idle,
        "p50_us": took * 1e6,
        "p99_us": took * 1e6,
        "others": disturbance.share(),
    }


def compare(received: Path, wanted: Path) -> None:
    """Every byte has come."""
    if not received.exists() or not filecmp.cmp(received, wanted, shallow=False):
        raise ProgramFailed(f"{received.name} is not the file that was asked for")
