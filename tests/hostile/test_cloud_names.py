"""Hostile names and paths: each is refused with its reason, or stored and read back exactly.

None reaches a path of the disk: every path that Python hands to the operating system meanwhile is seen by an audit hook
(PEP 578), and must be one of the few that the storage makes itself.
"""

from __future__ import annotations

import os
import random
import re
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from cloud_cases import CloudCase, MySQLCloud, PostgreSQLCloud

from fluxon.cloud.paths import component, key, parse
from fluxon.database.apis import SQLiteDatabase
from fluxon.errors import AlreadyExists, InvalidPayload

_COUNT = 5_000

#: Audit events whose arguments are paths.
_EVENTS = {
    "open",
    "os.rename",
    "os.remove",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.listdir",
    "os.scandir",
}
_EVENTS |= {"os.chmod", "os.chown", "os.truncate", "os.utime", "shutil.move", "shutil.rmtree", "shutil.copyfile"}

_seen: list[tuple[str, Any]] | None = None


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is not None and event in _EVENTS:
        _seen.extend((event, each) for each in arguments if isinstance(each, str | bytes | os.PathLike))


# A hook cannot be taken off again; this one does nothing outside of the tests below.
sys.addaudithook(_watch)


@contextmanager
def _watching() -> Iterator[list[tuple[str, Any]]]:
    global _seen
    _seen = found = []
    try:
        yield found
    finally:
        _seen = None


#: What the storage itself names: objects in their shelves, and nothing else.
_OWN = re.compile(r"(objects/)?([0-9a-f]{2}/?)?([0-9a-f]{32})?")


def _is_own(path: Any, folder: str) -> bool:
    text = os.fsdecode(path)
    if text.endswith((".py", ".pyc")) or text.startswith(sys.base_prefix):
        return True  # modules that are imported at their first use
    inner = text.removeprefix(f"{folder}/cloud").lstrip("/") if text.startswith(folder) else text
    return _OWN.fullmatch(inner) is not None


_WORDS = [
    "..", ".", "...", "....", "~", "-", "--help", "-rf", "*", "?", "con", "NUL", "aux.txt", "COM1", "lpt1.txt",
    "etc", "passwd", ".fluxon", "objects", "uploads", "lock", "%2e%2e", "%2f", "%00", "..%c0%af", "\uff0e\uff0e",
    "\u2215", "\uff0f", "\\", "/", "//", "\0", "\n", "\r\n", "\t", "\x1b[2J", "\x7f", "\x85", "\xa0", "\u200b",
    "\u200d", "\u202e", "\u2066", "\ufeff", "\u2028", "\ud800", "\udfff", "\uffff", "\U0010ffff", "\ue000",
    "e\u0301", "\u00e9", "\u1e9b\u0323", "\ufb03", "\u0130", "\u0131", "\u00df", "\u1e9e", "\u03a3", "\u03c2",
    "\u212a", "\u0345", "\u0390", "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "z\u0351\u036b\u0343",
    "\u0627\u0644", "\u4e2d\u6587", "\u1100\u1161\u11a8", "' OR 1=1 --", "'; DROP TABLE filesystem_items; --",
    '"', "`", "%", "_", "%s", "{0}", "${HOME}", "$(id)", "`id`", "|", "&", ";", "<script>", "&amp;", "null", "NaN",
    "true", "0", "-1", "1e999", " ", "  ", " a", "a ", "a.", ".a", "a" * 64, "b" * 255, "c" * 256, "\u00e9" * 127,
    "\u00e9" * 128, "\U0001f600" * 63, "\U0001f600" * 64,
]  # fmt: skip


def _hostile() -> list[str]:
    """The same paths each time."""
    chance = random.Random(5_000)
    made = ["/" + word for word in _WORDS] + list(_WORDS)
    while len(set(made)) < _COUNT:
        kind = chance.random()
        if kind < 0.4:
            name = "".join(chance.choice(_WORDS) for _ in range(chance.randint(2, 3)))
        elif kind < 0.6:
            name = "".join(chr(chance.randrange(0x110000)) for _ in range(chance.randint(1, 20)))
        elif kind < 0.8:
            name = "".join(chr(chance.randrange(0x3000)) for _ in range(chance.randint(1, 12)))
        else:
            name = "/".join(chance.choice(_WORDS) for _ in range(chance.randint(2, 70)))
        made.append("/" + name)
    return list(dict.fromkeys(made))


