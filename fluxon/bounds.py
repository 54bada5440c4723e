"""How a limit is declared: a number with its unit, why it is that number, and what happens beyond it.

Rules of this module: pure. A value that makes no sense is a ``ConfigurationError`` that names the limit and its bounds.
"""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import attrs

from fluxon.errors import ConfigurationError

_YEAR = 366 * 86_400


class Elsewhere(int):
    """A default for clients of other machines. Whatever is set instead is a plain number, and holds for all."""


def for_client(limit: int, local: bool) -> int | None:
    """``limit`` as it holds for a client, ``local`` if it is of this machine; None for no bound."""
    return None if not limit or (local and isinstance(limit, Elsewhere)) else int(limit)


def _limit(default: Any, unit: str, why: str, beyond: str, low: int, high: float) -> Any:
    whole = isinstance(default, int)
    bounds = f"a whole number of {unit}, from {low:,} on" if whole else f"a number of {unit}, above 0"
    if high < math.inf:
        bounds += f" and at most {high:,}"

    def check(_: Any, attribute: Any, value: Any) -> None:
        right = (int,) if whole else (int, float)
        if (
            isinstance(value, bool)
            or not isinstance(value, right)
            or not low <= value <= high
            or (not whole and not value)
        ):
            raise ConfigurationError(f"Limits({attribute.name}=...) is {bounds}; not {value!r:.60}")

    return attrs.field(default=default, validator=check, metadata={"unit": unit, "why": why, "beyond": beyond})


def count(default: int, unit: str, why: str, beyond: str, low: int = 1, high: float = math.inf) -> int:
    """A whole number, ``low`` to ``high``."""
    value: int = _limit(default, unit, why, beyond, low, high)
    return value


def bytes_(default: int, why: str, beyond: str, high: float = math.inf) -> int:
    """A size, 1 to ``high``."""
    return count(default, "bytes", why, beyond, high=high)


def seconds(default: float, why: str, beyond: str) -> float:
    """A time of at most a year: what is longer is a slip, and clocks overflow somewhere."""
    value: float = _limit(float(default), "seconds", why, beyond, 0, _YEAR)
    return value


def check_order(limits: Any, *names: str) -> None:
    """Raise ``ConfigurationError`` unless each of these is at most the next one."""
    for lower, upper in pairwise(names):
        low, high = getattr(limits, lower), getattr(limits, upper)
        if low > high:
            raise ConfigurationError(
                f"Limits({lower}={low:,.15g}) is more than {upper}, which is {high:,.15g}; raise that too, or lower it"
            )
