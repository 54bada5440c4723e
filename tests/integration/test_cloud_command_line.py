"""``python -m fluxon.connect``, as child processes of a person or of a program."""

from __future__ import annotations

import io
import json
import os
import random
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pexpect
import pytest
from cloud_children import ENVIRONMENT, CuttingLine, RealCloud
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import ConnectionInterface
from fluxon.connect.command_line import main

PATIENCE = 30.0

LARGE = random.Random(3).randbytes(3 * 2**20 + 77)


class Done(NamedTuple):
    """What a command did."""

    status: int
    out: str
    err: str


class CommandLineCase(SynchronousTestCase):
    """Commands of a user with a home of their own."""

    def setUp(self) -> None:
        self.home = Path(self.mktemp()).absolute()
        self.home.mkdir()
        self.environment = {**ENVIRONMENT, "XDG_CONFIG_HOME": str(self.home / "config"), "TZ": "UTC"}
        self.sessions = self.home / "config" / "fluxon" / "sessions"

    def run_command(self, *arguments: str, typed: str = "") -> Done:
        """One command, in this process: starting Python a hundred times takes a minute."""
        out, err = io.StringIO(), io.StringIO()
        before, folder, stdin = dict(os.environ), os.getcwd(), sys.stdin
        os.environ.update(self.environment)
        os.chdir(self.home)
        sys.stdin = io.StringIO(typed)
        try:
            status = main(arguments, out, err)
        except SystemExit as error:  # of argparse
            status = int(error.code or 0)
        finally:
            sys.stdin = stdin
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(before)
        return Done(status, out.getvalue(), err.getvalue())

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """One command in a process of its own."""
        child = subprocess.Popen(
            [sys.executable, "-m", "fluxon.connect", *arguments],
            cwd=self.home,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(child.kill)
        return child

    def does(self, *arguments: str, typed: str = "") -> str:
        """What a command prints that succeeds."""
        done = self.run_command(*arguments, typed=typed)
        self.assertEqual((done.status, done.err), (0, ""), done.err)
        return done.out

    def fails(self, status: int, *arguments: str, typed: str = "") -> str:
        """What a command complains of that exits with ``status``."""
        done = self.run_command(*arguments, typed=typed)
        self.assertEqual(done.status, status, done.err)
        self.assertNotIn("Traceback", done.err)
        return done.err

    def remember(self, port: int, cloud_port: int, token: str | None) -> None:
        """A session as login leaves it."""
        self.sessions.mkdir(parents=True, mode=0o700)
        saved = {
            "host": "127.0.0.1",
            "port": port,
            "cloud_port": cloud_port,
            "secure": False,
            "trust": None,
            "user": "Jane",
            "token": token,
        }
        for name, text in ((f"127.0.0.1_{port}.json", json.dumps(saved)), ("last", f"127.0.0.1_{port}")):
            (self.sessions / name).touch(mode=0o600)
            (self.sessions / name).write_text(text)


@pytest.fixture(scope="class")
def real_cloud(request: pytest.FixtureRequest) -> Iterator[None]:
    """``self.cloud``: a server for all tests of a class."""
    cls: Any = request.cls
    cls.cloud = RealCloud()
    cls.jane = cls.cloud.somebody("Jane")
    yield
    cls.jane.close()
    cls.cloud.remove()


@pytest.mark.usefixtures("real_cloud")
class CloudCommandTests(CommandLineCase):
    """Files."""

    cloud: RealCloud
    jane: ConnectionInterface

    def setUp(self) -> None:
        super().setUp()
        self.remember(self.cloud.main_port, self.cloud.port, self.jane.session.token)
        self.place = f"/{self.id().rpartition('.')[2]}"
        self.does("mkdir", self.place)
        self.jane.send_request("own", self.place)

    def folder(self) -> Path:
        """Some files, in folders."""
        folder = self.home / "folder"
        for name, data in {
            "a.txt": b"a",
            "empty": b"",
            "deep/er/large.bin": LARGE,
            "deep/b.txt": b"b" * 300_000,
            "ünï cödé.txt": b"c",
        }.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        (folder / "nothing in it").mkdir()
        return folder

    def contents(self, folder: Path) -> dict[str, bytes]:
        return {str(each.relative_to(folder)): each.read_bytes() for each in folder.rglob("*") if each.is_file()}

    def test_items(self) -> None:
        """Directories and files are made, listed, moved, copied and deleted."""
        place = self.place
        self.does("mkdir", "-p", f"{place}/a/b")
        (self.home / "file").write_bytes(b"content")
        self.assertIn("1 sent", self.does("put", "file", f"{place}/a/"))
        self.assertEqual(self.does("ls", f"{place}/a"), "b/\nfile\n")
        self.assertIn("7 B", self.does("ls", "-l", f"{place}/a"))
        self.assertEqual(self.does("ls", f"{place}/a/file"), "file\n")
        self.assertEqual(self.does("tree", place), "a/\n  b/\n  file\n")
        self.does("cp", f"{place}/a/file", f"{place}/copy")
        self.does("mv", f"{place}/copy", f"{place}/moved")
        self.assertEqual(self.does("find", place, "m*"), f"{place}/moved\n")
        self.assertIn("creator  Jane", self.does("stat", f"{place}/a/file"))
        self.does("rm", f"{place}/moved")
        self.assertIn("-r", self.fails(2, "rm", f"{place}/a") + "-r")
        self.does("rm", "-r", f"{place}/a")
        self.assertEqual(self.does("tree", place), "")

    def test_folders(self) -> None:
        """A whole folder goes up and comes down as it was; what is there already does not go again."""
        folder = self.folder()
        self.assertIn("5 sent", self.does("put", "folder", f"{self.place}/"))
        self.assertIn("0 sent (0 B), 5 there already", self.does("put", "folder", f"{self.place}/"))
        (folder / "a.txt").write_bytes(b"A")
        self.assertIn("1 sent (1 B), 4 there already", self.does("put", "folder", f"{self.place}/"))
        self.assertIn("5 received", self.does("get", f"{self.place}/folder", "down/"))
        self.assertEqual(self.contents(self.home / "down" / "folder"), self.contents(folder))
        self.assertTrue((self.home / "down" / "folder" / "nothing in it").is_dir())
        self.assertIn("5 there already", self.does("get", f"{self.place}/folder", "down/"))

    def test_folder_under_another_name(self) -> None:
        """A path that is not there is the new folder's own."""
        self.folder()
        self.does("put", "folder", f"{self.place}/other")
        self.assertIn("a.txt", self.does("ls", f"{self.place}/other"))
        self.assertIn("5 there already", self.does("put", "folder", f"{self.place}/other"))
        self.does("get", f"{self.place}/other", "third")
        self.assertIn("5 there already", self.does("get", f"{self.place}/other", "third"))

    def test_file_under_another_name(self) -> None:
        """Up and down."""
        (self.home / "file").write_bytes(LARGE)
        self.does("put", "file", f"{self.place}/other")
        self.does("get", f"{self.place}/other", "third")
        self.assertEqual((self.home / "third").read_bytes(), LARGE)
        self.does("get", f"{self.place}/other")
        self.assertEqual((self.home / "other").read_bytes(), LARGE)

    def test_over_a_cut_line(self) -> None:
        """A folder comes through."""
        folder = self.folder()
        cuts = [(direction, count) for count in (500_000, 900_000) for direction in ("up", "down")]
        line = CuttingLine(self.cloud.port, cuts)
        self.addCleanup(line.close)
        port = ("--cloud-port", str(line.port))
        self.does(*port, "put", "folder", f"{self.place}/")
        self.does(*port, "get", f"{self.place}/folder", "down/")
        self.assertEqual(self.contents(self.home / "down" / "folder"), self.contents(folder))
        self.assertLess(line.cuts_left, 3)

    def test_json(self) -> None:
        """One document for each command, before or behind its name."""
        (self.home / "file").write_bytes(b"content")
        sent = json.loads(self.does("put", "--json", "file", f"{self.place}/"))
        self.assertEqual((sent["sent"], sent["items"][0]["path"]), (1, f"{self.place}/file"))
        [item] = json.loads(self.does("--json", "ls", self.place))
        self.assertEqual((item["name"], item["size"], item["type"]), ("file", 7, "file"))
        error = json.loads(self.fails(5, "stat", "--json", "/nothing"))
        self.assertEqual(error["error"], "NotFound")

    def test_roles_and_history(self) -> None:
        """Sharing, the log, versions and what was deleted."""
        place = self.place
        self.cloud.somebody("Mike").close()
        self.assertEqual(self.does("share", place, "Mike", "viewer"), f"Mike is viewer of {place}\n")
        self.assertIn("Mike", self.does("roles", place))
        self.assertIn("1 taken", self.does("unshare", place, "Mike"))
        self.assertIn("no such role", self.fails(5, "unshare", place, "Mike"))
        self.assertIn("WRITE_FILE", self.does("permissions", place))
        for content in (b"1", b"22"):
            (self.home / "file").write_bytes(content)
            self.does("put", "file", f"{place}/")
        self.assertEqual(len(self.does("versions", f"{place}/file").splitlines()), 2)
        self.does("restore", f"{place}/file", "--version", "1")
        self.does("get", f"{place}/file", "first")
        self.assertEqual((self.home / "first").read_bytes(), b"1")
        self.does("rm", f"{place}/file")
        [gone] = json.loads(self.does("deleted", "--json", place))
        self.does("restore", f"{place}/file", "--deleted", str(gone["id"]))
        self.assertIn("delete", self.does("log", place, "-n", "5"))

    def test_statuses(self) -> None:
        """Each kind of failure has its own."""
        self.assertIn("NotFound", self.fails(5, "get", "/nothing"))
        self.assertIn("no such file", self.fails(1, "put", "nothing", "/"))
        self.fails(2, "put")
        self.assertIn("nobody listens", self.fails(3, "--cloud-port", "9", "ls"))
        self.fails(2, "restore", "/a", "--version", "1", "--deleted", "2")
        self.remember_nobody()
        (self.home / "file").write_bytes(b"")
        self.assertIn("PermissionDenied", self.fails(4, "put", "file", f"{self.place}/file"))

    def remember_nobody(self) -> None:
        for each in self.sessions.iterdir():
            each.unlink()
        self.sessions.rmdir()
        self.remember(self.cloud.main_port, self.cloud.port, None)

    def test_several_to_delete(self) -> None:
        """One that cannot be deleted is named, and does not keep the others."""
        for name in ("a", "b"):
            (self.home / name).write_bytes(b"1")
        self.does("put", "a", "b", f"{self.place}/")
        paths = [f"{self.place}/{name}" for name in ("a", "nothing", "b")]
        done = self.run_command("rm", *paths)
        self.assertEqual((done.status, done.out), (5, f"deleted {paths[0]}\ndeleted {paths[2]}\n"))
        self.assertTrue(done.err.startswith(f"{paths[1]}: "), done.err)
        self.assertIn("-r deletes it", self.fails(2, "rm", self.place))

    def test_closed_streams(self) -> None:
        """A program that closes them before it starts the command is no reason for a traceback."""
        for closed, status in (("<&-", 0), (">&-", 0), ("2>&-", 0), ("<&- >&- 2>&-", 0)):
            done = subprocess.run(
                f"{sys.executable} -m fluxon.connect ls / {closed}",
                shell=True,
                cwd=self.home,
                env=self.environment,
                capture_output=True,
                text=True,
                timeout=PATIENCE,
            )
            self.assertEqual((done.returncode, done.stderr), (status, ""))

    def test_one_file_that_fails(self) -> None:
        """The others are transferred, and the command says how many were not."""
        self.folder()
        (self.home / "folder" / "private").symlink_to("/nowhere")
        done = self.run_command("put", "folder", f"{self.place}/")
        self.assertIn("left out", done.err)
        self.does("mkdir", f"{self.place}/folder2")
        self.does("mkdir", f"{self.place}/folder2/a.txt")
        (self.home / "folder").rename(self.home / "folder2")
        done = self.run_command("put", "folder2", f"{self.place}/")
        self.assertEqual(done.status, 1)
        self.assertIn("a.txt", done.err)
        self.assertIn("4 sent", done.out)
        self.assertIn("1 failed", done.out)

    def test_ctrl_c(self) -> None:
        """A transfer is interrupted at once, without a traceback, and goes on the next time."""
        (self.home / "large").write_bytes(LARGE)
        self.does("put", "large", f"{self.place}/large")
        line = CuttingLine(self.cloud.port, [])
        self.addCleanup(line.close)
        line.stall_down = 1_000_000
        child = self.start("--cloud-port", str(line.port), "get", f"{self.place}/large", "copy")
        self.assertTrue(line.stalled.wait(PATIENCE))
        child.send_signal(signal.SIGINT)
        printed, said = child.communicate(timeout=PATIENCE)
        self.assertEqual((child.returncode, printed, said), (130, "", "interrupted\n"))
        self.assertFalse((self.home / "copy").exists())
        self.does("get", f"{self.place}/large", "copy")
        self.assertEqual((self.home / "copy").read_bytes(), LARGE)

    def test_ctrl_c_in_a_folder(self) -> None:
        """Several transfers at once end at once, too; the same command goes on with what they have."""
        folder = self.home / "many"
        folder.mkdir()
        for number in range(6):
            (folder / str(number)).write_bytes(LARGE[number:])
        self.does("put", "many", f"{self.place}/")
        line = CuttingLine(self.cloud.port, [])
        self.addCleanup(line.close)
        line.stall_down = 4_000_000
        get = ("get", f"{self.place}/many", "copy")
        child = self.start("--cloud-port", str(line.port), *get)
        self.assertTrue(line.stalled.wait(PATIENCE))
        child.send_signal(signal.SIGINT)
        _, said = child.communicate(timeout=PATIENCE / 2)
        self.assertEqual((child.returncode, said), (130, "interrupted\n"))
        self.does(*get)
        self.assertEqual(self.contents(self.home / "copy"), self.contents(folder))

    def test_from_tls_to_plain(self) -> None:
        """A session that was made over TLS is not shown to a server without it."""
        file = self.sessions / f"127.0.0.1_{self.cloud.main_port}.json"
        saved = json.loads(file.read_text())
        file.write_text(json.dumps({**saved, "secure": True, "trust": None}))
        self.fails(3, "ls")
        self.assertIn("nobody at", self.does("whoami", "--no-secure"))
        (self.home / "file").write_bytes(b"")
        self.fails(4, "--no-secure", "put", "file", f"{self.place}/file")

    def test_watch(self) -> None:
        """Changes are printed as they come; Ctrl+C ends it."""
        child = self.start("watch", "--json", self.place)
        assert child.stdout is not None and child.stderr is not None
        self.assertIn("watching", child.stderr.readline())
        (self.home / "file").write_bytes(b"1")
        self.does("put", "file", f"{self.place}/")
        self.assertEqual(json.loads(child.stdout.readline())["path"], f"{self.place}/file")
        child.send_signal(signal.SIGINT)
        child.communicate(timeout=PATIENCE)
        self.assertEqual(child.returncode, 130)

    def test_output_that_nobody_reads(self) -> None:
        """A pipe that is closed early is no reason for a traceback."""
        done = subprocess.run(
            f"{sys.executable} -m fluxon.connect tree / | true",
            shell=True,
            cwd=self.home,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
        )
        self.assertEqual(done.stderr, "")

    def test_progress_bar(self) -> None:
        """On a terminal a transfer shows how far it is, and leaves a line that says what was done."""
        (self.home / "large").write_bytes(LARGE)
        child = pexpect.spawn(
            sys.executable,
            ["-m", "fluxon.connect", "put", "large", f"{self.place}/"],
            cwd=str(self.home),
            env=self.environment,
            encoding="utf-8",
            timeout=PATIENCE,
        )
        child.expect(r"large: +\d+%")
        child.expect("1 sent")
        child.expect(pexpect.EOF)
        child.close()
        self.assertEqual(child.exitstatus, 0)

    def test_without_the_library(self) -> None:
        """Everything works without progress bars."""
        (self.home / "tqdm.py").write_text("raise ImportError('not installed')\n")
        self.environment["PYTHONPATH"] = f"{self.home}:{self.environment['PYTHONPATH']}"
        (self.home / "large").write_bytes(LARGE)
        printed, said = self.start("put", "large", f"{self.place}/").communicate(timeout=PATIENCE)
        self.assertEqual((printed, said), ("1 sent (3.0 MiB)\n", ""))

    def test_file_of_the_session(self) -> None:
        """One that others can read is refused."""
        file = self.sessions / f"127.0.0.1_{self.cloud.main_port}.json"
        file.chmod(0o644)
        self.assertIn("chmod 600", self.fails(2, "ls"))


@pytest.mark.usefixtures("server")
class SessionCommandTests(CommandLineCase):
    """Logging in and out, and calling views, on a real server."""

    server: Any

    def setUp(self) -> None:
        super().setUp()
        self.where = ("--server", f"127.0.0.1:{self.server.port}")

    def test_login(self) -> None:
        """The session is kept in a file that only its user can read; the password is not, nor shown."""
        self.assertEqual(
            self.does(*self.where, "login", "emma", "--view", "password", typed="secret\n"), "logged in as emma\n"
        )
        for each in self.sessions.iterdir():
            self.assertEqual(stat.S_IMODE(each.stat().st_mode), 0o600)
            self.assertNotIn("secret", each.read_text())
        self.assertEqual(stat.S_IMODE(self.sessions.stat().st_mode), 0o700)
        self.assertEqual(self.does("call", "who"), '"emma"\n')
        self.assertIn("emma at 127.0.0.1", self.does("whoami"))
        self.assertEqual(self.does("logout", "--view", "sign_out"), "logged out\n")
        self.assertIn("nobody at", self.does("whoami"))
        self.assertEqual(self.does("call", "who"), "null\n")

    def test_wrong_password(self) -> None:
        """Nobody is logged in, and it says what the server said."""
        error = self.fails(4, *self.where, "login", "emma", "--view", "password", typed="wrong\n")
        self.assertIn("wrong username or password", error)
        self.assertFalse(self.sessions.exists())

    def test_wrong_password_of_somebody_who_is_logged_in(self) -> None:
        """Whoever was logged in still is; nobody else seems to be."""
        self.does(*self.where, "login", "emma", "--view", "password", typed="secret\n")
        self.assertIn("not logged in as mike", self.fails(4, "login", "mike", "--view", "password", typed="wrong\n"))
        self.assertIn("emma at 127.0.0.1", self.does("whoami"))
        self.assertEqual(self.does("call", "who"), '"emma"\n')
        self.assertEqual(self.does("login", "emma", "--view", "password", typed="secret\n"), "logged in as emma\n")

    def test_no_password(self) -> None:
        """Standard input that has none, or is closed by Ctrl+D, is told of, and nothing sent."""
        self.assertIn("no password", self.fails(2, *self.where, "login", "emma", "--view", "password"))
        child = pexpect.spawn(
            sys.executable,
            ["-m", "fluxon.connect", *self.where, "login", "emma", "--view", "password"],
            cwd=str(self.home),
            env=self.environment,
            encoding="utf-8",
            timeout=PATIENCE,
        )
        child.expect("password of emma at 127.0.0.1: ")
        child.sendeof()
        child.expect("no password was given")
        child.expect(pexpect.EOF)
        child.close()
        self.assertEqual(child.exitstatus, 2)

    def test_terminal_without_the_letters(self) -> None:
        """What it cannot show is written otherwise, and still JSON where that was wanted."""
        self.environment["PYTHONIOENCODING"] = "ascii"
        for arguments in (("call", "echo", '"\u00fc"'), ("--json", "call", "echo", '"\u00fc"')):
            printed, said = self.start(*self.where, *arguments).communicate(timeout=PATIENCE)
            self.assertEqual((json.loads(printed), said), ("\u00fc", ""))

    def test_waits_for_the_server(self) -> None:
        """A server that is not up yet is waited for as long as it is told to, and then told of."""
        complaint = self.fails(3, "--server", "127.0.0.1:9", "--wait", "0.5", "call", "who")
        self.assertIn("nobody listens", complaint)
        self.assertEqual(self.does(*self.where, "--wait", "5", "call", "echo", "1"), "1\n")
        self.assertIn("wait_for_server", self.fails(2, *self.where, "--wait", "-1", "call", "who"))

    def test_terminal(self) -> None:
        """The password is asked for, and not shown."""
        child = pexpect.spawn(
            sys.executable,
            ["-m", "fluxon.connect", *self.where, "login", "emma", "--view", "password"],
            cwd=str(self.home),
            env=self.environment,
            encoding="utf-8",
            timeout=PATIENCE,
        )
        child.expect("password of emma at 127.0.0.1: ")
        child.sendline("secret")
        child.expect("logged in as emma")
        self.assertNotIn("secret", child.before)
        child.expect(pexpect.EOF)
        child.close()
        self.assertEqual(child.exitstatus, 0)

    def test_call(self) -> None:
        """A payload is JSON, typed or read."""
        self.assertEqual(json.loads(self.does(*self.where, "call", "echo", '{"a": [1, null]}')), {"a": [1, None]})
        self.assertEqual(json.loads(self.does(*self.where, "call", "echo", "-", typed='"x"')), "x")
        self.assertIn("no JSON", self.fails(2, *self.where, "call", "echo", "{"))
        self.assertIn("not for you", self.fails(4, *self.where, "call", "refuse"))
        self.assertIn("UnknownView", self.fails(1, *self.where, "call", "nothing"))

    def test_view_that_logs_in(self) -> None:
        """Whoever a view logs in stays so for the next command."""
        self.does(*self.where, "call", "sign_in")
        self.assertEqual(self.does("call", "who"), '"emma"\n')

    def test_no_server(self) -> None:
        """It says what to type."""
        self.assertIn("--server", self.fails(2, "ls"))
        self.assertIn("HOST", self.fails(2, "--server", "a b", "ls"))
        self.assertIn("nobody listens", self.fails(3, "--server", "127.0.0.1:9", "login", "emma", typed="x\n"))
