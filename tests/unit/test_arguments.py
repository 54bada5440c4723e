"""What a program may give to a constructor: every option of every one, with what it must not be.

An option without a line here fails the test, so that a new one is thought of.
"""

from __future__ import annotations

import inspect
import math
import types
from pathlib import Path
from typing import Any

import attrs
import sqlalchemy
from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from fluxon.cloud.authorization_models import RoleBasedAccessControl
from fluxon.cloud.entries import MOST_DAYS, CloudOptions
from fluxon.connect import Client, CloudClient, CloudStorageConnector, ConnectionInterface
from fluxon.database import models
from fluxon.database.apis import MySQLDatabase, SQLiteDatabase
from fluxon.endpoint import AsyncServer, CloudStorageServer, run_in_background, run_server
from fluxon.errors import ConfigurationError
from fluxon.routing import Setup
from fluxon.security import Secrets

NAN = math.nan
FLAG = ("no", "", "true", 0, 1, 1.0, None, [])
COUNT = ("10", "", -1, 1.5, NAN, math.inf, True, 2**63, [], b"1")
SECONDS = ("30", "", -1, NAN, True, [], b"1")
PATH = (7, True, 1.5, b"x", "", "  ", "a\0b", [], ["x"], {}, object(), Path)
FUNCTION = ("on_event", 7, True, [], {})
PORT = (-1, 65_536, "65536", "", " ", 1.5, NAN, True, None, b"80", ["80"], object())
PLACE = (-1, 65_536, "", 1.5, True, b"80", [], object())
HOST = (7, True, b"localhost", "", " ", "a b", "a\0b", [], object())
SESSION = ("token", 7, True, [], object())
REACTOR = ("epoll", 7, True, object(), MemoryReactorClock)


class Model(models.Model):
    """A model."""


class Auth(RoleBasedAccessControl):
    """Who may do what: nobody anything."""


def view(request: Any) -> None:
    """A view."""


def two(a: Any, b: Any) -> None:
    """No view."""


async def waits() -> None:
    """What no blocking client can call."""


_EVENTS = ("on_start", "on_stop", "on_connect", "on_login", "on_logout", "on_disconnect")

SETUP = {
    "mapping": ("view", 7, None, [view], view),  # its entries: tests/unit/routing/test_mapping.py
    "secrets": (None, *PATH),
    "models": ("models", "", b"", 7, True, 1.5, [1], ["User"], {}, {"User": Model}, Model, (_ for _ in ()), object()),
    "database_schema_dir": PATH,
    "logs_dir": PATH,
    "database_path": (*PATH, "oracle://host/x"),
    "database_api": ("sqlite", 7, True, [], int, Model, SQLiteDatabase("x.sqlite3")),
    "cloud_folder": PATH,
    "cloud_auth_model": ("Auth", 7, True, [], int, RoleBasedAccessControl, RoleBasedAccessControl.Role),
    "cloud_versions": (None, *COUNT),
    "cloud_keep_days": (None, MOST_DAYS + 1, *COUNT),
    "cloud_user_quota": COUNT,
    "cloud_reads_synced": FLAG,
    **dict.fromkeys(_EVENTS, (*FUNCTION, two, Model)),
    "console_commands": ("status", 7, None, True, [view], view),
    "console_python": FLAG,
    "limits": (None, 7, "view_timeout", {"view_timeout": 3}, True),
}

CLOUD_OPTIONS = {
    "versions": (None, *COUNT),
    "keep_days": (None, "30", -1, NAN, math.inf, True, MOST_DAYS + 1),
    "user_quota": COUNT,
    "reads_synced": FLAG,
}

SERVER = {
    "port": PORT,
    "secure": FLAG,
    "host": HOST,
    "endpoint": PLACE,
    "manhole": PLACE,
    "metrics": PLACE,
    "reactor": REACTOR,
    "setup": ("router", 7, {}, True, Setup),
}

CLIENT = {
    "secure": FLAG,
    "trust": PATH,
    "timeout": (None, 0, math.inf, 86_401, *SECONDS),
    "wait_for_server": (None, math.inf, *SECONDS),
    "random": (None, 0.5, "x"),
}
TOLD = dict.fromkeys(("on_session_lost", "on_reconnect", "on_disconnect"), FUNCTION)
AT_PORT = {"host": (None, "a:80", *HOST), "port": (0, 65_536, "80", 1.5, NAN, True, None), "heartbeat": SECONDS}
SERVICE = {"reactor": (None, *REACTOR), "where": (None, "", 7, True, b"localhost:1", "no:thing:", ["localhost"])}


