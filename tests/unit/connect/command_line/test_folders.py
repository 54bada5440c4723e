"""Whole folders: where what a server lists may land."""

from __future__ import annotations

import argparse
import io
import json
import os
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.cloud import CloudItem
from fluxon.connect.command_line import folders
from fluxon.connect.command_line.folders import get, put
from fluxon.connect.command_line.output import Output, as_json, printable, size
from fluxon.errors import InvalidPayload, NotFound, PermissionDenied, Unavailable

NOW = datetime(2027, 1, 31, tzinfo=UTC)


def item(path: str, kind: str = "file") -> CloudItem:
    return CloudItem(path.rpartition("/")[2], path, kind, 4, 1, "0" * 64, None, NOW, NOW)


class Hostile:
    """A cloud that lists what it likes."""

    def __init__(self, *paths: str) -> None:
        self.paths = paths

    def stat(self, path: str) -> CloudItem:
        return item(path, "directory")

    def read_tree_directory(self, path: str) -> list[CloudItem]:
        return [item(each) for each in self.paths]

    def download_file(self, path: str, local: Path, progress: Any) -> CloudItem:
        Path(local).write_text("evil")
        return item(path)

    def close(self) -> None:
        return


class HostileListingTests(SynchronousTestCase):
    """What a server calls its files is no path of this machine."""

    def test_nothing_outside(self) -> None:
        """Names that lead out of the folder, or mean more to the system, are refused before anything is written."""
        place = Path(self.mktemp())
        (place / "inside").mkdir(parents=True)
        for bad in (
            "/a/../../outside",
            "/a/..",
            "/a/.",
            "/a//x",
            "/a/b\0",
            "/other/x",
            "/ab",
        ):
            options = argparse.Namespace(path="/a", local=str(place / "inside"), jobs=1)
            output = Output(io.StringIO(), io.StringIO(), as_json=False, quiet=False)
            cloud: Any = argparse.Namespace(cloud=Hostile("/a/fine", bad))
            self.assertRaises(InvalidPayload, get, cloud, options, output)
        self.assertEqual([str(each) for each in place.rglob("*")], [str(place / "inside")])


class UnwelcomeListingTests(SynchronousTestCase):
    """What cannot be transferred is told of, and keeps no other."""

    def setUp(self) -> None:
        self.inside = Path(self.mktemp()).absolute()
        self.inside.mkdir()

    def get(self, *paths: str) -> tuple[int | None, str, list[str]]:
        """The exit status, what is complained of, and the files that are there then."""
        err = io.StringIO()
        output = Output(io.StringIO(), err, as_json=False, quiet=False)
        place: Any = argparse.Namespace(cloud=Hostile(*paths))
        status = get(place, argparse.Namespace(path="/a", local=str(self.inside), jobs=1), output)
        return status, err.getvalue(), sorted(each.name for each in self.inside.rglob("*") if each.is_file())

    def test_one_file_of_two_names(self) -> None:
        """Names that differ in case alone, or in how a letter is written, may be one file here: the first is taken."""
        status, said, there = self.get("/a/b", "/a/B", "/a/b", "/a/\u00fc", "/a/u\u0308", "/a/c")
        self.assertEqual((status, there), (1, ["b", "c", "\u00fc"]))
        self.assertEqual(said.count("another item of this name"), 3)

    def test_a_file_where_a_folder_is_to_be(self) -> None:
        """The folder is told of, and the others come."""
        (self.inside / "d").write_text("mine")
        self.patch(Hostile, "read_tree_directory", lambda _, path: [item("/a/d", "directory"), item("/a/e")])
        status, said, there = self.get()
        self.assertEqual((status, there, (self.inside / "d").read_text()), (1, ["d", "e"], "mine"))
        self.assertIn(f"{self.inside / 'd'}: ", said)

    def test_names_of_another_system(self) -> None:
        """A backslash is a letter like any other here, and leads into a folder on Windows: it is left out there."""
        self.assertEqual(self.get("/a/b\\c", "/a/d:e"), (None, "", ["b\\c", "d:e"]))
        self.patch(folders.sys, "platform", "win32")
        for each in self.inside.iterdir():
            each.unlink()
        status, said, there = self.get("/a/b\\c", "/a/d:e", "/a/f.", "/a/fine")
        self.assertEqual((status, there, said.count("can be no file's name on this machine")), (1, ["fine"], 3))

    def test_complaints_are_no_commands(self) -> None:
        """What a server calls its files cannot move the terminal's cursor."""
        _, said, _ = self.get("/a/b\x1b[2J", "/a/b\x1b[2J", "/a/c")
        self.assertIn("another item", said)
        self.assertNotIn("\x1b", said)


class Empty:
    """A cloud with nothing in it, that notes what it is sent."""

    def __init__(self) -> None:
        self.made: list[str] = []

    def read_tree_directory(self, path: str) -> list[CloudItem]:
        return []

    def create_directory(self, path: str) -> None:
        self.made.append(path)

    def stat(self, path: str) -> CloudItem:
        raise NotFound()

    def upload_file(self, path: str, local: Path, progress: Any) -> CloudItem:
        self.made.append(path)
        return item(path)

    def close(self) -> None:
        return


