"""A server as a service of the system: ready when it says so, reloaded, watched over, started by systemd's units."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from children import Child
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from fluxon.connect import ConnectionInterface
from fluxon.errors import FluxonError
from fluxon.security.certificate import make_certificate, make_key
from fluxon.startproject import generate

TWISTD = Path(sys.executable).with_name("twistd")
LOCAL = "tcp:0:interface=127.0.0.1"
ROOT = Path(__file__).parents[2]
UNITS = ROOT / "docs" / "examples" / "systemd"


@pytest.mark.slow
class ServiceTests(SynchronousTestCase):
    def setUp(self) -> None:
        generate("AsyncServer", "chat")

    def twistd(
        self, *arguments: str, plugin: str = "fluxon", before: tuple[str, ...] = (), **environment: str
    ) -> Child:
        # A service has no terminal and nothing on its standard input.
        kept = {name: os.environ.get(name) for name in environment}
        os.environ.update(environment)
        try:
            command = [*before, str(TWISTD), "-n", "--pidfile=", plugin, "--config", "chat/router.py", *arguments]
            child = Child("twistd", command, Path.cwd())
        finally:
            for name, value in kept.items():
                os.environ.pop(name, None) if value is None else os.environ.update({name: value})
        self.addCleanup(child.discard)
        return child

    def notified(self) -> tuple[str, socket.socket]:
        """The name of a supervisor's socket, and what is told there."""
        name = f"fluxon-{os.getpid()}-{id(self)}"
        listening = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.addCleanup(listening.close)
        listening.bind("\0" + name)
        listening.settimeout(60)
        return "@" + name, listening

    def port(self, child: Child, what: str = "listening on tcp") -> int:
        return int(child.expect(rf"{what} \S+:(\d+)")[1])

    def test_readiness(self) -> None:
        """A supervisor hears that it is ready when it can be connected to, and that it stops when it does."""
        address, told = self.notified()
        child = self.twistd("--port", LOCAL, NOTIFY_SOCKET=address)
        self.assertEqual(told.recv(100), b"READY=1")
        port = self.port(child)
        with ConnectionInterface(port=port, timeout=20) as connection:
            connection.send_request("send_message", {})
        child.stop()
        self.assertEqual(told.recv(100), b"STOPPING=1")

    def test_reload(self) -> None:
        """SIGHUP: the next connection gets the new certificate, moved logs are begun anew, connections go on."""
        child = self.twistd("--port", LOCAL, "--secure")
        port = self.port(child)
        secrets = Path("chat/secrets")
        shutil.copy(secrets / "certificate.pem", "old.pem")
        before = ConnectionInterface(port=port, secure=True, trust="old.pem", timeout=20)
        self.addCleanup(before.close)
        before.send_request("send_message", {})
        key = make_key()
        (secrets / "certificate.pem").write_bytes(make_certificate(key))
        (secrets / "private_key.pem").write_bytes(key)
        Path("chat/logs/fluxon.log").rename("chat/logs/kept.log")
        os.kill(child.pid, signal.SIGHUP)
        child.expect("reloaded: the new certificate is in use")
        new = ConnectionInterface(port=port, secure=True, trust=secrets / "certificate.pem", timeout=20)
        self.addCleanup(new.close)
        new.send_request("send_message", {})
        with ConnectionInterface(port=port, secure=True, trust="old.pem", timeout=20) as refused:
            self.assertRaises(FluxonError, refused.send_request, "send_message", {})
        before.send_request("send_message", {})
        self.assertIn("send_message", Path("chat/logs/fluxon.log").read_text())

    def test_metrics(self) -> None:
        """What clients did is told to whoever asks, and that the server is well."""
        child = self.twistd("--port", LOCAL, "--metrics", LOCAL)
        port = self.port(child)
        address = f"http://127.0.0.1:{self.port(child, 'metrics and health at tcp')}"
        with ConnectionInterface(port=port, timeout=20) as connection:
            for _ in range(3):
                connection.send_request("send_message", {})
            told = _metrics(address)
            self.assertEqual(told["fluxon_requests_total", "send_message", "ok"], 3)
            self.assertEqual(told["fluxon_requests_total", "create_user", "ok"], 0)
            self.assertEqual(told["fluxon_request_seconds_count", "send_message"], 3)
            self.assertEqual(told["fluxon_connections", "main"], 1)
            self.assertEqual(told["fluxon_connections_accepted_total", "main"], 1)
            self.assertGreater(told["fluxon_bytes_total", "received", "main"], 150)
            self.assertGreater(told["fluxon_bytes_total", "sent", "main"], 150)
            self.assertEqual(told[("fluxon_sessions",)], 1)
            self.assertEqual((told[("fluxon_groups",)], told[("fluxon_group_members",)]), (0, 0))
            self.assertGreater(told[("fluxon_database_writes_total",)], 0)
            self.assertGreater(told[("process_resident_memory_bytes",)], 1e6)
        self.assertEqual(_get(address + "/health"), (200, "ok\n"))

    def test_metrics_of_the_cloud(self) -> None:
        """The cloud's process tells of its commands."""
        generate("AsyncServer", "drive", cloud=True)
        command = [str(TWISTD), "-n", "--pidfile=", "fluxon-cloud", "--config=drive/router.py", "--port", LOCAL]
        child = Child("twistd", [*command, "--metrics", LOCAL], Path.cwd())
        self.addCleanup(child.discard)
        port = self.port(child)
        address = f"http://127.0.0.1:{self.port(child, 'metrics and health at tcp')}"
        from fluxon.connect import CloudStorageConnector

        with CloudStorageConnector(host="localhost", port=port, timeout=20) as cloud:
            self.assertRaises(FluxonError, cloud.create_directory, "/mine")
        told = _metrics(address)
        self.assertEqual(told["fluxon_requests_total", "cloud.mkdir", "PermissionDenied"], 1)
        self.assertIn(("fluxon_connections", "cloud"), told)

    def test_metrics_where_nobody_can_be(self) -> None:
        """A port of metrics that is taken is one line and status 1."""
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        child = self.twistd("--port", LOCAL, "--metrics", str(taken.getsockname()[1]))
        child.expect(f"cannot start.*{taken.getsockname()[1]}")
        self.assertEqual(child.end_of_input(), 1)
        self.assertFalse(any("Traceback" in line for line in child.transcript), child.transcript)

    def test_socket_activation(self) -> None:
        """The port may be the supervisor's: it listens, and the server takes over what has come meanwhile."""
        activate = shutil.which("systemd-socket-activate")
        if activate is None:
            raise SkipTest("systemd-socket-activate is not installed (Debian: systemd)")
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        # systemd itself names the descriptors; and what it starts has the environment that its unit says.
        before = (activate, "-l", f"127.0.0.1:{port}", "--fdname=main", "-E", f"PYTHONPATH={ROOT}")
        child = self.twistd("--port", "systemd:domain=INET:index=0", before=before)
        child.expect("Listening on")
        with ConnectionInterface(port=port, timeout=30) as connection:
            self.assertEqual(connection.send_request("send_message", {}), {"response": "login needed"})
        child.expect("listening on")


