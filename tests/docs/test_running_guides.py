"""The guides of running a server and of schemas: their commands, typed in projects where their programs stand."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from pages import Page
from terminal import Terminal
from twisted.application.service import MultiService
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect import CloudStorageConnector, ConnectionInterface
from fluxon.database.apis import PostgreSQLDatabase
from fluxon.errors import PermissionDenied
from fluxon.routing import Setup
from fluxon.startproject import generate


@pytest.mark.slow
@pytest.mark.timeout(300)
class RunningTests(SynchronousTestCase):
    def answers(self, terminal: Terminal) -> None:
        """Whoever listens is who was started, on every port."""
        with ConnectionInterface(port=int(terminal.ports["8080"]), timeout=60) as connection:
            self.assertEqual(connection.send_request("whoami"), {"response": None})
            if "8888" in terminal.ports:
                port = int(terminal.ports["8888"])
                with CloudStorageConnector(port=port, connection=connection, timeout=60) as cloud:
                    self.assertRaises(PermissionDenied, cloud.permissions, "/")

    def test_running(self) -> None:
        """Each way to run a project, on a project."""
        page = Page(self, "docs/running.rst")
        main, with_cloud, embedded = [each.text for each in page.fragments()]
        foreground, plugin, cloud, schemas = page.commands()
        generate("AsyncServer", "chat")
        generate("AsyncServer", "files", cloud=True)
        Path("chat", "server.py").write_text(main)
        Path("files", "server.py").write_text(with_cloud)
        terminal = Terminal(self, Path("chat").absolute())
        for line in (*foreground, *plugin):
            terminal.type(line)
            self.answers(terminal)
            terminal.stop_servers()
        for line in schemas:
            terminal.type(line)
        terminal = Terminal(self, Path("files").absolute())
        both, main_alone, cloud_alone = cloud
        for line in (*foreground, both):
            terminal.type(line)
            self.answers(terminal)
            terminal.stop_servers()
        terminal.type(main_alone)
        ports = dict(terminal.ports)
        terminal.type(cloud_alone)
        terminal.ports |= ports
        self.answers(terminal)
        terminal.stop_servers()

        names: dict[str, Any] = {}
        exec(embedded, names)
        services = MultiService()
        server = names["add_fluxon"](services, Setup(mapping={}, secrets="secrets"))
        self.assertEqual(list(services), [server])

    def test_schemas(self) -> None:
        """The commands bring a project's database to its models; the router of another database is one."""
        page = Page(self, "docs/schemas.rst")
        (router,), (commands,) = page.fragments(), page.commands()
        generate("AsyncServer", "school")
        terminal = Terminal(self, Path("school").absolute())
        said = [terminal.type(line) for line in commands]
        self.assertIn("saved the models as schema_00001.sql", said[0])
        self.assertTrue(Path("school", "database.sqlite3").exists())

        for name in ("models", "views"):
            sys.modules[name] = ModuleType(name)
            self.addCleanup(sys.modules.pop, name)
        names: dict[str, Any] = {}
        exec(router.text, names)
        self.assertIs(names["setup"].database_api, PostgreSQLDatabase)
