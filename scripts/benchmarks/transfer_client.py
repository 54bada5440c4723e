"""The C client of files: compiled once for a run, then run for each action on the client's core."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks import process_tree
from benchmarks.content import Content
from benchmarks.disturbance import Disturbance
from benchmarks.listening import Listening
from benchmarks.load_generator import FLAGS
from benchmarks.processes import cores
from benchmarks.results import Measures

_HERE = Path(__file__).resolve().parent
SOURCES = [*sorted((_HERE / "transfer").glob("*.c")), _HERE / "load" / "stream.c"]

#: The slowest here moves some 50 MiB a second.
_PATIENCE = 300.0


@dataclass(frozen=True, kw_only=True)
class Action:
    """What the transfer client does: ``get`` or ``put`` of ``count`` files of ``size`` bytes in the folder ``path``.

    With ``single`` it is the one file at ``path``. ``list`` reads the ``size`` entries of the folder, ``count`` times.
    ``at_once`` files are under way at a time. ``synced`` asks peers that promise nothing for an fsync of each file.
    """

    operation: str
    path: str
    count: int
    size: int
    single: bool = False
    at_once: int = 1
    synced: bool = False


class TransferFailed(Exception):
    """The transfer client gave up; its words say why."""


class TransferClient:
    """Compiles in ``content``'s folder, which has the bytes that it sends and expects."""

    def __init__(self, content: Content) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            raise SystemExit("bench: needs a C compiler (on Debian: apt install gcc libc6-dev libssl-dev)")
        self._content = content
        self._program = content.folder / "transfer"
        command = [compiler, *FLAGS, "-pthread", *map(str, SOURCES), "-o", str(self._program)]
        with_tls = [*command, "-DWITH_TLS", "-lssl", "-lcrypto"]
        self.tls = subprocess.run(with_tls, capture_output=True).returncode == 0
        if not self.tls:
            subprocess.run(command, check=True)

    def run(
        self, action: Action, words: Sequence[str], listening: Listening, pid: int, *, idle: float, whole: bool = False
    ) -> Measures:
        """Carries the action out; ``whole`` compares every byte that arrives instead of some of each read.

        ``seconds`` is how long it took, the first connections aside; ``server_cpu`` and ``client_cpu`` are shares of a
        core, ``memory`` is what the server had at most, in MiB above ``idle``, ``p50_us`` and ``p99_us`` how long one
        file took.
        """
        command = [str(self._program), "--port", str(listening.port), "--cpu", str(cores()[1])]
        command += ["--operation", action.operation, "--count", str(action.count), "--size", str(action.size)]
        command += ["--pattern", str(self._content.pattern_file)]
        command += ["--tls"] * listening.tls + ["--single"] * action.single + ["--whole"] * whole
        disturbance = Disturbance(pid)
        process = subprocess.Popen(
            [*command, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        watchdog = _Watchdog(process)
        with process, watchdog, process_tree.MemoryPeak(pid) as peak:
            # Both sides of the clock wait for each other, so that only the transfer itself is counted.
            self._expect(process)
            before = process_tree.seconds(pid)
            measured: dict[str, float] = json.loads(self._expect(process, "go\n"))
            used = process_tree.seconds(pid) - before
            process.communicate("end\n")
        took = measured["seconds"]
        return {
            **measured,
            "server_cpu": used / took,
            "client_cpu": measured["client_seconds"] / took,
            "server_seconds": used,
            "memory": peak.mib - idle,
            "others": disturbance.share(),
        }

    def _expect(self, process: subprocess.Popen[str], word: str = "") -> str:
        assert process.stdin is not None and process.stdout is not None and process.stderr is not None
        if word:
            process.stdin.write(word)
            process.stdin.flush()
        line = process.stdout.readline()
        if not line:
            raise TransferFailed(process.stderr.read().strip()[-2000:] or "it ended without a word")
        return line


class _Watchdog:
    """Ends a client that hangs."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        import threading

        self._timer = threading.Timer(_PATIENCE, process.kill)

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
