"""Which cloud ``twistd fluxon-cloud`` runs, of what the project's file says and the command line says instead."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

from cloud_serving import CloudTestCase

from fluxon.cloud_tap import Options
from fluxon.endpoint import AsyncServer, CloudStorageServer
from fluxon.errors import ConfigurationError


class OptionsTests(CloudTestCase):
    def describe(self, *, port: str | None = None, secure: bool = False, **names: Any) -> CloudStorageServer:
        """For a file with these variables."""
        module = ModuleType("router")
        module.__file__ = str(Path("router.py").absolute())
        vars(module).update(names)
        options = Options()
        options["port"], options["secure"] = port, secure
        return options.describe(module)

    def test_a_file_with_a_setup(self) -> None:
        """Is served where nobody else says, on this machine and without TLS."""
        setup = self.cloud_setup()
        found = self.describe(setup=setup)
        self.assertEqual((found.setup, found.configured_port, found.secure), (setup, 8888, False))
        error = self.assertRaises(ConfigurationError, self.describe)
        self.assertIn("router.py has no `setup", error.text)

    def test_a_file_with_a_cloud_server(self) -> None:
        """Says where it listens, and the command line may say otherwise; it is a server of its own all the same."""
        setup = self.cloud_setup()
        server = CloudStorageServer(port=9000, host="10.0.0.1", secure=True, setup=setup, metrics=9100)
        found = self.describe(server=server)
        self.assertIsNot(found, server)
        self.assertEqual((found.setup, found.configured_port, found.host), (setup, 9000, "10.0.0.1"))
        self.assertEqual((found.secure, found.metrics), (True, 9100))
        self.assertEqual(self.describe(server=server, port="9001").host, "10.0.0.1")
        self.assertEqual(self.describe(server=server, port="unix:a").endpoint, "unix:a")

    def test_a_file_with_a_main_server(self) -> None:
        """Is the cloud of that server, if it has one, else one like any other; never the main server's port."""
        setup = self.cloud_setup()
        with_cloud = AsyncServer(port=8080, setup=setup, cloud_storage=CloudStorageServer(port=9000))
        self.assertEqual(self.describe(server=with_cloud).configured_port, 9000)
        without = self.describe(server=AsyncServer(port=8080, setup=setup), secure=True)
        self.assertEqual((without.setup, without.configured_port, without.secure), (setup, 8888, True))

    def test_a_cloud_server_without_a_setup(self) -> None:
        """Takes the file's."""
        setup = self.cloud_setup()
        self.assertIs(self.describe(server=CloudStorageServer(port=9000), setup=setup).setup, setup)
