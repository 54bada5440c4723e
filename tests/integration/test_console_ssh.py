"""The console over SSH: the real ``ssh`` program against a real server process."""

from __future__ import annotations

import json
import stat
import subprocess
import threading
from pathlib import Path
from typing import Any

import pexpect
import pytest
from console_server import KINDS, MODELS, ConsoleServer
from twisted.trial.unittest import SynchronousTestCase

from fluxon import __version__
from fluxon.connect import ConnectionInterface
from fluxon.errors import FluxonError


@pytest.fixture(scope="class")
def console(request: pytest.FixtureRequest) -> Any:
    cls: Any = request.cls
    cls.server = ConsoleServer()
    yield
    cls.server.remove()


class _SSHTestCase(SynchronousTestCase):
    server: ConsoleServer

    def connect(self) -> ConnectionInterface:
        connection = ConnectionInterface("localhost", self.server.port)
        self.addCleanup(connection.close)
        return connection

    def told(self, *arguments: str, **more: Any) -> str:
        """The output of a command that is to succeed."""
        done = self.server.ssh(*arguments, **more)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return str(done.stdout)

    def json(self, *arguments: str) -> Any:
        return json.loads(self.told(*arguments, "--json"))


@pytest.mark.usefixtures("console")
class OneCommandTests(_SSHTestCase):
    """``ssh host command``."""

    def test_every_kind_of_key(self) -> None:
        """Ed25519, ECDSA and RSA keys of OpenSSH log in, although the host's key is Ed25519."""
        for kind in KINDS:
            self.assertIn(__version__, self.told("status", key=kind), kind)

    def test_the_host_key(self) -> None:
        """Made at the first start, private, and the same ever after: a client that remembers it is content."""
        key = self.server.folder / "secrets" / "ssh_host_ed25519_key"
        self.assertEqual(stat.S_IMODE(key.stat().st_mode), 0o600)
        before = key.read_bytes()
        self.told("help")
        self.server.stop()
        self.server.start()
        self.assertEqual(key.read_bytes(), before)
        strict = ("-o", "StrictHostKeyChecking=yes", "-o", "HostKeyAlias=[127.0.0.1]:0")
        known = (self.server.folder / "known_hosts").read_text().split(maxsplit=1)[1]
        (self.server.folder / "known_hosts").write_text(f"[127.0.0.1]:0 {known}")
        self.assertEqual(self.server.ssh("help", options=strict).returncode, 0)

    def test_exit_statuses(self) -> None:
        """0 done, 1 not done, 2 no such command; what went wrong is one line on standard error."""
        for words, status in ((["kick", "99999"], 1), (["nonsense"], 2), (["kick"], 2), (["help"], 0)):
            done = self.server.ssh(*words)
            self.assertEqual(done.returncode, status, words)
            if status:
                self.assertEqual((done.stdout, done.stderr.count("\n")), ("", 1), words)

    def test_nothing_to_save(self) -> None:
        """``saveschema`` with nothing to save exits 0."""
        self.assertIn("nothing changed since schema_00001.sql", self.told("saveschema"))

    def test_json(self) -> None:
        """What a program reads is one line of JSON."""
        status = self.json("status")
        self.assertEqual(status["server"]["fluxon"], __version__)
        limits = {each["limit"]: each["of"] for each in status["limits"]}
        self.assertEqual(limits["drain"], 5)

    def test_calls(self) -> None:
        """A view runs as a stranger or as a user; its payload is the rest of the line, and never in the log."""
        self.connect().send_request("sign_in", "emma")
        self.assertEqual(json.loads(self.told("call", "echo", '{"secret": "pa ss"}')), {"secret": "pa ss"})
        self.assertEqual(json.loads(self.told("call", "whoami", "as", "emma")), "emma")
        self.assertEqual(json.loads(self.told("call", "whoami")), None)
        broken = self.server.ssh("call", "broken")
        self.assertEqual(broken.returncode, 1)
        self.assertIn("ValueError: a fault of the view", broken.stderr)
        self.assertNotIn("pa ss", self.server.log)

    def test_people(self) -> None:
        """Sessions, connections and users as they come, are pushed to, and go."""
        client = self.connect()
        session = client.send_request("sign_in", "ada")
        pushed = threading.Event()
        client.reverse_request_mapping({"news": lambda text: pushed.set()})
        found = {each["user"]: each for each in self.json("users")}
        self.assertEqual(found["ada"]["connections"], 1)
        self.assertIn(session, [each["session"] for each in self.json("sessions")])
        parts = self.json("session", session)
        self.assertEqual((parts["session"]["user"], len(parts["connections"])), ("ada", 1))
        self.assertEqual([each["session"] for each in self.json("sessions", "--user", "ada")], [session])
        self.told("push", "ada", "news", '{"text": 1}')
        self.assertTrue(pushed.wait(10))
        self.assertEqual(self.server.ssh("push", "ada", "unheard").returncode, 1)
        self.told("logout", "ada")
        self.assertEqual(client.send_request("whoami", None), None)
        numbers = [each["number"] for each in self.json("connections")]
        self.told("kick", str(max(numbers)))
        self.assertNotIn(max(numbers), [each["number"] for each in self.json("connections")])

    def test_views(self) -> None:
        """Counted, with errors by their code."""
        client = self.connect()
        client.send_request("echo", 1)
        with self.assertRaises(FluxonError):
            client.send_request("broken", 1)
        found = {each["view"]: each for each in self.json("views")}
        self.assertGreaterEqual(found["echo"]["calls"], 1)
        self.assertGreaterEqual(found["broken"]["errors"], 1)
        self.assertIn("Internal", found["broken"]["which_errors"])
        self.assertEqual(found["whoami"]["runs_in"], "thread")

    def test_who_did_it(self) -> None:
        """What changes something is in the log with the key's comment and fingerprint; what only looks is not."""
        self.told("loglevel", "info", key="rsa")
        self.told("views", key="rsa")
        shown = subprocess.run(
            ["ssh-keygen", "-lf", self.server.folder / "keys" / "rsa.pub"], capture_output=True, text=True, check=True
        )
        fingerprint = shown.stdout.split()[1]
        self.assertIn(f"rsa@desk ({fingerprint}): loglevel info: done", self.server.log)
        self.assertNotIn("): views", self.server.log)

    def test_python(self) -> None:
        """Where the setup allows it: one line, with await."""
        self.assertEqual(self.told("python", "print(await User.Count() >= 0)"), "True\n")
        for code, status, said in (
            ("1/0", 1, "ZeroDivisionError: "),
            ("1 +", 2, "SyntaxError: "),
            ("", 2, "give it code"),
        ):
            done = self.server.ssh("python", code)
            self.assertEqual((done.returncode, done.stderr.count("\n")), (status, 1), done.stderr)
            self.assertIn(f"python: {said}", done.stderr)

    def test_ctrl_c(self) -> None:
        """Ends one command on a terminal, with the status of what was ended."""
        forever = "await __import__('twisted.internet.defer').internet.defer.Deferred()"
        terminal = self.server.terminal("python", forever, options=("-t",))
        self.addCleanup(terminal.close, True)
        self.server.logged(r"\): python\n")
        terminal.send("\x03")
        terminal.expect("python: stopped")
        terminal.expect(pexpect.EOF)
        terminal.close()
        self.assertEqual(terminal.exitstatus, 130)

    def test_a_terminal_for_one_command(self) -> None:
        """``ssh -t host status`` fits the terminal."""
        terminal = self.server.terminal("status", columns=50, options=("-t",))
        terminal.expect("descriptors")
        terminal.expect(pexpect.EOF)
        terminal.close()
        self.assertEqual(terminal.exitstatus, 0)

    def test_nothing_else_is_served(self) -> None:
        """No forwarding, no subsystem."""
        self.assertNotEqual(self.server.ssh("sftp", options=("-s",)).returncode, 0)
        self.assertNotEqual(self.server.ssh("help", options=("-W", "127.0.0.1:1")).returncode, 0)


