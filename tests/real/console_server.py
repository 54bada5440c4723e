"""A server of its own process with a console, and the real ``ssh`` program to talk to it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pexpect

import fluxon

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(fluxon.__file__).parent.parent)}

KINDS = ("ed25519", "ecdsa", "rsa")

ROUTER = """
import threading
from pathlib import Path
from fluxon.cloud.authorization_models import (
    AnonymousPermissions, DefaultRole, Permissions, RoleBasedAccessControl,
)
from fluxon.database.apis import SQLiteDatabase
from fluxon.limits import Limits
from fluxon.routing import Setup
from fluxon.security import Secrets
import models

async def echo(request):
    return request.payload

def whoami(request):
    return request.user.username if request.user else None

async def sign_in(request):
    rows = await models.User.Check(models.User.username == request.payload)
    await request.login(rows[0].id if rows else await models.User.Insert(username=request.payload))
    return request.sessionid

async def broken(request):
    raise ValueError("a fault of the view")

def hold(request):
    threading.Event().wait(request.payload)
    return "held"

async def store(request):
    return (await request.server.cloud.write(request.payload["path"], request.payload["text"])).version

class Rights(RoleBasedAccessControl):
    class reader(RoleBasedAccessControl.Role):
        permissions = [Permissions.READ_FILE, Permissions.READ_TREE_DIRECTORY]
    DefaultRole(None)
    AnonymousPermissions(permissions=[])

BASE = Path(__file__).parent
VIEWS = [echo, whoami, sign_in, broken, hold, store]
setup = Setup(
    mapping={view.__name__: view for view in VIEWS},
    models=models,
    secrets=Secrets(BASE / "secrets"),
    database_schema_dir=BASE / "schema",
    database_path=BASE / "data.sqlite3",
    database_api=SQLiteDatabase,
    logs_dir=BASE / "logs",
    cloud_folder=BASE / "cloud",
    cloud_auth_model=Rights,
    console_python=True,
    limits=Limits(drain=5),
)
"""

MODELS = """
from fluxon.database import models

class User(models.AuthenticatedUser):
    username = models.CharField(max_length=100, unique=True)
"""

SERVER = """
import sys
from fluxon.endpoint import AsyncServer, run_server
import router

server = AsyncServer(port=0, setup=router.setup, manhole=sys.argv[1] if sys.argv[1:] else None)

if __name__ == "__main__":
    run_server(server)
    print("run_server has returned", flush=True)
"""


def write_project(folder: Path) -> None:
    """The project's files; nothing runs."""
    for name, text in (("router.py", ROUTER), ("models.py", MODELS), ("server.py", SERVER)):
        (folder / name).write_text(text)


_PORTS = {"fluxon": ("--port", "0", "--cloud-port", "0"), "fluxon-cloud": ("--port", "0")}


class ConsoleServer:
    """``twistd fluxon --manhole`` in a folder of its own, with a key of each kind that may log in."""

    def __init__(self, plugin: str = "fluxon") -> None:
        self.plugin = plugin
        # Short: ssh refuses long paths of its control sockets, and of nothing else, but people read these.
        self.folder = Path(tempfile.mkdtemp(prefix="fluxon-console-"))
        write_project(self.folder)
        (self.folder / "secrets").mkdir(mode=0o700)
        (self.folder / "keys").mkdir(mode=0o700)
        for kind in KINDS:
            self.make_key(kind, kind)
        self.authorize(*KINDS)
        self.start()

    def make_key(self, name: str, kind: str) -> None:
        """A key pair called ``name``."""
        path = self.folder / "keys" / name
        subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", f"{name}@desk", "-f", path], check=True)

    def authorize(self, *names: str) -> None:
        """Exactly these keys may log in from now on."""
        lines = [(self.folder / "keys" / f"{name}.pub").read_text() for name in names]
        (self.folder / "secrets" / "authorized_keys").write_text("# who may\n\n" + "".join(lines))

    def start(self) -> None:
        twistd = Path(sys.executable).with_name("twistd")
        ports = _PORTS[self.plugin]
        self.output = open(self.folder / "output", "w+b")  # noqa: SIM115 - as long as the server
        self.process = subprocess.Popen(
            [twistd, "-n", "--pidfile=", self.plugin, "--config", "router.py", "--manhole", "0", *ports],
            cwd=self.folder,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=self.output,
            stderr=subprocess.STDOUT,
        )
        if self.plugin == "fluxon":
            self.port = int(self.logged(r"#info\] listening on tcp \S+:(\d+)")[1])
        self.console_port = int(self.logged(r"console by SSH on \S+:(\d+)")[1])

    @property
    def log(self) -> str:
        """What it has printed."""
        return (self.folder / "output").read_text(errors="replace")

    def logged(self, pattern: str, timeout: float = 30) -> re.Match[str]:
        """Where ``pattern`` is in the log, as soon as it is."""
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            found = re.search(pattern, self.log)
            if found:
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.02)
        raise AssertionError(f"no {pattern!r} in the log:\n{self.log}")

    def command(self, *arguments: str, key: str = "ed25519", options: tuple[str, ...] = ()) -> list[str]:
        """The command line of ``ssh``."""
        settings = ["StrictHostKeyChecking=no", "IdentitiesOnly=yes", "LogLevel=ERROR", "BatchMode=yes"]
        settings.append(f"UserKnownHostsFile={self.folder / 'known_hosts'}")
        words = ["ssh", "-F", "none", *(word for each in settings for word in ("-o", each))]
        words += ["-i", str(self.folder / "keys" / key), "-p", str(self.console_port), *options]
        return [*words, "anybody@127.0.0.1", *arguments]

    def ssh(
        self, *arguments: str, key: str = "ed25519", options: tuple[str, ...] = (), **more: Any
    ) -> subprocess.CompletedProcess[str]:
        """Run ``ssh`` to its end."""
        more = {"stdin": subprocess.DEVNULL, **more} if "input" not in more else more
        return subprocess.run(
            self.command(*arguments, key=key, options=options),
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
            **more,
        )

    def terminal(self, *arguments: str, columns: int = 80, **more: Any) -> pexpect.spawn:
        """``ssh`` on a pseudo-terminal."""
        name, *words = self.command(*arguments, **more)
        return pexpect.spawn(name, words, dimensions=(24, columns), encoding="utf-8", timeout=20)

    def stop(self) -> None:
        """As a service manager would."""
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.output.close()

    def remove(self) -> None:
        """Stop it and clear away."""
        self.stop()
        shutil.rmtree(self.folder)
