"""The words of the command line."""

from __future__ import annotations

import importlib
import io
import sys
from contextlib import redirect_stderr, redirect_stdout

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.command_line import main
from fluxon.connect.command_line.commands import COMMANDS
from fluxon.connect.command_line.parser import DEFAULT_TIMEOUT, parser
from fluxon.connect.command_line.statuses import TEXT, status_of
from fluxon.errors import (
    AlreadyExists,
    ConfigurationError,
    DeadlineExceeded,
    NotFound,
    PermissionDenied,
    Unavailable,
    UntrustedServer,
)


class ModuleTests(SynchronousTestCase):
    def test_only_looked_at(self) -> None:
        """Tools that import every module (help, documentation) run no command by it."""
        self.patch(sys, "argv", ["anything", "--version"])
        sys.modules.pop("fluxon.connect.__main__", None)
        self.assertIs(importlib.import_module("fluxon.connect.__main__").main, main)


class ParserTests(SynchronousTestCase):
    def refuse(self, *arguments: str) -> str:
        said = io.StringIO()
        with redirect_stderr(said):
            error = self.assertRaises(SystemExit, parser().parse_args, arguments)
        self.assertEqual(error.code, 2)
        return said.getvalue()

    def test_every_command_is_carried_out(self) -> None:
        """What the help offers is what there is."""
        shown = io.StringIO()
        with redirect_stdout(shown):
            self.assertRaises(SystemExit, parser().parse_args, ["--help"])
        for name in COMMANDS:
            self.assertIn(f"\n    {name} ", shown.getvalue())
            with redirect_stdout(io.StringIO()) as own:
                self.assertRaises(SystemExit, parser().parse_args, [name, "--help"])
            self.assertIn("exit status", " ".join(own.getvalue().split()))
        self.refuse("dance")
        self.refuse()

    def test_options_before_and_behind_the_command(self) -> None:
        """Both places mean the same, and what stands at one is not undone by the other."""
        for arguments in (["--json", "ls", "/a"], ["ls", "--json", "/a"], ["ls", "/a", "--json"]):
            options = parser().parse_args([*arguments, "--server", "x:1"])
            self.assertEqual((options.json, options.server, options.path), (True, "x:1", "/a"))
        options = parser().parse_args(["--timeout", "5", "ls"])
        self.assertEqual((options.timeout, options.quiet, options.path), (5.0, False, "/"))
        self.assertEqual(parser().parse_args(["ls"]).timeout, DEFAULT_TIMEOUT)

    def test_no_password_is_an_option(self) -> None:
        """It would be seen by everybody on the machine."""
        self.refuse("login", "Jane", "secret")
        self.refuse("login", "Jane", "--password", "secret")

    def test_what_a_script_has_not_set(self) -> None:
        """An empty path is not the root, nor the folder that the command runs in: nothing is put, shared or deleted."""
        for typed in (
            ("put", "", "/a"),
            ("put", "file", ""),
            ("get", ""),
            ("get", "/a", ""),
            ("rm", "-r", "/a", ""),
            ("mv", "", "/a"),
            ("cp", "/a", ""),
            ("ls", ""),
            ("share", "", "Mike", "viewer"),
            ("share", "/a", "", "viewer"),
            ("unshare", "/a", "Mike", ""),
        ):
            said = io.StringIO()
            with redirect_stderr(said):
                refused = self.assertRaises(SystemExit, parser().parse_args, typed)
            self.assertEqual(refused.code, 2)
            self.assertIn("it is empty", said.getvalue())

    def test_wrong_numbers(self) -> None:
        """They are refused by the parser."""
        self.refuse("get", "/a", "--jobs", "0")
        self.refuse("log", "-n", "x")
        self.refuse("restore", "/a")


class StatusTests(SynchronousTestCase):
    """Exit statuses."""

    def test_kinds(self) -> None:
        """Each kind of failure has its own, and the help tells it."""
        for error, status in (
            (ConfigurationError(), 2),
            (Unavailable(), 3),
            (UntrustedServer(), 3),
            (DeadlineExceeded(), 3),
            (PermissionDenied(), 4),
            (NotFound(), 5),
            (AlreadyExists(), 1),
        ):
            self.assertEqual(status_of(error), status)
            self.assertIn(f"{status} ", TEXT)
