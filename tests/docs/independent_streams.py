"""Streams for the client that was written from ``docs/protocol.rst`` alone: "Streams", and nothing of Fluxon."""

from __future__ import annotations

import struct
from typing import Any

CREDIT, END = 4, 5
RAW = 0x02
WINDOW = 100_000


class Stream:
    """One that an answer opened; which way it goes shows when it is used."""

    def __init__(self) -> None:
        self.credit = 0
        self.granted = 0
        self.data = b""
        #: The code of the server's End, in a list, once it came.
        self.end: list[str | None] = []
        self.ended = False


def streaming(client_class: type) -> Any:
    """``client_class``, with streams."""

    class StreamClient(client_class):  # type: ignore[misc]
        def __init__(self, *arguments: Any) -> None:
            self.streams: dict[int, Stream] = {}
            self.last = -1
            super().__init__(*arguments)

        def open(self, command: str, arguments: dict[str, Any]) -> int:
            tag: int = self.ask(command, arguments)["stream"]
            if tag <= self.last:
                raise ConnectionError("a stream's tag that is not above those before it")
            self.last = tag
            return tag

        def act(self, message: list[Any]) -> None:
            if message[0] == 1 and isinstance(message[2], dict) and "stream" in message[2]:
                self.streams[message[2]["stream"]] = Stream()
            if message[0] == CREDIT:
                self.streams[message[1]].credit += message[2]
            elif message[0] == END:
                stream = self.streams.pop(message[1])
                stream.end.append(message[2])
                if not stream.ended:
                    self.send([END, message[1], message[2], {}])
            else:
                super().act(message)

        def receive_one(self) -> None:
            head = self.receive_bytes(5)
            length, flags = struct.unpack(">IB", head)
            if flags != RAW:
                self.received = head + self.received
                super().receive_one()
                return
            if not 6 <= length <= 1_048_581:
                raise ConnectionError("a chunk out of bounds")
            body = self.receive_bytes(length - 1)
            stream = self.streams[int.from_bytes(body[:4], "big")]
            stream.granted -= length - 5
            if stream.granted < 0:
                raise ConnectionError("more than was granted")
            stream.data += body[4:]

        def read(self, tag: int) -> bytes:
            """All of a stream."""
            stream = self.streams.get(tag) or Stream()
            taken = b""
            while tag in self.streams:
                taken, stream.data = taken + stream.data, b""
                if stream.granted < WINDOW // 2:
                    self.send([CREDIT, tag, WINDOW - stream.granted])
                    stream.granted = WINDOW
                self.receive_one()
            if stream.end not in ([None], []):
                raise ConnectionError(stream.end[0])
            return taken + stream.data

        def write(self, tag: int, data: bytes) -> str | None:
            """Send all of it; None, or the code with which the server gave up."""
            stream = self.streams[tag]
            while data and not stream.end:
                if not stream.credit:
                    self.receive_one()
                    continue
                size = min(len(data), stream.credit, 30_000)
                stream.credit -= size
                self.socket.sendall(struct.pack(">IBI", size + 5, RAW, tag) + data[:size])
                data = data[size:]
            if not stream.end:
                stream.ended = True
                self.send([END, tag, None, {}])
            while not stream.end:
                self.receive_one()
            return stream.end[0]

        def give_up(self, tag: int) -> None:
            """End a stream; what is under way is dropped."""
            stream = self.streams[tag]
            stream.ended = True
            self.send([END, tag, "Cancelled", {}])
            while not stream.end:
                self.receive_one()

    return StreamClient
