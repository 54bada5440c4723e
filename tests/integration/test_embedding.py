"""The example of a Fluxon server inside an existing Twisted application, run as it stands."""

from __future__ import annotations

import json
import shutil
import sys
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

from children import Child
from twisted.trial.unittest import SynchronousTestCase

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "embedding"
TWISTD = Path(sys.executable).with_name("twistd")
LOCAL = "tcp:0:interface=127.0.0.1"


class EmbeddingTests(SynchronousTestCase):
    """The website under twistd, and a station as a program of its own."""

    def test_the_example(self) -> None:
        """Readings reach the page, the page reaches the station, and both services end with their application."""
        shutil.copytree(EXAMPLE, "weather", ignore=shutil.ignore_patterns("__pycache__"))
        # The environment of ``env``: the two endpoints are the only thing a test has to choose.
        command = ["env", f"STATIONS={LOCAL}", f"WEBSITE={LOCAL}", TWISTD, "-n", "--pidfile=", "-y", "website.tac"]
        site = Child("the website", command, Path("weather").absolute())
        self.addCleanup(site.discard)
        web = site.expect(r"Site starting on (\d+)")[1]
        port = site.expect(r"listening on tcp 127\.0\.0\.1:(\d+)")[1]
        self.assertEqual(self.ask(web), (200, {}))

        station = self.station(port, "secret")
        station.expect("reported")
        self.assertEqual(self.ask(web), (200, {"roof": {"temperature": 21.5}}))
        self.assertEqual(self.ask(web, "roof"), (200, {"temperature": 21.5}))
        self.assertEqual(self.ask(web, "cellar"), (404, {"error": "no such station"}))

        thief = self.station(port, "guessed")
        self.assertNotEqual(thief.end_of_input(), 0)
        station.kill()
        status, answer = self.ask(web, "roof")
        self.assertEqual(status, 503, answer)
        self.station(port, "secret").expect("reported")
        self.assertEqual(self.ask(web, "roof"), (200, {"temperature": 21.5}))

        site.stop()
        self.assertFalse([line for line in site.transcript if "Traceback" in line], site.transcript)
        self.assertTrue([line for line in site.transcript if "Server Shut Down" in line], site.transcript)

    def station(self, port: str, password: str) -> Child:
        command = [sys.executable, "station.py", f"127.0.0.1:{port}", "roof", password]
        child = Child("the station", command, Path("weather").absolute())
        self.addCleanup(child.discard)
        return child

    def ask(self, port: str, station: str | None = None) -> tuple[int, Any]:
        query = "" if station is None else f"?station={station}"
        data = None if station is None else b""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{query}", data, timeout=20) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)
