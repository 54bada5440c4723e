"""Where fuzzing begins: the byte vectors of the protocol's documentation, and a few whole conversations."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from fluxon.database.schema.files import Renamed, SchemaText
from fluxon.wire.messages import write_answer, write_ask, write_cancel, write_credit, write_end, write_ping
from fuzzing import conversation as talk
from fuzzing import server as serve
from fuzzing.steps import write

VECTORS = Path(__file__).resolve().parents[2] / "tests" / "vectors"

_HELLO = {"version": 1, "token": None, "seen": 0, "features": []}


def _vectors(name: str) -> list[bytes]:
    return [bytes.fromhex(each["hex"]) for each in json.loads((VECTORS / f"{name}.json").read_text())]


def _body(written: bytes) -> bytes:
    return written[5:]


def _ask(tag: int, command: str, timeout: float | None = None, **arguments: Any) -> tuple[int, bytes]:
    return talk.BODY, _body(write_ask(tag, command, arguments, timeout, {}))


def _call(tag: int, view: str, payload: Any = None, timeout: float | None = None) -> tuple[int, bytes]:
    return _ask(tag, "call", timeout, view=view, payload=payload)


def frames() -> Iterator[bytes]:
    for name in ("messages", "refused"):
        for each in _vectors(name):
            yield b"\x05" + each
            yield b"\x80" + each + each


def codec() -> Iterator[bytes]:
    yield from _vectors("values")
    for name in ("messages", "refused"):
        for each in _vectors(name):
            yield _body(each)


def conversation() -> Iterator[bytes]:
    asks = [_call(tag, "echo", {"a": [1, None, "ä"]}) for tag in range(3)]
    yield write(*asks, (talk.ANSWER, b"\x01"), (talk.FAIL, b"\x00"), (talk.BODY, _body(write_cancel(2))))
    yield write(
        *((talk.ASK, bytes([n])) for n in range(4)),
        *((talk.BODY, _body(write_answer(n, b"\xa1\x66stream" + bytes([n])))) for n in range(4)),
    )
    yield write((talk.ASK, b"\x01"), (talk.ABANDON, b"\x00"), (talk.BODY, _body(write_answer(0, b"\xf6"))))
    yield write(
        *asks,
        (talk.OPEN, b"\x00"),
        (talk.OPEN, b"\x01"),
        (talk.GRANT, b"\x80"),
        (talk.CHUNK, b"\x00\x00\x00\x00some bytes"),
        (talk.BODY, _body(write_credit(1, 500))),
        (talk.SEND, b"\x01"),
        (talk.END, b"\x05"),
        (talk.BODY, _body(write_end(1))),
        (talk.BODY, _body(write_end(0, "Cancelled", {"text": "no"}))),
    )
    yield write((talk.PACKED, _body(write_ask(1, "call", {"view": "x" * 200}, None, {}))), (talk.BYTES, write_ping(1)))
    for name in ("messages", "refused"):
        for each in _vectors(name):
            yield write((talk.BYTES, each))


def server() -> Iterator[bytes]:
    hello = _ask(0, "hello", **_HELLO)
    yield write(hello, _call(1, "echo", 5), _call(2, "wait", 6), (serve.PASS_TIME, b"\x10"))
    yield write(hello, *(_call(tag, "wait", None, 0.5) for tag in range(1, 7)), (talk.BODY, _body(write_cancel(2))))
    yield write(hello, _call(1, "login", 1), (talk.BODY, _body(write_answer(0, b"\xa0"))), _call(2, "logout"))
    yield write(hello, _call(1, "call_back", 1), (talk.BODY, _body(write_answer(0, b"\x05"))), (serve.DRAIN, b""))
    yield write(
        hello,
        _ask(1, "get", length=9_000),
        (talk.BODY, _body(write_credit(0, 5_000))),
        (serve.STOP_READING, b""),
        (talk.BODY, _body(write_credit(0, 5_000))),
        (serve.READ_ON, b""),
        (talk.BODY, _body(write_end(0, "Cancelled"))),
    )
    yield write(
        hello,
        _ask(1, "put"),
        (talk.CHUNK, b"\x00\x00\x00\x00" + b"x" * 900),
        (serve.PASS_TIME, b"\x08"),
        (talk.BODY, _body(write_end(0))),
    )
    yield write(hello, (serve.STOP_READING, b""), *(_call(tag, "echo", "x" * 3_000) for tag in range(9)))
    forged = "v1.k." + "A" * 22 + "." + "B" * 43
    for token in (forged, serve.token_of(1), serve.token_of(2)):
        again = _ask(2, "hello", **{**_HELLO, "token": token})
        yield write(hello, _call(1, "login", 2), again, _call(3, "logout"), again, _call(4, "echo"))
    for name in ("messages", "refused"):
        for each in _vectors(name):
            yield write((talk.BYTES, each))
            yield write(hello, (talk.BYTES, each))


def schema() -> Iterator[bytes]:
    for content in (
        SchemaText("sqlite", 'CREATE TABLE "user" (id INTEGER);\n'),
        SchemaText("mysql", "", (Renamed("user", "a", "b"), Renamed(None, "old", "new"))),
    ):
        yield content.text(1).encode()
        yield content.text(2).replace("sha256:", "sha256:0").encode()


def cloud_paths() -> Iterator[bytes]:
    for text in (
        "/",
        "/a/b",
        "a/",
        "/ä/e\u0301/ß/\u017f",
        "/../x",
        "/a\0b",
        "/" + "x/" * 70,
        "/\u202egpj.exe",
        "/İ/ŉ/ﬃ",
    ):
        yield text.encode()
