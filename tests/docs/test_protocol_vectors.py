"""``docs/protocol.rst`` says what the implementation does: its bytes, its tables, its numbers."""

from __future__ import annotations

import csv
import json
import math
import re
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest import SkipTest
from uuid import UUID

import attrs
from pages import Page
from twisted.trial.unittest import SynchronousTestCase

from fluxon import errors
from fluxon.commands import (
    PROTOCOL_VERSION,
    Call,
    CallOnce,
    Command,
    Deliver,
    Field,
    Goodbye,
    Hello,
    Leaving,
    SessionChanged,
)
from fluxon.errors import FluxonError, ProtocolError
from fluxon.limits import MAX_DECIMAL_EXPONENT, MAX_DEPTH, MAX_NAME, Limits
from fluxon.wire import Answer, Ask, Cancel, Conversation, Failed, decode, encode, messages
from fluxon.wire.decoding import DATE_TAG, SUSPECT, TIME_TAG, check_value
from fluxon.wire.frames import COMPRESSED, MAX_CHUNK, MAX_RATIO, RAW, frame
from fluxon.wire.streams import MAX_CREDIT

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "protocol.rst").read_text("utf-8")
VECTORS = {
    name: json.loads((ROOT / "tests" / "vectors" / f"{name}.json").read_text("utf-8"))
    for name in ("values", "messages", "refused")
}

FROM_JSON = {
    "$bytes": bytes.fromhex,
    "$datetime": datetime.fromisoformat,
    "$date": date.fromisoformat,
    "$time": time.fromisoformat,
    "$decimal": Decimal,
    "$uuid": UUID,
    "$float": float,
}


def from_json(value: Any) -> Any:
    """What a vector's JSON stands for; ``{"$bytes": "00ff"}`` and its like are the types that JSON lacks."""
    if isinstance(value, list):
        return [from_json(each) for each in value]
    if isinstance(value, dict):
        if len(value) == 1:
            ((key, inner),) = value.items()
            if key in FROM_JSON:
                return FROM_JSON[key](inner)
        return {key: from_json(each) for key, each in value.items()}
    return value


def printed_vectors() -> list[tuple[str, str]]:
    """The names and bytes in the text: ``[name]``, then hexadecimal digits up to the next name or an empty line."""
    found: list[tuple[str, str]] = []
    open_one = False
    for line in TEXT.splitlines():
        code = line.split(";")[0].strip() if line.startswith("   ") else ""
        if match := re.match(r"\[([a-z0-9-]+)\]\s*(.*)", code):
            found.append((match[1], match[2].replace(" ", "")))
            open_one = True
        elif open_one and re.fullmatch(r"[0-9a-f ]+", code):
            found[-1] = (found[-1][0], found[-1][1] + code.replace(" ", ""))
        else:
            open_one = False
    return found


def table(title: str) -> list[list[str]]:
    """The rows of the ``csv-table`` of that title."""
    after = TEXT.split(f".. csv-table:: {title}\n", 1)[1].split("\n\n", 1)[1]
    lines = []
    for line in after.splitlines():
        if not line.startswith("   "):
            break
        lines.append(line.strip())
    return list(csv.reader(lines, skipinitialspace=True))


