"""Sessions against a model of a few lines: random histories over two processes that share one store.

The model knows for each token whether it must be honoured, and as whom. Whatever order of hellos, logins, logouts,
revocations, changed passwords, deleted users, purges and passing time: the engine says the same.
"""

import gc
from typing import Any

import attrs
from effort import times
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from fluxon.errors import Conflict, NotFound
from fluxon.limits import Limits
from fluxon.security.tokens import TokenSigner
from fluxon.sessions import MemoryStore, Session, Sessions
from fluxon.sessions.verification import TOUCH_EVERY

LIMITS = Limits(session_idle=1_000, session_absolute=3_000, session_anonymous_idle=100, connections_per_session=3)


@attrs.define
class Known:
    """What the model knows of a token."""

    process: int
    user_id: int | None
    version: int
    created: float
    used: float
    over: bool = False


class Accounts:
    """Users by id, each with a version of its password; 0 is no user."""

    def __init__(self) -> None:
        self.versions = {1: 1, 2: 1}

    def load_user(self, user_id: int) -> Deferred[Any]:
        version = self.versions.get(user_id, 0)
        return succeed((user_id, version) if version else None)

    def credential(self, row: Any) -> bytes:
        return repr(row).encode()


class SessionMachine(RuleBasedStateMachine):
    """Tokens are what a client has; everything is asked through them."""

    tokens: Bundle[str] = Bundle("tokens")
    users = st.integers(1, 3)
    processes = st.integers(0, 1)

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.accounts = Accounts()
        store, signer = MemoryStore(10_000), TokenSigner({"k": b"k" * 32})
        self.servers = [
            Sessions(
                signer, self.accounts, self.clock, LIMITS, digest=lambda purpose, data: data[::-1], persistent=store
            )
            for _ in range(2)
        ]
        self.known: dict[str, Known] = {}
        self.passwords = 1

    def now(self, deferred: Deferred[Any]) -> Any:
        """The result that is there already; an error is returned, not raised."""
        box: list[Any] = []
        deferred.addBoth(box.append)
        assert box, "nothing here may wait"
        return box[0].value if isinstance(box[0], Failure) else box[0]

    def learn(self, process: int, session: Session, token: str) -> str:
        version = self.accounts.versions.get(session.user_id or 0, 0)
        self.known[token] = Known(process, session.user_id, version, self.clock.seconds(), self.clock.seconds())
        return token

    def holds(self, token: str, process: int) -> bool:
        """Whether the model says that ``token`` is worth something in a process."""
        known, now = self.known[token], self.clock.seconds()
        if known.over or now - known.created >= 3_000:
            return False
        if known.user_id is None:
            return known.process == process and now - known.used < 100
        return now - known.used < 1_000 and self.accounts.versions.get(known.user_id) == known.version

    def resumed(self, token: str, process: int) -> Session | None:
        """The session of a token, held against the model; None for one that is worth nothing."""
        holds = self.holds(token, process)
        resumed = self.now(self.servers[process].resume(token))
        assert resumed.fresh is not holds, (token, self.known[token])
        if not holds:
            assert resumed.session.user_id is None
            assert resumed.session.user is None
            return None
        assert resumed.session.user_id == self.known[token].user_id
        self.used(self.known[token])
        session: Session = resumed.session
        return session

    def used(self, known: Known) -> None:
        """No connection is attached whose end would be noted, so a store hears of use as seldom as while one is."""
        now = self.clock.seconds()
        if now - known.used >= TOUCH_EVERY:
            known.used = now

    @rule(target=tokens, process=processes)
    def hello(self, process: int) -> str:
        resumed = self.now(self.servers[process].resume(None))
        assert resumed.session.user_id is None and not resumed.fresh
        return self.learn(process, resumed.session, resumed.token)

    @rule(token=tokens, process=processes)
    def hello_again(self, token: str, process: int) -> None:
        self.resumed(token, process)

    @rule(target=tokens, token=tokens, process=processes, user_id=users)
    def login(self, token: str, process: int, user_id: int) -> Any:
        session = self.resumed(token, process)
        if session is None:
            return multiple()
        answer = self.now(self.servers[process].login(session, user_id))
        if user_id not in self.accounts.versions:
            assert isinstance(answer, NotFound) and not session.ended
            return multiple()
        self.known[token].over = True
        assert session.ended
        assert isinstance(self.now(self.servers[process].login(session, user_id)), Conflict)
        return self.learn(process, *answer)

    @rule(target=tokens, token=tokens, process=processes)
    def logout(self, token: str, process: int) -> Any:
        session = self.resumed(token, process)
        if session is None:
            return multiple()
        self.known[token].over = True
        return self.learn(process, *self.now(self.servers[process].logout(session)))

    @rule(token=tokens, process=processes)
    def revoke(self, token: str, process: int) -> None:
        session = self.resumed(token, process)
        if session is not None:
            assert self.now(self.servers[process].revoke(session)) is True
            self.known[token].over = True

    @rule(process=processes, user_id=users)
    def revoke_user(self, process: int, user_id: int) -> None:
        self.now(self.servers[process].revoke_user(user_id))
        for known in self.known.values():
            known.over |= known.user_id == user_id

    @rule(user_id=st.integers(1, 2))
    def change_password(self, user_id: int) -> None:
        self.passwords += 1
        self.accounts.versions[user_id] = self.passwords

    @rule(user_id=st.integers(1, 2))
    def delete_user(self, user_id: int) -> None:
        self.accounts.versions.pop(user_id, None)

    @rule(seconds=st.sampled_from([1.0, 61.0, 99.0, 100.0, 600.0, 999.0, 1_000.0, 2_000.0]))
    def pass_time(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @rule(process=processes)
    def purge(self, process: int) -> None:
        assert self.now(self.servers[process].purge()) >= 0

    @invariant()
    def nothing_is_live(self) -> None:
        """No connection is attached between the steps, so no session is live."""
        if any(server.live_count for server in self.servers):
            gc.collect()  # errors hold tracebacks, and those frames
        assert [server.live_count for server in self.servers] == [0, 0]


class SessionModelTests(SessionMachine.TestCase):  # type: ignore[misc,name-defined]
    """Random histories, by hypothesis."""

    settings = settings(
        max_examples=times(60), stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
    )
