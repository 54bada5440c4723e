"""Requests with a key: carried out once, however often they are asked for.

Rules of this module:

- Keys are a session's own. A repeat gets what the first one got; while that is under way it waits for it.
- What has begun is carried to its end, or to ``Limits.view_timeout``, whoever gives up on it: whoever asks again is to
  hear how it ended. Its place among those in flight stays taken as long.
- What says that nothing was done (``Unavailable``, ``ResourceExhausted``, ``UnknownView``) is not remembered.
- The answer is forgotten before the key: a repeat is then told that it was carried out, and never carried out again.
- A login makes a clean cut: what the session had is forgotten, but for what is under way on the connection itself, the
  login among it.
- Nothing that is answered again goes to a session that has ended.
"""

from __future__ import annotations

from collections import OrderedDict
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.python.failure import Failure

from fluxon.commands import CallOnce
from fluxon.errors import (
    Conflict,
    DeadlineExceeded,
    FluxonError,
    OutcomeUnknown,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
    UnknownView,
    Unserialisable,
    from_wire,
)
from fluxon.limits import Limits
from fluxon.routing.stand_in import settled
from fluxon.rpc import Peer
from fluxon.rpc.faults import to_error
from fluxon.wire import Ask, decode, encode

if TYPE_CHECKING:
    from fluxon.routing.router import Router

_NOTHING_DONE = (Unavailable, ResourceExhausted, UnknownView)

#: What a key costs beside its answer.
_OVERHEAD = 500


class _Carried(Deferred[Any]):
    """The answer to the first ask of a key. Cancelling it stops nothing: its place stays taken until the work ends."""

    def cancel(self) -> None:
        """See above."""


class Keyed:
    """One key: under way, or with what it came to."""

    __slots__ = ("answer", "answers", "at", "digest", "done", "failed", "key", "peer", "waiting")

    def __init__(self, answers: Answers, key: str, digest: bytes, peer: Peer) -> None:
        self.answers: Answers | None = answers
        self.key = key
        #: Of the view and the payload.
        self.digest = digest
        #: The connection that asked last.
        self.peer = peer
        self.done = False
        #: Those who wait for the end; who gives up is out of it at once, and may come again as often as they like.
        self.waiting: dict[Deferred[Any], None] = {}
        #: The encoded value, or code, text and details of the error; None when it was carried out and the answer is
        #: forgotten.
        self.answer: bytes | None = None
        self.failed = False
        #: When it ended.
        self.at = 0.0

    @property
    def size(self) -> int:
        return _OVERHEAD + (0 if self.answer is None else len(self.answer))

    def again(self) -> Deferred[Any]:
        """What a repeat is answered."""
        if not self.done:
            answer: Deferred[Any] = Deferred(self._given_up)
            self.waiting[answer] = None
            return answer
        if self.answer is None:
            return fail(OutcomeUnknown("the request with this key was carried out; its answer is no longer kept"))
        value = decode(self.answer)
        return fail(from_wire(*value)) if self.failed else succeed(value)

    def _given_up(self, answer: Deferred[Any]) -> None:
        self.waiting.pop(answer, None)

    def failed_with(self, error: FluxonError) -> None:
        """It has ended with ``error``."""
        self.failed = True
        try:
            self.answer = encode([error.code, error.text, error.details])
        except Unserialisable:  # what of it cannot be sent the first one was not sent either
            self.answer = encode([error.code, type(error).default_text, {}])


class Answers:
    """The keys of one session."""

    __slots__ = ("keyed", "pool", "size")

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        # Those that have ended in the order in which they did.
        self.keyed: OrderedDict[str, Keyed] = OrderedDict()
        #: Bytes of those that have ended.
        self.size = 0

    def carried(self, peer: Peer) -> Answers | None:
        """Those for the session that follows on ``peer``: of what is under way there. None if nothing is."""
        going = [each for each in self.keyed.values() if not each.done and each.peer is peer]
        if not going:
            return None
        following = Answers(self.pool)
        for each in going:
            del self.keyed[each.key]
            following.keyed[each.key] = each
            each.answers = following
        return following

    def forget_all(self) -> None:
        """The session is over. What is under way goes on, for those who wait."""
        for each in self.keyed.values():
            each.answers = None
            self.pool.discard(each)
        self.keyed.clear()
        self.size = 0


