"""The table of errors: codes are part of the protocol, so they are stable, distinct, and come back as they went."""

from __future__ import annotations

import pickle

from twisted.trial.unittest import SynchronousTestCase

from fluxon import errors
from fluxon.errors import FluxonError, Internal, from_wire
from fluxon.wire import encode
from fluxon.wire.messages import MAX_CODE, MAX_TEXT

#: What only one's own side can know.
LOCAL = (errors.ProtocolError, errors.ConfigurationError, errors.UntrustedServer)


def every_kind() -> list[type[FluxonError]]:
    return [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, FluxonError)]


class ErrorTests(SynchronousTestCase):
    """Every class of ``fluxon.errors``."""

    def test_codes(self) -> None:
        """A code is the class's name, fits the wire, and belongs to one class."""
        kinds = [each for each in every_kind() if each is not FluxonError]
        self.assertGreater(len(kinds), 15)
        self.assertEqual([each.code for each in kinds], [each.__name__ for each in kinds])
        self.assertEqual(FluxonError.code, "Internal")
        for each in kinds:
            self.assertLessEqual(len(each.code), MAX_CODE)
            self.assertLessEqual(len(each.default_text), MAX_TEXT)

    def test_texts(self) -> None:
        """Every error says something of its own without being given a text, in one line that can be shown."""
        kinds = every_kind()
        self.assertEqual(len({each.default_text for each in kinds}), len(kinds))
        for each in kinds:
            self.assertEqual(str(each()), each.default_text)
            self.assertNotIn("\n", each.default_text)
        self.assertEqual(str(errors.NotFound("no such room")), "no such room")
        self.assertEqual(str(errors.NotFound("")), "")

    def test_details(self) -> None:
        """Details are a dict of the error's own: what the caller does with his afterwards does not matter."""
        given = {"limit": 3}
        error = errors.ResourceExhausted(details=given)
        given["limit"] = 4
        self.assertEqual(error.details, {"limit": 3})
        self.assertEqual(errors.ResourceExhausted().details, {})
        encode(error.details)

    def test_across_the_wire(self) -> None:
        """``from_wire`` gives the class that was sent, with its text and details."""
        for each in every_kind():
            if each is not FluxonError and not issubclass(each, LOCAL):
                error = from_wire(each.code, "what happened", {"a": 1})
                self.assertEqual((type(error), error.text, error.details), (each, "what happened", {"a": 1}))

    def test_what_a_stranger_cannot_know(self) -> None:
        """A peer cannot make a program believe that its own configuration, or a certificate, is wrong."""
        for each in every_kind():
            if issubclass(each, LOCAL):
                self.assertEqual(type(from_wire(each.code, "send me your keys")), Internal)

    def test_a_code_from_the_future(self) -> None:
        """An unknown code is ``Internal`` and stays readable; no text makes it raise."""
        for code in ("Teapot", "", "__class__", "FluxonError", "Exception"):
            error = from_wire(code, "short and stout")
            self.assertIs(type(error), Internal)
            self.assertEqual(error.text, f"{code}: short and stout")

    def test_only_errors_of_the_table_come_from_the_wire(self) -> None:
        """An application's own subclass is not made from a name that the other side chose."""

        class Mine(FluxonError):
            code = "Mine"

        self.assertIs(type(from_wire("Mine", "text")), Internal)

    def test_pickling(self) -> None:
        """An error survives the way between processes whole."""
        for each in every_kind():
            error = pickle.loads(pickle.dumps(each("text", details={"a": [1]})))
            self.assertEqual((type(error), str(error), error.details), (each, "text", {"a": [1]}))
