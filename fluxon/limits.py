"""Every limit of the engine: its default, its unit, why it is that number, and what happens beyond it.

Rules of this room:

- Numbers and reasons only, no behaviour; pure. How they are declared is in ``fluxon.bounds``.
- ``Setup(limits=Limits(...))`` changes them for one server. A value that makes no sense is a ``ConfigurationError``
  that names it, before anything is opened.
- The console's ``status`` shows each of them, with what of it is used; ``docs/limits.rst`` has them as a table, which
  the tests hold to this one.
- What bounds one address, and how often somebody asks, is a default for *other* machines (``Elsewhere``): a test, a
  proxy or a neighbour on this one would meet it first. A number that is set holds for everybody.
"""

from __future__ import annotations

import attrs

from fluxon.bounds import Elsewhere, bytes_, check_order, count, seconds
from fluxon.spelling import Spelt

KIB = 1024
MIB = 1024 * KIB
DAY = 86_400

#: What may follow a length, whatever a server is told: a bound for buffers.
MAX_FRAME = 64 * MIB

_CLOSED = "the connection is closed"
_EXHAUSTED = "``ResourceExhausted``"


@attrs.frozen(kw_only=True)
class Limits(metaclass=Spelt):
    """The limits of one server. Every field may be given to ``Setup(limits=Limits(...))``."""

    # --- what one frame may be ----------------------------------------------------------------------------------------

    frame_before_hello: int = bytes_(
        16 * KIB, "A stranger only has to say hello: a token and a handful of words.", _CLOSED, MAX_FRAME
    )
    frame_anonymous: int = bytes_(
        256 * KIB,
        "What a form, a message or a small picture takes, from somebody who is nobody yet.",
        _CLOSED,
        MAX_FRAME,
    )
    frame_authenticated: int = bytes_(
        1 * MIB,
        "Who is logged in can be named and revoked, so may send more. Larger things travel as file streams.",
        _CLOSED,
        MAX_FRAME,
    )
    frame_to_client: int = bytes_(
        16 * MIB,
        "What a server sends to a client at once: a listing of 10,000 rows fits.",
        "``Unserialisable`` instead of the answer",
        MAX_FRAME,
    )
    items_before_hello: int = count(
        256,
        "items",
        "Values, keys and tags of a frame, before hello is answered: a hello has about 30.",
        "``ResourceExhausted``; the connection is closed if it was no ask",
    )
    items_anonymous: int = count(
        16_384,
        "items",
        "An item takes one byte to send and 0.3 microseconds of everybody's time to receive: without this, 256 KiB of "
        "empty lists took 100 ms of it.",
        "as above",
    )
    items_authenticated: int = count(
        65_536, "items", "7,000 rows of eight columns. More belongs into several requests, bytes or a file.", "as above"
    )
    compress_from: int = bytes_(
        1 * KIB, "Smaller bodies gain nothing from lz4 (1 KiB: 1.1 microseconds for a ratio of 1.8).", "(no bound)"
    )

    # --- connections --------------------------------------------------------------------------------------------------

    connections: int = count(
        20_000,
        "connections",
        "Of a port. One that waits costs 3.5 KiB, with TLS 28 (``scripts/bench idle``), the kernel's buffers for its "
        "socket apart: these fit 1 GiB, with room for what some have under way. Descriptors may run out before "
        "(``ulimit -n``): then new ones wait until others end.",
        "closed when it comes",
    )
    connections_per_address: int = count(
        Elsewhere(1_000),
        "connections",
        "An office or a phone network is one address; a twentieth of all is enough for one. IPv6 counts by /64.",
        "closed when it comes",
    )
    connections_per_session: int = count(
        8, "connections", "A program's threads and its cloud storage's connection.", f"{_EXHAUSTED} to its hello"
    )
    handshake: float = seconds(
        10, "From the accepted socket to an answered hello, TLS's own handshake included.", _CLOSED
    )
    heartbeat: float = seconds(
        25,
        "Silence after which a ping is sent. Most NATs forget a quiet connection after 30 to 60 s.",
        "closed after twice that without a byte",
    )
    frame_stall: float = seconds(30, "The time over which a frame that was begun is watched.", "see ``frame_rate``")
    frame_rate: int = count(
        1 * KIB, "bytes a second", "By what a frame that was begun must grow, or its sender is stalling.", _CLOSED
    )
    unsolicited: int = count(
        10, "answers", "To asks that were never made: a confused peer gets some patience, a hostile one not.", _CLOSED
    )

    # --- requests -----------------------------------------------------------------------------------------------------

    in_flight: int = count(
        128,
        "requests",
        "Of one connection, begun and not ended. With so many, memory grew by 14 MiB under a flood; without a bound, "
        "by 74.",
        _EXHAUSTED,
    )
    in_flight_total: int = count(10_000, "requests", "Of all connections of a port, waiting for something.", _EXHAUSTED)
    in_flight_kept: int = count(
        8,
        "th part",
        "The last n-th part of ``in_flight_total`` is kept for connections that have nothing under way: 79 busy ones "
        "could hold all places, and nobody else could so much as say hello.",
        f"{_EXHAUSTED} to those who have",
        2,
    )
    waiting_asks: int = count(
        1_000,
        "calls",
        "From the server, waiting for a place among the client's ``in_flight``.",
        f"{_EXHAUSTED} to the view",
    )
    waiting_bytes: int = bytes_(
        4 * MIB,
        "The same, in bytes: as much as may wait as output. One alone may have more.",
        f"{_EXHAUSTED} to the view",
    )
    request_rate: int = count(
        Elsewhere(1_000),
        "requests a second",
        "Of one session, over time: far more than a person causes, a fiftieth of what a server can. 0 for no bound.",
        f"{_EXHAUSTED} with ``retry_after``; who goes on is read later",
        0,
    )
    request_rate_per_address: int = count(
        Elsewhere(5_000),
        "requests a second",
        "Of all sessions at one address: anonymous sessions are free to make. Hello counts, too. 0 for no bound.",
        "as above",
        0,
    )
    request_burst: float = seconds(
        2.0, "So much of its rate a session or an address may save up, and use at once.", "see ``request_rate``"
    )
    busy_read: float = seconds(
        0.005,
        "A read whose messages kept the server busy for longer than this is one too many at once: 128 usual requests "
        "take 2 ms.",
        "the connection is read later, see ``busy_share``",
    )
    busy_share: int = count(
        2,
        "th part",
        "All connections with such reads together get the n-th part of the server's time; the rest is for the others.",
        "the connection is read later",
        2,
    )
    busy_pause: float = seconds(
        10,
        "The longest that a connection is not read; never longer than the heartbeat, or it would be taken for dead.",
        f"it is read, or what it sent is refused ({_EXHAUSTED})",
    )

    # --- output -------------------------------------------------------------------------------------------------------

    output_high: int = bytes_(
        256 * KIB,
        "Unread output above which further requests of that connection wait. What is more buys nothing (the kernel's "
        "buffers keep the line busy), and is what each slow reader costs: 200 of them 98 MiB, at 1 MiB each 230.",
        "they wait",
    )
    output_abort: int = bytes_(
        4 * MIB,
        "Unread output, and requests that wait for it. Answers stop at three quarters of it, so that there is room for "
        "saying so.",
        "``OutcomeUnknown`` instead of the answer, ``ResourceExhausted`` to a new request; if even that piles up, the "
        "connection is closed",
    )
    output_stalled: float = seconds(
        60, "Whoever has unread output and took none of it for so long is gone or hostile.", _CLOSED
    )
    streams: int = count(
        32, "streams", "Of one connection. Each holds an open file and up to three blocks of 256 KiB of it.", _EXHAUSTED
    )
    stream_idle: float = seconds(
        300, "Without a byte of it: its file and its place are wanted.", "the stream is over (``Unavailable``)"
    )

    # --- views --------------------------------------------------------------------------------------------------------

    view_timeout: float = seconds(30, "Nobody waits longer for an answer.", "``DeadlineExceeded``")
    view_threads: int = count(32, "threads", "For plain ``def`` views, which mostly wait for something.", "views wait")
    view_queue: int = count(1_000, "requests", "Waiting for one of these threads.", _EXHAUSTED)
    share_of_session: int = count(
        4,
        "th part",
        "One session has the n-th part of the threads (also the cloud's) and of the places to wait for one: its hung "
        "views delay nobody else.",
        "its requests wait, then ``ResourceExhausted``",
    )
    share_of_address: int = count(
        Elsewhere(2), "th part", "And one address, with all its sessions: anonymous ones are free to make.", "as above"
    )
    reverse_timeout: float = seconds(
        10, "A call into a client never waits longer.", "``False``, or ``DeadlineExceeded``"
    )
    reverse_rest: float = seconds(
        1,
        "When one of a user's clients has acknowledged a reverse request the others have so much longer, unless the "
        "caller set a timeout: a phone that has just lost its network must not hold up a chat.",
        "they count as failed",
    )
    request_lines: int = count(
        100,
        "lines a second",
        "In the log, for requests that were answered, and as many for those that failed; 0 for none. A line costs 50 "
        "microseconds, so these cost a busy server half a percent of its time.",
        "one line says how many there were",
        0,
    )

    # --- logins -------------------------------------------------------------------------------------------------------

    login_tries: int = count(
        5,
        "failures",
        "Of one name from one address: a person who mistypes needs a few, a guesser wants thousands.",
        f"{_EXHAUSTED} with ``retry_after``: 1 s, doubled by each failure",
    )
    login_tries_per_name: int = count(
        20, "failures", "Of one name from everywhere: one person's devices, or many strangers.", "as above"
    )
    login_tries_per_address: int = count(
        Elsewhere(50), "failures", "Of all names from one address: an office behind one router.", "as above"
    )
    login_wait: float = seconds(900, "The longest wait between two tries.", "the next try is free to come")
    login_forgotten: float = seconds(
        3_600, "Failures are forgotten after so long without another: longer than the longest wait.", "forgotten"
    )
    login_remembered: int = count(
        200_000,
        "counts",
        "Some 300 bytes each. To push one out a stranger needs as many tries, each of which costs a hash: an hour "
        "of both hashing threads.",
        "those unused longest are forgotten",
    )

    # --- sessions -----------------------------------------------------------------------------------------------------

    session_idle: float = seconds(30 * DAY, "Without use; a month's holiday logs nobody out.", "the session is over")
    session_absolute: float = seconds(
        90 * DAY, "Used or not: a stolen token is worth nothing some day.", "the session is over"
    )
    session_anonymous_idle: float = seconds(
        3_600, "Anonymous sessions live in memory, for a resume after a lost connection.", "the session is over"
    )
    anonymous_sessions: int = count(
        100_000,
        "sessions",
        "Kept while they have no connection, about 0.5 KiB each.",
        "the ones unused longest are over",
    )
    session_freshness: float = seconds(
        2, "How old what the server knows of a session and its user may be.", "it is read again"
    )

    # --- what is kept for a client ------------------------------------------------------------------------------------

    outbox_time: float = seconds(
        3_600,
        "The longest that a reverse request may be kept, and that a client whose connection was lost is expected back: "
        "a laptop is carried to another room, a train goes through tunnels.",
        "it is dropped; the client begins anew",
    )
    outbox_requests: int = count(
        1_000, "requests", "Kept for one client: a busy chat's hour, in small messages.", "nothing more is kept for it"
    )
    outbox_bytes: int = bytes_(256 * KIB, "The same.", "as above")
    outbox_per_user: int = bytes_(
        2 * MIB,
        "The same for all sessions of a user: eight devices' full outboxes, a thirty-second of all.",
        "as above",
    )
    outbox_total: int = bytes_(
        64 * MIB,
        "The same for all clients of a server, of logged-in ones and of strangers each. What is kept for many counts "
        "once here.",
        "as above",
    )
    away_sessions: int = count(
        10_000,
        "clients",
        "Expected back, logged-in ones and strangers each; about 1 KiB each.",
        "those longest away are not expected any more",
    )
    repeat_time: float = seconds(
        600,
        "How long the answer to a request with a key is kept to be given again: far longer than a client tries.",
        "forgotten",
    )
    repeat_keys: int = count(
        1_000, "keys", "Of one session that are remembered; a key outlasts its answer.", "the oldest are forgotten"
    )
    repeat_bytes: int = bytes_(1 * MIB, "Of one session's keys and answers.", "the oldest are forgotten")
    repeat_total: int = bytes_(
        64 * MIB,
        "Of keys and answers over all sessions, of logged-in ones and of strangers each.",
        "the oldest are forgotten",
    )

    # --- groups and events --------------------------------------------------------------------------------------------

    group_places: int = count(200_000, "places", "One member of five groups has five. About 0.3 KiB each.", _EXHAUSTED)
    groups_per_member: int = count(
        200,
        "groups",
        "That one session, or one user, is in: leaving all of them, when it ends, must not take long.",
        _EXHAUSTED,
    )
    group_away: float = seconds(
        120,
        "How long a session without a connection keeps its places: a train's tunnel, a laptop's lid.",
        "it is no member any more",
    )
    group_freshness: float = seconds(
        15,
        "What is sent to a group reaches a member whose session was looked at within so long. For 10,000 members that "
        "are logged in, looking again takes the database a second.",
        "it is looked at again",
    )
    event_threads: int = count(
        4, "threads", "For plain functions that hear of connections and logins.", "they are heard of later"
    )

    # --- the cloud storage --------------------------------------------------------------------------------------------

    cloud_threads: int = count(
        16, "threads", "Each waits for the disk or the database most of its time.", "requests wait"
    )
    cloud_queue: int = count(1_000, "requests", "Waiting for one of these threads.", _EXHAUSTED)
    cloud_timeout: float = seconds(
        600, "A commit waits for the disk to have all bytes, a copy reads them.", "``DeadlineExceeded``"
    )
    cloud_uploads: int = count(
        1_000, "uploads", "Under way, or waiting for their client. Each holds a descriptor.", _EXHAUSTED
    )
    cloud_uploads_per_user: int = count(
        16, "uploads", "The same of one user.", f"the oldest that nobody sends to ends, else {_EXHAUSTED}"
    )
    cloud_downloads: int = count(1_000, "downloads", "Each holds a descriptor.", _EXHAUSTED)
    cloud_downloads_per_user: int = count(16, "downloads", "The same of one user.", _EXHAUSTED)
    cloud_upload_kept: float = seconds(
        3_600, "A train may go through a tunnel, a laptop to another desk.", "the upload is given up"
    )
    cloud_commit_kept: float = seconds(
        600, "So long a commit answers again what it answered: its client may have missed it.", "``NotFound``"
    )
    cloud_stalled: float = seconds(
        120,
        "A transfer that moved less than ``frame_rate`` over this time.",
        "it is given up; an upload can be resumed",
    )
    cloud_watches: int = count(
        10_000, "watches", "Each change costs a look for each of them whose path it lies under.", _EXHAUSTED
    )
    cloud_watches_per_user: int = count(64, "watches", "The same of one user.", _EXHAUSTED)
    cloud_news: int = count(
        100, "changes", "That a watching client has not acknowledged.", "it is told that it missed some"
    )

    drain: float = seconds(10, "How long a stopping server lets running requests end.", "they are told to stop")

    def __attrs_post_init__(self) -> None:
        check_order(self, "frame_before_hello", "frame_anonymous", "frame_authenticated")
        check_order(self, "items_before_hello", "items_anonymous", "items_authenticated")
        check_order(self, "output_high", "output_abort")
        check_order(self, "login_wait", "login_forgotten")


#: Depth of nested containers in a value. Real payloads stay under 10; cbor2's encoder has no limit of its own and
#: ends the process with a segmentation fault between 256 and 8,192 levels, depending on the thread's stack.
MAX_DEPTH = 32

#: Integers that every language's 64-bit type, and every database here, can hold.
MIN_INT, MAX_INT = -(2**63), 2**63 - 1

#: A Decimal's coefficient and exponent: enough for money and science, and no bignum arithmetic on a stranger's word.
MAX_DECIMAL_EXPONENT = 999

#: Tags are chosen by the side that asks; 32 bits outlive any connection's asks in flight.
MAX_TAG = 2**32 - 1

#: The key of a request that is carried out once: room for a UUID, a hash, or an order's number with a prefix.
MAX_KEY = 128

#: A command's and a view's name, in bytes of UTF-8: what a person would type.
MAX_NAME = 255
