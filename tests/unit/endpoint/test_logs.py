"""Log files: a line for people, a line for programs, and where they go."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path
from typing import Any

from serving import Person, ServingTestCase
from twisted.logger import Logger, LogLevel, formatEvent, globalLogPublisher
from twisted.python.failure import Failure
from twisted.python.logfile import LogFile
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from fluxon.endpoint.logs import LogFiles
from fluxon.endpoint.logs.lines import json_line
from fluxon.errors import Internal, NotFound
from fluxon.routing import Request

log = Logger(namespace="fluxon.tests")


class JsonLineTests(SynchronousTestCase):
    def line(self, **event: Any) -> dict[str, Any]:
        text = json_line(event)
        self.assertTrue(text.endswith("\n"))
        self.assertEqual(text.count("\n"), 1)
        return json.loads(text)

    def test_an_event(self) -> None:
        """Time in UTC, level, namespace, message, and of the fields those that are declared."""
        line = self.line(
            log_time=1_700_000_000.25,
            log_level=LogLevel.warn,
            log_namespace="fluxon.requests",
            log_format="{view} failed",
            view="say",
            code="NotFound",
            payload={"password": "secret"},
        )
        self.assertEqual(
            line,
            {
                "time": "2023-11-14T22:13:20.250+00:00",
                "level": "warn",
                "namespace": "fluxon.requests",
                "message": "say failed",
                "view": "say",
                "code": "NotFound",
            },
        )

    def test_more_than_a_line(self) -> None:
        """What a message holds stays within its line."""
        self.assertEqual(self.line(log_format="a\nb {x}", x="\r\n\u2028c")["message"], "a\nb \r\n\u2028c")

    def test_a_failure(self) -> None:
        """A traceback is a field of its own."""
        try:
            raise ValueError("broken")
        except ValueError:
            line = self.line(log_format="it failed", log_failure=Failure())
        self.assertEqual(line["message"], "it failed")
        self.assertIn("ValueError: broken", line["traceback"])

    def test_anything(self) -> None:
        """What JSON does not know is told as text, and what cannot be formatted does not raise."""

        class Odd:
            def __repr__(self) -> str:
                raise RuntimeError("no")

        self.assertEqual(self.line(user=LogLevel.info)["user"], str(LogLevel.info))
        self.line(log_format="{x}", x=Odd())
        self.line()


class LogFilesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path("logs").absolute()
        self.files = LogFiles(self.folder)
        self.files.open()
        self.addCleanup(self.files.close)

    def text(self, name: str = "fluxon.log") -> str:
        return (self.folder / name).read_text()

    def test_a_second_process(self) -> None:
        """Whoever comes while another writes has files of its own; the first ones are taken up when they are free."""
        second, third = LogFiles(self.folder), LogFiles(self.folder)
        second.open()
        self.addCleanup(second.close)
        log.info("hello")
        self.assertIn("hello", self.text("fluxon-2.log"))
        self.assertEqual(self.text().count("hello"), 1)
        self.files.close()
        third.open()
        self.addCleanup(third.close)
        log.info("again")
        self.assertIn("again", self.text())
        self.assertEqual(sorted(each.name for each in self.folder.glob("*.log")), ["fluxon-2.log", "fluxon.log"])

    def test_made_by_root(self) -> None:
        """What root makes in the folder of another user is that user's."""
        if os.geteuid() != 0:
            raise SkipTest("only root can give a file away")
        folder = Path("others").absolute()
        folder.mkdir()
        os.chown(folder, 12345, 12346)
        files = LogFiles(folder)
        files.open()
        self.addCleanup(files.close)
        made = {each.name: (each.stat().st_uid, each.stat().st_gid) for each in folder.iterdir()}
        self.assertEqual(made, dict.fromkeys((".fluxon.lock", "fluxon.log", "fluxon.jsonl"), (12345, 12346)))

    def test_a_full_disk(self) -> None:
        """Lines that find no room fail nobody, and are told of once elsewhere; later the files say how many."""
        elsewhere: list[Any] = []
        globalLogPublisher.addObserver(elsewhere.append)
        self.addCleanup(globalLogPublisher.removeObserver, elsewhere.append)
        write = LogFile.write

        def full(file: LogFile, data: str) -> None:
            write(file, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, "No space left on device")

        log.info("before")
        patched = self.patch(LogFile, "write", full)
        for _ in range(3):
            log.info("meanwhile")
        patched.restore()
        log.info("meanwhile")  # too soon for another try
        self.files._try_at = 0.0
        log.info("after")
        told = [line for line in map(formatEvent, elsewhere) if line and line != "meanwhile"]
        self.assertFalse([line for line in told if "Temporarily disabling" in line])
        (about_files,) = (line for line in told if "log's files" in line)
        self.assertIn("cannot be written (No space left on device)", about_files)
        for name in ("fluxon.log", "fluxon.jsonl"):
            lines = self.text(name).splitlines()
            self.assertIn("the log's files could not be written; lines that are missing here: 5", lines[-2])
            self.assertIn("after", lines[-1])
        self.assertEqual(json.loads(self.text("fluxon.jsonl").splitlines()[-1])["message"], "after")

    def test_both(self) -> None:
        """What is logged is in both files, at info and above."""
        log.info("hello")
        log.debug("whisper")
        for name in ("fluxon.log", "fluxon.jsonl"):
            self.assertIn("hello", self.text(name))
            self.assertNotIn("whisper", self.text(name))

    def test_levels(self) -> None:
        """Levels can be changed while it is written."""
        self.files.levels.setLogLevelForNamespace("fluxon.tests", LogLevel.debug)
        log.debug("whisper")
        self.assertIn("whisper", self.text())

    def test_moved_away(self) -> None:
        """Files that were moved away are made anew when asked."""
        log.info("before")
        (self.folder / "fluxon.log").rename(self.folder / "kept")
        self.files.reopen()
        log.info("after")
        self.assertNotIn("after", self.text("kept"))
        self.assertIn("after", self.text())

    def test_closed(self) -> None:
        """After the end nothing is written; closing again is no error."""
        self.files.close()
        self.files.close()
        log.info("too late")
        self.assertNotIn("too late", self.text())


