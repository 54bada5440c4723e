"""Whole folders: where what a server lists may land."""

from __future__ import annotations

import argparse
import io
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.cloud import CloudItem
from fluxon.connect.command_line.folders import get
from fluxon.connect.command_line.output import Output, printable, size
from fluxon.errors import InvalidPayload

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
