"""Fluxon: a network engine for programs that talk over their own connection."""

import sys

__version__ = "0.1.0"

# From a folder of sources nobody else would say so; pip does when it installs.
if sys.version_info < (3, 11):  # noqa: UP036
    raise ImportError(
        f"Fluxon needs Python 3.11 or later, and this is {sys.version_info[0]}.{sys.version_info[1]}; "
        "make an environment with a newer one, such as: python3.11 -m venv .venv"
    )
