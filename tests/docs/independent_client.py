"""A client written from ``docs/protocol.rst`` alone, as somebody would in another language: nothing of Fluxon is used.

It shows that the text suffices. It says hello, calls views, answers the server's calls and Pings, keeps its token, and
carries out once what the server keeps for it.

    python independent_client.py HOST PORT VIEW [PAYLOAD AS JSON]
"""

from __future__ import annotations

import json
import socket
import struct
import sys
from collections.abc import Callable
from typing import Any

ASK, ANSWER, FAILED, CANCEL, CREDIT, END, PING, PONG = range(8)


# --- Values -----------------------------------------------------------------------------------------------------------


class Tagged:
    """A datetime, date, time, decimal or UUID, as its tag and what is in it."""

    def __init__(self, tag: int, content: Any) -> None:
        self.tag = tag
        self.content = content

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tagged) and (self.tag, self.content) == (other.tag, other.content)

    __hash__ = None  # type: ignore[assignment]


def write_head(major: int, number: int) -> bytes:
    if number < 24:
        return bytes([major << 5 | number])
    for mark, form in ((24, ">BB"), (25, ">BH"), (26, ">BI"), (27, ">BQ")):
        if number < 256 ** (1 << mark - 24):
            return struct.pack(form, major << 5 | mark, number)
    raise ValueError("a number of more than 64 bits")


def write_value(value: Any) -> bytes:
    if value is None:
        return b"\xf6"
    if isinstance(value, bool):
        return b"\xf5" if value else b"\xf4"
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise ValueError("an integer out of bounds")
        return write_head(0, value) if value >= 0 else write_head(1, -1 - value)
    if isinstance(value, float):
        return struct.pack(">Bd", 0xFB, value)
    if isinstance(value, bytes):
        return write_head(2, len(value)) + value
    if isinstance(value, str):
        text = value.encode("utf-8")
        return write_head(3, len(text)) + text
    if isinstance(value, list):
        return write_head(4, len(value)) + b"".join(map(write_value, value))
    if isinstance(value, dict):
        return write_head(5, len(value)) + b"".join(write_value(key) + write_value(value[key]) for key in value)
    if isinstance(value, Tagged):
        return write_head(6, value.tag) + write_value(value.content)
    raise ValueError(f"a {type(value).__name__} does not cross")


def read_value(body: bytes, position: int = 0) -> tuple[Any, int]:
    """The value at ``position``, and where it ends."""
    major, rest = body[position] >> 5, body[position] & 31
    position += 1
    if rest < 24:
        number = rest
    elif rest <= 27:
        size = 1 << rest - 24
        number = int.from_bytes(body[position : position + size], "big")
        if major == 7:
            return read_simple(size, body[position : position + size]), position + size
        position += size
    else:
        raise ValueError("a length that is not definite")
    if major == 0:
        return number, position
    if major == 1:
        return -1 - number, position
    if major in (2, 3):
        content = body[position : position + number]
        if len(content) != number:
            raise ValueError("cut short")
        return (content if major == 2 else content.decode("utf-8")), position + number
    if major == 4:
        items = []
        for _ in range(number):
            item, position = read_value(body, position)
            items.append(item)
        return items, position
    if major == 5:
        pairs: dict[str, Any] = {}
        for _ in range(number):
            key, position = read_value(body, position)
            if not isinstance(key, str) or key in pairs:
                raise ValueError("a key that is no text, or a second time")
            pairs[key], position = read_value(body, position)
        return pairs, position
    if major == 6:
        if number not in (0, 4, 37, 1004, 61888):
            raise ValueError("an unknown tag")
        content, position = read_value(body, position)
        return Tagged(number, content), position
    simple = {20: False, 21: True, 22: None}
    if number not in simple:
        raise ValueError("an unknown simple value")
    return simple[number], position


def read_simple(size: int, content: bytes) -> float:
    form = {2: ">e", 4: ">f", 8: ">d"}.get(size)
    if form is None:
        raise ValueError("an unknown simple value")
    number: float = struct.unpack(form, content)[0]
    return number


# --- The client -------------------------------------------------------------------------------------------------------


class Failure(Exception):
    """A Failed answer."""

    def __init__(self, code: str, text: str, details: dict[str, Any]) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code
        self.details = details


