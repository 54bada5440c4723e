"""The pictures of README.md and the site: drawn from what is there, and complete in themselves."""

from __future__ import annotations

import re
from configparser import ConfigParser
from xml.etree import ElementTree

from pages import ROOT
from picturing import architecture
from twisted.trial.unittest import SynchronousTestCase

PICTURES = ROOT / "docs" / "_static"


class PictureTests(SynchronousTestCase):
    """``test_first_minutes`` compares what the chat says with a run."""

    def test_architecture_is_drawn(self) -> None:
        """The file is what the program draws today."""
        drawn = architecture.draw()
        self.assertEqual((PICTURES / "architecture.svg").read_text("utf-8"), drawn, "scripts/pictures draws it anew")

    def test_rooms(self) -> None:
        """Each is a package, and they stand as they may import each other: the last of them on top."""
        settings = ConfigParser()
        settings.read(ROOT / "setup.cfg", "utf-8")
        layers = settings["importlinter:contract:layers"]["layers"].split("\n")
        heights = []
        for name in architecture.ROOMS:
            (height,) = (number for number, each in enumerate(layers) if f"fluxon.{name}" in re.split(r"[ |()]+", each))
            heights.append(height)
        self.assertEqual(heights, sorted(heights, reverse=True))
        for name in (*architecture.ROOMS, *architecture.KEPT):
            self.assertTrue((ROOT / "fluxon" / name / "__init__.py").is_file(), name)

    def test_they_stand_alone(self) -> None:
        """No font, script or picture from elsewhere; a text for those who do not see it; both surroundings."""
        for name in ("architecture.svg", "chat.svg"):
            text = (PICTURES / name).read_text("utf-8")
            root = ElementTree.fromstring(text)
            self.assertTrue(root.get("aria-label"), name)
            self.assertEqual(re.findall(r"(?:href|src|url)\W*https?:|<script|@import", text), [], name)
            self.assertIn("prefers-color-scheme:dark", text)

    def test_they_are_shown(self) -> None:
        """Both by README.md, under the name that they say themselves."""
        shown = dict(re.findall(r"!\[(.+)\]\(docs/_static/(\w+\.svg)\)", (ROOT / "README.md").read_text("utf-8")))
        for words, name in shown.items():
            label = ElementTree.fromstring((PICTURES / name).read_text("utf-8")).get("aria-label")
            self.assertEqual(label, words)
        self.assertEqual(set(shown.values()), {"architecture.svg", "chat.svg"})
