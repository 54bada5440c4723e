"""Messages: what a frame's body means.

Rules of this room:

- A body is one CBOR array whose first item says what it is. Shapes are checked here, meanings elsewhere.
- The fixed bytes of an envelope are written by hand and only the value goes through the encoder: the envelope costs
  a third of the time that encoding it as a whole would.
- Tags are written in their five-byte form, always; any form is read.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from struct import Struct
from types import MappingProxyType
from typing import Any

from fluxon.errors import InvalidPayload, ProtocolError, Unserialisable
from fluxon.limits import MAX_NAME, MAX_TAG
from fluxon.wire.decoding import SUSPECT, check_value
from fluxon.wire.encoding import encode

ASK, ANSWER, FAILED, CANCEL, CREDIT, END, PING, PONG, TELL = range(9)

#: Length of a Failed message's code and text that is believed; more is cut by the sender.
MAX_CODE, MAX_TEXT = 64, 1024

#: An ask may run for a day at most; longer work is not a request.
MAX_TIMEOUT = 86_400.0

# length of what follows · flags · array head · kind · head of a 32-bit integer · tag
_PREFIX = Struct(">IBBBBI")
_prefix = _PREFIX.pack
_tell_prefix = Struct(">IBBB").pack
_float = Struct(">Bd").pack
# The same with what stands between length and tag in one piece: most of what a server writes is answers.
answer_head = Struct(">I4sI").pack
_FLOAT64 = 0xFB
ANSWER_OVERHEAD = _BODY_OVERHEAD = 8  # of _PREFIX, what follows the length
_UINT32 = 0x1A
ANSWER_HEAD = bytes((0, 0x83, ANSWER, _UINT32))

#: The frame of an answer that is null, but for its tag and the null.
NULL_ANSWER, NULL_ANSWER_SIZE, NULL = b"\x00\x00\x00\x09" + ANSWER_HEAD, 13, 0xF6

_join = "".join


class Template:
    """An ask that comes again and again, but for its last argument.

    ``before`` is what stands before that, behind the tag, ``arguments`` are the others, and ``changing`` is its name.
    ``meaning`` is the driver's. ``unpack(data, offset)`` takes a frame to pieces: length, what is between that and the
    tag, the tag, and what should be ``before``; ``behind`` is where the last argument begins in it.
    """

    __slots__ = ("arguments", "before", "behind", "changing", "meaning", "unpack")

    def __init__(self, before: bytes, arguments: dict[str, Any], changing: str, meaning: Any) -> None:
        self.before = before
        self.arguments = arguments
        self.changing = changing
        self.meaning = meaning
        layout = Struct(f">I4sI{len(before)}s")
        self.unpack = layout.unpack_from
        self.behind = layout.size


class Ask:
    """A request: ``command`` with ``arguments``, to be answered under ``tag`` within ``timeout`` seconds."""

    # Most asks have none of these: kept by the class, they cost an ask nothing. (So there are no slots, either.)

    options: Mapping[str, Any] = MappingProxyType({})
    #: When it came, and when its ``timeout`` will be used up, by the driver's clock; set by a driver that waits.
    arrived: float | None = None
    deadline: float | None = None
    #: What a driver has to do with the result before it is the answer; None for nothing.
    settle: Any = None
    #: Who hears from a driver how it ended; None for nobody.
    observer: Any = None

    def __init__(
        self,
        tag: int,
        command: str,
        given: Any,
        timeout: float | None,
        size: int = 0,
        template: Template | None = None,
    ) -> None:
        self.tag = tag
        self.command = command
        #: What was decoded of it: its arguments, or the one that ``template`` leaves open.
        self.given = given
        self.timeout = timeout
        #: Bytes of its body; what holding it costs.
        self.size = size
        #: What it was recognised by, if it was.
        self.template = template

    @property
    def arguments(self) -> dict[str, Any]:
        """All of them, by name."""
        template = self.template
        return self.given if template is None else {**template.arguments, template.changing: self.given}


class Answer:
    """The value that an ask of ours got. ``waiter`` is what the driver gave with the ask."""

    __slots__ = ("tag", "value", "waiter")

    def __init__(self, tag: int, value: Any, waiter: Any = None) -> None:
        self.tag = tag
        self.value = value
        self.waiter = waiter


class Failed:
    """The error that an ask of ours got."""

    __slots__ = ("code", "details", "tag", "text", "waiter")

    def __init__(self, tag: int, code: str, text: str, details: dict[str, Any], waiter: Any = None) -> None:
        self.tag = tag
        self.code = code
        self.text = text
        self.details = details
        self.waiter = waiter


class Cancel:
    """The other side no longer wants the answer to its ask ``tag``."""

    __slots__ = ("tag",)

    def __init__(self, tag: int) -> None:
        self.tag = tag


class Credit:
    """The other side takes ``count`` more bytes of stream ``stream``."""

    __slots__ = ("count", "owner", "stream")

    def __init__(self, stream: int, count: int, owner: Any = None) -> None:
        self.stream = stream
        self.count = count
        self.owner = owner


class End:
    """Stream ``stream`` is complete (``code`` None) or was given up with an error's code."""

    __slots__ = ("code", "details", "owner", "stream")

    def __init__(self, stream: int, code: str | None, details: dict[str, Any], owner: Any = None) -> None:
        self.stream = stream
        self.code = code
        self.details = details
        self.owner = owner


