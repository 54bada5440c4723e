"""The table of the console's commands; ``fluxon.console.actions`` has a function for each.

Rules of this module: declarations only. ``docs/console.rst`` shows the same table, and a test compares them.
"""

from __future__ import annotations

from fluxon.console.command import Argument, Command, Kind, Option

_USER = Argument("user", Kind.USER)
_LIMIT = Option("--limit", "NUMBER", Kind.NUMBER)

COMMANDS: tuple[Command, ...] = (
    Command("help", "all commands, or how one is written", (Argument("command", Kind.COMMAND, required=False),)),
    Command("status", "how the server is, and how full each of its limits"),
    Command(
        "sessions",
        "who has a connection; with --user, all of one user",
        (Option("--user", "USER", Kind.USER),),
    ),
    Command("session", "one session and its connections", (Argument("session", Kind.SESSION),)),
    Command("connections", "open connections, the busiest first", (_LIMIT,)),
    Command("users", "who is connected; with --all, everybody", (Option("--all"), _LIMIT)),
    Command(
        "kick",
        "end a connection (its number) or a session (its name)",
        (Argument("target", Kind.CONNECTION),),
        changes=True,
    ),
    Command("logout", "end every session of a user, on every device", (_USER,), changes=True),
    Command(
        "push",
        "call a function in every client of a user",
        (_USER, Argument("function"), Argument("json", Kind.JSON, required=False)),
        changes=True,
    ),
    Command("views", "how often each was called and failed, and how long it took"),
    Command(
        "call",
        "run a view, as a user or as a stranger",
        (Argument("view", Kind.VIEW), Option("as", "USER", Kind.USER), Argument("json", Kind.JSON, required=False)),
        changes=True,
    ),
    Command("saveschema", "write the models, as their files are, to a new schema file", changes=True),
    Command("schemas", "the schema files, and which of them the database has"),
    Command(
        "updateschema",
        "bring the database to a schema; --plan only says how",
        (
            Argument("number", Kind.NUMBER, required=False),
            Option("--plan"),
            Option("--drop", "MODEL.FIELD", repeated=True),
        ),
        changes=True,
    ),
    Command("database", "the database's connections, threads and queues"),
    Command(
        "tail logs",
        "the last lines of the log; with -f, what follows too",
        (Argument("lines", Kind.NUMBER, required=False), Option("--follow", short="-f")),
    ),
    Command(
        "loglevel",
        "how much is logged, of everything or of one part",
        (Argument("level", Kind.LEVEL, required=False), Argument("part", required=False)),
        changes=True,
    ),
    Command("reload certificates", "take up a new certificate now", changes=True),
    Command(
        "python",
        "a prompt, or one line, of Python with await",
        (Argument("code", Kind.CODE, required=False),),
        changes=True,
        python=True,
    ),
    Command("terminate", "stop: nothing new begins, what is under way may end", changes=True),
)


def command_named(name: str) -> Command | None:
    """The command of exactly this name."""
    return next((each for each in COMMANDS if each.name == name), None)
