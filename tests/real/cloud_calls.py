"""Random calls of several users on a cloud storage, of kinds that do something as things are; times in seconds."""

from __future__ import annotations

import random
from typing import Any

from cloud_model import ADMIN, DAY, STRANGER, Naive

TOKENS = ["1" * 16, "2" * 16]


class Chance:
    """Draws calls, of a kind that does something as things are."""

    def __init__(self, seed: Any, model: Naive) -> None:
        self.random = random.Random(seed)
        self.model = model
        self.roles = list(model.rules)

    def one(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def who(self) -> str:
        return str(self.one("Jane", "Jane", "Jane", "Mike", "Mike", ADMIN, ADMIN, STRANGER))

    def there(self, kind: str | None = None) -> str:
        """The path of something that is there, seldom of what is not."""
        if not self.random.randrange(8):
            return self.free()
        things = [each for each in self.model.things if each.kind in (kind, each.kind if kind is None else kind)]
        things = [each for each in things if all(above.deleted is None for above in each.way)]
        found = self.random.choice(things).path if things else "/"
        return found.upper() if not self.random.randrange(12) else found

    def free(self) -> str:
        """A name in a directory, often of nothing."""
        directories = [each for each in self.model.things if each.kind == "directory"]
        directory = self.random.choice([each for each in directories if all(x.deleted is None for x in each.way)])
        names = "/".join(self.one("a", "b", "c", "f", "A") for _ in range(self.one(1, 1, 1, 1, 2)))
        return f"{directory.path.rstrip('/')}/{names}"

    def token(self) -> str | None:
        return self.one(None, None, *TOKENS)  # type: ignore[no-any-return]

    def data(self) -> bytes:
        return self.random.randbytes(self.one(0, 1, 2, 5, 20, 40))

    def version(self) -> int | None:
        return self.one(None, None, None, None, 0, 1, 2, 3)  # type: ignore[no-any-return]

    def call(self) -> tuple[Any, ...]:
        """A call, or some time that passes."""
        name = self.one(*CALLS) if self.random.randrange(150) else "leave"
        return (name, *getattr(self, f"draw_{name}", self.draw_look)())

    def draw_look(self) -> tuple[Any, ...]:
        return self.who(), self.there()

    def draw_find(self) -> tuple[Any, ...]:
        return self.who(), self.there("directory"), self.one("a", "f")

    def draw_read(self) -> tuple[Any, ...]:
        return self.who(), self.there("file"), self.version(), self.one(0, 0, 0, 1, 50)

    def draw_usage(self) -> tuple[Any, ...]:
        whom = self.one(None, "Jane", "Mike")
        return self.who(), whom, None if whom else self.there("directory")

    def draw_make_directory(self) -> tuple[Any, ...]:
        return self.who(), self.one(self.free(), self.free(), self.there()), self.one(True, False)

    def draw_make_file(self) -> tuple[Any, ...]:
        return self.who(), self.free()

    def draw_write(self) -> tuple[Any, ...]:
        path = self.one(self.free(), self.there("file"), self.there("file"))
        return self.who(), path, self.data(), self.one(True, True, False), self.version(), self.token()

    draw_upload = draw_write

    def draw_restore_version(self) -> tuple[Any, ...]:
        return self.who(), self.there("file"), self.one(1, 2, 3, 4)

    def draw_delete(self) -> tuple[Any, ...]:
        return self.who(), self.there(), self.one(None, None, None, "file", "directory"), self.token()

    def draw_move(self) -> tuple[Any, ...]:
        return self.who(), self.there(), self.free(), self.token()

    def draw_copy(self) -> tuple[Any, ...]:
        return self.who(), self.there(), self.free()

    def draw_restore_deleted(self) -> tuple[Any, ...]:
        return self.who(), self.free(), self.one(0, 0, 0, 1, 2, 5)

    def draw_lock(self) -> tuple[Any, ...]:
        return self.who(), self.there("file"), self.one(50, 5000), self.one(*TOKENS)

    def draw_unlock(self) -> tuple[Any, ...]:
        return self.who(), self.there("file"), self.token()

    def draw_set_quota(self) -> tuple[Any, ...]:
        whom = self.one(None, "Jane", "Mike")
        who = self.one(ADMIN, ADMIN, ADMIN, "Jane")
        return who, whom, None if whom else self.there("directory"), self.one(None, None, 0, 10, 90)

    def draw_assign(self) -> tuple[Any, ...]:
        role = self.one(
            *self.roles, self.roles[0], self.roles[0], *(["unheard-of"] if self.one(*range(9)) == 0 else [])
        )
        times = [self.one(None, None, None, None, 11 * 3600, 12 * 3600 + 30, 13 * 3600) for _ in range(2)]
        who, seconds = self.one(ADMIN, ADMIN, "Jane", self.who()), self.one(None, None, 60, 4000)
        return who, self.there(), self.one("Jane", "Mike"), role, seconds, *times

    def draw_unassign(self) -> tuple[Any, ...]:
        return self.who(), self.there(), self.one("Jane", "Mike"), self.one(None, *self.roles)

    def draw_pass(self) -> tuple[Any, ...]:
        return (self.one(1, 1, 60, 4000, DAY / 2 + 1, DAY),)

    def draw_leave(self) -> tuple[Any, ...]:
        # Jane, without whom little happens, seldom.
        return (self.one("Mike", "Mike", "Mike", "Jane"),)

    def draw_purge(self) -> tuple[Any, ...]:
        return ()


CALLS = [
    *("stat", "list", "tree", "find", "read", "list_versions", "list_deleted", "usage", "permissions"),
    *2 * ("make_directory", "write", "delete", "move", "copy", "restore_deleted", "restore_version", "assign"),
    *("make_file", "write", "upload", "lock", "unlock", "set_quota", "unassign", "assign", "pass", "purge"),
]


#: Something to begin with: Jane's directory, one of Admin's in it and beside it, and a file.
BEGINNING = [
    ("make_directory", "Jane", "/a", False),
    ("assign", ADMIN, "/a", "Jane", "owner", None, None, None),
    ("make_directory", ADMIN, "/a/b", False),
    ("make_directory", ADMIN, "/b", False),
    ("write", "Jane", "/a/f", b"first", True, None, None),
]
