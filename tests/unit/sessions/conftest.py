"""What the tests of sessions stand on: a clock, users, and processes that share one persistent store."""

import hmac
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from fluxon.limits import Limits
from fluxon.security.tokens import TokenSigner
from fluxon.sessions import MemoryStore, Session, Sessions

#: A day in 2025: POSIX seconds as a server's reactor tells them.
START = 1_764_000_000.0


@attrs.frozen
class User:
    """A row of the user's table."""

    id: int
    username: str
    password: str


class Users:
    """``Accounts`` in a dict. ``slow`` holds every answer back until ``answer``, each as it was when asked."""

    def __init__(self) -> None:
        self.rows = {1: User(1, "ann", "hash-of-ann"), 2: User(2, "bob", "hash-of-bob")}
        self.slow = False
        self.asked = 0
        self._waiting: list[tuple[Deferred[Any], Any]] = []

    def load_user(self, user_id: int) -> Deferred[Any]:
        self.asked += 1
        row = self.rows.get(user_id)
        if not self.slow:
            return succeed(row)
        answer: Deferred[Any] = Deferred()
        self._waiting.append((answer, row))
        return answer

    def credential(self, row: Any) -> bytes:
        return row.password.encode()

    def answer(self) -> None:
        """Let out what was asked until now, in order."""
        waiting, self._waiting = self._waiting, []
        for deferred, row in waiting:
            deferred.callback(row)

    def change_password(self, user_id: int) -> None:
        self.rows[user_id] = attrs.evolve(self.rows[user_id], password=self.rows[user_id].password + "'")


class SlowStore:
    """A store whose work is done at once and whose answers come when ``answer`` lets them, in order."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._waiting: list[tuple[Deferred[Any], Any]] = []
        self.slow = False

    def __getattr__(self, name: str) -> Callable[..., Deferred[Any]]:
        work = getattr(self._store, name)

        def call(*arguments: Any) -> Deferred[Any]:
            done: Deferred[Any] = work(*arguments)
            if not self.slow:
                return done
            answer: Deferred[Any] = Deferred()
            self._waiting.append((answer, done.result))
            return answer

        return call

    def answer(self) -> None:
        waiting, self._waiting = self._waiting, []
        for deferred, result in waiting:
            deferred.callback(result)


class House:
    """One or more server processes on one persistent store, under one clock and one secret."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.clock.advance(START)
        self.users = Users()
        self.limits = Limits()
        self.store = SlowStore(MemoryStore(1_000))
        self.keys = {"k1": b"1" * 32}
        self.signer = TokenSigner(self.keys)
        self.ended: list[Session] = []
        self.sessions = self.process()

    def process(self, **changes: Any) -> Sessions:
        """Another process, as a restart or a second server would be."""
        arguments: dict[str, Any] = {
            "signer": self.signer,
            "accounts": self.users,
            "clock": self.clock,
            "limits": self.limits,
            "digest": self.digest,
            "persistent": self.store,
            "on_end": self.ended.append,
        }
        return Sessions(**{**arguments, **changes})

    def digest(self, purpose: str, data: bytes) -> bytes:
        return hmac.digest(b"the key of the secrets folder", purpose.encode() + b":" + data, "sha256")


@pytest.fixture(autouse=True)
def house(request: pytest.FixtureRequest) -> None:
    """Every test has ``self.house``, new and empty."""
    if request.instance is not None:
        request.instance.house = House()
