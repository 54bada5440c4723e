"""The examples of the reference: each page's are run in a folder of its own, and give what they say."""

from __future__ import annotations

from typing import Any

from pages import Page, run_block
from twisted.trial.unittest import SynchronousTestCase

from fluxon.testing import MemoryServer


class ExampleTests(SynchronousTestCase):
    """Short ones, in this process."""

    def run_page(self, page: Page) -> None:
        names: dict[str, Any] = {"__name__": "example"}
        self.addCleanup(self.stop_servers, names)
        seen = sum(run_block(self, block, names) for block in page.fragments())
        self.assertGreater(seen, 0, page.document)
        if (db := names.get("db")) is not None:
            db.close()
            db.unbind()

    def stop_servers(self, names: dict[str, Any]) -> None:
        """Of a page that failed halfway: they would be there in the next test."""
        for each in names.values():
            if isinstance(each, MemoryServer):
                each.stop()

    def test_cloud(self) -> None:
        self.run_page(Page(self, "docs/reference/cloud.rst"))

    def test_cloud_clients(self) -> None:
        self.run_page(Page(self, "docs/reference/cloud_clients.rst"))

    def test_endpoint(self) -> None:
        self.run_page(Page(self, "docs/reference/endpoint.rst"))

    def test_engine(self) -> None:
        self.run_page(Page(self, "docs/reference/engine.rst"))

    def test_errors(self) -> None:
        self.run_page(Page(self, "docs/reference/errors.rst"))
        # What a view failed with is in the server's log, as its client is told.
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_limits(self) -> None:
        self.run_page(Page(self, "docs/reference/limits.rst"))

    def test_models(self) -> None:
        self.run_page(Page(self, "docs/reference/models.rst"))

    def test_queries(self) -> None:
        self.run_page(Page(self, "docs/reference/queries.rst"))

    def test_routing(self) -> None:
        self.run_page(Page(self, "docs/reference/routing.rst"))

    def test_schemas(self) -> None:
        self.run_page(Page(self, "docs/reference/schemas.rst"))

    def test_security(self) -> None:
        self.run_page(Page(self, "docs/reference/security.rst"))

    def test_sessions(self) -> None:
        self.run_page(Page(self, "docs/reference/sessions.rst"))

    def test_testing(self) -> None:
        self.run_page(Page(self, "docs/reference/testing.rst"))

    def test_validators(self) -> None:
        self.run_page(Page(self, "docs/reference/validators.rst"))
