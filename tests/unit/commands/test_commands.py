"""Commands: declarations that check arguments and responses, and the three that every connection knows."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.commands import PROTOCOL_VERSION, Anything, Call, Command, Hello, Integer, SessionChanged, Text
from fluxon.errors import FluxonError, InvalidPayload
from fluxon.limits import MAX_NAME, Limits
from fluxon.wire import encode

TOKEN = "v1.1." + "A" * 22 + "." + "B" * 43

HELLO = {"version": PROTOCOL_VERSION, "token": TOKEN, "seen": 0, "features": ["lz4"]}
WELCOME = {
    "version": PROTOCOL_VERSION,
    "session": "3f2a",
    "token": TOKEN,
    "authenticated": False,
    "fresh": False,
    "recovered": True,
    "heartbeat": 25.0,
    "limits": {"frame": 262_144, "frame_authenticated": 1_048_576, "frame_to_client": 16_777_216, "in_flight": 128},
    "features": [],
}


class Add(Command):
    """A command as an application would declare it."""

    name = "add"
    arguments = {"a": Integer(), "b": Integer()}
    response = {"sum": Integer()}


class CommandTests(SynchronousTestCase):
    """What a declaration is worth."""

    def test_arguments_and_response(self) -> None:
        """Both are checked, and the error names the command or the argument."""
        Add.check_arguments({"a": 1, "b": 2})
        Add.check_response({"sum": 3})
        self.assertIn("'add'", self.assertRaises(InvalidPayload, Add.check_arguments, {"a": 1}).text)
        self.assertIn("'b'", self.assertRaises(InvalidPayload, Add.check_arguments, {"a": 1, "b": "2"}).text)
        self.assertRaises(InvalidPayload, Add.check_arguments, [1, 2])
        self.assertRaises(InvalidPayload, Add.check_response, 3)

    def test_a_bare_response(self) -> None:
        """A command may answer one value instead of a map."""

        class Name(Command):
            name = "name"
            response = Text(max_bytes=5)

        Name.check_response("fred")
        self.assertRaises(InvalidPayload, Name.check_response, {"name": "fred"})
        Name.check_arguments({})
        self.assertRaises(InvalidPayload, Name.check_arguments, {"a": 1})

    def test_a_subclass_declares_for_itself(self) -> None:
        """What is not declared anew is inherited, and checks follow."""

        class More(Add):
            name = "more"
            arguments = {"a": Integer()}

        More.check_arguments({"a": 1})
        More.check_response({"sum": 1})
        Add.check_arguments({"a": 1, "b": 2})


class VocabularyTests(SynchronousTestCase):
    """hello, session, call."""

    def changed(self, base: dict[str, Any], **changes: Any) -> dict[str, Any]:
        return {key: value for key, value in (base | changes).items() if value is not ...}

    def test_hello(self) -> None:
        """What a client may open with, and what it may not."""
        Hello.check_arguments(HELLO)
        Hello.check_arguments(self.changed(HELLO, token=None))
        Hello.check_arguments(self.changed(HELLO, token=...))
        for changes in (
            {"version": ...},
            {"version": 0},
            {"version": 65_536},
            {"version": "1"},
            {"version": True},
            {"token": "x" * 257},
            {"token": b"x"},
            {"seen": -1},
            {"seen": 2**63},
            {"seen": ...},
            {"features": None},
            {"features": ["x" * 33]},
            {"features": ["x"] * 33},
            {"features": [1]},
            {"password": "x"},
        ):
            with self.subTest(changes=changes):
                self.assertRaises(InvalidPayload, Hello.check_arguments, self.changed(HELLO, **changes))

    def test_hello_answer(self) -> None:
        """The server's default limits are an answer that a client takes; a strange one is refused."""
        Hello.check_response(WELCOME)
        defaults = Limits()
        offered = {
            "frame": defaults.frame_anonymous,
            "frame_authenticated": defaults.frame_authenticated,
            "frame_to_client": defaults.frame_to_client,
            "in_flight": defaults.in_flight,
        }
        Hello.check_response(self.changed(WELCOME, limits=offered, heartbeat=defaults.heartbeat))
        for changes in (
            {"token": None},
            {"fresh": 1},
            {"authenticated": ...},
            {"heartbeat": -1},
            {"heartbeat": float("nan")},
            {"limits": {}},
            {"limits": offered | {"in_flight": 0}},
            {"extra": 1},
        ):
            with self.subTest(changes=changes):
                self.assertRaises(InvalidPayload, Hello.check_response, self.changed(WELCOME, **changes))

    def test_hello_fits_before_hello(self) -> None:
        """The longest hello there can be is far below the limit for strangers."""
        longest = {"version": 65_535, "token": "x" * 256, "seen": 2**63 - 1, "features": ["x" * 32] * 32}
        Hello.check_arguments(longest)
        self.assertLess(len(encode(longest)), Limits().frame_before_hello // 8)

    def test_only_hello_before_hello(self) -> None:
        """Every other command waits until it was answered."""
        self.assertEqual([each.name for each in (Hello, Call, SessionChanged) if each.before_hello], ["hello"])

    def test_call(self) -> None:
        """A name that can be typed, and any payload at all, null included; but it is there."""
        for payload in (None, 1, "x", [], {"a": {}}):
            Call.check_arguments({"view": "echo", "payload": payload})
        for wrong in (
            {"view": "", "payload": None},
            {"view": "x" * (MAX_NAME + 1), "payload": None},
            {"view": 1, "payload": None},
            {"view": "echo"},
            {"payload": None},
            {"view": "echo", "payload": None, "user": 1},
        ):
            self.assertRaises(InvalidPayload, Call.check_arguments, wrong)
        self.assertEqual(Call.errors, (FluxonError,))
        self.assertIsInstance(Call.response, Anything)

    def test_session_changed(self) -> None:
        """The token that follows a login, sent by the server."""
        good = {"session": "3f2a", "token": TOKEN, "authenticated": True}
        SessionChanged.check_arguments(good)
        SessionChanged.check_response({})
        for changes in ({"token": None}, {"authenticated": 1}, {"session": "x" * 65}):
            self.assertRaises(InvalidPayload, SessionChanged.check_arguments, self.changed(good, **changes))
