"""The guide to the cloud's clients, run from its first block to its last against the server that it shows."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

from children import Child
from pages import ROOT, Page
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.command_line.parser import parser

GUIDE = "docs/cloud_client.rst"


class CloudClientGuideTests(SynchronousTestCase):
    """Only the ports are changed, to ones that are free."""

    def serve(self) -> None:
        page = Page(self, GUIDE)
        self.files, self.fragments = page.files(), [each.text for each in page.fragments()]
        (self.commands,) = page.commands()
        server = self.files["cloud_server.py"]
        Path("cloud_server.py").write_text(server.replace("port=8080", "port=0").replace("port=8888", "port=0"))
        self.server = Child("server", [sys.executable, "-u", "cloud_server.py"], Path.cwd())
        self.addCleanup(self.server.discard)
        self.ports: dict[str, str] = {}
        while len(self.ports) < 2:
            found = self.server.expect(r"(?i)(cloud)?[^\n]*listening on tcp 127\.0\.0\.1:(\d+)")
            self.ports["8888" if "cloud" in found.string.lower() else "8080"] = found.group(2)

    def with_ports(self, text: str) -> str:
        for written, real in self.ports.items():
            text = text.replace(written, real)
        return text

    def run_program(self, name: str, text: str) -> str:
        Path(name).write_text(self.with_ports(text))
        done = subprocess.run([sys.executable, name], capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        return done.stdout

    def test_the_guide(self) -> None:
        """Each block does what the text says, in its order."""
        self.serve()
        program = self.files["files.py"]
        self.assertIn("server.close()", program)
        extended = program.replace("server.close()", "\n".join([*self.fragments, "server.close()"]))
        said = self.run_program("files.py", extended)
        self.assertIn("b'some text'", said)
        self.assertIn("/janes/photo.raw 5000000 version 1", said)
        self.assertIn("directory /janes\n", said)
        self.assertEqual(Path("copy.raw").read_bytes(), bytes(5_000_000))
        said = self.run_program("twisted_files.py", self.files["twisted_files.py"])
        self.assertIn("['a', 'b', 'c', 'd', 'notes.txt', 'photo.raw']", said)
        self._shell()

    def _shell(self) -> None:
        Path("holiday").mkdir()
        Path("holiday", "beach.raw").write_bytes(b"beach")
        with open("people.py", "w") as people:
            people.write(
                "from fluxon.connect import ConnectionInterface\n"
                f"with ConnectionInterface('localhost', {self.ports['8080']}) as server:\n"
                "    server.send_request('sign_up', {'username': 'Mike', 'password': 'Mike123@abc'})\n"
            )
        subprocess.run([sys.executable, "people.py"], check=True, timeout=60)
        environment = {**os.environ, "XDG_CONFIG_HOME": str(Path("config").absolute())}
        for line in self.commands:
            arguments = shlex.split(self.with_ports(line).removeprefix("python "))
            if "login" in arguments:
                arguments += ["--cloud-port", self.ports["8888"]]
            done = subprocess.run(
                [sys.executable, *arguments],
                env=environment,
                input="Jane123@abc\n",
                capture_output=True,
                text=True,
                timeout=60,
            )
            self.assertEqual(done.returncode, 0, f"{line}: {done.stderr}")
        self.assertEqual(Path("backup", "holiday", "beach.raw").read_bytes(), b"beach")
        self.assertEqual(Path("backup", "photo.raw").read_bytes(), bytes(5_000_000))

    def test_exit_statuses(self) -> None:
        """Those that the guide tells are those that the help tells."""
        guide = " ".join((ROOT / GUIDE).read_text("utf-8").split())
        for number, words in re.findall(r"(\d+) ([a-z]+)", parser().epilog or ""):
            self.assertIn(f"{number} {words}", guide)
