"""``python -m fluxon.connect``."""

import sys

from fluxon.connect.command_line import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], sys.stdout, sys.stderr))
