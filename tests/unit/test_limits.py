"""Limits by themselves: what may be set, and what is said of a value that may not."""

from __future__ import annotations

import math
import sys
from pathlib import Path
from typing import Any

import attrs
from twisted.trial.unittest import SynchronousTestCase

from fluxon.bounds import Elsewhere, for_client
from fluxon.config import load_config
from fluxon.errors import ConfigurationError
from fluxon.limits import MAX_FRAME, Limits

NAMES = tuple(attrs.fields_dict(Limits))


class LimitsTests(SynchronousTestCase):
    def refused(self, **values: Any) -> str:
        return str(self.assertRaises(ConfigurationError, Limits, **values))

    def test_every_limit_can_be_set(self) -> None:
        """To its own default, as a plain number; which then holds for this machine's clients as well."""
        limits = Limits()
        for name in NAMES:
            value = getattr(limits, name)
            plain = int(value) if isinstance(value, int) else value
            again = getattr(Limits(**{name: plain}), name)
            self.assertEqual((again, isinstance(again, Elsewhere)), (value, False), name)

    def test_wrong_values(self) -> None:
        """Each is refused in one line that names the limit, its unit and its bounds."""
        for name in NAMES:
            for wrong in ("5", None, True, -1, math.nan, math.inf, [1]):
                text = self.refused(**{name: wrong})
                self.assertIn(f"Limits({name}=...) is a", text)
                self.assertIn(attrs.fields_dict(Limits)[name].metadata["unit"], text)
                self.assertNotIn("\n", text)
        self.assertIn("from 1 on; not 0", self.refused(view_threads=0))
        self.assertIn("a whole number of threads", self.refused(view_threads=1.5))
        self.assertIn("above 0 and at most 31,622,400; not 0", self.refused(drain=0))
        self.assertIn(f"and at most {MAX_FRAME:,}", self.refused(frame_authenticated=MAX_FRAME + 1))
        self.assertLess(len(self.refused(drain="x" * 10_000)), 200)

    def test_order(self) -> None:
        """What bounds more and more may not bound less."""
        self.assertEqual(
            self.refused(frame_authenticated=1_000),
            "Limits(frame_anonymous=262,144) is more than frame_authenticated, which is 1,000; "
            "raise that too, or lower it",
        )
        self.refused(items_anonymous=10)
        self.refused(output_high=2**30)
        self.refused(login_wait=10_000)

    def test_of_a_client(self) -> None:
        """A default for other machines does not hold for this one; 0 holds for nobody."""
        for limit, local, bound in (
            (Elsewhere(5), True, None),
            (Elsewhere(5), False, 5),
            (5, True, 5),
            (5, False, 5),
            (0, False, None),
        ):
            self.assertEqual(for_client(limit, local), bound)

    def test_one_that_is_misspelt(self) -> None:
        """Of eighty names, the one that is alike is told."""
        error = self.assertRaises(TypeError, Limits, requestrate=5)
        self.assertEqual(str(error), "Limits has no keyword 'requestrate'; did you mean request_rate?")

    def test_in_a_router(self) -> None:
        """A server that is started with a wrong one says where it stands, in one line."""
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "wrong_limits.py").write_text("from fluxon.limits import Limits\n\nlimits = Limits(view_threads=0)\n")
        self.addCleanup(sys.modules.pop, "wrong_limits", None)
        error = self.assertRaises(ConfigurationError, load_config, folder / "wrong_limits.py")
        self.assertEqual(
            str(error),
            "wrong_limits.py, line 3: Limits(view_threads=...) is a whole number of threads, from 1 on; not 0",
        )