class VectorTests(SynchronousTestCase):
    """The bytes."""

    def test_text_and_files_agree(self) -> None:
        """Every vector of the files is printed, with the same bytes, once; and no other."""
        layout, *vectors = Page(self, "docs/protocol.rst").shown()
        self.assertTrue(layout.startswith("length   4 bytes"))  # of a frame; every vector has it
        for each in vectors:
            self.assertRegex(each, r"(?m)^\[[a-z0-9-]+\]")
        printed = printed_vectors()
        stored = [(each["name"], each["hex"]) for vectors in VECTORS.values() for each in vectors]
        self.assertGreater(len(stored), 60)
        self.assertEqual(len({name for name, _ in stored}), len(stored))
        self.assertEqual(sorted(printed), sorted(stored))

    def test_values(self) -> None:
        """Each decodes to what it stands for; those that are sent encode to these bytes."""
        for each in VECTORS["values"]:
            with self.subTest(each["name"]):
                body, value = bytes.fromhex(each["hex"]), from_json(each["value"])
                decoded = decode(body)
                if type(decoded) in SUSPECT:
                    check_value(decoded)
                self.assertIs(type(decoded), type(value))
                if not (isinstance(value, float) and math.isnan(value) and math.isnan(decoded)):
                    self.assertEqual(decoded, value)
                self.assertEqual(encode(value) == body, each["sent"])

    def test_messages(self) -> None:
        """Each is understood as it says, and written so by the functions that write messages."""
        for each in VECTORS["messages"]:
            with self.subTest(each["name"]):
                said = from_json(each["message"])
                data = bytes.fromhex(each["hex"])
                self.assert_understood(said, data)
                if each["name"] not in ("answer-in-short-heads", "ask-in-short-heads", "compressed-answer"):
                    self.assertEqual(self.written(said), data)

    def assert_understood(self, said: dict[str, Any], data: bytes) -> None:
        end = Conversation(receive_limit=100_000, send_limit=100_000, takes_tells=True)
        kind, names = said["kind"], {name: value for name, value in said.items() if name != "kind"}
        if kind in ("answer", "failed"):
            for _ in range(4):
                end.ask("call", {}, waiter="w")
        if kind in ("chunk", "credit", "end"):
            end.streams.announced(names["stream"])
            flow = end.streams.attach(names["stream"], kind == "credit", "owner")
            if kind == "chunk":
                end.streams.grant(flow, len(names["data"]))
        if kind == "cancel":
            end.receive(messages.write_ask(names["tag"], "call", {}, None, {}))
        end.output.clear()
        received = end.receive(data)
        if kind == "ping":
            self.assertEqual((received, end.output), ([], [messages.write_pong(names["number"])]))
        elif kind == "pong":
            self.assertEqual((received, end.output), ([], []))
        else:
            (message,) = received
            expected = {"ask": Ask, "answer": Answer, "failed": Failed, "cancel": Cancel}.get(kind)
            self.assertEqual(type(message).__name__.lower(), kind)
            self.assertTrue(expected is None or isinstance(message, expected))
            for name, value in names.items():
                self.assertEqual(getattr(message, name), value)

    def written(self, said: dict[str, Any]) -> bytes:
        names = {name: value for name, value in said.items() if name != "kind"}
        match said["kind"]:
            case "answer":
                return messages.write_answer(names["tag"], encode(names["value"]))
            case "chunk":
                return frame(names["stream"].to_bytes(4, "big") + names["data"], RAW)
            case kind:
                written: bytes = getattr(messages, f"write_{kind}")(**names)
                return written

    def test_refused(self) -> None:
        """Each ends a connection with a limit of 1,024 bytes and 50 items, or is answered its error under tag 9."""
        for each in VECTORS["refused"]:
            with self.subTest(each["name"]):
                end = Conversation(receive_limit=1_024, send_limit=1_024, item_limit=50)
                for _ in range(4):
                    end.ask("call", {}, waiter="w")
                end.output.clear()
                data = bytes.fromhex(each["hex"])
                if each["outcome"] == "ends":
                    self.assertRaises(ProtocolError, end.receive, data)
                else:
                    self.assertEqual(end.receive(data), [])
                    self.assertEqual(decode(end.output[0][5:])[:3], [2, 9, each["outcome"]])

    def test_refused_for_the_right_reason(self) -> None:
        """Each is only a step away from what is taken: with the one fault mended it passes."""
        good = {
            "trailing-byte": (b"\x83\x01\x02\x00", 0),
            "undefined": (b"\x83\x01\x02\xf6", 0),
            "integer-key": (b"\x83\x01\x02\xa1\x61a\x01", 0),
            "duplicate-key": (b"\x83\x01\x02\xa2\x61a\x01\x61b\x02", 0),
            "too-many-items": (b"\x83\x01\x02\x98\x2e" + b"\x00" * 46, 0),
            "too-deep": (b"\x83\x01\x02" + b"\x81" * 31 + b"\x00", 0),
            "unknown-flag": (b"\x82\x07\x01", 0),
            "chunk-without-bytes": (b"\x00\x00\x00\x01x", 2),
            "decimal-exponent-1000": (bytes.fromhex("830102c4821903e701"), 0),
        }
        names = {each["name"] for each in VECTORS["refused"]}
        for name, (body, flags) in good.items():
            self.assertIn(name, names)
            end = Conversation(receive_limit=1_024, send_limit=1_024, item_limit=50)
            for _ in range(3):
                end.ask("call", {}, waiter="w")
            end.streams.announced(1)
            end.streams.grant(end.streams.attach(1, False, "owner"), 100)
            end.receive(frame(body, flags))


