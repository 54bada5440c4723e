"""The guides of the cloud storage and of roles do what they say: each is run from its first block to its last."""

from __future__ import annotations

import ast
from types import SimpleNamespace
from typing import Any

from pages import Page, run_block
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import PermissionDenied


class Guides(SynchronousTestCase):
    """Each has a storage of its own."""

    def setUp(self) -> None:
        self.names: dict[str, Any] = {}
        self.addCleanup(self.close)

    def close(self) -> None:
        self.names["CloudAuthorizationModel"].unbind()
        self.names["storage"].close()
        self.names["db"].close()
        self.names["db"].unbind()

    def test_cloud(self) -> None:
        """The guide of the storage, whole."""
        seen = [run_block(self, block, self.names) for block in Page(self, "docs/cloud.rst").fragments()]
        self.assertGreater(sum(seen), 18)

    def test_roles(self) -> None:
        """The guide of roles, whole; and its view answers what the text shows, or refuses."""
        page = Page(self, "docs/roles.rst")
        (shown,) = page.shown()
        seen = 0
        for block in page.fragments():
            seen += run_block(self, block, self.names)
            if "def share" in block.text:
                self.view(shown)
        self.assertGreater(seen, 9)

    def view(self, shown: str) -> None:
        user, share = self.names["User"], self.names["share"]
        request = SimpleNamespace(user=self.names["jane"])
        self.assertEqual(share(request, "/reports", "Mike"), ast.literal_eval(shown))
        for stranger in (None, user.Get(user.username == "Mike")):
            self.assertRaises(PermissionDenied, share, SimpleNamespace(user=stranger), "/reports", "Mike")
