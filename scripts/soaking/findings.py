"""What quiet moments say: what is left that should not be, and how memory grows."""

from __future__ import annotations

from itertools import combinations
from statistics import median
from typing import Any

from soaking.rounds import RETURNING

MIB = 1024 * 1024
TEN_MINUTES = 600.0

#: Bytes of growth in ten minutes that are none.
NO_GROWTH = 1 * MIB

#: Objects of one type that may be more at the end than after the first third: what caches still take, a tenth of what
#: there is or so many.
_MORE, _SHARE = 100, 0.1

#: What a server makes when it first needs it, and keeps: threads of all its pools, each with a connection to the
#: database of three files, and the files of secrets, logs, folders.
MADE = {"threads": 80, "database_files": 240, "other_files": 40}

Moments = list[tuple[float, dict[str, Any]]]


def settled(moments: Moments) -> Moments:
    """Those behind the first third, in which what is made once is made and caches fill.

    Behind the third at least: the first is before any client, the second has all threads, the third has seen all code.
    """
    return moments[max(2, len(moments) // 3) :]


def slope(moments: Moments, of: str = "rss") -> float:
    """Bytes in ten minutes: the median slope between any two quiet moments, the first third left out."""
    points = [(at, state[of]) for at, state in settled(moments)]
    slopes = [(b - a) / (later - at) for (at, a), (later, b) in combinations(points, 2) if later > at]
    return median(slopes) * TEN_MINUTES if slopes else 0.0


def left(moments: Moments) -> list[str]:
    """What did not come back: counts by name, and types of objects."""
    first, begun, last = moments[0][1], settled(moments)[0][1], moments[-1][1]
    said = []
    for name, count in last["counts"].items():
        allowed = first["counts"][name] if name in RETURNING else MADE[name]
        if count > allowed:
            said.append(f"{name}: {count}, and not more than {allowed}")
    for name, count in last["objects"].items():
        before = begun["objects"].get(name, 0)
        if count - before > max(_MORE, before * _SHARE):
            said.append(f"objects of {name}: {count}, and {before} before")
    return said
