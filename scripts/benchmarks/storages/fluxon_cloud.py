"""Fluxon itself: a generated project with its cloud storage, started as its README says, asked over its own wire.

A user signs up and makes a directory, claims it, and moves files in it, so rights are looked for on three levels; every
read and write leaves its row in the audit log, and every acknowledged upload is hashed and on the disk. What is deleted
is not kept, so that a run does not fill the disk; nothing else is set for the benchmark.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.content import SMALL_SIZE, Content
from benchmarks.listening import HOST, Listening
from benchmarks.processes import environment, free_port, running
from benchmarks.transfer_client import Action, TransferClient

VERSIONS = ("twisted", "cbor2", "sqlalchemy", "pyopenssl")
SYNCED = False

USER = {"username": "Jane", "password": "Jane123@abc"}

#: Where the user's files are.
HOME = "/bench"


def missing() -> str | None:
    return None


def version() -> str | None:
    return None


def prepare(listening: Listening, content: Content, client: TransferClient) -> None:
    project = listening.folder / "project"
    command = [sys.executable, "-m", "fluxon.startproject", "AsyncServer", "--cloud", str(project)]
    subprocess.run(command, check=True, env=environment(), stdout=subprocess.DEVNULL)
    for file in (listening.certificate, listening.key):
        own = project / "secrets" / file.name
        shutil.copyfile(file, own)
        own.chmod(0o600)
    router = project / "router.py"
    router.write_text(
        router.read_text().replace("cloud_folder=", "cloud_versions=0,\n    cloud_keep_days=0,\n    cloud_folder=")
    )
    with running(sys.modules[__name__], listening) as pid:
        (listening.folder / "sha256").write_text(content.large_sha256())
        subprocess.run(_as_user("begin", listening), check=True, env=environment())
        for action in (
            Action(operation="put", path="/large", count=1, size=content.large_size, single=True),
            Action(operation="put", path="/small", count=content.small_count, size=SMALL_SIZE, at_once=16),
            Action(operation="put", path="/listed", count=content.listed_count, size=0, at_once=16),
        ):
            client.run(action, words(listening, action), listening, pid, idle=0)


def serve(listening: Listening) -> None:
    os.chdir(listening.folder / "project")
    main_port = free_port()
    _main_port_file(listening).write_text(str(main_port))
    twistd = Path(sys.executable).with_name("twistd")
    command = [sys.executable, str(twistd), "--nodaemon", "--pidfile=", "fluxon", "--config", "router.py"]
    command += ["--port", f"tcp:{main_port}:interface={HOST}"]
    command += ["--cloud-port", f"tcp:{listening.port}:interface={HOST}"]
    if listening.tls:
        command.append("--secure")
    # The same process goes on as twistd: its id is the one whose CPU time and memory are read.
    os.execv(sys.executable, command)


def words(listening: Listening, action: Action) -> list[str]:
    told = ["--protocol", "fluxon", "--in-flight", str(action.at_once), "--path", f"{HOME}{action.path}"]
    told += ["--token", (listening.folder / "token").read_text()]
    return [*told, "--sha256", (listening.folder / "sha256").read_text()]


def program(listening: Listening, action: Action, local: Path) -> list[str] | None:
    how = "download" if action.operation == "get" else "upload"
    return _as_user(how, listening, f"{HOME}{action.path}", str(local))


def clear(listening: Listening, keep: bool) -> None:
    subprocess.run(_as_user("put_aside" if keep else "clear", listening), check=True, env=environment())


# --- what the user does, each time in a process of its own: this one has no Fluxon ------------------------------------


def _as_user(how: str, listening: Listening, *arguments: str) -> list[str]:
    where = [str(listening.folder), str(listening.port), "tls" if listening.tls else "plain"]
    return [sys.executable, "-m", __name__, how, *where, *arguments]


def _begin(listening: Listening, server: Any, cloud: Any) -> None:
    cloud.create_directory(relative_path=HOME)
    server.send_request("assign_me_as_owner", {"path": HOME})
    for name in ("small", "listed", "up"):
        cloud.create_directory(relative_path=f"{HOME}/{name}")
    (listening.folder / "token").write_text(server._line.connector.link.token)


def _clear(listening: Listening, server: Any, cloud: Any) -> None:
    cloud.delete_directory(relative_path=f"{HOME}/up")
    cloud.create_directory(relative_path=f"{HOME}/up")


def _put_aside(listening: Listening, server: Any, cloud: Any) -> None:
    cloud.move(f"{HOME}/up", f"{HOME}/aside-{time.time_ns()}")
    cloud.create_directory(relative_path=f"{HOME}/up")


def _download(listening: Listening, server: Any, cloud: Any, remote: str, local: str) -> None:
    cloud.download_file(remote, local)


def _upload(listening: Listening, server: Any, cloud: Any, remote: str, local: str) -> None:
    cloud.upload_file(remote, local)


def _main(how: str, folder: str, port: str, tls: str, *arguments: str) -> None:
    from fluxon.connect import CloudStorageConnector, ConnectionInterface

    listening = Listening(port=int(port), folder=Path(folder), tls=tls == "tls")
    where = {"host": "localhost", "secure": listening.tls, "trust": listening.certificate if listening.tls else None}
    with ConnectionInterface(port=int(_main_port_file(listening).read_text()), **where) as server:
        view, payload = ("create_user", {**USER, "email": "jane@example.com"}) if how == "begin" else ("login", USER)
        answer = server.send_request(view, payload)["response"]
        if "successfully" not in answer:
            raise SystemExit(f"cannot log in: {answer}")
        with CloudStorageConnector(port=listening.port, connection=server, **where) as cloud:
            work = {
                "begin": _begin,
                "clear": _clear,
                "put_aside": _put_aside,
                "download": _download,
                "upload": _upload,
            }[how]
            work(listening, server, cloud, *arguments)


def _main_port_file(listening: Listening) -> Path:
    return listening.folder / "main_port"


if __name__ == "__main__":
    _main(*sys.argv[1:])
