"""``docs/console.rst`` shows the table of commands as it is."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from fluxon.console.table import COMMANDS

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "console.rst"


class CommandsTests(SynchronousTestCase):
    """The section "The commands"."""

    def test_every_command_is_shown(self) -> None:
        """In the table's order, as it is written, with the same words."""
        section = GUIDE.read_text("utf-8").partition("The commands\n====")[2].partition("\n\n\n")[0]
        shown = re.findall(r"^``(.+)``\n    (.+)$", section, re.MULTILINE)
        self.assertEqual(shown, [(each.usage, each.help) for each in COMMANDS])
