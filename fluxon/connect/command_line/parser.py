"""The words of the command line."""

from __future__ import annotations

import argparse

from fluxon import __version__
from fluxon.connect.command_line.statuses import TEXT

_DESCRIPTION = """Talk to a Fluxon server from a shell: log in, use its cloud storage, call its views.

The server that was last logged in to is the one that commands without --server mean; what was said of it then
(--secure, --trust, --cloud-port) is remembered, together with the session, in a file that only you can read."""

#: Transfers at once, of a whole folder: enough for the server to make several durable with one write.
DEFAULT_JOBS = 8

DEFAULT_TIMEOUT = 30.0


def parser() -> argparse.ArgumentParser:
    """The parser; ``command`` names the one that was given."""
    made = argparse.ArgumentParser(
        prog="python -m fluxon.connect",
        description=_DESCRIPTION,
        epilog=TEXT,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        parents=[_everywhere()],
    )
    made.add_argument("--version", action="version", version=f"fluxon {__version__}")
    made.set_defaults(
        server=None,
        cloud_port=None,
        secure=None,
        trust=None,
        timeout=DEFAULT_TIMEOUT,
        wait=0.0,
        json=False,
        quiet=False,
    )
    commands = _Commands(made)
    _sessions(commands)
    _items(commands)
    _contents(commands)
    _roles(commands)
    _history(commands)
    return made


