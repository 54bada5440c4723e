"""The first minutes, as the page tells them: an empty folder, a wheel, and what somebody types into three terminals."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import ClassVar

import installed
import pytest
from pages import ROOT, Page
from picturing import terminals
from picturing.conversation import Conversation, Script, script_of
from twisted.trial.unittest import SynchronousTestCase

PAGE = "docs/first_minutes.rst"

#: What the page promises.
MOST_COMMANDS, MOST_LINES, MOST_SECONDS = 5, 10, 180


@pytest.mark.slow
@pytest.mark.timeout(400)
class FirstMinutesTests(SynchronousTestCase):
    """Pseudo-terminals for all of it. Libraries are lent instead of fetched, and the port is one that is free."""

    wheel: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        folder = Path(tempfile.mkdtemp(prefix="fluxon-first-"))
        cls.addClassCleanup(shutil.rmtree, folder)
        cls.wheel = installed.build(folder).wheel

    def test_the_page(self) -> None:
        """Each client sees the other's message, and nothing else than the page shows; no more commands, lines and
        seconds than it says; and its picture is how this looks today.
        """
        self.assertEqual(os.listdir(), [])
        page = Page(self, PAGE)
        (commands,), sessions = page.commands(), [text.splitlines() for text in page.shown()]
        script = Script(commands, sessions)
        self.assertEqual(script, script_of((ROOT / PAGE).read_text("utf-8")))
        # The wheel, where pip would fetch it from an index.
        environment = {**installed.environment(), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.wheel.parent)}
        with Conversation(Path.cwd(), script, environment) as talk:
            began = time.monotonic()
            make, install = talk.making
            talk.run(make)
            installed.lend_libraries(Path(".venv").absolute())
            talk.run(install)
            talk.generate()
            talk.serve()
            talk.chat()
            took = time.monotonic() - began
            talk.look()
            server, *people = talk.shown()
            self.assertEqual(talk.stop(), 0)
        self.assertEqual([lines[1:] for lines in people], sessions)

        typed_commands = set(talk.typed) & set(commands)
        print(f"{len(typed_commands)} commands, {len(talk.typed)} typed lines, {took:.0f} seconds")
        self.assertLessEqual(len(typed_commands), MOST_COMMANDS)
        self.assertLessEqual(len(talk.typed), MOST_LINES)
        self.assertLess(took, MOST_SECONDS)

        picture = terminals.text_of((ROOT / "docs" / "_static" / "chat.svg").read_text("utf-8"))
        now = [server, *people]
        self.assertEqual(terminals.lasting(picture), terminals.lasting(now), "scripts/pictures draws it anew")
