"""The documentation site: built without a warning, with every public name in its reference."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from twisted.trial.unittest import SynchronousTestCase

import fluxon

ROOT = Path(__file__).resolve().parents[2]

#: Modules whose names a program may import, besides what every package directly under ``fluxon`` exports.
MODULES = (
    "fluxon.blocking",
    "fluxon.cloud.authorization_models",
    "fluxon.cloud.filesystem",
    "fluxon.config",
    "fluxon.connect.cloud",
    "fluxon.database.apis",
    "fluxon.database.models",
    "fluxon.database.query",
    "fluxon.database.schema",
    "fluxon.database.validators",
    "fluxon.errors",
    "fluxon.limits",
    "fluxon.metrics",
    "fluxon.security.tls",
)

#: What a module has for itself, though it begins with no underscore: for the engine's other rooms.
OWN = {
    "fluxon.blocking.T",
    "fluxon.config.must_not_be_loading",
    "fluxon.errors.from_wire",
    "fluxon.errors.of_program",
    "fluxon.errors.says_stopping",
    "fluxon.errors.stopping",
}


def public_modules() -> list[ModuleType]:
    packages = [f"fluxon.{each.name}" for each in pkgutil.iter_modules(fluxon.__path__) if each.ispkg]
    return [importlib.import_module(name) for name in sorted({*packages, *MODULES})]


def public_names() -> Iterator[tuple[str, Any]]:
    """What each of them exports: ``__all__``, or where there is none the classes and functions that it defines."""
    for module in public_modules():
        names = getattr(module, "__all__", None)
        if names is None:
            names = [
                name
                for name, value in vars(module).items()
                if not name.startswith("_") and getattr(value, "__module__", None) == module.__name__
            ]
        for name in names:
            if f"{module.__name__}.{name}" not in OWN:
                yield f"{module.__name__}.{name}", getattr(module, name)


def public_members(cls: type) -> Iterator[tuple[str, Any]]:
    """Methods and properties that classes of Fluxon define in it."""
    for name in dir(cls):
        if name.startswith("_"):
            continue
        owner = next((each for each in cls.__mro__ if name in vars(each)), None)
        if owner is None or not owner.__module__.startswith("fluxon"):
            continue
        raw = vars(owner)[name]
        if isinstance(raw, property):
            yield name, raw
        elif inspect.isfunction(getattr(raw, "__func__", raw)):
            yield name, getattr(cls, name)


def is_documented(value: Any) -> bool:
    return bool((inspect.getdoc(value) or "").strip())


class GlossaryTests(SynchronousTestCase):
    def test_the_protocol_has_the_same_words(self) -> None:
        """Whatever the protocol defines is in the glossary; the words are used for one thing."""
        protocol = (ROOT / "docs" / "protocol.rst").read_text("utf-8")
        section = protocol.partition("Glossary\n========\n")[2].partition("\n\n\n")[0]
        defined = re.findall(r"^(\w[\w ]*)\n   \w", section, re.MULTILINE)
        self.assertGreater(len(defined), 12)
        glossary = (ROOT / "docs" / "glossary.rst").read_text("utf-8")
        terms = re.findall(r"^   (\w[\w ]*)\n      \w", glossary, re.MULTILINE)
        self.assertEqual(sorted(set(defined) - set(terms)), [])
        self.assertEqual(len(terms), len(set(terms)))


class DocstringTests(SynchronousTestCase):
    """What is public says what it promises."""

    def test_public_names(self) -> None:
        """Modules, classes and functions, and the methods and properties of classes."""
        silent = [module.__name__ for module in public_modules() if not module.__doc__]
        seen = 0
        for full, value in public_names():
            if not inspect.isclass(value) and not inspect.isfunction(value):
                continue  # a constant or an alias, whose text the reference takes from the source
            seen += 1
            # A class does not inherit its text: that of its base is about the base.
            if not (value.__doc__ if inspect.isclass(value) else is_documented(value)):
                silent.append(full)
            if inspect.isclass(value):
                silent += [f"{full}.{name}" for name, member in public_members(value) if not is_documented(member)]
        self.assertEqual(silent, [])
        self.assertGreater(seen, 150)


# It takes a quarter of a minute of a processor; five minutes is for one that many share.
@pytest.mark.slow
@pytest.mark.timeout(300)
class SiteTests(SynchronousTestCase):
    """The pages, as ``scripts/check`` builds them, too."""

    site: Path

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        folder = tempfile.TemporaryDirectory(prefix="fluxon-site-")
        cls.addClassCleanup(folder.cleanup)
        cls.site = Path(folder.name)
        command = [sys.executable, "-m", "sphinx", "-W", "--keep-going", "-q", "-b", "html", ROOT / "docs", cls.site]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr

    def named(self) -> set[str]:
        """Whatever the reference describes, by its full name."""
        from sphinx.util.inventory import InventoryFile

        inventory = InventoryFile.loads((self.site / "objects.inv").read_bytes(), uri="")
        return {name for kind, names in inventory.data.items() if kind.startswith("py:") for name in names}

    def test_every_public_name_is_in_the_reference(self) -> None:
        """By the name that it is exported under, or by another one of the same object."""
        named = self.named()
        described = {id(value) for full, value in public_names() if full in named}
        missing = [full for full, value in public_names() if full not in named and id(value) not in described]
        self.assertEqual(missing, [])

    def test_members_are_in_the_reference(self) -> None:
        """Classes that programs call methods of are shown with all of them, a base's with the base."""
        named = self.named()
        shown = {id(value): full for full, value in public_names() if full in named}
        for full in (
            "fluxon.cloud.authorization_models.RoleBasedAccessControl",
            "fluxon.cloud.filesystem.Directory",
            "fluxon.cloud.filesystem.File",
            "fluxon.cloud.filesystem.Filesystem",
            "fluxon.connect.Client",
            "fluxon.connect.CloudClient",
            "fluxon.connect.CloudStorageConnector",
            "fluxon.connect.ConnectionInterface",
            "fluxon.database.models.AuthenticatedUser",
            "fluxon.endpoint.AsyncServer",
            "fluxon.endpoint.CloudStorageServer",
            "fluxon.routing.Connection",
            "fluxon.routing.Request",
            "fluxon.security.Secrets",
            "fluxon.sessions.Sessions",
        ):
            module, name = full.rsplit(".", 1)
            cls = getattr(importlib.import_module(module), name)
            bases = [shown[id(each)] for each in cls.__mro__ if id(each) in shown]
            missing = [
                f"{full}.{member}"
                for member, _ in public_members(cls)
                if not any(f"{base}.{member}" in named for base in bases)
            ]
            self.assertEqual(missing, [])

    def test_names_are_links(self) -> None:
        """A name in a guide leads to its place in the reference, and a page named by its path to that page."""
        views = (self.site / "views.html").read_text("utf-8")
        self.assertIn('href="reference/limits.html#fluxon.limits.Limits.view_timeout"', views)
        self.assertRegex((self.site / "reference" / "engine.html").read_text("utf-8"), r'href="\.\./protocol\.html"')

    def test_changes_that_are_not_released(self) -> None:
        """The page of changes shows them above every release."""
        changes = list((ROOT / "docs" / "changes").glob("*.*.md"))
        page = (self.site / "changelog.html").read_text("utf-8")
        self.assertEqual(page.count("<h2>Not released yet"), 1 if changes else 0)
        above, *_ = re.split(r"<h2>\d+\.\d+\.\d+ \(", page)
        self.assertEqual(above.count("<li><p>"), len(changes))

    def test_nothing_is_fetched(self) -> None:
        """A reader without a network has the whole site: styles, scripts, pictures and the search."""
        for page in self.site.rglob("*.html"):
            text = page.read_text("utf-8")
            found = re.findall(r'<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)="(https?:[^"]+)', text)
            self.assertEqual(found, [], page.name)
            # What the theme says on a page with a table of contents of its own, beside the one that it makes.
            self.assertNotIn("Adding a table of contents in Furo-based documentation", text, page.name)
        index = (self.site / "searchindex.js").read_text("utf-8")
        self.assertIn("reverse_request", index)
