"""How hard the tests try that draw their cases: ``FLUXON_EFFORT=50 scripts/test ...`` tries fifty times as many."""

from __future__ import annotations

import os

EFFORT = float(os.environ.get("FLUXON_EFFORT", "1"))


def times(count: int) -> int:
    """``count`` cases, or as many times more as was asked for."""
    return max(1, round(count * EFFORT))