class _Commands:
    """Makes the parsers of commands. Each takes the options of all, too."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._group = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")

    def add_parser(self, name: str, help: str, description: str | None = None) -> argparse.ArgumentParser:
        said = description or f"{help[0].upper()}{help[1:]}."
        return self._group.add_parser(name, help=help, description=said, epilog=TEXT, parents=[_everywhere()])


def _everywhere() -> argparse.ArgumentParser:
    # What is not given must not be set: a command's parser would undo what was given before its name.
    options = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    group = options.add_argument_group("the server, and how results are shown")
    group.add_argument("--server", metavar="HOST[:PORT]", help="the server; port 8080 unless given")
    group.add_argument(
        "--cloud-port", type=int, metavar="PORT", help="the port of its cloud storage; 8888 unless given"
    )
    group.add_argument("--secure", action=argparse.BooleanOptionalAction, help="use TLS")
    group.add_argument(
        "--trust", metavar="FILE", help="the server's certificate, or its authority's, as a PEM file; for --secure"
    )
    group.add_argument(
        "--timeout",
        type=float,
        metavar="SECONDS",
        help=f"how long to wait for an answer, or without progress; {DEFAULT_TIMEOUT:g}",
    )
    group.add_argument(
        "--wait", type=float, metavar="SECONDS", help="how long to wait for a server that is not up yet; 0"
    )
    group.add_argument("--json", action="store_true", help="print JSON")
    group.add_argument("--quiet", action="store_true", help="no progress bars, and nothing about what went well")
    return options


def _sessions(commands: _Commands) -> None:
    login = commands.add_parser(
        "login",
        help="log in, and stay so",
        description="Log in by the project's view 'login', which is sent {username, password}. The password is asked "
        "for on the terminal, or read from the first line of standard input if that is none.",
    )
    login.add_argument("user", type=_given, metavar="USER")
    login.add_argument("--view", default="login", help="the view that logs in, if it is called otherwise")
    logout = commands.add_parser("logout", help="log out, and forget the session")
    logout.add_argument("--view", default="logout", help="the view that logs out, if it is called otherwise")
    commands.add_parser("whoami", help="which server commands mean, and who is logged in there")
    call = commands.add_parser("call", help="call a view of the server")
    call.add_argument("view", metavar="VIEW")
    call.add_argument("payload", nargs="?", metavar="JSON", help="its payload; '-' reads it from standard input")


def _items(commands: _Commands) -> None:
    listing = commands.add_parser("ls", help="list a directory")
    listing.add_argument("path", type=_given, nargs="?", default="/", metavar="PATH")
    listing.add_argument("-l", "--long", action="store_true", help="with size, time and creator")
    tree = commands.add_parser("tree", help="list all that is below a directory")
    tree.add_argument("path", type=_given, nargs="?", default="/", metavar="PATH")
    find = commands.add_parser("find", help="find items by their names")
    find.add_argument("path", type=_given, metavar="PATH")
    find.add_argument("pattern", type=_given, metavar="PATTERN", help="with * and ?")
    stat = commands.add_parser("stat", help="what is known of an item")
    stat.add_argument("path", type=_given, metavar="PATH")
    make = commands.add_parser("mkdir", help="make a directory")
    make.add_argument("path", type=_given, metavar="PATH")
    make.add_argument("-p", "--parents", action="store_true", help="and those above it that are missing")
    remove = commands.add_parser("rm", help="delete files")
    remove.add_argument("paths", type=_given, nargs="+", metavar="PATH")
    remove.add_argument("-r", "--recursive", action="store_true", help="directories, too, with all that is in them")
    for name, words in (("mv", "move or rename an item"), ("cp", "copy an item, within the cloud")):
        made = commands.add_parser(name, help=words)
        made.add_argument("path", type=_given, metavar="PATH")
        made.add_argument("to", type=_given, metavar="NEW_PATH")


def _contents(commands: _Commands) -> None:
    get = commands.add_parser(
        "get",
        help="download a file or a whole folder",
        description="Download a file, or a directory with all that is in it. LOCAL is the new file's or folder's own "
        "path, or where it goes if it ends with '/' or is '.'; a file goes into a folder that is there, too. What is "
        "there with the same size and hash is skipped, so that the same command goes on after an interruption.",
    )
    get.add_argument("path", type=_given, metavar="PATH")
    get.add_argument(
        "local", type=_given, nargs="?", metavar="LOCAL", help="a file or a folder; without it, PATH's name here"
    )
    put = commands.add_parser(
        "put",
        help="upload files or whole folders",
        description="Upload files, or folders with all that is in them. PATH is the new file's or folder's own path, "
        "or where they go if it ends with '/' or several are put; a file goes into a directory that is there, too. "
        "What is there with the same size and hash is skipped, so that the same command goes on after an "
        "interruption.",
    )
    put.add_argument("local", type=_given, nargs="+", metavar="LOCAL")
    put.add_argument("path", type=_given, metavar="PATH")
    for made in (get, put):
        made.add_argument(
            "--jobs", type=_positive, default=DEFAULT_JOBS, metavar="N", help=f"transfers at once; {DEFAULT_JOBS}"
        )


def _roles(commands: _Commands) -> None:
    share = commands.add_parser("share", help="give a user a role at a path and below it")
    share.add_argument("path", type=_given, metavar="PATH")
    share.add_argument("user", type=_given, metavar="USER")
    share.add_argument("role", type=_given, metavar="ROLE")
    share.add_argument("--expires", metavar="TIME", help="until when, like 2027-01-31 or 2027-01-31T18:00+01:00")
    share.add_argument("--from", dest="valid_from", metavar="HH:MM", help="from this time of each day on (UTC)")
    share.add_argument("--until", dest="valid_until", metavar="HH:MM", help="and until that one")
    unshare = commands.add_parser("unshare", help="take a role at a path from a user")
    unshare.add_argument("path", type=_given, metavar="PATH")
    unshare.add_argument("user", type=_given, metavar="USER")
    unshare.add_argument(
        "role", type=_given, nargs="?", metavar="ROLE", help="without it: every role that is assigned there"
    )
    roles = commands.add_parser("roles", help="the roles that are assigned at a path")
    roles.add_argument("path", type=_given, metavar="PATH")
    permissions = commands.add_parser("permissions", help="what you may do at a path")
    permissions.add_argument("path", type=_given, metavar="PATH")


def _history(commands: _Commands) -> None:
    log = commands.add_parser("log", help="what was done at a path and below it")
    log.add_argument("path", type=_given, nargs="?", default="/", metavar="PATH")
    log.add_argument("--user", help="by this user only")
    log.add_argument("--since", metavar="TIME", help="like 2027-01-31, or with a time of day")
    log.add_argument("-n", "--number", type=_positive, default=100, help="the newest so many; 100")
    versions = commands.add_parser("versions", help="the contents of a file that are kept")
    versions.add_argument("path", type=_given, metavar="PATH")
    deleted = commands.add_parser("deleted", help="what was deleted below a directory and is still kept")
    deleted.add_argument("path", type=_given, nargs="?", default="/", metavar="PATH")
    restore = commands.add_parser("restore", help="bring back an older version, or something deleted")
    restore.add_argument("path", type=_given, metavar="PATH")
    which = restore.add_mutually_exclusive_group(required=True)
    which.add_argument("--version", type=int, metavar="N", help="see versions")
    which.add_argument("--deleted", type=int, metavar="ID", help="see deleted")
    watch = commands.add_parser("watch", help="print each change at a path and below it, until Ctrl+C")
    watch.add_argument("path", type=_given, nargs="?", default="/", metavar="PATH")


def _given(text: str) -> str:
    """What a script has not set is empty: it must not be taken for the root, or for the folder that it runs in."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; the cloud's root is '/', and this folder '.'")
    return text


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("a number from 1 on")
    return number