@pytest.mark.usefixtures("console")
class ScriptTests(_SSHTestCase):
    """``ssh host < file``."""

    def test_a_script(self) -> None:
        """Lines one after the other; comments and empty lines are none."""
        done = self.server.ssh(input="# first\n\nloglevel\nhelp views --json\n", options=("-T",))
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertEqual(done.stdout.splitlines()[0], "everything: info")
        self.assertIn("views", json.loads(done.stdout.splitlines()[1])[0])

    def test_it_ends_at_the_first_failure(self) -> None:
        """With its status; what follows is not done."""
        done = self.server.ssh(input="kick 99999\nloglevel debug\n", options=("-T",))
        self.assertEqual((done.returncode, done.stdout), (1, ""))
        self.assertEqual(self.told("loglevel"), "everything: info\n")

    def test_no_newline_at_the_end(self) -> None:
        """The last line counts."""
        done = self.server.ssh(input="loglevel", options=("-T",))
        self.assertEqual((done.returncode, done.stdout), (0, "everything: info\n"))

    def test_nothing(self) -> None:
        """An empty script is done."""
        self.assertEqual(self.server.ssh(input="", options=("-T",)).returncode, 0)


@pytest.mark.usefixtures("console")
class ShellTests(_SSHTestCase):
    """Somebody at a terminal."""

    def shell(self, **more: Any) -> Any:
        shell = self.server.terminal(**more)
        self.addCleanup(shell.close, True)
        shell.expect("fluxon> ")
        return shell

    def test_editing(self) -> None:
        """Completion, history and keys, and the status of the last command when it ends."""
        shell = self.shell()
        shell.send("he\t")
        shell.expect("help ")
        shell.send("vie\t\r")
        shell.expect("how often each was called")
        shell.expect("fluxon> ")
        shell.send("\x1b[A")
        shell.expect("help views")
        # Ctrl+U, a letter too many, Home, Delete, right, and a word that is missing.
        shell.send("\x15xkik 99999\x01\x1b[3~\x1b[C\x1b[Cc\r")
        shell.expect("neither a connection nor a session is called '99999'")
        shell.send("\x04")
        shell.expect(pexpect.EOF)
        shell.close()
        self.assertEqual(shell.exitstatus, 1)

    def test_following_the_log(self) -> None:
        """Until Ctrl+C, which ends the command and not the session."""
        shell = self.shell()
        shell.send("tail logs -f\r")
        shell.expect("is here")
        self.told("loglevel", "info")
        shell.expect("loglevel info: done")
        shell.send("\x03")
        shell.expect_exact("^C")
        shell.expect("fluxon> ")
        shell.send("loglevel\r")
        shell.expect("everything: info")

    def test_a_window_that_changes(self) -> None:
        """The next table fits the new window."""
        shell = self.shell(columns=100)
        shell.send("help\r")
        shell.expect("run a view, as a user or as a stranger")
        shell.expect("fluxon> ")
        shell.setwinsize(24, 40)
        shell.send("\x05")
        shell.expect("fluxon> ")
        shell.send("help\r")
        shell.expect("COMMAND shows")
        lines = shell.before.splitlines()
        self.assertLessEqual(max(map(len, lines[2:])), 40 + len("\x1b[K"), lines)

    def test_python(self) -> None:
        """The prompt: blocks, await, values, mistakes, and the way out."""
        shell = self.shell()
        shell.send("python\r")
        shell.expect(">>> ")
        shell.send("for number in (1, 2):\rprint('at', number)\r\r")
        shell.expect("IndentationError")
        shell.send("for number in (1, 2):\r    print('at', number)\r\r")
        shell.expect("at 2")
        shell.send("from twisted.internet.task import deferLater\r")
        shell.send("async def slow():\r    await deferLater(reactor, 0.01)\r    print('after')\r    return 42\r\r")
        shell.send("await slow()\r")
        shell.expect("after\r\n42")
        shell.send("await deferLater(reactor, 1000)\r")
        shell.send("\x03")
        shell.expect("stopped")
        shell.send("exit\r")
        shell.expect("fluxon> ")

    def test_a_client_that_is_killed(self) -> None:
        """In the middle of following: the server goes on, and follows for nobody."""
        shell = self.shell()
        shell.send("tail logs -f\r")
        shell.expect("is here")
        shell.close(force=True)
        self.assertIn("everything", self.told("loglevel"))


