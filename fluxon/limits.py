"""Every limit of the engine, with its default and the reason for the number.

Rules of this room: numbers and reasons only, no behaviour. ``Setup(limits=Limits(...))`` changes them for one
server. Sizes are bytes, times are seconds.
"""

from __future__ import annotations

import attrs
from attrs import field, validators

KIB = 1024
MIB = 1024 * KIB

_positive = [validators.ge(1)]


def _bound(default: int, *more: object) -> int:
    value: int = field(default=default, validator=[validators.instance_of(int), *_positive])
    return value


def _seconds(default: float) -> float:
    value: float = field(default=default, converter=float, validator=validators.gt(0))
    return value


@attrs.frozen(kw_only=True)
class Limits:
    """The limits of one server. Every field may be given to ``Setup(limits=Limits(...))``."""

    #: A stranger only has to say hello: a token and a handful of words.
    frame_before_hello: int = _bound(16 * KIB)
    #: A small CBOR array per byte costs 73 times its size in objects (1 MiB of 0x80: 73 MiB, 165 ms); at 256 KiB
    #: one hostile frame stays at 28 ms.
    frame_anonymous: int = _bound(256 * KIB)
    #: A logged-in user can be named and revoked, so may send more. Larger things travel as file streams.
    frame_authenticated: int = _bound(1 * MIB)
    #: What a server may send to one of its clients in a frame: a listing of 10,000 rows fits.
    frame_to_client: int = _bound(16 * MIB)

    #: Open connections. One that waits costs 3 KiB, with TLS 28 (``scripts/bench idle``), the kernel's buffers for its
    #: socket apart: these fit 1 GiB, with room for what some have under way. Further ones are closed when they come.
    #: Descriptors may run out before (``ulimit -n``): then new connections wait until others end.
    connections: int = _bound(20_000)
    #: The same from one address. As many by default: a company, a phone network or a proxy is one address. Lower it
    #: where strangers connect directly.
    connections_per_address: int = _bound(20_000)

    #: Requests of one connection that are being worked on. With 128 of them and reads going on, memory grew by
    #: 14 MiB under a flood; without a cap, by 74.
    in_flight: int = _bound(128)
    #: The same over all connections of a server.
    in_flight_total: int = _bound(10_000)
    #: Calls from this side that wait for a place among the other side's ``in_flight``.
    waiting_asks: int = _bound(1_000)

    #: Above this much unsent output, further requests of that connection wait. What is more buys nothing (the kernel's
    #: buffers keep the line busy), and is what each slow reader costs: 200 of them 98 MiB, at 1 MiB each 230.
    output_high: int = _bound(256 * KIB)
    #: Above this much unsent output (and requests that wait for it) a peer is aborted: it does not read.
    output_abort: int = _bound(4 * MIB)
    #: A peer with unsent output that took no byte for so long is gone or hostile.
    output_stalled: float = _seconds(60)

    #: From the accepted socket to an answered hello, TLS handshake included.
    handshake: float = _seconds(10)
    #: A frame begun must grow by ``frame_rate_bytes`` a second, seen over this time, or the sender is stalling.
    frame_stall: float = _seconds(30)
    frame_rate: int = _bound(1 * KIB)
    #: Silence after which a ping is sent; twice that without a byte ends the connection. Most NATs forget a
    #: quiet connection after 30 to 60 s.
    heartbeat: float = _seconds(25)
    #: Answers to asks that were never made: a confused peer gets some patience, a hostile one not.
    unsolicited: int = _bound(10)

    #: Streams of one connection at once. Each holds an open file and up to three blocks of 256 KiB of it.
    streams: int = _bound(32)
    #: A stream of which no byte moved for so long is given up: its file and its place are wanted.
    stream_idle: float = _seconds(300)

    #: A view that runs longer answers ``DeadlineExceeded``.
    view_timeout: float = _seconds(30)
    #: Threads for plain ``def`` views.
    view_threads: int = _bound(32)
    #: Plain views that wait for a thread, over all sessions; above it ``ResourceExhausted``.
    view_queue: int = _bound(1_000)
    #: ``reverse_request`` never waits longer.
    reverse_timeout: float = _seconds(10)
    #: When one of a user's clients has acknowledged a reverse request the others have so much longer, unless the caller
    #: set a timeout: a phone that has just lost its network must not hold up a chat.
    reverse_rest: float = _seconds(1)

    #: The longest that a reverse request may be kept; and how long a client whose connection was lost is expected back.
    #: A laptop is carried to another room, a train goes through tunnels; who stays away longer begins anew.
    outbox_time: float = _seconds(3_600)
    #: What is kept for one client: a busy chat's hour, in small messages.
    outbox_requests: int = _bound(1_000)
    outbox_bytes: int = _bound(256 * KIB)
    #: The same for all clients of a server.
    outbox_total: int = _bound(64 * MIB)
    #: Clients that are expected back, logged-in ones and strangers each; about 1 KiB each. Those longest away go first.
    away_sessions: int = _bound(10_000)
    #: How long the answer to a request with a key is kept to be given again: far longer than a client tries.
    repeat_time: float = _seconds(600)
    #: Keys of one session that are remembered, and the bytes of their answers; a key outlasts its answer.
    repeat_keys: int = _bound(1_000)
    repeat_bytes: int = _bound(1 * MIB)
    #: Bytes of keys and answers over all sessions, of logged-in ones and of strangers each.
    repeat_total: int = _bound(64 * MIB)

    #: Bodies smaller than this gain nothing from lz4 (1 KiB: 1.1 microseconds for a ratio of 1.8).
    compress_from: int = _bound(1 * KIB)

    #: A session that was not used for so long is over.
    session_idle: float = _seconds(30 * 86_400)
    #: And no session lives longer than this, used or not.
    session_absolute: float = _seconds(90 * 86_400)
    #: Anonymous sessions live in memory, for a resume after a lost connection.
    session_anonymous_idle: float = _seconds(3_600)
    #: Anonymous sessions kept; about 0.5 KiB each. The ones unused longest go first.
    anonymous_sessions: int = _bound(100_000)
    #: Connections that may share one session.
    connections_per_session: int = _bound(8)
    #: How old what the server knows of a session and its user may be before it is read again.
    session_freshness: float = _seconds(2)

    #: Places in groups: one member of five groups has five. About 0.3 KiB each.
    group_places: int = _bound(200_000)
    #: Groups that one session, or one user, is in at most: leaving all of them, when it ends, must not take long.
    groups_per_member: int = _bound(200)
    #: How long a session without a connection keeps its places: a train's tunnel, a laptop's lid.
    group_away: float = _seconds(120)
    #: What is sent to a group reaches a member whose session was looked at within so long. For 10,000 members that are
    #: logged in, looking again takes the database a second.
    group_freshness: float = _seconds(15)
    #: Threads for plain functions that hear of connections and logins.
    event_threads: int = _bound(4)

    #: Lines a second that the log has for requests that were answered, and as many for those that failed; 0 for none. A
    #: line costs 50 microseconds, so these cost a busy server half a percent of its time.
    request_lines: int = field(default=100, validator=[validators.instance_of(int), validators.ge(0)])

    #: Threads for what clients ask of a cloud storage; each waits for the disk or the database most of its time.
    cloud_threads: int = _bound(16)
    #: What may wait for one of them, over all sessions.
    cloud_queue: int = _bound(1_000)
    #: The longest that a command of the cloud takes: a commit waits for the disk to have all bytes, a copy reads them.
    cloud_timeout: float = _seconds(600)
    #: Uploads under way, and those whose client may still come back. Each holds a descriptor.
    cloud_uploads: int = _bound(1_000)
    #: The same of one user; the oldest one that nobody sends to makes room.
    cloud_uploads_per_user: int = _bound(16)
    #: Downloads under way, each with a descriptor.
    cloud_downloads: int = _bound(1_000)
    cloud_downloads_per_user: int = _bound(16)
    #: How long an upload waits for its client: a train may go through a tunnel, a laptop to another desk.
    cloud_upload_kept: float = _seconds(3_600)
    #: How long a commit answers again what it answered: its client may have missed the answer.
    cloud_commit_kept: float = _seconds(600)
    #: A transfer that moved less than ``frame_rate`` over this time is given up; an upload can be resumed.
    cloud_stalled: float = _seconds(120)
    #: Subtrees that are watched. Each change costs a look for each of them whose path it lies under.
    cloud_watches: int = _bound(10_000)
    cloud_watches_per_user: int = _bound(64)
    #: Changes that a watching client has not acknowledged; beyond them it is told that it missed some.
    cloud_news: int = _bound(100)

    #: How long a stopping server lets running requests end.
    drain: float = _seconds(10)


#: Depth of nested containers in a value. Real payloads stay under 10; cbor2's encoder has no limit of its own and
#: ends the process with a segmentation fault between 256 and 8,192 levels, depending on the thread's stack.
MAX_DEPTH = 32

#: Integers that every language's 64-bit type, and every database here, can hold.
MIN_INT, MAX_INT = -(2**63), 2**63 - 1

#: A Decimal's coefficient and exponent: enough for money and science, and no bignum arithmetic on a stranger's word.
MAX_DECIMAL_EXPONENT = 999

#: Raw sizes that an lz4 block may claim follow the frame limit of the connection; the ratio of lz4 is at most 255.
MAX_FRAME = 64 * MIB

#: Tags are chosen by the side that asks; 32 bits outlive any connection's asks in flight.
MAX_TAG = 2**32 - 1

#: The key of a request that is carried out once: room for a UUID, a hash, or an order's number with a prefix.
MAX_KEY = 128

#: A command's and a view's name, in bytes of UTF-8: what a person would type.
MAX_NAME = 255
