"""Single commands, with a cloud of the test's own."""

from __future__ import annotations

import argparse
import io
import threading
from collections.abc import Callable
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.cloud import CloudChange
from fluxon.connect.cloud.watches import CloudWatch
from fluxon.connect.command_line.commands import COMMANDS
from fluxon.connect.command_line.output import Output


class Watched:
    """A cloud where a watch ends a while after it has begun."""

    def watch(self, path: str, function: Callable[[CloudChange], Any]) -> None:
        watch = CloudWatch(path, function)
        function(watch.change("write"))
        # Longer than one wait of the command, which Ctrl+C could come into.
        threading.Timer(0.7, function, [watch.change("ended")]).start()


class CommandTests(SynchronousTestCase):
    def run_command(self, name: str, place: Any, *, quiet: bool = False, **options: Any) -> tuple[str, str]:
        """What it prints, and what it says beside that."""
        out, err = io.StringIO(), io.StringIO()
        COMMANDS[name](place, argparse.Namespace(**options), Output(out, err, as_json=False, quiet=quiet))
        return out.getvalue(), err.getvalue()

    def test_a_watch_that_ends(self) -> None:
        """The command does, too, when nothing more will come; until then it shows what does."""
        place = argparse.Namespace(cloud=Watched())
        shown, said = self.run_command("watch", place, path="/a")
        first, last = shown.splitlines()
        self.assertIn(" write ", first)
        self.assertIn(" ended ", last)
        self.assertIn("watching /a", said)
        shown, said = self.run_command("watch", place, quiet=True, path="/a")
        self.assertEqual((len(shown.splitlines()), said), (2, ""))

    def test_logging_out_twice(self) -> None:
        """Nobody is there to log out: the server is not asked, and with --quiet nothing is said."""
        place = argparse.Namespace(saved=argparse.Namespace(token=None))
        self.assertEqual(self.run_command("logout", place, view="logout"), ("nobody was logged in\n", ""))
        self.assertEqual(self.run_command("logout", place, quiet=True, view="logout"), ("", ""))
