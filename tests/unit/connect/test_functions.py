"""The table of functions that a server may call."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fluxon.connect.functions import Functions
from fluxon.errors import ConfigurationError, InvalidPayload, UnknownView


class FunctionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.functions = Functions(waiting_allowed=False)

    def test_payloads_become_arguments(self) -> None:
        """A dict's items are keyword arguments, None is no argument, anything else is the only one."""

        def told(*positional: Any, **keywords: Any) -> Any:
            return positional, keywords

        self.functions.update({"told": told})
        self.assertEqual(self.functions.call("told", {"sender": "Emma"}), ((), {"sender": "Emma"}))
        self.assertEqual(self.functions.call("told", {}), ((), {}))
        self.assertEqual(self.functions.call("told", None), ((), {}))
        self.assertEqual(self.functions.call("told", [1, 2]), (([1, 2],), {}))
        self.assertEqual(self.functions.call("told", False), ((False,), {}))

    def test_unknown_name(self) -> None:
        """Only what was mapped exists, however Python could find it otherwise."""
        for name in ("nothing", "__class__", "update"):
            self.assertRaises(UnknownView, self.functions.call, name, None)

    def test_wrong_payload_is_not_the_functions_fault(self) -> None:
        """A missing or surplus argument is refused before the call; a TypeError inside stays one."""

        def receive(sender: str, message: str) -> None:
            raise TypeError("inside")

        self.functions.update({"receive": receive})
        error = self.assertRaises(InvalidPayload, self.functions.call, "receive", {"sender": "Emma"})
        self.assertIn("message", error.text)
        self.assertRaises(InvalidPayload, self.functions.call, "receive", {"sender": 1, "message": 2, "more": 3})
        self.assertRaises(TypeError, self.functions.call, "receive", {"sender": 1, "message": 2})

    def test_builtins_without_signature(self) -> None:
        """A built-in whose arguments cannot be known is simply called."""
        self.functions.update({"largest": max})
        self.assertEqual(self.functions.call("largest", [3, 9, 4]), 9)

    def test_later_mapping_adds(self) -> None:
        """Two modules of one program may each map their functions."""
        self.functions.update({"a": lambda: 1, "b": lambda: 2})
        self.functions.update({"b": lambda: 3})
        self.assertEqual((self.functions.call("a", None), self.functions.call("b", None)), (1, 3))

    def test_mistakes_are_told_at_once(self) -> None:
        """What can never be called is refused when it is mapped, and nothing of that mapping is kept."""

        async def waits() -> None:
            """Cannot run without a loop."""

        for wrong in ({"ok": print, "no": 3}, {"": print}, {4: print}, {"waits": waits}):
            self.assertRaises(ConfigurationError, self.functions.update, wrong)
        self.assertEqual(len(self.functions), 0)
        Functions(waiting_allowed=True).update({"waits": waits})
