"""``python -m fluxon``: which version this is, and the commands that there are. Each says more with ``--help``."""

import sys

from fluxon import __version__

COMMANDS = """
  python -m fluxon.startproject   make a project: a server that starts at once, and a client
  python -m fluxon.database       schemas of a project's database
  python -m fluxon.connect        log in to a server, use its files, call its views
  twistd -n fluxon                run a project's server
  twistd -n fluxon-cloud          run a project's cloud storage in a process of its own
"""


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code."""
    if arguments not in ([], ["--version"], ["--help"], ["-h"]):
        print(f"python -m fluxon takes no {arguments[0]!r}; its commands are{COMMANDS}", end="", file=sys.stderr)
        return 2
    print(f"fluxon {__version__}")
    if arguments != ["--version"]:
        print(COMMANDS, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
