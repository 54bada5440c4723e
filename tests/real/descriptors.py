"""What this process has open, by name: other tests' rubbish that is collected meanwhile changes a mere count."""

from __future__ import annotations

import os
from pathlib import Path


def open_files() -> dict[int, str]:
    """What each descriptor leads to. Those that another thread closes just now are left out."""
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[int(name)] = os.readlink(f"/proc/self/fd/{name}")
        except FileNotFoundError:
            pass
    return found


def open_below(folder: str | Path) -> dict[int, str]:
    """Those that lead to this folder, or into it; also to what was removed from it."""
    place = os.path.realpath(folder)
    return {number: path for number, path in open_files().items() if f"{path}/".startswith(f"{place}/")}
