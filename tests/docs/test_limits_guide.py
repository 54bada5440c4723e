"""``docs/limits.rst`` says of every limit what ``fluxon/limits.py`` says, and names the bounds that are no settings."""

from __future__ import annotations

import contextlib
import csv
import importlib
import io
import re
import socket
from pathlib import Path
from typing import Any

import attrs
from pages import ROOT, Page
from terminal import Terminal
from twisted.trial.unittest import SynchronousTestCase

from fluxon.bounds import Elsewhere
from fluxon.errors import ResourceExhausted
from fluxon.limits import Limits
from fluxon.routing import Setup
from fluxon.startproject import generate
from fluxon.testing import MemoryServer

GUIDE = ROOT / "docs" / "limits.rst"


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


class GuideTests(SynchronousTestCase):
    def test_blocks(self) -> None:
        """The limits are made, a port behind a proxy is served, and whoever asks too often is told so."""
        page = Page(self, "docs/limits.rst")
        names: dict[str, Any] = {}
        (router,), ((behind_proxy,),), (refusal,) = page.fragments(), page.commands(), page.shown()
        exec(router.text, names)
        self.assertEqual((names["limits"].view_timeout, names["limits"].request_rate), (60, 50))

        generate("AsyncServer", "chat")
        terminal = Terminal(self, Path("chat").absolute())
        terminal.type(behind_proxy)
        with socket.create_connection(("127.0.0.1", int(terminal.ports["8080"])), 60) as proxy:
            proxy.sendall(b"PROXY TCP4 192.0.2.7 192.0.2.1 50112 8080\r\n\0\0\0\1")  # a frame that is none
            with contextlib.suppress(ConnectionResetError):
                proxy.recv(1)
        terminal.servers[0].expect("connection of 192.0.2.7:50112")
        terminal.stop_servers()

        async def nothing(request: Any) -> None:
            return None

        limits = Limits(request_rate=1_000, request_burst=0.1)
        with MemoryServer(Setup(mapping={"nothing": nothing}, secrets="secrets", limits=limits)) as app:
            client = app.connect()
            with self.assertRaises(ResourceExhausted) as refused:
                for _ in range(10_000):
                    client.send_request("nothing")
        told = f"{refused.exception.code}: {refused.exception.text}"
        self.assertEqual(re.sub(r"in \S+ s", "", told), re.sub(r"in \S+ s", "", refusal.strip()))


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
