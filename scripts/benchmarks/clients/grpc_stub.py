"""gRPC's blocking stub, made as generated code makes it."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.conversation import TEXT
from benchmarks.listening import HOST, Listening
from benchmarks.servers.grpc_aio import METHOD, SERVICE

SERVER = "grpc-sync"
VERSIONS = ("grpcio", "protobuf")


def connect(listening: Listening) -> Callable[[], str]:
    import grpc
    from google.protobuf.wrappers_pb2 import StringValue

    say = grpc.insecure_channel(f"{HOST}:{listening.port}").unary_unary(
        f"/{SERVICE}/{METHOD}",
        request_serializer=StringValue.SerializeToString,
        response_deserializer=StringValue.FromString,
    )

    def call() -> str:
        text: str = say(StringValue(value=TEXT)).value
        return text

    return call
