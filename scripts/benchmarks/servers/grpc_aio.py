"""gRPC's asyncio server with a unary echo of a ``StringValue``, registered as generated code registers it."""

from __future__ import annotations

from benchmarks.conversation import TEXT, Conversation, Tag
from benchmarks.listening import HOST, Listening

TLS = False
VERSIONS = ("grpcio", "protobuf", "uvloop")
SERVICE, METHOD = "bench.Echo", "Say"


def serve(listening: Listening) -> None:
    import grpc
    import uvloop
    from google.protobuf.wrappers_pb2 import StringValue

    async def say(request: StringValue, context: grpc.aio.ServicerContext) -> StringValue:
        return request

    handler = grpc.unary_unary_rpc_method_handler(
        say, request_deserializer=StringValue.FromString, response_serializer=StringValue.SerializeToString
    )

    async def run() -> None:
        server = grpc.aio.server()
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {METHOD: handler}),))
        server.add_insecure_port(f"{HOST}:{listening.port}")
        await server.start()
        await server.wait_for_termination()

    uvloop.run(run())


def _frame(kind: int, flags: int, stream: int, body: bytes = b"") -> bytes:
    return len(body).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + body


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def conversation(listening: Listening) -> Conversation:
    """HTTP/2 by hand (RFC 9113, HPACK RFC 7541), as gRPC's own client puts it: the first request names the headers, the
    others point at them in the table that it filled; only the stream's number changes."""
    fields: list[tuple[int | str, str]] = [  # (index of a name in the static table or a name, value)
        (4, f"/{SERVICE}/{METHOD}"),
        (1, f"{HOST}:{listening.port}"),
        ("te", "trailers"),
        (31, "application/grpc"),
        (58, "grpc-python-asyncio"),
    ]
    literal, indexed = b"\x83\x86", b"\x83\x86"
    for place, (name, value) in enumerate(fields):
        literal += (bytes([0x40 | name]) if isinstance(name, int) else b"\x40" + _text(name)) + _text(value)
        indexed += bytes([0x80 | (62 + len(fields) - 1 - place)])
    message = b"\x0a" + _text(TEXT)
    data = b"\0" + len(message).to_bytes(4, "big") + message

    def request(stream: int, headers: bytes) -> bytes:
        return _frame(1, 4, stream, headers) + _frame(0, 1, stream, data)

    window = _frame(8, 0, 0, (2**31 - 1 - 65535).to_bytes(4, "big"))
    hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + _frame(4, 0, 0) + window + request(1, literal)
    places = (5, 9 + len(indexed) + 5)
    tag = Tag(kind="binary", places=places, first=3, step=2)
    return Conversation(framing="http2", hellos=(hello,), request=request(0, indexed), tag=tag)
