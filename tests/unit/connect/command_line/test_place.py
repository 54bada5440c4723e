"""Which server a command means, and what is remembered of it."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.command_line.parser import parser
from fluxon.connect.command_line.place import Place
from fluxon.connect.command_line.saved import Saved, SavedSessions


class PlaceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.sessions = SavedSessions(Path(self.mktemp()))

    def place(self, *arguments: str) -> Place:
        return Place(parser().parse_args([*arguments, "whoami"]), self.sessions)

    def test_what_is_typed(self) -> None:
        """It goes before what was remembered; a certificate is meant as the shell's folder has it."""
        self.sessions.save(Saved("example.org", 8080, 8888, False, None, "Jane", "token"))
        saved = self.place("--secure", "--trust", "mine.pem", "--cloud-port", "9").saved
        self.assertEqual((saved.host, saved.cloud_port, saved.secure), ("example.org", 9, True))
        self.assertEqual(saved.trust, os.path.join(os.getcwd(), "mine.pem"))
        self.assertEqual((saved.user, saved.token), ("Jane", "token"))

    def test_nothing_is_typed(self) -> None:
        """All of it is as it was remembered."""
        remembered = Saved("example.org", 8080, 8888, True, "/mine.pem", "Jane", "token")
        self.sessions.save(remembered)
        self.assertEqual(self.place().saved, remembered)

    def test_one_connection(self) -> None:
        """A command that asks for it twice has one, and so the session that it has."""
        with self.place("--server", "127.0.0.1:9") as place:
            main = place.main
            self.assertIs(place.main, main)

    def test_nobody_is_logged_in_after_all(self) -> None:
        """Without a session of a user no user's name is remembered."""
        place = self.place("--server", "example.org:8080")
        place.remember("Jane")
        saved = self.sessions.of("example.org", 8080)
        assert saved is not None
        self.assertEqual((saved.user, saved.token), (None, None))
        place.session.resume("token")
        place.remember("Jane")
        saved = self.sessions.of("example.org", 8080)
        assert saved is not None
        self.assertEqual((saved.user, saved.token), ("Jane", "token"))