@pytest.mark.slow
class UnitsTests(SynchronousTestCase):
    def test_verify(self) -> None:
        """systemd finds nothing wrong with the examples, for a project where they say that it is."""
        analyze = shutil.which("systemd-analyze")
        if analyze is None:
            raise SkipTest("systemd-analyze is not installed (Debian: systemd)")
        place = Path("srv").absolute()
        (place / ".venv" / "bin").mkdir(parents=True)
        (place / ".venv" / "bin" / "twistd").symlink_to(TWISTD)
        units = sorted(UNITS.iterdir())
        self.assertEqual([each.name for each in units], ["fluxon-cloud.service", "fluxon.service", "fluxon.socket"])
        for unit in units:
            Path(unit.name).write_text(unit.read_text().replace("/srv/chat", str(place)))
        names = [each.name for each in units]
        done = subprocess.run([analyze, "verify", *names], capture_output=True, text=True, timeout=60)
        complaints = [line for line in done.stderr.splitlines() if re.match(r"\S*fluxon", line)]
        self.assertEqual((complaints, done.returncode), ([], 0), done.stderr)

    def test_commands(self) -> None:
        """What the units start is what this release understands."""
        for unit in UNITS.glob("*.service"):
            started = re.search(r"^ExecStart=\S+twistd (.*)$", unit.read_text(), re.MULTILINE)
            assert started is not None
            words = started[1].split()
            plugin = words.index("fluxon" if "fluxon" in words else "fluxon-cloud")
            options = [each.split("=")[0] for each in words[plugin + 1 :] if each.startswith("--")]
            text = subprocess.run(
                [TWISTD, words[plugin], "--help"], capture_output=True, text=True, timeout=60, check=True
            ).stdout
            for option in options:
                self.assertIn(option, text)


def _get(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=20) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def _metrics(address: str) -> dict[tuple[Any, ...], float]:
    """Values by name and the labels' values, in the order of the labels' names reversed: view before code."""
    status, text = _get(address + "/metrics")
    assert status == 200, text
    return {
        (sample.name, *(sample.labels[name] for name in _ORDER if name in sample.labels)): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if "le" not in sample.labels
    }


_ORDER = ("view", "code", "direction", "port", "threads", "figure", "generation")
