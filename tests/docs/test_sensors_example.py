"""The sensors: the one command, the programs in terminals of their own, and a server that goes and comes."""

from __future__ import annotations

import os
import re
import signal

import pytest
from example import Example
from pages import Page
from twisted.trial.unittest import SynchronousTestCase

README = "docs/examples/sensors/README.md"


def form(line: str) -> str:
    """A line without what is another one each time: numbers, how many follow each other, and where the example is."""
    return re.sub(r"-?\d[\d.]*( -?\d[\d.]*)*", "0", re.sub(r"in \S+/tokens.json", "in tokens.json", line))


@pytest.mark.slow
@pytest.mark.timeout(300)
class SensorsTests(SynchronousTestCase):
    """With fewer devices than the README has."""

    def setUp(self) -> None:
        self.example = Example(self, "sensors")

    def test_readme(self) -> None:
        """What the commands print has the form that is shown, and the example's own tests pass."""
        page = Page(self, README)
        (one,), (step, enrol, serve, devices, dashboard), (test,) = page.commands()
        (shown,) = page.shown()
        forms = {form(line) for line in shown.splitlines()}
        # How far the devices come within two seconds is the machine's business.
        at_once = {line for line in forms if re.match("0 new tokens|In|Since", line)}
        self.assertEqual(len(at_once), 3)

        said = self.example.run(f"{one} --devices 8 --seconds 2")
        self.assertEqual(at_once - {form(line) for line in said}, set())
        self.assertTrue(said[0].startswith("9 new tokens"))
        self.assertTrue((self.example.folder / "data" / "sensors.sqlite3").exists())

        self.assertEqual(self.example.top / step.removeprefix("cd "), self.example.folder)
        self.example.test(test)
        (enrolled,) = self.example.run(enrol.replace("200", "10"), self.example.folder)
        self.assertEqual(form(enrolled), "0 new tokens in tokens.json")
        self.assertTrue(enrolled.startswith("2 "))  # the others have theirs
        self.assertEqual((self.example.folder / "data" / "tokens.json").stat().st_mode & 0o777, 0o600)
        said = self.programs(serve, devices, dashboard)
        self.assertEqual(forms - at_once - {form(line) for line in said}, set())

    def programs(self, serve: str, devices: str, dashboard: str) -> list[str]:
        """What devices and dashboard say, until there was an alarm, its end, a server's end, and an alarm once more."""
        server = self.example.start(f"{serve} --port 0")
        port = server.expect(r"listening on tcp \S+:(\d+)", 60)[1]
        reporting = self.example.start(f"{devices} --port {port}")
        reporting.expect("^10 devices$", 60)
        watching = self.example.start(f"{dashboard} --port {port}")
        # Each ten seconds the one at the stove gets too hot, and cools down.
        watching.expect(r"^ALARM     sensor-000 is at 3\d\.\d °C$", 60)
        watching.expect(r"^          sensor-000 reports every 0\.2 s, before that \d\.\d s$", 60)
        watching.expect(r"^all well  sensor-000 is at 2\d\.\d °C$", 60)
        watching.expect(r"^          sensor-000 reports every 1\.0 s, before that 0\.2 s$", 60)
        watching.expect(r"^10 devices, \d+ readings, coldest .*, too hot: 0$", 60)

        server.kill()
        server = self.example.start(f"{serve} --port {port}")
        # Everybody has come back, and nobody had to log in.
        watching.expect("^10 devices, ", 60)
        watching.expect("^ALARM ", 60)

        os.kill(watching.pid, signal.SIGINT)
        watching.expect(r"^In \d+ seconds: \d+ alarms\.$", 60)
        self.assertEqual(watching.end_of_input(), 0)
        self.assertEqual(server.stop(), 0)
        self.assertFalse([line for line in server.transcript if "Traceback" in line or "log_in" in line])
        return reporting.transcript + watching.transcript