@pytest.mark.usefixtures("console")
class SchemaTests(_SSHTestCase):
    """Schemas by a child process, on the files as they are now."""

    def test_changed_models(self) -> None:
        """A model that was changed while the server runs is saved and applied; rows stay; the plan comes first."""
        self.connect().send_request("sign_in", "emma")
        models = self.server.folder / "models.py"
        models.write_text(MODELS + "    nickname = models.CharField(max_length=10, null=True)\n")
        self.assertIn("saved the models as schema_00002.sql", self.told("saveschema"))
        self.assertIn("nickname", self.told("updateschema", "--plan"))
        self.assertIn("schema_00001.sql  sqlite  <- the database", self.told("schemas"))
        self.assertIn("the database has schema 00002", self.told("updateschema"))
        self.assertIn("schema_00002.sql  sqlite  <- the database", self.told("schemas"))
        self.assertEqual(
            self.connect().send_request("sign_in", "emma") and self.json("users", "--all")[0]["user"], "emma"
        )
        missing = self.server.ssh("updateschema", "7")
        self.assertEqual((missing.returncode, missing.stderr.count("\n")), (1, 1), missing.stderr)

    def test_broken_files(self) -> None:
        """A file that does not load: one line that says where, and the server goes on."""
        models = self.server.folder / "models.py"
        before = models.read_text()
        models.write_text("this is no Python\n")
        self.addCleanup(models.write_text, before)
        done = self.server.ssh("saveschema")
        self.assertEqual(done.returncode, 1)
        self.assertIn("models.py, line 1", done.stderr)
        self.told("status")