async def again(request: Request) -> None:
    """Fails like a program with a mistake."""
    raise ValueError("a mistake")


async def missing(request: Request) -> None:
    raise NotFound("nothing")


async def echo(request: Request) -> Any:
    return request.payload


async def sign_up(request: Request) -> None:
    await request.login(await Person.Insert(username="ann", password="x"))


class RequestLinesTests(ServingTestCase):
    def lines(self) -> list[dict[str, Any]]:
        found = [json.loads(each) for each in Path("logs/fluxon.jsonl").read_text().splitlines()]
        return [each for each in found if each["namespace"] == "fluxon.requests"]

    async def test_what_a_line_says(self) -> None:
        """Which request, whose, which view, how it ended, how long it took; an incident as the client was told it."""
        server = await self.serve(echo, sign_up, again, missing, users=True, logs_dir="logs")
        wire = await self.wire(server)
        await wire.call("sign_up")
        await wire.call("echo", "hello")
        incident = (await self.fails(Internal, wire.ask("again"))).details["incident"]
        await self.fails(NotFound, wire.ask("missing"))
        self.flushLoggedErrors(ValueError)
        lines = self.lines()
        self.assertEqual([each["view"] for each in lines], ["sign_up", "echo", "again", "missing"])
        self.assertEqual([each["code"] for each in lines], ["ok", "ok", "Internal", "NotFound"])
        self.assertEqual([each["level"] for each in lines], ["info", "info", "warn", "info"])
        self.assertEqual({each["user"] for each in lines}, {1})
        self.assertEqual(lines[2]["incident"], incident)
        self.assertIn(incident, lines[2]["message"])
        self.assertEqual(len({each["request"] for each in lines}), 4)
        self.assertEqual({each["session"] for each in lines}, {next(iter(server.sessions.of_user(1))).public_id})
        for each in lines:
            self.assertTrue(0 <= each["milliseconds"] < 10_000)

    async def test_no_more_than_so_many(self) -> None:
        """A flood has its share of lines, failures have theirs, and the rest is one number."""
        server = await self.serve(echo, missing, logs_dir="logs", limits={"request_lines": 3})
        # All of it within one second of the log's.
        server._running().router.seconds = lambda: 1_000_000.0
        wire = await self.wire(server)
        for _ in range(10):
            await wire.call("echo")
        for _ in range(5):
            await self.fails(NotFound, wire.ask("missing"))
        await wire.abort()
        await server.stopService()
        lines = self.lines()
        self.assertEqual([each.get("view") for each in lines], ["echo"] * 3 + ["missing"] * 3 + [None])
        self.assertEqual(lines[-1]["skipped"], 9)

    async def test_none(self) -> None:
        """With a bound of 0 no request is told of, nor how many there were."""
        server = await self.serve(echo, logs_dir="logs", limits={"request_lines": 0})
        wire = await self.wire(server)
        await wire.call("echo")
        await wire.abort()
        await server.stopService()
        self.assertEqual(self.lines(), [])