class Chunk:
    """Bytes of stream ``stream``, as they came: no CBOR. ``owner`` is what the driver gave with the stream."""

    __slots__ = ("data", "owner", "stream")

    def __init__(self, stream: int, data: memoryview, owner: Any = None) -> None:
        self.stream = stream
        self.data = data
        self.owner = owner


class Ping:
    """Is anybody there?"""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


class Pong:
    """Yes."""

    __slots__ = ("number",)

    def __init__(self, number: int) -> None:
        self.number = number


class Tell:
    """What is to be done and not to be answered: ``command`` with ``arguments``."""

    __slots__ = ("arguments", "command", "options")

    def __init__(self, command: str, arguments: dict[str, Any], options: dict[str, Any]) -> None:
        self.command = command
        self.arguments = arguments
        self.options = options


Message = Ask | Answer | Failed | Cancel | Credit | End | Chunk | Ping | Pong | Tell


class WrongEnvelope(InvalidPayload):
    """An ask whose tag can be read and whose rest cannot: answered, not punished."""

    def __init__(self, tag: int) -> None:
        super().__init__("an ask is [0, tag, command, arguments, timeout or null, options]")
        self.tag = tag


def parse_ask(fields: list[Any], size: int = 0) -> Ask:
    """The Ask that a decoded body is. Raises ``WrongEnvelope``, or ``ProtocolError`` when not even the tag is right."""
    try:
        _, tag, command, arguments, timeout, options = fields
    except ValueError:
        raise _wrong(fields) from None
    if (
        type(tag) is not int
        or not 0 <= tag <= MAX_TAG
        or type(command) is not str
        or len(command) > MAX_NAME
        or type(arguments) is not dict
        or type(options) is not dict
        or (timeout is not None and not is_timeout(timeout))
    ):
        raise _wrong(fields)
    # What check_value(arguments) does, without the call.
    try:
        _join(arguments)
    except TypeError as error:
        raise ProtocolError("a key that is no text") from error
    for each in arguments.values():
        if type(each) in SUSPECT:
            check_value(each)
    ask = Ask(tag, command, arguments, timeout, size)
    if options:
        check_value(options)
        ask.options = options
    return ask


def _wrong(fields: list[Any]) -> ProtocolError | WrongEnvelope:
    tag = fields[1] if len(fields) > 1 else None
    if type(tag) is not int or not 0 <= tag <= MAX_TAG:
        return ProtocolError("an ask without a proper tag")
    return WrongEnvelope(tag)


def is_timeout(value: Any) -> bool:
    """Whether an ask may carry ``value`` as its timeout: seconds, of which there are some."""
    # NaN fails both comparisons.
    return type(value) in (int, float) and 0 < value <= MAX_TIMEOUT


