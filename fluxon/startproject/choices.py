"""What a person chooses for a new project, and the lines of the templates that say it.

Rules of this module: a template is a program as it stands, with SQLite and port 8080; a choice replaces whole lines of
it, each of which must be there (the tests make every combination). No password is written anywhere: a database server's
URL comes from the environment of whoever runs the project.
"""

from __future__ import annotations

from collections.abc import Mapping

import attrs

from fluxon.errors import ConfigurationError, NotFound

DEFAULT_PORT = 8080
#: That of the cloud storage in the templates.
CLOUD_PORT = 8888

_SQLITE_PATH = '    database_path=BASE_DIR / "database.sqlite3",\n'
_SQLITE_README = "and makes `database.sqlite3`."


@attrs.frozen
class _Server:
    """A kind of database server."""

    name: str
    extra: str
    adapter: str
    url: str


_SERVERS = {
    "postgresql": _Server("PostgreSQL", "postgresql", "PostgreSQLDatabase", "postgresql://localhost/chat"),
    "mysql": _Server("MySQL or MariaDB", "mysql", "MySQLDatabase", "mysql://root@localhost/chat"),
}

#: What ``--database`` takes.
DATABASES = ("sqlite", *_SERVERS)


@attrs.frozen
class Choices:
    """Raises ``NotFound`` for a database that there is no adapter for, ``ConfigurationError`` for what is no port."""

    database: str = attrs.field(default="sqlite")
    port: int = attrs.field(default=DEFAULT_PORT)
    cloud: bool = False

    @database.validator
    def _check_database(self, _: object, value: str) -> None:
        if value not in DATABASES:
            raise NotFound(f"there is no database {value!r}; choose one of: {', '.join(DATABASES)}")

    def __attrs_post_init__(self) -> None:
        if type(self.port) is not int or not 0 < self.port < 65_536:
            raise ConfigurationError(f"a port is a number from 1 to 65535, not {self.port!r}")
        if self.cloud and self.port == CLOUD_PORT:
            raise ConfigurationError(f"the cloud storage listens on {CLOUD_PORT}: choose another port for the server")

    @property
    def database_url(self) -> str | None:
        """An example of the URL that the environment has to give; None where there is a file instead."""
        return None if self.database == "sqlite" else _SERVERS[self.database].url

    @property
    def extra(self) -> str | None:
        """The extra of Fluxon that has the driver."""
        return None if self.database == "sqlite" else _SERVERS[self.database].extra

    def applied(self, templates: Mapping[str, bytes]) -> dict[str, bytes]:
        """The files of the project, by name."""
        files = {name: content.decode() for name, content in templates.items()}
        if self.database != "sqlite":
            self._use_server(files, _SERVERS[self.database])
        if self.port != DEFAULT_PORT:
            files = {name: text.replace(str(DEFAULT_PORT), str(self.port)) for name, text in files.items()}
        return {name: text.encode() for name, text in files.items()}

    @staticmethod
    def _use_server(files: dict[str, str], server: _Server) -> None:
        url = (
            f"    # Where the {server.name} database is. Set DATABASE_URL where the server runs, so that no\n"
            "    # password gets into this file and its history: postgresql://name:password@host/database\n"
        ).replace("postgresql://", f"{server.url.partition('://')[0]}://")
        url += f'    database_path=os.environ.get("DATABASE_URL", "{server.url}"),\n'
        files["router.py"] = _replaced(
            files["router.py"],
            ("import pathlib\n", "import os\nimport pathlib\n"),
            (_SQLITE_PATH, url),
            ("import SQLiteDatabase\n", f"import {server.adapter}\n"),
            ("database_api=SQLiteDatabase,\n", f"database_api={server.adapter},\n"),
        )
        files["README.md"] = _replaced(
            files["README.md"],
            (
                _SQLITE_README,
                f"and makes the tables, in the {server.name} database that the environment names:\n\n"
                f"    pip install 'fluxon[{server.extra}]'     # its driver, once\n"
                f"    export DATABASE_URL={server.url}\n\n"
                "The database itself is made by you, or by who runs the server: `CREATE DATABASE chat`.",
            ),
        )


def _replaced(text: str, *lines: tuple[str, str]) -> str:
    for old, new in lines:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    return text
