"""The example of a drive: its story, its programs as they stand, and its tests."""

from __future__ import annotations

import re

import pytest
from children import Child
from example import Example
from pages import Page
from twisted.trial.unittest import SynchronousTestCase

README = "docs/examples/drive/README.md"


@pytest.mark.slow
@pytest.mark.timeout(300)
class DriveTests(SynchronousTestCase):
    """As somebody has it who reads the README from its first line to its last."""

    def test_the_readme(self) -> None:
        """The story, twice; people at terminals, before and after the server was killed; the tests."""
        page = Page(self, README)
        (one,), alone, (tests,) = page.commands()
        (story,) = page.shown()
        example = Example(self, "drive")
        said = example.run(one)
        example.check_output(said, story)
        self.assertIn("  the same bytes", said)
        self.assertFalse([line for line in said if re.search("Internal|Unavailable|try: help", line)], said)
        again = example.run(one)
        self.assertIn("  the same bytes", again)
        self.assertIn("  /plans/film.raw has 16,000,000 bytes, version 2", again)
        self.programs(example, alone)
        example.test(tests)

    def programs(self, example: Example, alone: list[str]) -> None:
        step, serve, old_line, new_line = alone
        self.assertEqual(example.top / step.removeprefix("cd "), example.folder)
        server, port, cloud_port = self.serve(example, serve, "0", "0")

        def sit_down(line: str, password: str) -> Child:
            child = example.start(f"{line} --port {port} --cloud-port {cloud_port}")
            child.say(password)
            return child

        taken = sit_down(new_line.replace("zoe", "jane"), "Jane-12345")
        taken.expect("there is a jane already")
        self.assertEqual(taken.end_of_input(), 1)
        zoe = sit_down(new_line, "Zoe-12345")
        mike = sit_down(old_line.replace("jane", "mike"), "Mike-123")
        (example.folder / "a.txt").write_text("hello")
        self.type(zoe, "mkdir /zoes", "made /zoes")
        self.type(zoe, "share /zoes mike editor", "mike is editor of /zoes")
        self.type(mike, "watch /zoes", "watching /zoes")
        self.type(zoe, "put a.txt /zoes/a.txt", "/zoes/a.txt has 5 bytes, version 1")
        mike.expect(r"\(mike is told: zoe write /zoes/a.txt\)")
        self.type(zoe, "put missing.txt /zoes/b.txt", "No such file .*; try: help put")
        self.type(zoe, "put a.txt", "try: help put")
        self.type(zoe, "rm /zoes/a.txt", "deleted /zoes/a.txt")
        mike.expect(r"\(mike is told: zoe delete /zoes/a.txt\)")
        zoe.say("deleted /zoes")
        number = zoe.expect(r"(\d+)  /zoes/a.txt  5 bytes, by zoe")[1]
        self.type(zoe, f"undelete {number} /zoes/a.txt", "brought back /zoes/a.txt")
        self.type(zoe, "roles /zoes", "mike is editor")

        server.kill()
        server, _, _ = self.serve(example, serve, port, cloud_port)
        mike.expect("missed /zoes")  # the watch goes on
        self.type(mike, "get /zoes/a.txt b.txt", "b.txt has 5 bytes, version 1")
        self.assertEqual((example.folder / "b.txt").read_text(), "hello")
        for each in (zoe, mike):
            self.assertEqual(each.end_of_input(), 0, each.transcript)
        stranger = example.start(f"python client.py --port {port} --cloud-port {cloud_port}")
        self.type(stranger, "cat /zoes/a.txt", "PermissionDenied")
        self.type(stranger, "mkdir /mine", "Unauthenticated")
        self.assertEqual(stranger.end_of_input(), 0)
        self.assertEqual(server.stop(), 0, server.transcript)

    def type(self, child: Child, line: str, answer: str) -> None:
        child.say(line)
        child.expect(answer)

    def serve(self, example: Example, line: str, port: str, cloud_port: str) -> tuple[Child, str, str]:
        server = example.start(f"{line} --port {port} --cloud-port {cloud_port}")
        cloud = server.expect(r"the cloud storage: listening on tcp 127\.0\.0\.1:(\d+)")[1]
        return server, server.expect(r"listening on tcp 127\.0\.0\.1:(\d+)")[1], cloud
