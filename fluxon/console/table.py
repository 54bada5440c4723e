"""The table of the console's commands; ``fluxon.console.actions`` has a function for each.

Rules of this module: declarations only. ``docs/console.rst`` shows the same table, and a test compares them.
"""

from __future__ import annotations

from fluxon.console.command import Argument, Command, Kind, Option

_USER = Argument("user", Kind.USER)
_PATH = Argument("path", Kind.PATH)
_PATH_OR_ROOT = Argument("path", Kind.PATH, required=False)
_LIMIT = Option("--limit", "NUMBER", Kind.NUMBER)

COMMANDS: tuple[Command, ...] = (
    Command("help", "all commands, or how one is written", (Argument("command", Kind.COMMAND, required=False),)),
    Command(
        "status",
        "how the server is; its fullest limits, one of them, or all",
        (Argument("limit", Kind.LIMIT, required=False),),
    ),
    Command(
        "sessions",
        "who has a connection; with --user, all of one user",
        (Option("--user", "USER", Kind.USER), _LIMIT),
    ),
    Command("session", "one session and its connections", (Argument("session", Kind.SESSION),)),
    Command("connections", "open connections, the busiest first", (_LIMIT,)),
    Command("users", "who is connected; with --all, everybody", (Option("--all"), _LIMIT)),
    Command("groups", "groups and how many are in each, or who is in one", (Argument("group", required=False), _LIMIT)),
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
    Command("storage ls", "a directory of the cloud storage", (_PATH_OR_ROOT, _LIMIT)),
    Command("storage tree", "a directory and all that is below it", (_PATH_OR_ROOT, _LIMIT)),
    Command("storage roles", "who has which role at an item", (_PATH,)),
    Command(
        "storage assign",
        "give a user a role at an item and below it",
        (
            Argument("role", Kind.ROLE),
            _USER,
            _PATH,
            Option("--expires", "TIME"),
            Option("--from", "HH:MM"),
            Option("--until", "HH:MM"),
        ),
        changes=True,
    ),
    Command(
        "storage unassign",
        "take a role, or all, at an item from a user",
        (_USER, _PATH, Argument("role", Kind.ROLE, required=False)),
        changes=True,
    ),
    Command(
        "storage explain",
        "what a user (or anonymous) may do at an item, and why",
        (_USER, _PATH, Argument("permission", Kind.PERMISSION, required=False)),
    ),
    Command("storage who-can", "who has a permission at an item", (Argument("permission", Kind.PERMISSION), _PATH)),
    Command(
        "storage audit",
        "what was done at a path and below, the newest first",
        (_PATH_OR_ROOT, Option("--user", "USER", Kind.USER), Option("--since", "TIME"), _LIMIT),
    ),
    Command("storage versions", "the contents of a file that are kept", (_PATH,)),
    Command("storage deleted", "what was deleted below a path and is kept", (_PATH_OR_ROOT, _LIMIT)),
    Command(
        "storage restore",
        "bring an older version back, or what was deleted there",
        (_PATH, Argument("version", Kind.NUMBER, required=False)),
        changes=True,
    ),
    Command(
        "storage usage",
        "how much a directory, or a user, keeps",
        (_PATH_OR_ROOT, Option("--user", "USER", Kind.USER)),
    ),
    Command("storage sweep", "remove what is kept too long and what no row names", changes=True),
    Command("storage check", "compare every row with its bytes"),
    Command("database", "the database's connections, threads and queues"),
    Command(
        "tail logs",
        "the last lines of the log; with -f, what follows too",
        (Argument("lines", Kind.NUMBER, required=False), Option("--follow", short="-f")),
        follows=True,
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