class Client:
    """One connection. ``functions`` are those that the server may call: name -> function of the payload.

    ``token`` and ``seen`` are those of the connection before it in the same session.
    """

    def __init__(
        self,
        host: str,
        port: int,
        token: str | None = None,
        functions: dict[str, Callable[[Any], Any]] | None = None,
        seen: int = 0,
    ) -> None:
        self.functions = functions or {}
        self.answers: dict[int, list[Any]] = {}
        self.next_tag = 0
        self.received = b""
        # As it is before hello is answered: the limit for strangers, and any frame that a server could send.
        self.limit_out, self.limit_in = 16_384, 2**24
        self.socket = socket.create_connection((host, port), timeout=10)
        #: One after the other, so everything up to here was carried out.
        self.seen = seen
        greeting = self.ask("hello", {"version": 1, "token": token, "seen": seen, "features": []})
        self.recovered: bool = greeting["recovered"]
        self.token: str = greeting["token"]
        self.authenticated: bool = greeting["authenticated"]
        self.fresh: bool = greeting["fresh"]
        self.limits: dict[str, int] = greeting["limits"]
        self.follow_limits()

    def follow_limits(self) -> None:
        self.limit_out = self.limits["frame_authenticated" if self.authenticated else "frame"]
        self.limit_in = self.limits["frame_to_client"]

    def call(self, view: str, payload: Any = None, timeout: float | None = None) -> Any:
        """What the view returns; ``Failure`` if it answers an error."""
        return self.ask("call", {"view": view, "payload": payload}, timeout)

    def call_once(self, view: str, payload: Any, key: str) -> Any:
        """As ``call``; may be asked again with the same key after the loss of a connection, while ``recovered``."""
        return self.ask("call_once", {"view": view, "payload": payload, "key": key})

    def goodbye(self) -> None:
        """Nothing needs to be kept for this client."""
        self.ask("goodbye", {})

    def close(self) -> None:
        self.socket.close()

    def ask(self, command: str, arguments: dict[str, Any], timeout: float | None = None) -> Any:
        tag = self.begin(command, arguments, timeout)
        return self.finish(tag)

    def begin(self, command: str, arguments: dict[str, Any], timeout: float | None = None) -> int:
        tag = self.next_tag
        self.next_tag = (tag + 1) % 2**32
        self.send([ASK, tag, command, arguments, timeout, {}])
        return tag

    def finish(self, tag: int) -> Any:
        while tag not in self.answers:
            self.receive_one()
        message = self.answers.pop(tag)
        if message[0] == FAILED:
            raise Failure(message[2], message[3], message[4])
        return message[2]

    def send(self, message: list[Any]) -> None:
        body = write_value(message)
        if len(body) + 1 > self.limit_out:
            raise ValueError(f"a message of {len(body)} bytes is more than the server takes")
        self.socket.sendall(struct.pack(">IB", len(body) + 1, 0) + body)

    def receive_one(self) -> None:
        length = int.from_bytes(self.receive_bytes(4), "big")
        if not 2 <= length <= self.limit_in:
            raise ConnectionError("a length out of bounds")
        frame = self.receive_bytes(length)
        if frame[0] != 0:
            raise ConnectionError("flags that were not agreed on")
        message, end = read_value(frame, 1)
        if end != length:
            raise ConnectionError("bytes after the value")
        self.act(message)

    def receive_bytes(self, count: int) -> bytes:
        while len(self.received) < count:
            data = self.socket.recv(65_536)
            if not data:
                raise ConnectionError("the server closed the connection")
            self.received += data
        taken, self.received = self.received[:count], self.received[count:]
        return taken

    def act(self, message: list[Any]) -> None:
        kind = message[0]
        if kind in (ANSWER, FAILED):
            self.answers[message[1]] = message
        elif kind == PING:
            self.send([PONG, message[1]])
        elif kind == ASK:
            self.send(self.answer(message[1], message[2], message[3]))
        elif kind not in (CANCEL, PONG):
            raise ConnectionError("a message of a stream that was never opened")

    def answer(self, tag: int, command: str, arguments: dict[str, Any]) -> list[Any]:
        if command == "session":
            self.token, self.authenticated = arguments["token"], arguments["authenticated"]
            self.follow_limits()
            return [ANSWER, tag, {}]
        if command not in ("call", "deliver"):
            return [FAILED, tag, "NotFound", "no such command here", {}]
        if command == "deliver":
            if arguments["number"] <= self.seen:
                return [ANSWER, tag, None]  # its answer was lost
            self.seen = arguments["number"]
        function = self.functions.get(arguments["view"])
        if function is None:
            return [FAILED, tag, "UnknownView", "no such function here", {}]
        return [ANSWER, tag, function(arguments["payload"])]


def main() -> None:
    host, port, view, *payload = sys.argv[1:]
    client = Client(host, int(port))
    print(client.call(view, json.loads(payload[0]) if payload else None))
    client.close()


if __name__ == "__main__":
    main()
