"""A document's commands, typed one after the other as a reader types them.

Rules kept here: every command is really run, in the test's folder; only ports are changed, to ones that are free; a
command that is not known fails unless it ends with 0. What is run by another test is named beside that test.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from children import Child
from twisted.trial.unittest import SynchronousTestCase

import fluxon

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(fluxon.__file__).parents[1])}

#: Commands that another test runs, or that the tests themselves are run by: which.
ELSEWHERE = {
    r"scripts/demo": "tests/integration/test_demo.py",
    r"scripts/test": "scripts/test",
    r"pip install -e \.": "scripts/environment",
    r"pip install (--upgrade )?fluxon(\[\w+\])?": "tests/integration/test_release.py",
    r"python3? -m venv \.venv": "tests/integration/test_release.py",
    r"\. \.venv/bin/activate": "tests/integration/test_release.py",
    # As root; what they install is started, and looked at by systemd's own tools, there.
    r"(useradd|chown|cp|systemctl|journalctl) .*": "tests/integration/test_services.py",
}

_SERVER = re.compile(r"python (\w+_)?server\.py|twistd -n .*")

#: What a line of a server's log says of where it listens, and which of the ports of the texts that is.
_LISTENING = (
    (re.compile(r"the cloud storage: listening on tcp \S+:(\d+)"), "8888"),
    (re.compile(r"#info\] listening on tcp \S+:(\d+)"), "8080"),
    (re.compile(r"console by SSH on \S+:(\d+),"), "2222"),
    (re.compile(r"metrics and health at tcp \S+:(\d+)"), "9100"),
)


class Terminal:
    """One shell, with servers in the background."""

    def __init__(self, case: SynchronousTestCase, folder: Path | None = None) -> None:
        self.case = case
        self.folder = folder or Path.cwd()
        #: The port of the text -> the one that was free.
        self.ports: dict[str, str] = {}
        #: A folder of the text -> the test's.
        self.places: dict[str, Path] = {}
        #: What commands find before the system's programs, and their home.
        self.environment = dict(ENVIRONMENT)
        self.servers: list[Child] = []
        #: Programs as the text has them, and as they are with the ports of now.
        self._written: dict[Path, tuple[str, str]] = {}

    def type(self, line: str, answers: str = "", ports: Mapping[str, str] | None = None) -> str:
        """Run one command to its end, or a server until it listens; what it printed.

        ``ports`` are those that a server had before, for clients that are to find it again.
        """
        if any(re.fullmatch(form, line) for form in ELSEWHERE):
            return ""
        if line.startswith("cd "):
            self.folder = self.folder / line.removeprefix("cd ")
            assert self.folder.is_dir(), line
            return ""
        if _SERVER.fullmatch(line):
            self.serve(line, ports or {})
            return ""
        self._give_ports(line, {})
        done = subprocess.run(
            self.words(line), cwd=self.folder, env=self.environment, input=answers, capture_output=True, text=True
        )
        self.case.assertEqual(done.returncode, 0, f"{line}: {done.stdout}{done.stderr}")
        return done.stdout

    def start(self, line: str, ports: Mapping[str, str] | None = None) -> Child:
        """Run a command that goes on, for a test to talk to."""
        self._give_ports(line, ports or {})
        child = Child(line, self.words(line), self.folder)
        self.case.addCleanup(child.discard)
        return child

    def words(self, line: str) -> list[str]:
        """A command, with this interpreter's programs and the ports that were free."""
        for written, port in self.ports.items():
            line = re.sub(rf"\b{written}\b", port, line)
        for place, folder in self.places.items():
            line = line.replace(place, str(folder))
        if re.search(r"[<>~]", line):
            return ["sh", "-c", line]
        words = shlex.split(line)
        if words[0] == "python":
            return [sys.executable, "-u", *words[1:]]
        return [str(BIN / words[0]) if (BIN / words[0]).exists() else words[0], *words[1:]]

    def _give_ports(self, line: str, before: Mapping[str, str]) -> None:
        """The program of a command knows the ports of now; a server takes those of before, or any that is free."""
        match = re.match(r"(?:python|twistd .*-y) ([\w/]+\.(?:py|tac))", line)
        path = self.folder / match[1] if match else None
        if path is None or not path.is_file():
            return
        now = path.read_text()
        original, last = self._written.get(path, (now, now))
        if now != last:
            original = now  # it was written anew
        if "run_server" in original or path.suffix == ".tac":
            text = re.sub(r"\bport=(8080|8888)\b", lambda port: f"port={before.get(port[1], 0)}", original)
        else:
            text = re.sub(r"\b(8080|8888)\b", lambda port: self.ports.get(port[0], port[0]), original)
        if text != now:  # it may be running
            path.write_text(text)
        self._written[path] = (original, text)

    def serve(self, line: str, before: Mapping[str, str]) -> Child:
        """Start a server, and learn its ports."""
        self.ports = {}
        expected = {"8080"}
        if line.startswith("python "):
            if "CloudStorageServer(" in (self.folder / line.split()[1]).read_text():
                expected.add("8888")
        else:
            line, expected = _with_free_ports(line)
        child = self.start(line, before)
        self.servers.append(child)
        found: dict[str, str] = {}
        while found.keys() < expected:
            said = child.expect(r"(listening on tcp|console by SSH on|metrics and health at)", 60).string
            for form, port in _LISTENING:
                if match := form.search(said):
                    found[port] = match[1]
                    break
        self.ports = found
        return child

    def stop_servers(self) -> None:
        """As SIGTERM does; each must end well."""
        while self.servers:
            # twistd ends by the signal that it was told to stop with.
            self.case.assertIn(self.servers.pop().stop(60), (0, -signal.SIGTERM))


def _with_free_ports(line: str) -> tuple[str, set[str]]:
    local = "tcp:0:interface=127.0.0.1"
    expected = {"8888"} if "fluxon-cloud" in line else {"8080"}
    if "--port" not in line:
        line += f" --port {local}"
    line = re.sub(r"--port (haproxy:)?\S+", rf"--port \g<1>{local}", line)
    for option, port in (("--cloud-port", "8888"), ("--manhole", "2222"), ("--metrics", "9100")):
        if option in line:
            expected.add(port)
            line = re.sub(rf"{option} \S+", f"{option} {local}", line)
    # twistd's file of its number: one for each server that a page starts.
    if "--pidfile" not in line:
        line = line.replace("twistd -n", "twistd -n --pidfile=")
    return line, expected