class Pool:
    """What has ended, of all sessions of one kind, the oldest first."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._ended: OrderedDict[Keyed, None] = OrderedDict()
        # Those of them whose answer is kept.
        self._answered: OrderedDict[Keyed, None] = OrderedDict()
        #: Bytes of it.
        self.size = 0

    def add(self, keyed: Keyed, answers: Answers, now: float) -> None:
        """It has ended now."""
        limits = self._limits
        keyed.at = now
        answers.keyed.move_to_end(keyed.key)
        self._ended[keyed] = None
        self._answered[keyed] = None
        self._count(answers, keyed.size)
        while self._ended and next(iter(self._ended)).at <= now - limits.repeat_time:
            self.forget(next(iter(self._ended)))
        while len(answers.keyed) > limits.repeat_keys and (oldest := _oldest(answers)) is not None:
            self.forget(oldest)
        if answers.size > limits.repeat_bytes:
            for each in answers.keyed.values():
                if each.done and answers.size > limits.repeat_bytes:
                    self._forget_answer(each)
        # Answers first: with its key a request could be made to run twice by whoever asks for much.
        while self.size > limits.repeat_total and self._answered:
            self._forget_answer(next(iter(self._answered)))
        while self.size > limits.repeat_total and self._ended:
            self.forget(next(iter(self._ended)))

    def _forget_answer(self, keyed: Keyed) -> None:
        self._answered.pop(keyed, None)
        if keyed.answer is not None and keyed.answers is not None:
            self._count(keyed.answers, -len(keyed.answer))
            keyed.answer = None

    def _count(self, answers: Answers, size: int) -> None:
        answers.size += size
        self.size += size

    def forget(self, keyed: Keyed) -> None:
        """Its key is as good as new."""
        answers = keyed.answers
        assert answers is not None  # what has none is not here any more
        del answers.keyed[keyed.key]
        answers.size -= keyed.size
        keyed.answers = None
        self.discard(keyed)

    def discard(self, keyed: Keyed) -> None:
        """Forget it, if it is here."""
        if keyed in self._ended:
            del self._ended[keyed]
            self._answered.pop(keyed, None)
            self.size -= keyed.size


class Repeats:
    """The responder of ``call_once``, for the views of ``router``."""

    def __init__(self, router: Router, limits: Limits) -> None:
        self._router = router
        self._limits = limits
        self._users = Pool(limits)
        # Of their own: strangers must not push out what is remembered of users.
        self._strangers = Pool(limits)

    @property
    def size(self) -> int:
        """Bytes that are remembered."""
        return self._users.size + self._strangers.size

    def used(self) -> dict[str, float]:
        """What is used of the limits, by their names."""
        return {"repeat_total": max(self._users.size, self._strangers.size)}

    def call_once(self, peer: Peer, arguments: dict[str, Any]) -> Deferred[Any]:
        """Run a view, or answer what it answered."""
        session = peer.session
        answers: Answers | None = session.answers
        if answers is None:
            answers = session.answers = Answers(self._strangers if session.user_id is None else self._users)
        key = arguments["key"]
        digest = _digest(arguments)
        keyed = answers.keyed.get(key)
        now = self._router.seconds()
        if keyed is not None and keyed.done and keyed.at <= now - self._limits.repeat_time:
            answers.pool.forget(keyed)
            keyed = None
        if keyed is None:
            keyed = answers.keyed[key] = Keyed(answers, key, digest, peer)
            return self._begin(keyed, peer, arguments)
        if keyed.digest != digest:
            return fail(Conflict("this key was used for another request: make a new key for each"))
        keyed.peer = peer
        if session.fresh(now):
            return keyed.again()
        return Deferred.fromCoroutine(self._again_verified(peer, keyed))

    async def _again_verified(self, peer: Peer, keyed: Keyed) -> Any:
        session = peer.session
        await self._router.greeting.confirm(peer)
        if peer.session is not session:
            raise Unauthenticated("the session of this request has ended")
        return await keyed.again()

    def _begin(self, keyed: Keyed, peer: Peer, arguments: dict[str, Any]) -> Deferred[Any]:
        ask = peer.current
        assert ask is not None
        first = _Carried()
        try:
            result = self._router.call(peer, arguments)
        except Exception:
            result = fail()
        work: Deferred[Any] = Deferred.fromCoroutine(_carry_out(ask, result))
        work.addTimeout(self._limits.view_timeout, self._router.reactor, _overdue)
        work.addBoth(self._ended, keyed, first)
        return first

    def _ended(self, outcome: Any, keyed: Keyed, first: Deferred[Any]) -> None:
        error: FluxonError | None = None
        if isinstance(outcome, Failure):
            error = to_error(outcome, CallOnce, f"a request with the key {keyed.key[:16]!r}")
            keyed.failed_with(error)
        else:
            try:
                keyed.answer = encode(outcome)
            except Unserialisable:
                keyed.failed_with(Unserialisable("the answer cannot be sent; the server's log says why"))
        keyed.done = True
        if isinstance(error, _NOTHING_DONE) and keyed.answers is not None:
            del keyed.answers.keyed[keyed.key]
            keyed.answers = None
        waiting, keyed.waiting = keyed.waiting, {}
        repeated = [(each, keyed.again()) for each in waiting]
        if keyed.answers is not None:
            keyed.answers.pool.add(keyed, keyed.answers, self._router.seconds())
        if error is not None:
            first.errback(error)
        else:
            first.callback(outcome)
        for each, answer in repeated:
            answer.chainDeferred(each)


async def _carry_out(ask: Ask, result: Any) -> Any:
    """The value of what a view returned, when the logins that it began are over."""
    try:
        value = await settled(result)
    except Exception:
        value = Failure()
    settle, ask.settle = ask.settle, None
    if settle is not None:
        value = await settle(value)
    if isinstance(value, Failure):
        value.raiseException()
    return value


def _overdue(outcome: Any, _: float) -> Any:
    if isinstance(outcome, Failure) and outcome.check(CancelledError):
        raise DeadlineExceeded
    return outcome


def _digest(arguments: dict[str, Any]) -> bytes:
    return sha256(arguments["view"].encode() + b"\0" + encode(arguments["payload"])).digest()


def _oldest(answers: Answers) -> Keyed | None:
    return next((each for each in answers.keyed.values() if each.done), None)