class EndTests(SynchronousTestCase):
    """``terminate``."""

    def test_who_is_still_there(self) -> None:
        """Hears of it, and has an exit status: of the last command, or 1 for one that did not end."""
        server = ConsoleServer()
        self.addCleanup(server.remove)
        shell, following = server.terminal(), server.terminal("tail", "logs", "-f")
        for each in (shell, following):
            self.addCleanup(each.close, True)
        following.expect("is here")
        shell.expect("fluxon> ")
        shell.send("terminate\r")
        shell.expect("0 requests under way")
        shell.expect("The server has stopped")
        for each, status in ((shell, 0), (following, 1)):
            each.expect(pexpect.EOF)
            each.close()
            self.assertEqual(each.exitstatus, status)
        self.assertEqual(server.process.wait(20), 0)
        self.assertNotIn("Traceback", server.log)

    def test_it_drains(self) -> None:
        """A request under way ends with its answer; then the process does, with status 0."""
        server = ConsoleServer()
        self.addCleanup(server.remove)
        connection = ConnectionInterface("localhost", server.port)
        self.addCleanup(connection.close)
        answers: list[object] = []
        asking = threading.Thread(target=lambda: answers.append(connection.send_request("hold", 1.0)))
        asking.start()
        while "1" not in server.ssh("connections", "--json").stdout.partition('"requests": ')[2][:1]:
            pass
        done = server.ssh("terminate")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("1 requests under way", done.stdout)
        asking.join(20)
        self.assertEqual(answers, ["held"])
        self.assertEqual(server.process.wait(20), 0)
        self.assertNotIn("Traceback", server.log)
        self.assertTrue(Path(server.folder, "logs", "fluxon.log").exists())
