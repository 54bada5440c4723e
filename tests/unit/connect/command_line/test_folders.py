"""Whole folders: where what a server lists may land."""

from __future__ import annotations

import argparse
import io
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.cloud import CloudItem
from fluxon.connect.command_line.folders import get, put
from fluxon.connect.command_line.output import Output, printable, size
from fluxon.errors import InvalidPayload, NotFound

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
            "/a/b\\c",
            "/a/b\0",
            "/other/x",
            "/ab",
        ):
            options = argparse.Namespace(path="/a", local=str(place / "inside"), jobs=1)
            output = Output(io.StringIO(), io.StringIO(), as_json=False, quiet=False)
            cloud: Any = argparse.Namespace(cloud=Hostile("/a/fine", bad))
            self.assertRaises(InvalidPayload, get, cloud, options, output)
        self.assertEqual([str(each) for each in place.rglob("*")], [str(place / "inside")])


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


class OutputTests(SynchronousTestCase):
    """What is shown."""

    def test_no_command_to_the_terminal(self) -> None:
        """Names and texts of others cannot move the cursor."""
        self.assertEqual(printable("a\x1b[2Jb\u202ec\tü"), "a\ufffd[2Jb\ufffdc\tü")

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
