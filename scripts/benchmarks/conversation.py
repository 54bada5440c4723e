"""What the load generator says to a server: the bytes of a request, where its tag goes, what must come back.

Rules of this file: bytes only, no sockets; a conversation is made once and used for every round.
"""

from __future__ import annotations

from dataclasses import dataclass

#: 52 characters: ``{"text": TEXT}`` is 60 bytes of CBOR. Not all alike, so that nothing gets it cheaper.
TEXT = "a message of some sixty bytes, as a chat would send."
PAYLOAD = {"text": TEXT}

#: Stands in a request where the tag goes, until the load generator overwrites it.
DECIMAL_TAG = 10_000_000
BINARY_TAG = 0x7E57_7A61

#: Any four bytes will do (RFC 6455 asks for random ones of a browser, against proxies that are not here).
MASK = b"\x3a\x91\x5c\xe7"


@dataclass(frozen=True, kw_only=True)
class Tag:
    """Where and how a request carries its number: four bytes big endian (``binary``) or eight digits (``decimal``)."""

    kind: str
    places: tuple[int, ...]
    first: int
    step: int = 1

    def option(self) -> str:
        return f"{self.kind}:{','.join(map(str, self.places))}:{self.first}:{self.step}"


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """One server's side of the benchmark; ``match`` is (place, bytes) that only answers have in their body."""

    framing: str
    request: bytes
    expect: bytes = TEXT.encode()
    tag: Tag | None = None
    tag_mask: bytes = bytes(8)
    upgrade: bytes = b""
    hellos: tuple[bytes, ...] = ()
    match: tuple[int, bytes] | None = None


def decimal_tag(request: bytes) -> Tag:
    """The tag where ``DECIMAL_TAG`` stands in the request."""
    return Tag(kind="decimal", places=(request.index(str(DECIMAL_TAG).encode()),), first=DECIMAL_TAG)


def binary_tag(request: bytes) -> Tag:
    """The tag where ``BINARY_TAG`` stands in the request; 0 is left to a hello."""
    return Tag(kind="binary", places=(request.index(BINARY_TAG.to_bytes(4, "big")),), first=1)


def with_length(body: bytes) -> bytes:
    return len(body).to_bytes(4, "big") + body


def websocket(message: str) -> Conversation:
    """A conversation of text messages over a websocket, masked once and for all, its tag patched under the mask."""
    body = message.encode()
    place = body.index(str(DECIMAL_TAG).encode())
    masked = bytes(byte ^ MASK[index % 4] for index, byte in enumerate(body))
    if len(body) > 125:
        head = b"\x81" + bytes([0x80 | 126]) + len(body).to_bytes(2, "big")
    else:
        head = b"\x81" + bytes([0x80 | len(body)])
    upgrade = (
        "GET / HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    return Conversation(
        framing="websocket",
        upgrade=upgrade.encode(),
        request=head + MASK + masked,
        tag=Tag(kind="decimal", places=(len(head) + 4 + place,), first=DECIMAL_TAG),
        tag_mask=bytes(MASK[(place + index) % 4] for index in range(8)),
    )
