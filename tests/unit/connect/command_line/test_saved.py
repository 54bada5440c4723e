"""Sessions on the disk: private, whole, and never believed blindly."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.command_line import saved as saved_module
from fluxon.connect.command_line.saved import Saved, SavedSessions
from fluxon.errors import ConfigurationError


class SavedSessionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        self.sessions = SavedSessions(self.folder)
        self.saved = Saved("example.org", 8080, 8888, True, "/certificate.pem", "Jane", "v1.token")

    def test_what_was_saved(self) -> None:
        """It is read back, by its server and as the last one."""
        self.assertIsNone(self.sessions.last())
        self.sessions.save(self.saved)
        other = Saved("127.0.0.1", 9, 10, False, None, None)
        self.sessions.save(other)
        self.assertEqual(self.sessions.of("EXAMPLE.org", 8080), self.saved)
        self.assertEqual(self.sessions.last(), other)
        self.assertIsNone(self.sessions.of("example.org", 8081))

    def test_token_is_not_shown(self) -> None:
        """Not by ``repr`` either."""
        self.assertNotIn("v1.token", repr(self.saved))

    def test_private(self) -> None:
        """Whatever the umask."""
        self.addCleanup(os.umask, os.umask(0))
        self.sessions.save(self.saved)
        folder = self.folder / "sessions"
        self.assertEqual(stat.S_IMODE(folder.stat().st_mode), 0o700)
        self.assertEqual({stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()}, {0o600})
        self.assertEqual(len(list(folder.iterdir())), 2)

    def test_open_to_others(self) -> None:
        """A file or folder that others can read is refused, and it is said what to type."""
        self.sessions.save(self.saved)
        folder = self.folder / "sessions"
        file = folder / "example.org_8080.json"
        file.chmod(0o640)
        error = self.assertRaises(ConfigurationError, self.sessions.last)
        self.assertIn("chmod 600", error.text)
        file.chmod(0o600)
        folder.chmod(0o755)
        error = self.assertRaises(ConfigurationError, self.sessions.save, self.saved)
        self.assertIn("chmod 700", error.text)

    def test_link(self) -> None:
        """One is not followed."""
        self.sessions.save(self.saved)
        file = self.folder / "sessions" / "example.org_8080.json"
        file.rename(self.folder / "elsewhere")
        file.symlink_to(self.folder / "elsewhere")
        self.assertRaises((OSError, ConfigurationError), self.sessions.last)  # type: ignore[arg-type]

    def test_no_file(self) -> None:
        """A pipe that somebody put there is refused, and not waited for."""
        self.sessions.save(self.saved)
        file = self.folder / "sessions" / "example.org_8080.json"
        file.unlink()
        os.mkfifo(file, 0o600)
        self.assertIn("no regular file", self.assertRaises(ConfigurationError, self.sessions.last).text)

    def test_of_another_user(self) -> None:
        """Whoever put it there may know what is in it."""
        self.sessions.save(self.saved)
        somebody = os.geteuid() + 1
        self.patch(os, "geteuid", lambda: somebody)
        self.assertIn("another user", self.assertRaises(ConfigurationError, self.sessions.last).text)
        self.assertRaises(ConfigurationError, self.sessions.save, self.saved)

    def test_where_it_is_kept(self) -> None:
        """Where the system has such things; on Windows, whose own rules keep that folder private."""
        home = self.folder / "home"
        self.patch(os, "environ", {"XDG_CONFIG_HOME": str(home / "config"), "APPDATA": str(home / "data")})
        SavedSessions().save(self.saved)
        self.assertTrue((home / "config" / "fluxon" / "sessions" / "last").is_file())
        self.patch(saved_module.sys, "platform", "win32")
        SavedSessions().save(self.saved)
        (home / "data" / "fluxon" / "sessions").chmod(0o755)
        self.assertEqual(SavedSessions().last(), self.saved)

    def test_nowhere(self) -> None:
        """A user without a home, as a container may have one, is told what to set."""

        def home() -> Path:
            raise RuntimeError("Could not determine home directory.")

        self.patch(os, "environ", {})
        self.patch(Path, "home", staticmethod(home))
        self.assertIn("XDG_CONFIG_HOME", self.assertRaises(ConfigurationError, SavedSessions).text)

    def test_damaged(self) -> None:
        """It is as none."""
        self.sessions.save(self.saved)
        wrong = json.dumps({**attrs.asdict(self.saved), "port": "8080"})
        for text in ("", "{", "[]", '{"host": 5}', '{"host": "x"}', wrong):
            (self.folder / "sessions" / "example.org_8080.json").write_text(text)
            self.assertIsNone(self.sessions.last())
        (self.folder / "sessions" / "last").write_text("../../etc/passwd")
        self.assertIsNone(self.sessions.last())
