"""The C load generator: compiled once for a run, then run for each case on the client's core."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

from benchmarks.conversation import Conversation
from benchmarks.disturbance import Disturbance
from benchmarks.listening import Listening
from benchmarks.processes import cores
from benchmarks.results import Measures

SOURCES = Path(__file__).resolve().parent / "load"
FLAGS = ["-O2", "-std=gnu11", "-Wall", "-Wextra"]


class LoadFailed(Exception):
    """The load generator gave up; its words say why."""


class LoadGenerator:
    """Compiles in ``folder``; ``tls`` tells whether OpenSSL's headers were there."""

    def __init__(self, folder: Path) -> None:
        compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
        if compiler is None:
            raise SystemExit("bench: needs a C compiler (on Debian: apt install gcc libc6-dev libssl-dev)")
        self._folder = folder
        self._program = folder / "load"
        sources = [str(path) for path in sorted(SOURCES.glob("*.c"))]
        command = [compiler, *FLAGS, *sources, "-o", str(self._program)]
        with_tls = [*command, "-DWITH_TLS", "-lssl", "-lcrypto"]
        self.tls = subprocess.run(with_tls, capture_output=True).returncode == 0
        if not self.tls:
            subprocess.run(command, check=True)

    def run(
        self,
        conversation: Conversation,
        listening: Listening,
        pid: int,
        *,
        connections: int,
        in_flight: int,
        seconds: float,
        rate: float = 0,
    ) -> Measures:
        """Keeps ``in_flight`` requests on each of the connections for so long; or ``rate`` a second over all of them.

        Rates are a second, latencies microseconds, ``server_cpu`` and ``client_cpu`` shares of a core,
        ``server_cpu_per_100k`` the server's CPU seconds for 100,000 requests, ``per_server_cpu_second`` the reverse:
        what a busy machine disturbs least. ``others`` is the share of a core that something else took meanwhile.
        """
        command = [str(self._program), "--port", str(listening.port), "--pid", str(pid), "--cpu", str(cores()[1])]
        command += ["--connections", str(connections), "--in-flight", str(in_flight), "--seconds", str(seconds)]
        command += ["--rate", str(rate)]
        if listening.tls:
            command.append("--tls")
        command += self._words(conversation)
        disturbance = Disturbance(pid)
        done = subprocess.run(command, capture_output=True, text=True, errors="replace", timeout=seconds + 60)
        if done.returncode:
            raise LoadFailed(done.stderr.strip())
        measures: dict[str, float] = json.loads(done.stdout)
        measures["server_cpu_per_100k"] = measures["server_cpu"] / measures["rate"] * 100_000
        measures["per_server_cpu_second"] = measures["rate"] / max(measures["server_cpu"], 0.01)
        measures["others"] = disturbance.share()
        return measures

    def _words(self, conversation: Conversation) -> list[str]:
        words = ["--framing", conversation.framing]
        parts = [("upgrade", conversation.upgrade), ("request", conversation.request), ("expect", conversation.expect)]
        parts += [("hello", hello) for hello in conversation.hellos]
        for number, (name, data) in enumerate(parts):
            if data:
                path = self._folder / f"{number}-{name}"
                path.write_bytes(data)
                words += [f"--{name}", str(path)]
        if conversation.tag is not None:
            words += ["--tag", conversation.tag.option(), "--tag-mask", conversation.tag_mask.hex()]
        if conversation.match is not None:
            place, data = conversation.match
            words += ["--match", f"{place}:{data.hex()}"]
        return words
