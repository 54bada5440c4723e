"""What goes wrong in the first hour: what somebody did, and what they see.

Each is done as they would do it, in a generated project with real processes. The text that they see says what happened
and what to type; there is no traceback where nobody's program failed.
"""

from __future__ import annotations

import ctypes
import json
import os
import runpy
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from children import Child
from twisted.trial.unittest import SynchronousTestCase

import fluxon
from fluxon.connect import CloudStorageConnector, ConnectionInterface
from fluxon.database import models
from fluxon.endpoint import AsyncServer, run_server
from fluxon.errors import ConfigurationError, FluxonError, NotFound, UnknownView, Unserialisable, UntrustedServer
from fluxon.routing import Setup
from fluxon.startproject import generate

pytestmark = pytest.mark.slow

#: A child process finds the same Fluxon as this one.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(fluxon.__file__).parent.parent)}
TWISTD = Path(sys.executable).with_name("twistd")

#: Runs commands of projects, each in a process of its own that has Fluxon imported already: that is what takes time.
FORKS = """
import json, os, runpy, sys
import fluxon.database.apis, fluxon.database.command_line, fluxon.endpoint, fluxon.routing

assert "twisted.internet.reactor" not in sys.modules
for folder, arguments in json.loads(sys.argv[1]):
    out, into = os.pipe()
    child = os.fork()
    if not child:
        os.chdir(folder)
        os.dup2(into, 1)
        os.dup2(into, 2)
        os.close(into)
        sys.argv, sys.path[0] = arguments, folder
        status = 0
        try:
            if arguments[0] == "server.py":
                runpy.run_path("server.py", run_name="__main__")
            else:
                runpy.run_module(arguments[0], run_name="__main__")
        except SystemExit as end:
            status = int(end.code or 0)
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)
    os.close(into)
    said = os.fdopen(out).read()
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said]))
"""

#: Runs a project's server where a package is not installed.
WITHOUT = (
    "import runpy, sys; sys.modules[sys.argv[1]] = None; sys.path.insert(0, '.'); "
    "runpy.run_path('server.py', run_name='__main__')"
)


def edit(project: Path, name: str, old: str, new: str) -> None:
    """Change a file as its owner would in an editor."""
    text = (project / name).read_text()
    assert old in text, old
    (project / name).write_text(text.replace(old, new))


def append(project: Path, name: str, text: str) -> None:
    with (project / name).open("a") as file:
        file.write(f"\n\n{text}\n")


def bound_by_modes() -> None:
    """In the child: be bound by the modes of files, as every user but root is."""
    if os.geteuid() == 0:
        libc = ctypes.CDLL(None, use_errno=True)
        for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
            if libc.prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP: for the program that is started next
                raise OSError(ctypes.get_errno(), "prctl")


