"""What a client says first, and what it takes from the answer."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.commands import Hello
from fluxon.connect.greeting import Greeting, hello_arguments, new_conversation
from fluxon.connect.session import SessionHolder
from fluxon.errors import ProtocolError
from fluxon.limits import MAX_FRAME, MIB


def answer(**changes: Any) -> dict[str, Any]:
    limits = {"frame": 1000, "frame_authenticated": 2000, "frame_to_client": 3000, "in_flight": 50}
    return {
        "version": 1,
        "session": "public",
        "token": "token",
        "authenticated": False,
        "fresh": False,
        "recovered": True,
        "heartbeat": 25,
        "limits": {**limits, **changes.pop("limits", {})},
        "features": [],
        **changes,
    }


class GreetingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.session = SessionHolder("localhost", secure=False)
        self.conversation = new_conversation()

    def apply(self, *, compress: bool = False, **changes: Any) -> Greeting:
        greeting = Greeting.read(answer(**changes), compress=compress)
        greeting.apply(self.conversation, self.session)
        return greeting

    def test_arguments_are_what_the_command_takes(self) -> None:
        """With and without a token, with and without compression."""
        for token in (None, "v1.a.b.c"):
            for compress in (True, False):
                Hello.check_arguments(hello_arguments(token, compress=compress))

    def test_before_the_answer(self) -> None:
        """One ask at a time, and a small one: the server takes no more from strangers."""
        self.assertEqual((self.conversation.ask_limit, self.conversation.send_limit), (1, 16 * 1024))

    def test_limits_follow_the_login(self) -> None:
        """What may be sent depends on who is logged in, and changes with it."""
        greeting = self.apply()
        self.assertEqual(self.conversation.send_limit, 1000)
        self.session.authenticated = True
        greeting.apply(self.conversation, self.session)
        self.assertEqual(self.conversation.send_limit, 2000)
        self.assertEqual(self.conversation.receive_limit, 3000)
        self.assertTrue(1 < self.conversation.ask_limit <= 50)

    def test_at_least_one_ask(self) -> None:
        """A server that takes one ask at a time can still be asked."""
        self.apply(limits={"in_flight": 1})
        self.assertEqual(self.conversation.ask_limit, 1)

    def test_bounded_by_our_own_limit(self) -> None:
        """A server that announces frames of any size is not believed beyond reason."""
        self.apply(limits={"frame_to_client": 2**40})
        self.assertEqual(self.conversation.receive_limit, MAX_FRAME)
        self.assertLess(MAX_FRAME, 100 * MIB)

    def test_compression_needs_both(self) -> None:
        """Only what was offered and taken."""
        self.apply(compress=False, features=["lz4"])
        self.assertIsNone(self.conversation.compress_from)
        self.apply(compress=True, features=[])
        self.assertIsNone(self.conversation.compress_from)
        self.apply(compress=True, features=["lz4", "another"])
        self.assertIsNotNone(self.conversation.compress_from)

    def test_wrong_answers(self) -> None:
        """Whatever lacks something or has too much is no answer to a hello."""
        for wrong in (
            None,
            [],
            {},
            answer(token=None),
            answer(heartbeat=-1),
            answer(more=1),
            answer(limits={"frame": 0}),
        ):
            self.assertRaises(ProtocolError, Greeting.read, wrong, compress=False)

    def test_token_is_not_shown(self) -> None:
        """A greeting in a traceback or a log does not give the session away."""
        self.assertNotIn("token-of", repr(Greeting.read(answer(token="token-of-emma"), compress=False)))
