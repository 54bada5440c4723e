"""A clock whose turns are told apart, as a reactor's are."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock

#: Seconds from one turn of the reactor to the next.
TURN = 1e-6


class Turns(Clock):
    """As a reactor does it: what is to be called at once is called in the next turn, not in this one."""

    def callLater(self, when: float, *told: Any, **keywords: Any) -> Any:
        return super().callLater(max(when, TURN), *told, **keywords)