class RootTests(SynchronousTestCase):
    def put(self, *local: Path) -> list[str]:
        """What is made by sending something to the root itself."""
        cloud = Empty()
        options = argparse.Namespace(path="", local=[str(each) for each in local], jobs=1)
        output = Output(io.StringIO(), io.StringIO(), as_json=False, quiet=True)
        place: Any = argparse.Namespace(cloud=cloud)
        put(place, options, output)
        return cloud.made

    def test_into_the_root(self) -> None:
        """It is a directory, and there: a file goes into it, and a folder's files do, without it being made."""
        folder = Path(self.mktemp())
        (folder / "deep").mkdir(parents=True)
        (folder / "deep" / "file").write_text("1")
        self.assertEqual(self.put(folder / "deep" / "file"), ["/file"])
        self.assertEqual(self.put(folder), ["/deep", "/deep/file"])


class LeftOutTests(SynchronousTestCase):
    """Nothing of a folder is left out without a word."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).absolute()
        (self.folder / "deep").mkdir(parents=True)
        (self.folder / "deep" / "file").write_text("1")
        (self.folder / "fine").write_text("1")
        self.cloud = Empty()

    def put(self) -> tuple[int | None, str]:
        err = io.StringIO()
        output = Output(io.StringIO(), err, as_json=False, quiet=True)
        place: Any = argparse.Namespace(cloud=self.cloud)
        status = put(place, argparse.Namespace(path="/a", local=[str(self.folder)], jobs=1), output)
        return status, err.getvalue()

    def test_folder_that_cannot_be_read(self) -> None:
        """It is told of, and the command fails at its end."""
        really: Any = os.scandir

        def scandir(path: Any) -> Any:
            if str(path).endswith("deep"):
                raise PermissionError(13, "Permission denied", str(path))
            return really(path)

        self.patch(os, "scandir", scandir)
        status, said = self.put()
        self.assertEqual((status, said), (1, "/a/deep: Permission denied\n"))
        self.assertIn("/a/fine", self.cloud.made)

    def test_link_to_a_folder(self) -> None:
        """It is not followed, which might have no end, and no empty folder takes its place."""
        (self.folder / "link").symlink_to(self.folder)
        status, said = self.put()
        self.assertIsNone(status)
        self.assertIn("a link to a folder", said)
        self.assertNotIn("/a/link", self.cloud.made)

    def test_folder_that_cannot_be_made(self) -> None:
        """The others are put all the same; but for a lost connection, which they would meet as well."""

        def refuse(_: Any, path: str) -> None:
            if path != "/a":
                raise error

        self.patch(Empty, "create_directory", refuse)
        error: Exception = PermissionDenied("not there")
        self.assertEqual(self.put(), (1, "/a/deep: not there\n"))
        self.assertEqual(self.cloud.made, ["/a/fine"])
        error = Unavailable("lost")
        self.assertRaises(Unavailable, self.put)


class OutputTests(SynchronousTestCase):
    """What is shown."""

    def test_no_command_to_the_terminal(self) -> None:
        """Names and texts of others cannot move the cursor."""
        self.assertEqual(printable("a\x1b[2Jb\u202ec\tü"), "a\ufffd[2Jb\ufffdc\tü")

    def test_json_is_no_command_to_the_terminal(self) -> None:
        """Nor is JSON, which stays what it is: what a terminal obeys, or does not have, is written otherwise."""
        value = {"a\x9b2J": "\u202eb\tü\x7f"}
        for encoding, there in (("utf-8", "ü"), ("ascii", "\\u00fc")):
            out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
            for indent in (None, 2):
                text = as_json(value, out, indent)
                self.assertEqual(json.loads(text), value)
                self.assertTrue(text.replace("\n", "").isprintable())
                self.assertIn(there, text)

    def test_sizes(self) -> None:
        """In the unit that is read most easily."""
        self.assertEqual(
            [size(each) for each in (0, 1023, 1024, 5 * 2**20, 3 * 2**40)],
            ["0 B", "1023 B", "1.0 KiB", "5.0 MiB", "3.0 TiB"],
        )

    def test_json(self) -> None:
        """Everything that the cloud answers has a form there."""
        out = io.StringIO()
        Output(out, io.StringIO(), as_json=True, quiet=False).value([item("/a"), {"b": b"\1"}, frozenset("ab")])
        self.assertIn('"modified_at": "2027-01-31T00:00:00+00:00"', out.getvalue())
        self.assertIn('["a", "b"]', out.getvalue())

    def test_values_that_json_has_not(self) -> None:
        """What a view answers, and JSON does not know, is shown as text."""
        out = io.StringIO()
        Output(out, io.StringIO(), as_json=True, quiet=False).value({"price": Decimal("1.50")})
        self.assertEqual(out.getvalue(), '{"price": "1.50"}\n')