class FirstHourCase(SynchronousTestCase):
    """A new project in ``self.project``, whose server takes any free port."""

    def setUp(self) -> None:
        self.project = self.new_project("chat")

    def new_project(self, name: str, **choices: Any) -> Path:
        generate("AsyncServer", name, **choices)
        project = Path(name).absolute()
        edit(project, "server.py", "port=8080", "port=0")
        return project

    def sees(self, project: Path, command: tuple[str | Path, ...], *fragments: str, **more: Any) -> None:
        """Running ``command`` ends with 1; its output has all ``fragments``, and no traceback of Fluxon's."""
        done = subprocess.run(
            [str(each) for each in command],
            cwd=project,
            env={**ENVIRONMENT, **more.pop("environment", {})},
            capture_output=True,
            text=True,
            timeout=60,
            **more,
        )
        said = done.stdout + done.stderr
        self.assertEqual(done.returncode, 1, said)
        for fragment in fragments:
            self.assertIn(fragment, said)
        self.assertNotIn("Traceback", said)

    def all_see(self, arguments: list[str], expected: dict[Path, list[str]]) -> None:
        """The same as ``sees``, of one command in many projects."""
        done = subprocess.run(
            [sys.executable, "-c", FORKS, json.dumps([[str(project), arguments] for project in expected])],
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=100,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        for line, (project, fragments) in zip(done.stdout.splitlines(), expected.items(), strict=True):
            status, said = json.loads(line)
            with self.subTest(project.name):
                self.assertEqual(status, 1, said)
                for fragment in fragments:
                    self.assertIn(fragment, said)
                self.assertNotIn("Traceback", said)

    def serve(self, project: Path) -> tuple[Child, int]:
        server = Child("the server", (sys.executable, "server.py"), project)
        self.addCleanup(server.discard)
        return server, int(server.expect(r"listening on tcp \S+:(\d+)").group(1))

    def raises(self, kind: type[FluxonError], call: Callable[[], object], *fragments: str) -> None:
        error = self.assertRaises(kind, call)
        for fragment in fragments:
            self.assertIn(fragment, error.text)


class StartingTests(FirstHourCase):
    """``python server.py`` does not start."""

    def test_what_is_wrong_with_the_project(self) -> None:
        """Each with one line that says what to do, and status 1."""
        taken = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(taken.close)
        port = taken.getsockname()[1]

        def port_in_use(project: Path) -> None:
            edit(project, "server.py", "port=0", f"port={port}")

        def not_of_this_machine(project: Path) -> None:
            edit(project, "server.py", "port=0,", "port=0,\n    host='192.0.2.1',")

        def open_secrets(project: Path) -> None:
            (project / "secrets").chmod(0o755)

        def open_key(project: Path) -> None:
            (project / "secrets" / "password.key").chmod(0o644)

        def missing_folder(project: Path) -> None:
            edit(project, "router.py", 'BASE_DIR / "database.sqlite3"', 'BASE_DIR / "data" / "database.sqlite3"')

        def not_a_database(project: Path) -> None:
            (project / "database.sqlite3").write_text("My notes.\n" * 200)

        def two_users(project: Path) -> None:
            append(project, "models.py", "class Admin(models.AuthenticatedUser):\n    name = models.TextField()")

        expected = {}
        for did, fragments in (
            (port_in_use, [f"127.0.0.1:{port} is in use", "runs already", "choose another port"]),
            (not_of_this_machine, ["192.0.2.1:0 is no address of this machine: check host="]),
            (open_secrets, ["secrets is open to other users", "type: chmod 700 secrets"]),
            (open_key, ["secrets/password.key is open to other users", "type: chmod 600 secrets/password.key"]),
            (missing_folder, ["the folder 'data' for the database database.sqlite3 does not exist; type: mkdir data"]),
            (not_a_database, ["is no SQLite file; restore it from a backup"]),
            (
                two_users,
                ["exactly one AuthenticatedUser, and here are User and Admin: make the others"],
            ),
        ):
            project = self.new_project(did.__name__)
            did(project)
            expected[project] = ["the server cannot start", *fragments]
        self.all_see(["server.py"], expected)

    def test_a_database_that_cannot_be_written(self) -> None:
        """Neither the file, once it is there, nor a folder that it cannot be made in."""
        folder = self.project / "data"
        folder.mkdir(mode=0o500)
        edit(self.project, "router.py", 'BASE_DIR / "database.sqlite3"', 'BASE_DIR / "data" / "database.sqlite3"')
        command = (sys.executable, "server.py")
        expected = "database.sqlite3 cannot be made, since the server's user may not write to the folder 'data'"
        self.sees(self.project, command, expected, preexec_fn=bound_by_modes)
        folder.chmod(0o700)
        (folder / "database.sqlite3").touch(0o400)
        expected = "see that the server's user may write to it and to its folder"
        self.sees(self.project, command, expected, preexec_fn=bound_by_modes)

    def test_a_driver_or_a_server_that_is_missing(self) -> None:
        """The extra is named, ready to be typed; a database server that is not there is told from a wrong URL."""
        project = self.new_project("on_postgresql", database="postgresql")
        without = (sys.executable, "-c", WITHOUT, "psycopg")
        self.sees(project, without, "PostgreSQLDatabase needs psycopg; type: pip install 'fluxon[postgresql]'")
        for url, fragment in (
            ("postgresql://127.0.0.1:1/chat", "the database server cannot be reached now; see that it runs"),
            ("chat.sqlite3", "PostgreSQLDatabase takes a URL such as postgresql://user:password@host/database"),
        ):
            self.sees(project, (sys.executable, "server.py"), fragment, environment={"DATABASE_URL": url})
        edit(self.project, "server.py", "secure=False,", "secure=False,\n    metrics=0,")
        without = (sys.executable, "-c", WITHOUT, "prometheus_client")
        self.sees(self.project, without, "metrics need prometheus-client; type: pip install 'fluxon[metrics]'")
        # As where the Python of root's home runs as another user.
        without = (sys.executable, "-c", WITHOUT, "wsgiref")
        self.sees(self.project, without, "metrics need Python's wsgiref.simple_server, which cannot be imported")

    def test_a_python_that_is_too_old(self) -> None:
        """Is told so by the first import, in words and not by a syntax error."""
        self.patch(sys, "version_info", (3, 9, 2, "final", 0))
        error = self.assertRaises(ImportError, runpy.run_path, str(fluxon.__file__))
        self.assertIn("Fluxon needs Python 3.11 or later, and this is 3.9", str(error))
        self.assertIn("python3.11 -m venv", str(error))


class RouterTests(FirstHourCase):
    """Files that do not load, by the two commands that load them."""

    def test_no_such_file(self) -> None:
        """The path is shown, so that one sees where it was looked for."""
        twistd, database = (TWISTD, "-n", "fluxon"), (sys.executable, "-m", "fluxon.database")
        path = str(self.project / "roter.py")
        self.sees(self.project, (*twistd, "--config", "roter.py"), f"--config: there is no file {path}")
        self.sees(self.project, twistd, "--config is missing: give the project's router.py")
        self.sees(
            self.project, (*database, "--config", "roter.py", "check"), "there is no file roter.py; give the path"
        )

    def test_mistakes_in_the_files(self) -> None:
        """File, line and what Python thinks of it, its guess included; no traceback."""
        expected = {}
        mapping = "mapping=dynamic_views_loading(views)"
        for name, old, new, fragments in (
            ("router.py", "models=models,", "models=models", ["router.py, line ", "Perhaps you forgot a comma?"]),
            ("router.py", "models=models,", "models=modles,", ["router.py, line ", "name 'modles' is not defined"]),
            ("router.py", "import views", "import view", ["router.py, line ", "No module named 'view'"]),
            (
                "router.py",
                "logs_dir=",
                "log_dir=",
                ["router.py, line ", "no keyword 'log_dir'; did you mean logs_dir?"],
            ),
            ("router.py", mapping, "mapping=views", ['mapping is a dict of names and functions: mapping={"login"']),
            (
                "router.py",
                mapping,
                "mapping={'login': 'views.login'}",
                ["'login' must be a function, not str"],
            ),
            ("views.py", "async def whoami(request):", "async def whoami():", ["view 'whoami' must take one argument"]),
            (
                "views.py",
                "def _sent(request, *names)",
                "def sent(request, names)",
                ["view 'sent' must take one argument", "with an underscore"],
            ),
            ("models.py", "models.CharField(", "models.CharFeld(", ["models.py, line ", "has no attribute 'CharFeld'"]),
            ("models.py", "max_length=100", "maxlength=100", ["CharField has no option 'maxlength'; it has "]),
            ("models.py", "models.PasswordField()", "models.PasswordField", ["password: write PasswordField(), with"]),
        ):
            project = self.new_project(f"{len(expected)}")
            edit(project, name, old, new)
            expected[project] = fragments
        self.all_see(["fluxon.database", "--config", "router.py", "check"], expected)

    def test_what_is_no_server(self) -> None:
        """What is handed to the wrong function says what to hand to it."""
        setup = Setup(mapping={}, secrets=self.project / "secrets")
        self.raises(
            ConfigurationError,
            lambda: run_server(setup),
            "takes a server: run_server(AsyncServer(setup=router.setup))",  # type: ignore[arg-type]
        )
        self.raises(ConfigurationError, lambda: AsyncServer(port=0), "needs the setup of router.py: AsyncServer(setup=")


class SchemaTests(FirstHourCase):
    """The models changed, and the database does not know."""

    def test_the_models_changed(self) -> None:
        """The server warns when it starts, requests say what to type, and so does a step that comes too early."""
        server, _ = self.serve(self.project)
        server.stop()
        edit(self.project, "models.py", "email = ", "age = models.IntegerField(default=17)\n    email = ")
        server, port = self.serve(self.project)
        saveschema = "python -m fluxon.database --config router.py saveschema"
        warned = [line for line in server.transcript if f"not saved as a schema yet; type: {saveschema}" in line]
        self.assertIn("[fluxon.server#warn]", warned[0])
        with ConnectionInterface(port=port, timeout=20) as client:
            user = {"username": "emma", "email": "emma@example.com", "password": "Secret123"}
            self.raises(FluxonError, lambda: client.send_request("create_user", user), saveschema, "updateschema")
        server.stop()
        done = subprocess.run(
            [sys.executable, "-m", "fluxon.database", "--config", "router.py", "updateschema"],
            cwd=self.project,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("the models have changed since; to have that in the database, type saveschema", done.stdout)


#: Views with a mistake, the error that their client sees, and what the server's log says of it.
VIEWS: tuple[tuple[str, str, str, str], ...] = (
    ("if User.Check():\n        return 1", "Internal", "incident", "you forgot to await it"),
    (
        "return User.Authenticate('emma', 'x').username",
        "Internal",
        "incident",
        "no 'username' here: this is the",
    ),
    ("return [row.id for row in User.Check()]", "Internal", "incident", "you forgot to await it"),
    ("return 1 + User.Count()", "Internal", "incident", "you forgot to await it"),
    ("return f'{User.Count()} users'", "Internal", "incident", "you forgot to await it"),
    (
        "return {'users': User.Count()}",
        "Unserialisable",
        "log says why",
        "promise of a result (Pending) cannot be",
    ),
    ("return {'me': whoami(request)}", "Unserialisable", "log says why", "promise of a result (coroutine) cannot be"),
    ("return object()", "Unserialisable", "log says why", "a value of type object cannot be sent; send text, numbers"),
    ("return {1: 2}", "Unserialisable", "log says why", "the keys of a dict must be text to be sent, not int"),
    (
        "return __import__('datetime').datetime.now()",
        "Unserialisable",
        "log says why",
        "use datetime.now(timezone.utc)",
    ),
    ("return request.payload['text']", "Internal", "its log says why, under incident ", "KeyError: 'text'"),
    ("await request.login('emma')", "InvalidPayload", "login takes the id of a user", ""),
    ("await request.login(99)", "NotFound", "there is no user of that id to log in", ""),
    ("await User.Insert(usrname='emma')", "InvalidPayload", "'usrname' is no column of User", ""),
    ("await User.Check(where[User.usrname == 'x'])", "Internal", "incident", "User has no column 'usrname'; it has id"),
    ("await User.Check(where[User.id == 1 and User.id == 2])", "Internal", "incident", "join conditions with & and |"),
    (
        "return await request.connection.send('hear', {'txt': 1})",
        "InvalidPayload",
        "required argument: 'text'",
        "",
    ),
    ("return await request.connection.send('here')", "UnknownView", "this client maps no function 'here'", ""),
)


class ViewTests(FirstHourCase):
    """A view with a mistake: what its client sees, and what the server's log says."""

    def test_mistakes_in_views(self) -> None:
        """The client learns which kind of mistake it is, and nothing of the server; the log has the reason."""
        for number, (body, *_) in enumerate(VIEWS):
            append(self.project, "views.py", f"async def view_{number}(request):\n    {body}")
        server, port = self.serve(self.project)
        with ConnectionInterface(port=port, timeout=20) as client:
            client.reverse_request_mapping({"hear": lambda text: None})
            for number, (body, code, fragment, logged) in enumerate(VIEWS):
                with self.subTest(body):
                    error = self.assertRaises(FluxonError, client.send_request, f"view_{number}", {"txt": 1})
                    self.assertEqual(error.code, code, error.text)
                    self.assertIn(fragment, error.text)
                    if logged:
                        server.expect(re_escaped(logged))
            self.raises(UnknownView, lambda: client.send_request("whoammi"), "did you mean 'whoami'?")
            self.raises(Unserialisable, lambda: client.send_request("whoami", {1, 2}), "a value of type set")

    def test_a_message_that_no_function_takes(self) -> None:
        """The sender only sees that nobody heard it; the server's log says why."""
        server, port = self.serve(self.project)
        connected = [ConnectionInterface(port=port, timeout=20) for _ in range(2)]
        for client, name in zip(connected, ("emma", "mike"), strict=True):
            self.addCleanup(client.close)
            client.send_request(
                "create_user", {"username": name, "email": f"{name}@example.com", "password": "Secret123"}
            )
        emma, mike = connected
        mike.reverse_request_mapping({"receive_mesage": print})
        answer = emma.send_request("send_message", {"receiver": "mike", "message": "hello"})
        self.assertEqual(answer, {"response": "mike is offline"})
        server.expect(r"'receive_message' failed at a client.*UnknownView: this client maps no function")


class ClientTests(FirstHourCase):
    """A client that does not reach its server."""

    def test_nobody_is_there(self) -> None:
        """No server, another port, a name with a typo: by a program's client and by the project's."""
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        nobody = f"nobody listens at localhost:{port}: check host and port, and that the server is running"
        with ConnectionInterface(port=port) as client:
            self.raises(FluxonError, lambda: client.send_request("whoami"), nobody)
        with ConnectionInterface("locallhost.invalid", port) as client:
            self.raises(FluxonError, lambda: client.send_request("whoami"), "'locallhost.invalid' is not known: check")
        done = subprocess.run(
            [sys.executable, "client.py", "--port", str(port)],
            cwd=self.project,
            env=ENVIRONMENT,
            input="logout\nexit\n",
            capture_output=True,
            text=True,
            timeout=60,
        )
        self.assertIn(f"error: {nobody}", done.stdout)
        self.raises(
            ConfigurationError, lambda: ConnectionInterface(f"localhost:{port}"), f"host='localhost', port={port}"
        )
        self.raises(ConfigurationError, lambda: ConnectionInterface(port="8080"), "from 1 to 65535, not '8080'")  # type: ignore[arg-type]

    def test_with_and_without_tls(self) -> None:
        """Either side without it, a certificate that nobody trusts, and one for another name."""
        _, plain = self.serve(self.project)
        secured = self.new_project("secured")
        edit(secured, "server.py", "secure=False", "secure=True")
        _, secure = self.serve(secured)
        trust = str(secured / "secrets" / "certificate.pem")
        for keywords, kind, fragments in (
            ({"port": plain, "secure": True, "trust": trust}, FluxonError, ["without TLS, pass secure=False"]),
            ({"port": secure}, FluxonError, ["if it uses TLS, pass secure=True"]),
            ({"port": secure, "secure": True}, UntrustedServer, ["self-signed: copy certificate.pem", "pass trust="]),
            (
                {"host": "127.0.0.2", "port": secure, "secure": True, "trust": trust},
                UntrustedServer,
                ["is not for 127.0.0.2 (it is for localhost"],
            ),
            ({"port": secure, "secure": True, "trust": "nope.pem"}, FluxonError, ["trust='nope.pem' cannot be read"]),
        ):
            with self.subTest(keywords), ConnectionInterface(**keywords) as client:
                self.raises(kind, lambda client=client: client.send_request("whoami"), *fragments)  # type: ignore[misc]
        self.raises(ConfigurationError, lambda: ConnectionInterface(trust=trust), "trust= is for TLS: pass secure=True")
        with CloudStorageConnector("localhost", plain) as cloud:
            self.raises(NotFound, lambda: cloud.list_directory("/"), "no command 'cloud.list' here: check the port")

    def test_models_without_a_server(self) -> None:
        """A script that uses a model says how to reach its rows."""

        class Note(models.Model):
            text = models.TextField()

        program = "in a program of its own type SQLiteDatabase(path, models=models)"
        self.raises(ConfigurationError, Note.Count, "Note is not bound to a database", program, "fluxon.testing")


def re_escaped(text: str) -> str:
    """As ``Child.expect`` takes it."""
    return "".join("\\" + each if each in r"()[]{}|.*+?^$\\" else each for each in text)
