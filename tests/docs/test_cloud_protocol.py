"""``docs/cloud_protocol.rst`` says what ``commands.cloud`` declares."""

from __future__ import annotations

import csv
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from fluxon.commands import Command, Field, ListOf, Optional, cloud
from fluxon.commands.cloud.common import USER
from fluxon.limits import Limits

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "cloud_protocol.rst").read_text("utf-8")

#: What has a table of its own and is named by it elsewhere.
STRUCTURES = {
    "item": cloud.ITEM,
    "version": cloud.VERSION,
    "deleted item": cloud.DELETED,
    "assignment": cloud.ASSIGNMENT,
    "action": cloud.ACTION,
    "user": USER,
}

COMMANDS = [
    each
    for each in vars(cloud).values()
    if isinstance(each, type) and issubclass(each, Command) and hasattr(each, "name")
]


def described(field: Field) -> str:
    """A type in the words of the text."""
    for name, structure in STRUCTURES.items():
        if field is structure:
            return name
    if isinstance(field, Optional):
        return f"{described(field.field)}, or null"
    if isinstance(field, ListOf):
        return f"list of at most {field.max_items}: {described(field.item)}"
    return field.describe()


def tables() -> dict[str, dict[str, str]]:
    """Title of each table: names of its rows, and their types."""
    found = {}
    for title, rows in re.findall(r"^\.\. csv-table:: (.+)\n.*\n\n((?:   .+\n)+)", TEXT, re.M):
        lines = csv.reader((line.strip() for line in rows.splitlines()), skipinitialspace=True)
        found[title] = {row[0]: row[1] for row in lines}
    return found


class CloudProtocolTests(SynchronousTestCase):
    """Whoever writes a client from the text writes one that works."""

    def test_commands(self) -> None:
        """Each command has its heading, and tables of exactly what it takes and answers; and there are no others."""
        expected = {name: structure.fields for name, structure in STRUCTURES.items()}
        for command in COMMANDS:
            self.assertIn(f"\n{command.name}\n{'-' * len(command.name)}\n", TEXT)
            expected[f"{command.name}: arguments"] = dict(command.arguments)
            assert isinstance(command.response, dict)
            if command.response:
                expected[f"{command.name}: answer"] = command.response
        self.assertGreater(len(COMMANDS), 25)
        shown = {
            title: {name: described(field) for name, field in fields.items()} for title, fields in expected.items()
        }
        self.assertEqual(tables(), shown)

    def test_numbers(self) -> None:
        """Limits that the text names are the limits."""
        self.assertIn(f"up to ``{cloud.INLINE:,}`` bytes", TEXT)
        limits = Limits()
        said = " ".join(TEXT.split())
        for number, text in (
            (limits.cloud_timeout, "``Limits.cloud_timeout`` (600 seconds)"),
            (limits.cloud_upload_kept / 3600, "over another one for an hour"),
            (limits.cloud_uploads_per_user, "has at most 16 of them"),
            (limits.cloud_commit_kept / 60, "again within ten minutes"),
            (limits.cloud_news, "when 100 changes have no answer"),
        ):
            self.assertIn(text, said)
            words = {"an hour": "1", "ten minutes": "10"}
            for word, digits in words.items():
                text = text.replace(word, digits)
            self.assertIn(str(int(number)), re.findall(r"\d+", text))
