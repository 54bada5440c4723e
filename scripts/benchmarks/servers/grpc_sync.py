"""gRPC's threaded server, for its blocking client."""

from __future__ import annotations

from benchmarks.listening import HOST, Listening
from benchmarks.servers import grpc_aio

TLS = False
VERSIONS = ("grpcio", "protobuf")


def serve(listening: Listening) -> None:
    from concurrent.futures import ThreadPoolExecutor

    import grpc
    from google.protobuf.wrappers_pb2 import StringValue

    def say(request: StringValue, context: grpc.ServicerContext) -> StringValue:
        return request

    handler = grpc.unary_unary_rpc_method_handler(
        say, request_deserializer=StringValue.FromString, response_serializer=StringValue.SerializeToString
    )
    server = grpc.server(ThreadPoolExecutor(max_workers=10))
    server.add_generic_rpc_handlers(
        (grpc.method_handlers_generic_handler(grpc_aio.SERVICE, {grpc_aio.METHOD: handler}),)
    )
    server.add_insecure_port(f"{HOST}:{listening.port}")
    server.start()
    server.wait_for_termination()


conversation = grpc_aio.conversation