class Arguments(SynchronousTestCase):
    """Each wrong value is refused when it is given, by an error that names the option and shows the value."""

    def refused(self, make: Any, wrong: dict[str, Any], **given: Any) -> None:
        """Every option of ``make`` is in the table; with ``given`` it makes something, with a wrong value nothing."""
        if attrs.has(make):
            options = {field.name for field in attrs.fields(make) if field.init}
        else:
            options = set(inspect.signature(make).parameters)
        self.assertEqual(options, set(wrong))
        for name, values in wrong.items():
            for value in values:
                with self.subTest(option=name, value=value):
                    error = self.assertRaises(ConfigurationError, make, **{**given, name: value})
                    self.assertRegex(error.text, rf"\b{name}\b")

    def test_setup(self) -> None:
        """What ``router.py`` declares."""
        database = {"database_path": "x.sqlite3", "models": [Model]}
        good = {**database, "mapping": {"a": view}, "secrets": "keys", "cloud_folder": "c", "cloud_auth_model": Auth}
        Setup(**good)
        self.refused(Setup, SETUP, **good)
        for right in (
            {"models": types.ModuleType("models")},
            {"models": (Model,)},
            {"database_path": sqlalchemy.make_url("sqlite:///x.sqlite3")},
            {"database_path": ":memory:"},
            {"cloud_user_quota": None, "cloud_versions": 0, "cloud_keep_days": 0},
        ):
            Setup(**{**good, **right})

    def test_cloud_options(self) -> None:
        """What a storage is told of it."""
        self.refused(CloudOptions, CLOUD_OPTIONS)
        self.assertTrue(CloudOptions(versions=1, keep_days=0.5, user_quota=0, reads_synced=True).keeps)

    def test_servers(self) -> None:
        """Where they listen, and what they serve."""
        setup = Setup(mapping={"a": view}, secrets="keys")  # type: ignore[arg-type]
        good = {"port": "8080", "host": "::1", "manhole": 2222, "metrics": "tcp:9100", "reactor": MemoryReactorClock()}
        AsyncServer(setup=setup, **good)
        CloudStorageServer(**good)
        cloud = ("tcp:8888", 8888, True, setup, CloudStorageServer)
        self.refused(AsyncServer, {**SERVER, "cloud_storage": cloud}, setup=setup)
        self.refused(CloudStorageServer, SERVER)
        for run in (run_server, run_in_background):
            for wrong in (None, "server", 7, setup, AsyncServer):
                error = self.assertRaises(ConfigurationError, lambda run=run, wrong=wrong: run(wrong).__enter__())
                self.assertIn(f"{run.__name__} takes a server", error.text)

    def test_blocking_clients(self) -> None:
        """None of them begins a thread."""
        wrong = {**CLIENT, **AT_PORT}
        told = {name: (*values, waits) for name, values in TOLD.items()}
        self.refused(ConnectionInterface, {**wrong, **told, "session": SESSION}, secure=True)
        self.refused(CloudStorageConnector, {**wrong, "connection": SESSION}, secure=True)

    def test_clients_that_are_services(self) -> None:
        """Their functions may be ``async def``."""
        good = {"reactor": MemoryReactorClock(), "where": "localhost:1"}
        functions = ("functions", 7, True, [view], "", 0)  # its entries: tests/unit/connect/test_functions.py
        self.refused(Client, {**CLIENT, **TOLD, **SERVICE, "functions": functions, "session": SESSION}, **good)
        self.refused(CloudClient, {**CLIENT, **SERVICE, "connection": SESSION}, **good)
        Client(**good, secure=True, trust="certificate.pem")
        client = Client(**good, functions={"a": waits}, on_reconnect=waits)
        self.assertIs(Client(**good, session=client).session, client.session)
        self.assertIs(Client(**good, session=client.session).session, client.session)

    def test_what_opens_files(self) -> None:
        """The folder of secrets and the database's file, where they are made without a ``Setup``."""
        for wrong in PATH:
            with self.subTest(value=wrong):
                self.assertRaises(ConfigurationError, Secrets, wrong)
                self.assertRaises(ConfigurationError, SQLiteDatabase, wrong)
                self.assertRaises(ConfigurationError, MySQLDatabase, wrong)
        path = SQLiteDatabase(sqlalchemy.make_url("sqlite:////tmp/x.sqlite3")).path
        self.assertEqual(path, "/tmp/x.sqlite3")
