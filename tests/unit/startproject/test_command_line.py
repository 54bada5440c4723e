"""``python -m fluxon.startproject`` as a person types it."""

from __future__ import annotations

import contextlib
import io
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from fluxon.startproject.__main__ import main


def _small_files() -> None:
    """In the child: no file may grow past 700 bytes, which is less than the larger templates need."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))


class CommandLineTests(SynchronousTestCase):
    """Exit codes, and one line for each failure."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="fluxon-startproject-"))
        self.addCleanup(shutil.rmtree, self.folder)

    def run_it(
        self, *arguments: str, full_disk: bool = False, path: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": path or os.environ["PATH"]}
        if full_disk:
            # Only the project's own files shall meet the limit: no bytecode, no coverage data.
            environment = {name: value for name, value in environment.items() if not name.startswith("COV")}
            environment["PYTHONDONTWRITEBYTECODE"] = "1"
        return subprocess.run(
            [sys.executable, "-m", "fluxon.startproject", *arguments],
            cwd=self.folder,
            env=environment,
            preexec_fn=_small_files if full_disk else None,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def assert_one_line(self, done: subprocess.CompletedProcess[str], code: int) -> None:
        self.assertEqual(done.returncode, code, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertNotIn("Traceback", done.stderr)

    def test_called_from_python(self) -> None:
        """``main`` gives the exit code and ends nothing: 0 and what is there, 1 and one line."""
        for _, code, words in ((1, 0, "A new AsyncServer project in"), (2, 1, "startproject: ")):
            output = io.StringIO()
            with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
                self.assertEqual(main(["AsyncServer", str(self.folder / "chat")]), code)
            self.assertTrue(output.getvalue().startswith(words), output.getvalue())

    def test_makes_and_explains(self) -> None:
        """The answer lists the files and says what to type next."""
        done = self.run_it("AsyncServer", "path/to/chat")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("cd path/to/chat", done.stdout)
        self.assertIn("python server.py", done.stdout)
        self.assertTrue((self.folder / "path/to/chat/server.py").is_file())

    def test_which_python(self) -> None:
        """The shell's own where that is this one; else the whole path, since another has no Fluxon."""
        bin_folder = Path(sys.executable).parent
        for project, path, python in (
            ("active", f"{bin_folder}:/usr/bin:/bin", "python"),
            ("inactive", "/usr/bin:/bin", sys.executable),
        ):
            done = self.run_it("AsyncServer", project, path=path)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"\n  {python} server.py\n", done.stdout)

    def test_with_a_cloud(self) -> None:
        """The option may stand anywhere, and the answer says how to try it."""
        for number, arguments in enumerate((("--cloud", "{}"), ("{}", "--cloud"))):
            name = f"files{number}"
            done = self.run_it("AsyncServer", *(each.format(name) for each in arguments))
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("python cloud_client.py", done.stdout)
            self.assertTrue((self.folder / name / "cloud_client.py").is_file())
        self.assertEqual(self.run_it("--cloud", "AsyncServer", "files2").returncode, 0)

    def test_with_a_database_server(self) -> None:
        """The answer says what to install and to set first; a wrong choice lists the right ones."""
        done = self.run_it("AsyncServer", "chat", "--database", "postgresql", "--port", "9000")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertIn("export DATABASE_URL=postgresql://", done.stdout)
        self.assertIn("PostgreSQLDatabase", (self.folder / "chat/router.py").read_text())
        self.assertIn("port=9000", (self.folder / "chat/server.py").read_text())
        done = self.run_it("AsyncServer", "other", "--database", "oracle")
        self.assertEqual(done.returncode, 2)
        self.assertIn("mysql", done.stderr)
        self.assert_one_line(self.run_it("AsyncServer", "other", "--port", "70000"), 1)
        self.assertEqual(os.listdir(self.folder), ["chat"])

    def test_without_a_path(self) -> None:
        """The current folder is the project, and nobody is told to change into it."""
        done = self.run_it("AsyncServer")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue((self.folder / "server.py").is_file())
        self.assertNotIn("cd ", done.stdout)

    def test_twice(self) -> None:
        """The second time one line names what is in the way."""
        self.run_it("AsyncServer", "chat")
        done = self.run_it("AsyncServer", "chat")
        self.assert_one_line(done, 1)
        self.assertIn("views.py", done.stderr)
        self.assertIn("nothing was written", done.stderr)

    def test_unknown_type(self) -> None:
        """One line that lists the types."""
        done = self.run_it("SyncServer", "chat")
        self.assert_one_line(done, 1)
        self.assertIn("AsyncServer", done.stderr)

    def test_no_type(self) -> None:
        """A wrong command ends with 2, as argparse has it."""
        self.assertEqual(self.run_it().returncode, 2)

    def test_a_disk_that_is_full(self) -> None:
        """When a file cannot be written to its end, everything is taken away again, the folder included."""
        done = self.run_it("AsyncServer", "path/to/chat", full_disk=True)
        self.assert_one_line(done, 1)
        self.assertIn("nothing was written", done.stderr)
        self.assertEqual(os.listdir(self.folder), [])
