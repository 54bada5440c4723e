"""``python -m fluxon.connect``."""

import os
import sys

from fluxon.connect.command_line import main

if __name__ == "__main__":
    # One that is closed would be an error wherever it is used, and its number the next socket's.
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    sys.exit(main(sys.argv[1:], sys.stdout, sys.stderr))