class Names:
    """What is done with them; the cases below say where, and with how many."""

    count = _COUNT

    def test_each(self: Any) -> None:
        """Refused with a reason, or there by exactly that name."""
        outcomes: Counter[str] = Counter()
        hostile = random.Random(1).sample(_hostile(), self.count)
        # What is imported, opened and written for the first time is not to be blamed on a name.
        self.storage.write(self.admin, "/first", b"1")
        with _watching() as paths:
            for number, path in enumerate(hostile):
                outcomes[self.one(path, number)] += 1
        self.assertTrue(paths)  # it watches
        strange = {str(path)[:80] for _, path in paths if not _is_own(path, str(self.folder))}
        self.assertEqual(strange, set())
        self.assertEqual(outcomes.total(), self.count)
        # Neither is everything refused, nor everything taken.
        self.assertGreater(outcomes["stored"], self.count // 10)
        self.assertGreater(outcomes["refused"], self.count // 10)
        self.assertEqual(self.storage.check(), [])

    def one(self: Any, path: str, number: int) -> str:
        try:
            made = self.storage.make_directory(self.admin, path, parents=True)
        except InvalidPayload as error:
            self.assertRegex(error.text, r"^(a |the )(name|path)|^this is a file")
            if len(path) > 8:
                self.assertNotIn(path, error.text)
            return "refused"
        except AlreadyExists:
            return "taken"
        self.assertEqual(self.storage.stat(self.admin, path), made)
        # Something of the path may have been there, in another case.
        self.assertEqual([key(each) for each in parse(made.path)], [key(each) for each in parse(path)])
        if number % 10 == 0 and 0 < len(made.name.encode()) < 250:
            file = f"{path.rstrip('/')}-file"
            self.storage.write(self.admin, file, path.encode())
            self.assertEqual(self.storage.read(self.admin, file), path.encode())
        return "stored"

    def test_exact_names(self: Any) -> None:
        """A name comes back as it was given, composed, in answers, lists, the log and further paths."""
        names = [word for word in _WORDS if _is_name(word)]
        self.assertGreater(len(names), 50)
        self.storage.make_directory(self.admin, "/d")
        kept: dict[str, str] = {}
        for name in names:
            composed = unicodedata.normalize("NFC", name)
            try:
                self.assertEqual(self.storage.make_file(self.admin, f"/d/{name}").name, composed)
            except AlreadyExists:
                continue
            kept[composed] = name
        self.assertEqual(set(self.names(self.admin, "/d")), set(kept))
        logged = {each.path for each in self.storage.log(self.admin, "/d").entries if each.action_type == "create"}
        self.assertLessEqual({f"/d/{name}" for name in kept}, logged)
        for composed, name in kept.items():
            self.assertEqual(self.storage.stat(self.admin, f"/d/{name}").name, composed)
            if composed not in ("*", "?"):
                self.assertEqual(
                    [each.name for each in self.storage.find(self.admin, "/d", composed).entries], [composed]
                )
            moved = self.storage.move(self.admin, f"/d/{name}", f"/{name}x")
            self.assertEqual(moved.name, unicodedata.normalize("NFC", name + "x"))
            self.storage.delete(self.admin, moved.path)
        gone = {each.path for each in self.storage.deleted(self.admin, "/").entries}
        self.assertEqual(gone, {f"/{unicodedata.normalize('NFC', name + 'x')}" for name in kept.values()})


def _is_name(word: str) -> bool:
    try:
        return bool(component(word + "x")) and bool(component(word))
    except InvalidPayload:
        return False


class SQLiteNames(Names, CloudCase):
    """All of them, on SQLite in memory."""

    def make_database(self, declared: Any) -> Any:
        return SQLiteDatabase(":memory:", models=declared)


class PostgreSQLNames(Names, PostgreSQLCloud):
    """Some, on PostgreSQL."""

    count = 250


class MySQLNames(Names, MySQLCloud):
    """Some, on MariaDB or MySQL."""

    count = 250