class TableTests(SynchronousTestCase):
    """The tables and numbers."""

    def assert_fields(self, title: str, fields: dict[str, Field]) -> None:
        self.assertEqual(
            {row[0]: row[1] for row in table(title)}, {name: each.describe() for name, each in fields.items()}
        )

    def test_commands(self) -> None:
        """Arguments and answers of every command, with their types and bounds, as declared."""
        self.assert_fields("hello: arguments", dict(Hello.arguments))
        assert not isinstance(Hello.response, Field)
        self.assert_fields("hello: answer", dict(Hello.response))
        self.assert_fields("session: arguments", dict(SessionChanged.arguments))
        for command in (Call, CallOnce, Deliver):
            self.assert_fields(f"{command.name}: arguments", dict(command.arguments))
        self.assertIn("Errors: " + ", ".join(f"``{each.code}``" for each in Hello.errors), TEXT)
        # The cloud's commands, loaded or not, are no part of this document.
        modules = ("fluxon.commands.calls", "fluxon.commands.session")
        declared = {each.name for each in Command.__subclasses__() if each.__module__ in modules}
        self.assertEqual(declared, {"hello", "session", "leaving", "goodbye", "call", "call_once", "deliver"})
        self.assertEqual((Leaving.arguments, Goodbye.arguments), ({}, {}))

    def test_errors(self) -> None:
        """Every code of ``fluxon.errors``, and which of them never cross."""
        kinds = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, FluxonError)]
        rows = {row[0]: row[1] for row in table("Codes")}
        self.assertEqual(set(rows), {each.code for each in kinds})
        local = (errors.ProtocolError, errors.ConfigurationError, errors.UntrustedServer)
        for each in kinds:
            self.assertEqual(rows[each.code], "no" if issubclass(each, local) else "yes", each.code)

    def test_limits(self) -> None:
        """The defaults that are printed are the defaults."""
        rows = {row[0]: float(row[1]) for row in table("Limits")}
        defaults = attrs.asdict(Limits())
        self.assertEqual(rows, {name: float(defaults[name]) for name in rows})
        wire = (
            "frame_",
            "in_flight",
            "output_",
            "handshake",
            "heartbeat",
            "unsolicited",
            "compress_from",
            "view_timeout",
            "stream",
            "outbox_",
            "repeat_",
        )
        missing = {name for name in defaults if name.startswith(wire)} - set(rows)
        self.assertEqual(missing - {"frame_stall", "outbox_per_user", "outbox_total", "repeat_total"}, set())

    def test_messages(self) -> None:
        """Kinds and flags."""
        kinds = {row[1]: int(row[0]) for row in table("Kinds of message")}
        self.assertEqual(kinds, {name: getattr(messages, name.upper()) for name in kinds})
        self.assertEqual(len(kinds), 9)
        self.assertEqual([int(row[0], 16) for row in table("Flags")], [0, COMPRESSED, RAW])

    def test_numbers(self) -> None:
        """The bounds in the running text."""
        flat = " ".join(TEXT.split())
        for sentence in (
            f"This is version {PROTOCOL_VERSION}.",
            f"at most {MAX_RATIO} times the size of the compressed body",
            f"MUST NOT be deeper than {MAX_DEPTH}.",
            f"text of at most {MAX_NAME} characters",
            f"above 0 and at most {messages.MAX_TIMEOUT:,.0f}",
            f"text of at most {messages.MAX_CODE} characters",
            f"what exceeds {messages.MAX_TEXT:,} characters",
            f"list of exponent (-{MAX_DECIMAL_EXPONENT} to {MAX_DECIMAL_EXPONENT})",
            f'"time of day", "tag {TIME_TAG}"',
            f'"date", "tag {DATE_TAG}"',
            "MUST end the connection at the tenth",
            f"at most {MAX_CHUNK:,} bytes of its stream",
            f"MUST NOT exceed {MAX_CREDIT:,} bytes",
        ):
            self.assertIn(sentence, flat)
        self.assertEqual(Limits().unsolicited, 10)
        self.assertIs(datetime.fromisoformat("2024-05-06T12:30:00Z").tzinfo, UTC)

    def test_is_restructured_text(self) -> None:
        """It can be built without a warning."""
        try:
            from docutils.core import publish_doctree
        except ImportError as error:
            raise SkipTest("docutils is not installed; it is among the dev extra") from error
        warnings: list[str] = []

        class Stream:
            def write(self, text: str) -> None:
                warnings.append(text)

        publish_doctree(TEXT, settings_overrides={"warning_stream": Stream(), "report_level": 1})
        self.assertEqual(warnings, [])
