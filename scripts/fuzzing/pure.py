"""Targets that are one function: frames, values, schema files, paths of the cloud."""

from __future__ import annotations

import re
from typing import Any

from fluxon.cloud import paths
from fluxon.cloud.patterns import matches
from fluxon.database.schema import files
from fluxon.errors import ConfigurationError, InvalidPayload, ProtocolError, Unserialisable
from fluxon.limits import MAX_DEPTH
from fluxon.wire import RAW, Splitter, decode, decode_all, encode
from fluxon.wire.decoding import SUSPECT, check_value

#: What two lengths of frames and chunks may be here: a fuzzer is quicker with small ones.
_FRAME, _CHUNK = 64, 300


def frames(data: bytes) -> None:
    """However a stream is cut, it is cut into the same frames; and no more than one of them is ever held.

    The first byte is the size of the reads, and whether chunks are taken.
    """
    if not data:
        return
    chunk_limit = _CHUNK if data[0] & 0x80 else 0
    whole = _split(data[1:], len(data), chunk_limit)
    chopped = _split(data[1:], (data[0] & 0x7F) + 1, chunk_limit)
    if whole is None or chopped is None:
        assert whole is chopped, "refused or not, as it was cut"
    else:
        assert whole == chopped, (whole, chopped)


def _split(stream: bytes, step: int, chunk_limit: int) -> list[tuple[int, int, bytes]] | None:
    splitter = Splitter(_FRAME)
    splitter.chunk_limit = chunk_limit
    heard: list[tuple[int, int, bytes]] = []
    try:
        for start in range(0, len(stream), step):
            for flags, body in splitter.feed(stream[start : start + step]):
                if flags != RAW:
                    heard.append((flags, 0, bytes(body)))
                elif body.size:
                    heard.append((RAW, body.stream, bytes(body.data)))
                else:  # more of the chunk before
                    assert heard[-1][:2] == (RAW, body.stream)
                    heard[-1] = (RAW, body.stream, heard[-1][2] + body.data)
            assert splitter.held <= _FRAME + 4, splitter.held
    except ProtocolError:
        return None
    return heard


def codec(data: bytes) -> None:
    """What is read can be written, and is then read as the same; alone or among others."""
    try:
        value = decode(data)
    except ProtocolError:
        _refused(data)
        return
    assert repr(decode_all([b"\xf6", data, data])) == repr([None, value, value])
    try:
        if type(value) in SUSPECT:
            check_value(value)
        written = encode(value)
    except ProtocolError:
        return
    except Unserialisable:
        # An envelope around a value may be deeper than a value.
        assert _depth(value) > MAX_DEPTH or type(value) not in (dict, list), value
        return
    again = decode(written)
    assert repr(again) == repr(value), (again, value)
    assert encode(again) == written


def _refused(data: bytes) -> None:
    try:
        decode_all([data, b"\xf6"])
    except ProtocolError:
        return
    raise AssertionError("refused alone, and taken among others")


def _depth(value: Any) -> int:
    depth, level = 0, [value]
    while level := [
        child
        for each in level
        if isinstance(each, (dict, list))
        for child in (each.values() if isinstance(each, dict) else each)
    ]:
        depth += 1
    return depth + 1


_CHECKSUM = re.compile(r"^-- checksum: .*$", re.MULTILINE)


def schema(data: bytes) -> None:
    """A schema file is read or refused, and what was read and is written again is read as the same."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    for each in (text, _sealed(text)):
        try:
            checksum, content = files.parse(each, "schema_00001.sql")
        except ConfigurationError:
            continue
        assert checksum.startswith("sha256:")
        written = content.text(1)
        assert files.parse(written, "schema_00001.sql")[1] == content, content


def _sealed(text: str) -> str:
    """The same with the checksum that it should have, where its first one is."""
    found = _CHECKSUM.search(text)
    if found is None:
        return text
    plain = text[: found.start()] + text[found.end() + 1 :]
    return f"{text[: found.start()]}-- checksum: {files._digest(plain)}\n{text[found.end() + 1 :]}"


def cloud_paths(data: bytes) -> None:
    """A path is refused, or has one form, which is itself a path and says nothing of another place."""
    text = data.decode("utf-8", "surrogatepass" if data[:1] < b"\x80" else "replace") if _is_text(data) else ""
    try:
        parts = paths.parse(text)
    except InvalidPayload:
        return
    joined = paths.join(parts)
    assert paths.parse(joined) == parts
    assert len(joined.encode()) == paths.size(parts) <= paths.MAX_PATH
    for part in parts:
        assert paths.component(part) == part
        assert part not in ("", ".", "..") and "/" not in part and "\0" not in part
        assert paths.key(part) == paths.key(paths.key(part)), part
        assert matches(part, part) and matches("*", part)


def _is_text(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return False
    return True
