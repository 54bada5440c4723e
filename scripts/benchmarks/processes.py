"""Processes and cores: each server under test in a process of its own on its core, ended and waited for.

Rules of this file: only processes started here are ended, by their id; a server's output goes to a file that is
shown when it fails.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from benchmarks.listening import HOST, Listening

SCRIPTS = Path(__file__).resolve().parent.parent
TREE = SCRIPTS.parent

#: Importing gRPC or FastAPI takes a second or two; a generated project makes its keys first.
START_PATIENCE = 30.0


class ServerFailed(Exception):
    """A server under test did not start, or died."""


def cores() -> tuple[int, int]:
    """The server's core and the client's."""
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        raise SystemExit("bench: needs two cores: one for the server, one for the client")
    return allowed[0], allowed[-1]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        port: int = listener.getsockname()[1]
        return port


def environment() -> dict[str, str]:
    """The children's: Fluxon and these modules from the tree, nothing else of the caller's Python."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    return {**kept, "PYTHONPATH": f"{SCRIPTS}{os.pathsep}{TREE}", "PYTHONDONTWRITEBYTECODE": "1"}


def _wait_until_open(process: subprocess.Popen[bytes], port: int, output: Path) -> None:
    deadline = time.monotonic() + START_PATIENCE
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((HOST, port), timeout=1):
            return
        time.sleep(0.02)
    raise ServerFailed(f"it does not listen\n{output.read_text(errors='replace')[-3000:]}")


@contextlib.contextmanager
def running(module: ModuleType, listening: Listening) -> Iterator[int]:
    """Runs ``serve`` of a module on the server's core; gives its process id."""
    command = [sys.executable, "-m", "benchmarks.serve", module.__name__]
    command += ["--port", str(listening.port), "--folder", str(listening.folder)]
    if listening.tls:
        command.append("--tls")
    output = listening.folder / "output.txt"
    with output.open("wb") as sink:
        process = subprocess.Popen(
            command, cwd=listening.folder, env=environment(), stdin=subprocess.DEVNULL, stdout=sink, stderr=sink
        )
    try:
        os.sched_setaffinity(process.pid, {cores()[0]})
        _wait_until_open(process, listening.port, output)
        yield process.pid
    finally:
        for how in (signal.SIGTERM, signal.SIGKILL):
            if process.poll() is None:
                process.send_signal(how)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=5)
