"""Loading a router file: what comes of it, and what its author is told."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from fluxon.config import load_config
from fluxon.errors import ConfigurationError


class LoadConfig(SynchronousTestCase):
    """Each test has a folder of its own; what it imported is forgotten afterwards."""

    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.folder)
        self.patch(sys, "path", list(sys.path))
        known = set(sys.modules)

        def forget() -> None:
            for name in set(sys.modules) - known:
                del sys.modules[name]

        self.addCleanup(forget)

    def write(self, name: str, text: str) -> Path:
        """A file of the program."""
        path = self.folder / name
        path.write_text(text)
        return path

    def refused(self, path: Path | str, *parts: str) -> None:
        """The text of the error has all these parts."""
        error = self.assertRaises(ConfigurationError, load_config, path)
        for part in parts:
            self.assertIn(part, error.text)

    def test_a_router_with_its_neighbours(self) -> None:
        """It can import what is beside it, from whatever folder it is loaded; twice is the same module."""
        self.write("neighbour_of_router.py", "value = 5\n")
        path = self.write("router_under_test.py", "import neighbour_of_router\nsetup = neighbour_of_router.value\n")
        module = load_config(path)
        self.assertEqual(module.setup, 5)
        self.assertIs(load_config(path), module)
        self.assertEqual(sys.path[0], str(self.folder))

    def test_mistakes_are_told_with_their_place(self) -> None:
        """Missing file, syntax error, import error, an exception in a neighbour, a bad name."""
        self.refused(self.folder / "nothing.py", "nothing.py")
        self.refused(self.folder, "no file")
        self.refused(self.write("two words.py", ""), "two words.py")
        self.refused(self.write("broken_syntax.py", "x = 1\ndef (:\n"), "broken_syntax.py, line 2")
        self.refused(self.write("no_such_import.py", "import not_there_at_all\n"), "line 1", "not_there_at_all")
        self.write("bad_neighbour.py", "x = 1\n\ny = undefined_name\n")
        self.refused(self.write("router_of_bad.py", "import bad_neighbour\n"), "bad_neighbour.py, line 3", "NameError")
        text = "from fluxon.database import models\nclass A(models.Model):\n    x = models.CharField(max_length=0)\n"
        self.refused(self.write("bad_models.py", text), "bad_models.py, line 2", "A.x")

    def test_what_is_no_text(self) -> None:
        """Is told by its name, without a line that it does not have."""
        error = self.assertRaises(ConfigurationError, load_config, self.write("no_text.py", "x = 1\n\0"))
        self.assertTrue(error.text.startswith("no_text.py: "), error.text)
        self.assertIn("null bytes", error.text)

    def test_what_the_file_has_no_part_in(self) -> None:
        """An import that fails before the file is read, in a finder of somebody else's, is told by the file's name."""

        class Finder:
            def find_spec(self, name: str, *_: object) -> None:
                if name == "never_read":
                    raise ImportError("the finder is broken")

        self.patch(sys, "meta_path", [Finder(), *sys.meta_path])
        error = self.assertRaises(ConfigurationError, load_config, self.write("never_read.py", "setup = 1\n"))
        self.assertEqual(error.text, "never_read.py: ImportError: the finder is broken")

    def test_a_name_that_is_taken(self) -> None:
        """A router called like a module that is imported already is not silently replaced by it."""
        self.refused(self.write("json.py", "setup = 1\n"), "json", "rename")

    def test_a_server_that_would_run(self) -> None:
        """A file that is loaded for its setup must not start a server, which would never return."""
        text = "from fluxon.endpoint import run_server\nrun_server(None)\n"
        self.refused(self.write("runs_at_once.py", text), "runs_at_once.py, line 2", "__main__")
        self.refused(self.write("fails_after.py", "1/0\n"), "ZeroDivisionError")
