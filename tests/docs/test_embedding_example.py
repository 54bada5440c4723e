"""The example of a Fluxon server inside an existing Twisted application: its story, and its programs as they stand."""

from __future__ import annotations

import json
import shutil
import urllib.error
import urllib.request
from typing import Any

from children import Child
from example import Example
from pages import Page
from twisted.trial.unittest import SynchronousTestCase

README = "docs/examples/embedding/README.md"
LOCAL = "tcp:0:interface=127.0.0.1"


class EmbeddingTests(SynchronousTestCase):
    """By one command; and the website under twistd, and a station as a program of its own."""

    def test_the_example(self) -> None:
        """Readings reach the page, the page reaches the station, and both services end with their application."""
        page = Page(self, README)
        example = Example(self, "embedding")
        one, alone, pages = page.commands()
        (shown,) = page.shown()
        self.story(example, one, shown)
        self.programs(example, alone, pages)

    def story(self, example: Example, commands: list[str], shown: str) -> None:
        (line,) = commands
        example.check_output(example.run(line), shown)
        self.assertEqual(
            {each.name for each in (example.folder / "data").iterdir()} & {"secrets", "schema", "stations.sqlite3"},
            {"secrets", "schema", "stations.sqlite3"},
        )
        # Once more, with what the first time left; and elsewhere.
        example.check_output(example.run(line), shown)
        example.check_output(example.run(f"{line} --folder here"), shown)
        self.assertTrue((example.top / "here" / "stations.sqlite3").exists())

    def programs(self, example: Example, alone: list[str], pages: list[str]) -> None:
        step, serve, self.station_line = alone
        self.assertEqual(example.top / step.removeprefix("cd "), example.folder)
        site = example.start(f"{serve} --pidfile=", STATIONS=LOCAL, WEBSITE=LOCAL)
        web = site.expect(r"Site starting on (\d+)")[1]
        self.port = site.expect(r"listening on tcp 127\.0\.0\.1:(\d+)")[1]
        self.assertEqual(self.ask(web), (200, {}))

        station = self.station(example)
        station.expect("reported")
        self.assertEqual(self.ask(web), (200, {"roof": {"temperature": 21.5}}))
        self.assertEqual(self.ask(web, "roof"), (200, {"temperature": 21.5}))
        self.assertEqual(self.ask(web, "cellar"), (404, {"error": "no such station"}))

        if shutil.which("curl"):
            look, ask = (example.run(line.replace("8000", web)) for line in pages)
            self.assertEqual((look, ask), (['{"roof": {"temperature": 21.5}}'], ['{"temperature": 21.5}']))

        thief = self.station(example, "guessed")
        self.assertNotEqual(thief.end_of_input(), 0)
        station.kill()
        status, answer = self.ask(web, "roof")
        self.assertEqual(status, 503, answer)
        self.station(example).expect("reported")
        self.assertEqual(self.ask(web, "roof"), (200, {"temperature": 21.5}))

        site.stop()
        self.assertFalse([line for line in site.transcript if "Traceback" in line], site.transcript)
        self.assertTrue([line for line in site.transcript if "Server Shut Down" in line], site.transcript)

    def station(self, example: Example, password: str = "secret-of-the-roof") -> Child:
        line = self.station_line.replace("8080", self.port)
        self.assertIn("secret-of-the-roof", line)
        return example.start(line.replace("secret-of-the-roof", password))

    def ask(self, port: str, station: str | None = None) -> tuple[int, Any]:
        query = "" if station is None else f"?station={station}"
        data = None if station is None else b""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{query}", data, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
