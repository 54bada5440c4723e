"""Real database servers for the tests, and a database of its own for each process that runs tests.

Where a server comes from, the first that there is:

1. the URL in ``FLUXON_TEST_POSTGRESQL`` or ``FLUXON_TEST_MYSQL``, whose user may create databases;
2. a server on this machine that lets the tests in without a password;
3. a server program of this machine, started on a folder that is deleted afterwards.

Otherwise the test is skipped, or fails where ``FLUXON_TEST_EVERY_DATABASE`` is set.
"""

from __future__ import annotations

import atexit
import getpass
import glob
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import psycopg
import pymysql
import pytest
import sqlalchemy

#: Seconds for a server program to answer after it was started.
_START_SECONDS = 30.0


def postgresql() -> str:
    """The URL of an empty PostgreSQL database, which only this process uses."""
    server, name = _or_skip(_postgresql_database, "PostgreSQL", "FLUXON_TEST_POSTGRESQL")
    url = server.set(database=name)
    with psycopg.connect(_conninfo(url), autocommit=True) as raw:
        raw.execute("DROP SCHEMA public CASCADE")
        raw.execute("CREATE SCHEMA public")
    return url.render_as_string(hide_password=False)


def mysql() -> str:
    """The URL of an empty MariaDB or MySQL database, which only this process uses."""
    server, name = _or_skip(_mysql_database, "MariaDB or MySQL", "FLUXON_TEST_MYSQL")
    with _mysql(server) as raw, raw.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")
        cursor.execute(f"CREATE DATABASE {name}")
    return server.set(database=name).render_as_string(hide_password=False)


def fetch(url: str, query: str) -> list[tuple[Any, ...]]:
    """Ask a server as another program would, through the driver alone."""
    made = sqlalchemy.make_url(url)
    if made.get_backend_name() == "postgresql":
        with psycopg.connect(_conninfo(made), autocommit=True) as raw:
            cursor = raw.execute(query)
            return cursor.fetchall() if cursor.description else []
    with _mysql(made) as raw, raw.cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def _or_skip(find: Callable[[], Any], server: str, variable: str) -> Any:
    found = find()
    if found is None:
        text = f"there is no {server} server: set {variable}, or install one"
        if os.environ.get("FLUXON_TEST_EVERY_DATABASE"):
            pytest.fail(text)
        pytest.skip(text)
    return found


@cache
def _postgresql_database() -> tuple[sqlalchemy.URL, str] | None:
    server = _postgresql_server()
    if server is None:
        return None
    name = _new_name()
    with psycopg.connect(_conninfo(server), autocommit=True) as raw:
        raw.execute(f"CREATE DATABASE {name}")
    atexit.register(_drop_postgresql, server, name)
    return server, name


def _drop_postgresql(server: sqlalchemy.URL, name: str) -> None:
    with psycopg.connect(_conninfo(server), autocommit=True) as raw:
        raw.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@cache
def _mysql_database() -> tuple[sqlalchemy.URL, str] | None:
    server = _mysql_server()
    if server is None:
        return None
    name = _new_name()
    atexit.register(_drop_mysql, server, name)
    return server, name


def _drop_mysql(server: sqlalchemy.URL, name: str) -> None:
    with _mysql(server) as raw, raw.cursor() as cursor:
        cursor.execute(f"DROP DATABASE IF EXISTS {name}")


def _new_name() -> str:
    return f"fluxon_test_{os.getpid()}_{secrets.token_hex(4)}"


def _postgresql_server() -> sqlalchemy.URL | None:
    given = os.environ.get("FLUXON_TEST_POSTGRESQL")
    if given:
        return sqlalchemy.make_url(given)
    for user in (getpass.getuser(), "postgres"):
        url = sqlalchemy.make_url(f"postgresql://{user}@127.0.0.1/postgres")
        if _answers(lambda url=url: psycopg.connect(_conninfo(url), connect_timeout=3)):
            return url
    return _started_postgresql()


def _mysql_server() -> sqlalchemy.URL | None:
    given = os.environ.get("FLUXON_TEST_MYSQL")
    if given:
        return sqlalchemy.make_url(given)
    for user in (getpass.getuser(), "root"):
        url = sqlalchemy.make_url(f"mysql://{user}@127.0.0.1/mysql")
        if _answers(lambda url=url: _mysql(url)):
            return url
    return _started_mysql()


def _answers(connect: Callable[[], Any]) -> bool:
    try:
        connect().close()
    except (psycopg.Error, pymysql.err.Error, OSError):
        return False
    return True


def _started_postgresql() -> sqlalchemy.URL | None:
    folders = [*os.environ.get("PATH", "").split(os.pathsep), *sorted(glob.glob("/usr/lib/postgresql/*/bin"))]
    program = next((Path(each) / "postgres" for each in folders if (Path(each) / "initdb").exists()), None)
    if program is None:
        return None
    folder, user = _folder_for_a_server()
    data = folder / "data"
    subprocess.run(
        [program.with_name("initdb"), "-D", data, "-U", "fluxon", "-A", "trust", "-E", "UTF8", "--no-sync"],
        check=True, capture_output=True, user=user, cwd=folder,
    )  # fmt: skip
    process = subprocess.Popen(
        [program, "-D", data, "-k", folder, "-c", "listen_addresses="],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=user, cwd=folder,
    )  # fmt: skip
    atexit.register(_end, process, folder, signal.SIGINT)
    url = sqlalchemy.make_url(f"postgresql://fluxon@/postgres?host={folder}")
    return url if _wait_for(lambda: psycopg.connect(_conninfo(url))) else None


def _started_mysql() -> sqlalchemy.URL | None:
    program = shutil.which("mariadbd") or shutil.which("mariadbd", path="/usr/sbin")
    install = shutil.which("mariadb-install-db")
    if program is None or install is None:
        return None
    folder, user = _folder_for_a_server()
    data, socket = folder / "data", folder / "socket"
    subprocess.run(
        [install, "--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal"],
        check=True, capture_output=True, user=user, cwd=folder,
    )  # fmt: skip
    process = subprocess.Popen(
        [program, "--no-defaults", f"--datadir={data}", f"--socket={socket}", "--skip-networking"],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, user=user, cwd=folder,
    )  # fmt: skip
    atexit.register(_end, process, folder, signal.SIGTERM)
    url = sqlalchemy.make_url(f"mysql://root@localhost/mysql?unix_socket={socket}")
    return url if _wait_for(lambda: _mysql(url)) else None


def _folder_for_a_server() -> tuple[Path, str | None]:
    """A new folder, and who owns it: neither server lets root run it."""
    folder = Path(tempfile.mkdtemp(prefix="fluxon-"))
    if os.getuid() != 0:
        return folder, None
    shutil.chown(folder, "nobody")
    return folder, "nobody"


def _wait_for(connect: Callable[[], Any]) -> bool:
    until = time.monotonic() + _START_SECONDS
    while time.monotonic() < until:
        if _answers(connect):
            return True
        time.sleep(0.1)
    return False


def _end(process: subprocess.Popen[bytes], folder: Path, how: signal.Signals) -> None:
    process.send_signal(how)
    process.wait()
    shutil.rmtree(folder)


def _conninfo(url: sqlalchemy.URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def _mysql(url: sqlalchemy.URL) -> Any:
    given = url.translate_connect_args(username="user")
    return pymysql.connect(**given, **url.query, connect_timeout=3, autocommit=True)