def _tag(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= MAX_TAG:
        raise ProtocolError("a message without a proper tag")
    return value


def parse_other(fields: list[Any]) -> Message:
    """Any message but Ask. Raises ``ProtocolError``: what answers or controls is written by a library, not a user."""
    match fields:
        case [1, tag, value]:
            if type(value) in SUSPECT:
                check_value(value)
            return Answer(_tag(tag), value)
        case [2, tag, str() as code, str() as text, dict() as details] if len(code) <= MAX_CODE:
            check_value(details)
            return Failed(_tag(tag), code, text[:MAX_TEXT], details)
        case [3, tag]:
            return Cancel(_tag(tag))
        case [4, stream, int() as count] if type(count) is int and 0 < count <= MAX_TAG:
            return Credit(_tag(stream), count)
        case [5, stream, (str() | None) as code, dict() as details] if code is None or len(code) <= MAX_CODE:
            check_value(details)
            return End(_tag(stream), code, details)
        case [6, number]:
            return Ping(_tag(number))
        case [7, number]:
            return Pong(_tag(number))
        case [8, str() as command, dict() as arguments, dict() as options] if len(command) <= MAX_NAME:
            check_value(arguments)
            check_value(options)
            return Tell(command, arguments, options)
    raise ProtocolError("a message of no known kind or shape")


@lru_cache(maxsize=1_000)
def _name(name: str) -> bytes:
    """A command's or an argument's name, which are declared and so not many."""
    if type(name) is not str:
        raise Unserialisable(f"the name of an argument must be text, not {type(name).__name__}")
    return encode(name)


def _map_head(count: int) -> bytes:
    if count < 24:
        return bytes((0xA0 | count,))
    return b"\xb9" + count.to_bytes(2, "big") if count < 65_536 else b"\xba" + count.to_bytes(4, "big")


# Each of these gives a whole frame, header included.


def _command(command: str, arguments: dict[str, Any]) -> list[bytes]:
    # Argument by argument: most are flat, and flat values are encoded without a walk.
    parts = [_name(command), _map_head(len(arguments))]
    for name, value in arguments.items():
        parts += (_name(name), encode(value))
    return parts


def write_tell(command: str, arguments: dict[str, Any], options: dict[str, Any]) -> bytes:
    """Raises ``Unserialisable`` for arguments that cannot cross."""
    rest = b"".join((*_command(command, arguments), encode(options)))
    return _tell_prefix(len(rest) + 3, 0, 0x84, TELL) + rest


def write_ask(
    tag: int, command: str, arguments: dict[str, Any], timeout: float | None, options: dict[str, Any]
) -> bytes:
    """Raises ``Unserialisable`` for arguments that cannot cross."""
    parts = _command(command, arguments)
    # A float is its head and eight bytes: not worth a call of the encoder.
    parts.append(_float(_FLOAT64, timeout) if type(timeout) is float else encode(timeout))
    parts.append(encode(options) if options else b"\xa0")
    rest = b"".join(parts)
    return _prefix(_BODY_OVERHEAD + len(rest), 0, 0x86, ASK, _UINT32, tag) + rest


def retagged(written: bytes, tag: int) -> bytes:
    """A frame that one of these wrote, under another tag."""
    return written[: _PREFIX.size - 4] + tag.to_bytes(4, "big") + written[_PREFIX.size :]


def write_answer(tag: int, encoded: bytes, following: int = 0) -> bytes:
    """``encoded`` is the value, encoded already: so that its failure is told from the connection's.

    ``following`` bytes of the value come behind this, by themselves.
    """
    return answer_head(ANSWER_OVERHEAD + len(encoded) + following, ANSWER_HEAD, tag) + encoded


def write_failed(tag: int, code: str, text: str, details: dict[str, Any]) -> bytes:
    rest = encode(code[:MAX_CODE]) + encode(text[:MAX_TEXT]) + encode(details)
    return _prefix(_BODY_OVERHEAD + len(rest), 0, 0x85, FAILED, _UINT32, tag) + rest


def write_cancel(tag: int) -> bytes:
    return _prefix(_BODY_OVERHEAD, 0, 0x82, CANCEL, _UINT32, tag)


def write_credit(stream: int, count: int) -> bytes:
    rest = encode(count)
    return _prefix(_BODY_OVERHEAD + len(rest), 0, 0x83, CREDIT, _UINT32, stream) + rest


def write_end(stream: int, code: str | None = None, details: dict[str, Any] | None = None) -> bytes:
    rest = encode(code) + encode(details or {})
    return _prefix(_BODY_OVERHEAD + len(rest), 0, 0x84, END, _UINT32, stream) + rest


def write_ping(number: int) -> bytes:
    return _prefix(_BODY_OVERHEAD, 0, 0x82, PING, _UINT32, number)


def write_pong(number: int) -> bytes:
    return _prefix(_BODY_OVERHEAD, 0, 0x82, PONG, _UINT32, number)
