"""``python server.py`` and its terminal: a real pseudo-terminal, and every other kind of standard input."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import pexpect
from console_server import ENVIRONMENT, write_project
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import ConnectionInterface
from fluxon.errors import FluxonError

#: A process that spins takes all of a second's processor time, one that waits next to nothing.
LOOKED_AT = 1.0
IDLE = 0.2


class _ProjectTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        write_project(Path())

    def spawn(self, command: str | None = None) -> Any:
        words = ["-c", command] if command else ["server.py"]
        program = "/bin/sh" if command else sys.executable
        terminal = pexpect.spawn(program, words, env=ENVIRONMENT, encoding="utf-8", timeout=30, dimensions=(24, 80))
        self.addCleanup(terminal.close, True)
        # A server outlives its terminal, as it should: everything of the terminal's session is ended first.
        self.addCleanup(subprocess.run, ["pkill", "-KILL", "--session", str(terminal.pid)], check=False)
        return terminal

    def port_in_log(self) -> int:
        log = Path("logs/fluxon.log")
        end = time.monotonic() + 30
        while time.monotonic() < end:
            found = re.findall(r"listening on tcp \S+:(\d+)", log.read_text() if log.exists() else "")
            if found:
                return int(found[-1])
            time.sleep(0.02)
        return self.fail("it does not listen")  # type: ignore[no-any-return]

    def answers(self) -> None:
        with ConnectionInterface("localhost", self.port_in_log(), timeout=20) as connection:
            self.assertEqual(connection.send_request("echo", 1), 1)

    def is_idle(self, pid: int) -> None:
        """It serves, and takes no processor time while nobody asks for anything."""
        self.answers()
        before = processor_time(pid)
        time.sleep(LOOKED_AT)
        self.assertLess(processor_time(pid) - before, IDLE)
        self.answers()


def processor_time(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class WithoutATerminalTests(_ProjectTestCase):
    """No console, no reading, no processor time."""

    def test_every_other_input(self) -> None:
        """Standard input closed, /dev/null, a pipe that is open, one that has ended, and a file."""
        Path("lines").write_text("terminate\n" * 1000)
        read, write = os.pipe()
        self.addCleanup(os.close, write)
        for what, more in (
            ("<&-", {"stdin": subprocess.DEVNULL}),
            ("</dev/null", {"stdin": subprocess.DEVNULL}),
            ("", {"stdin": read}),
            ("", {"stdin": subprocess.PIPE}),
            ("<lines", {"stdin": subprocess.DEVNULL}),
        ):
            Path("logs/fluxon.log").unlink(missing_ok=True)
            child: subprocess.Popen[bytes] = subprocess.Popen(
                ["/bin/sh", "-c", f'exec "$0" server.py {what}', sys.executable],
                env=ENVIRONMENT,
                stdout=open("output", "wb"),  # noqa: SIM115 - the child's
                stderr=subprocess.STDOUT,
                start_new_session=True,
                **more,  # type: ignore[arg-type]
            )
            self.addCleanup(child.kill)
            if more["stdin"] is subprocess.PIPE:
                assert child.stdin is not None
                child.stdin.write(b"terminate\n")
                child.stdin.close()
            self.is_idle(child.pid)
            self.assertNotIn("fluxon>", Path("output").read_text())
            child.terminate()
            self.assertEqual(child.wait(30), 0, what)
        os.close(read)

    def test_output_that_is_no_terminal(self) -> None:
        """``python server.py | tee log`` has no prompt, which would end up in the file."""
        terminal = self.spawn(f"exec {sys.executable} server.py | cat")
        terminal.expect("listening on")
        self.answers()
        terminal.sendintr()
        terminal.expect("run_server has returned")
        self.assertNotIn("fluxon>", terminal.before)

    def test_in_the_background(self) -> None:
        """``python server.py &`` reads nothing, and is not stopped for it."""
        terminal = self.spawn(
            f"set -m; {sys.executable} server.py & echo started $!; read line; kill $!; wait $!; echo over $?"
        )
        terminal.expect(r"started (\d+)")
        pid = int(terminal.match[1])
        terminal.expect("listening on")
        self.is_idle(pid)
        terminal.send("\r")
        terminal.expect("over 0")
        self.assertNotIn("fluxon>", terminal.before)


class TerminalTests(_ProjectTestCase):
    """The console on the server's own terminal."""

    def start(self) -> Any:
        terminal = self.spawn(f"trap : INT; stty -a; {sys.executable} server.py; echo status $?; stty -a; echo end")
        terminal.expect("line = ")
        terminal.expect("fluxon> ")
        return terminal

    def is_as_it_was(self, terminal: Any) -> None:
        """The terminal's modes are those of a shell again."""
        modes = termios.tcgetattr(terminal.child_fd)
        self.assertTrue(modes[3] & termios.ICANON and modes[3] & termios.ECHO and modes[0] & termios.ICRNL)

    def test_commands(self) -> None:
        """The same table as over SSH; what changes something is logged, above the prompt."""
        terminal = self.start()
        terminal.send("loglevel inf\t\r")
        terminal.expect("console: terminal: loglevel info")
        terminal.expect("everything is logged from info on")
        terminal.expect("fluxon> ")
        terminal.send("half a li")
        terminal.expect("half a li")
        with ConnectionInterface("localhost", self.port_in_log(), timeout=20) as connection:
            self.assertRaises(FluxonError, connection.send_request, "broken")
        terminal.expect("ValueError: a fault of the view")
        terminal.expect("fluxon> half a li")

    def test_printing_views(self) -> None:
        """What a view prints, on the reactor or in a thread, stands above the prompt."""
        router = Path("router.py")
        router.write_text(
            router.read_text().replace("    return request.payload\n", "    print('printed')\n    return 1\n")
        )
        terminal = self.start()
        terminal.send("half a line")
        terminal.expect("half a line")
        self.answers()
        terminal.expect_exact("\r\x1b[Kprinted\r\n")
        terminal.expect("fluxon> half a line")

    def test_ctrl_c(self) -> None:
        """Abandons a line, ends a command, and at an empty prompt stops the server; the terminal is as it was."""
        terminal = self.start()
        for line, answer in (("half", "half"), ("tail logs -f\r", "listening on")):
            terminal.send(line)
            terminal.expect(answer)
            terminal.sendintr()
            terminal.expect_exact("^C")
            terminal.expect("fluxon> ")
        terminal.sendintr()
        terminal.expect("run_server has returned")
        terminal.expect("status 0")
        terminal.expect("end")
        self.is_as_it_was(terminal)

    def test_ctrl_c_twice(self) -> None:
        """The second does not wait for a view that hangs."""
        terminal = self.start()
        terminal.send("call hold 1000\r")
        terminal.expect("call hold")
        with ConnectionInterface("localhost", self.port_in_log(), timeout=60) as connection:
            del connection
        terminal.sendintr()
        terminal.expect("goes on")
        terminal.sendintr()
        terminal.expect("run_server has returned")
        self.is_as_it_was(terminal)

    def test_terminate(self) -> None:
        """As over SSH."""
        terminal = self.start()
        terminal.send("terminate\r")
        terminal.expect("run_server has returned")
        terminal.expect("status 0")
        self.is_as_it_was(terminal)

    def test_end_of_input(self) -> None:
        """Ctrl+D stops nothing, and says what does."""
        terminal = self.start()
        terminal.send("\x04")
        terminal.expect("Ctrl\\+C or terminate stops the server")
        self.answers()

    def test_a_signal(self) -> None:
        """SIGTERM while somebody types: the terminal is as it was."""
        terminal = self.start()
        terminal.send("python\rimport os, signal; os.kill(os.getpid(), signal.SIGTERM)\r")
        terminal.expect("status 0")
        self.is_as_it_was(terminal)

    def test_an_exit(self) -> None:
        """A program that ends itself from within: the same."""
        terminal = self.start()
        terminal.send("python\rreactor.callFromThread(reactor.crash)\r")
        terminal.expect("status 0")
        self.is_as_it_was(terminal)

    def test_a_server_that_cannot_start(self) -> None:
        """No prompt, one line, and status 1."""
        write_project(Path())
        Path("secrets").mkdir(mode=0o755)
        terminal = self.spawn(f"{sys.executable} server.py; echo status $?")
        terminal.expect("status 1")
        self.assertNotIn("fluxon>", terminal.before)
        self.assertNotIn("Traceback", terminal.before)
        self.is_as_it_was(terminal)

    def test_stopped_and_continued(self) -> None:
        """Ctrl+Z gives the shell its terminal, in the background nothing is read, and ``fg`` brings the prompt back."""
        terminal = self.spawn(
            f"set -m; {sys.executable} server.py; echo stopped; stty -a; bg; read line; echo read $line; fg; echo over"
        )
        terminal.expect("fluxon> ")
        pid = int(subprocess.check_output(["pgrep", "-f", "server.py", "-P", str(terminal.pid)]))
        terminal.send("\x1a")
        terminal.expect("stopped\r\n")
        terminal.expect("(-?)icanon")
        self.assertEqual(terminal.match[1], "")
        self.is_as_it_was(terminal)
        self.is_idle(pid)
        terminal.send("for the shell\r")
        terminal.expect("read for the shell")
        terminal.expect("fluxon> ")
        terminal.send("loglevel\r")
        terminal.expect("everything: info")
        terminal.sendintr()
        terminal.expect("over")

    def test_a_terminal_that_goes_away(self) -> None:
        """The server runs on at no cost, and views may print."""
        Path("router.py").write_text(
            Path("router.py")
            .read_text()
            .replace("    return request.payload\n", "    print('x' * 100_000)\n    return request.payload\n")
        )
        own, its = pty.openpty()
        server = subprocess.Popen(
            [sys.executable, "server.py"],
            env=ENVIRONMENT,
            stdin=its,
            stdout=its,
            stderr=its,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        )
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        os.close(its)
        shown = b""
        while b"fluxon> " not in shown:
            shown += os.read(own, 4096)
        os.close(own)
        end = time.monotonic() + 20
        while "the server runs on" not in Path("logs/fluxon.log").read_text() and time.monotonic() < end:
            time.sleep(0.02)
        self.is_idle(server.pid)
        self.assertIsNone(server.poll())
