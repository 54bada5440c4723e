"""Database servers whose connections can be ended, and a line to one that can be cut: what their contracts share."""

from __future__ import annotations

import contextlib
import socket
import threading
from typing import Any

import database_servers
import sqlalchemy
from twisted.python import threadable

from fluxon.database import models, schema
from fluxon.database.apis import MySQLDatabase, PostgreSQLDatabase
from fluxon.database.mysql import connection as mysql_connection
from fluxon.database.postgresql import connection as postgresql_connection

ModelType = type(models.Model)


class Proxy:
    """Stands between a program and a server, and cuts the line when the program says ``COMMIT``."""

    def __init__(self, url: sqlalchemy.URL, default_port: int) -> None:
        self._target: Any = (url.host, url.port or default_port)
        if "host" in url.query:
            self._target = f"{url.query['host']}/.s.PGSQL.5432"
        elif "unix_socket" in url.query:
            self._target = url.query["unix_socket"]
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        #: None, "before" or "after": whether the server still hears the next COMMIT.
        self.cut: str | None = None
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listening.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                server = socket.socket(socket.AF_UNIX if isinstance(self._target, str) else socket.AF_INET)
                server.connect(self._target)
                deaf = threading.Event()
                for each in (client, server, deaf, True), (server, client, deaf, False):
                    threading.Thread(target=self._pass_on, args=each, daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, deaf: threading.Event, asking: bool) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if asking and self.cut is not None and b"COMMIT" in data:
                    cut, self.cut = self.cut, None
                    if cut == "before":
                        break
                    deaf.set()
                elif not asking and deaf.is_set():
                    break  # the server has answered, and nobody hears it
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()


class ServerCase:
    """A database with a table of notes. A server's class says how to reach it."""

    adapter: Any
    settings: Any

    def place(self: Any) -> str:
        """The URL of a new, empty database."""
        raise NotImplementedError

    def kill(self: Any) -> None:
        """End every connection to the database, as an administrator does."""
        raise NotImplementedError

    def setUp(self: Any) -> None:
        self.patch(threadable, "ioThread", None)  # this thread may block
        self.url = self.place()
        self.Note = ModelType(
            "Note", (models.Model,), {"text": models.CharField(unique=True), "size": models.IntegerField(default=0)}
        )
        self.database = self.adapter(self.url, models=[self.Note])
        self.addCleanup(self.database.unbind)
        self.addCleanup(self.database.close)
        schema.create_tables(self.database)

    def elsewhere(self: Any, **url: Any) -> Any:
        """The same adapter at another URL."""
        return self.rebind(self.adapter(sqlalchemy.make_url(self.url).set(**url)))

    def rebind(self: Any, other: Any) -> Any:
        """Have another database of the models."""
        self.database.unbind()
        other.bind([self.Note])
        self.addCleanup(other.close)
        self.addCleanup(other.unbind)
        return other

    def count(self: Any) -> int:
        """The rows, as another program sees them."""
        return int(database_servers.fetch(self.url, "SELECT count(*) FROM note")[0][0])


class PostgreSQLServer:
    """PostgreSQL."""

    adapter = PostgreSQLDatabase
    driver = "psycopg"
    default_port = 5432
    sleeping = "pg_sleep(20)::text"

    def place(self: Any) -> str:
        return database_servers.postgresql()

    def shorten(self: Any) -> None:
        self.patch(postgresql_connection, "WRITE_MILLISECONDS", 300)
        self.patch(postgresql_connection, "READ_MILLISECONDS", 300)
        self.database.close()

    _others = (
        "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() "
        "AND backend_type = 'client backend'"
    )

    def kill(self: Any) -> None:
        database_servers.fetch(self.url, f"SELECT pg_terminate_backend(pid, 1000) {self._others}")

    def connections(self: Any) -> int:
        return int(database_servers.fetch(self.url, f"SELECT count(*) {self._others}")[0][0])


class MySQLServer:
    """MariaDB or MySQL."""

    adapter = MySQLDatabase
    driver = "pymysql"
    default_port = 3306
    sleeping = "(SELECT count(*) FROM information_schema.columns a, information_schema.columns b WHERE sleep(0.01) = 0)"

    def place(self: Any) -> str:
        return database_servers.mysql()

    def shorten(self: Any) -> None:
        self.patch(mysql_connection, "WRITE_SECONDS", 1)
        self.patch(mysql_connection, "READ_SECONDS", 1)
        self.database.close()

    def others(self: Any) -> list[int]:
        found = database_servers.fetch(
            self.url,
            "SELECT id FROM information_schema.processlist WHERE db = DATABASE() AND id <> CONNECTION_ID()",
        )
        return [number for (number,) in found]

    def kill(self: Any) -> None:
        for number in self.others():
            with contextlib.suppress(Exception):  # it ended by itself just now
                database_servers.fetch(self.url, f"KILL {number}")

    def connections(self: Any) -> int:
        return len(self.others())
