"""``docs/limits.rst`` says of every limit what ``fluxon/limits.py`` says, and names the bounds that are no settings."""

from __future__ import annotations

import csv
import importlib
import io
from pathlib import Path

import attrs
from twisted.trial.unittest import SynchronousTestCase

from fluxon.bounds import Elsewhere
from fluxon.limits import Limits

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "limits.rst"


def rows_of(title: str) -> list[list[str]]:
    """The rows of the ``csv-table`` of that title."""
    table = GUIDE.read_text("utf-8").split(f".. csv-table:: {title}\n", 1)[1].split("\n\n", 1)[1].split("\n\n", 1)[0]
    return [row for row in csv.reader(io.StringIO(table), skipinitialspace=True) if row]


def expected() -> list[list[str]]:
    """What the table has to say."""
    limits, rows = Limits(), []
    for name, field in attrs.fields_dict(Limits).items():
        default, unit = getattr(limits, name), field.metadata["unit"]
        number = f"1/{default}" if unit == "th part" else f"{default:,.15g} {unit}"
        where = " (other machines)" if isinstance(default, Elsewhere) else ""
        rows.append([name, number + where, field.metadata["why"], field.metadata["beyond"]])
    return rows


class TableTests(SynchronousTestCase):
    def test_every_limit(self) -> None:
        """Name, default, unit, reason and what happens beyond it, in the order of the declaration."""
        shown = [[name.strip("`"), *rest] for name, *rest in rows_of("Limits")]
        wanted = expected()
        if shown != wanted:
            lines = io.StringIO()
            csv.writer(lines, quoting=csv.QUOTE_ALL).writerows([f"``{name}``", *rest] for name, *rest in wanted)
            self.fail("the table should be:\n" + "".join(f"   {line}\n" for line in lines.getvalue().splitlines()))

    def test_bounds_that_are_no_settings(self) -> None:
        """Each is where the guide says, with that number."""
        rows = rows_of("Bounds that are no settings")
        self.assertGreater(len(rows), 20)
        for place, number, _ in rows:
            module, _, name = place.strip("`").rpartition(".")
            found = getattr(importlib.import_module(module), name)
            self.assertEqual(f"{found:,.15g}", number, place)

    def test_units(self) -> None:
        """Every limit has a unit, a reason and a consequence in words."""
        for name, field in attrs.fields_dict(Limits).items():
            for part in ("unit", "why", "beyond"):
                self.assertGreater(len(field.metadata[part]), 3, name)
