"""RPyC's ``ThreadedServer``, its usual one, with one service for all connections."""

from __future__ import annotations

import struct

from benchmarks.conversation import DECIMAL_TAG, TEXT, Conversation, decimal_tag
from benchmarks.listening import HOST, Listening

TLS = False
VERSIONS = ("rpyc",)


def serve(listening: Listening) -> None:
    import rpyc
    from rpyc.utils.server import ThreadedServer

    class Echo(rpyc.Service):  # type: ignore[misc]
        def exposed_echo(self, text: str) -> str:
            return text

    ThreadedServer(Echo(), hostname=HOST, port=listening.port, backlog=1024).start()


def _frame(message: int, tag: int, arguments: object) -> bytes:
    from rpyc.core import brine

    data = brine.I1.pack(message) + brine.dump((tag, arguments))
    return struct.pack("!LB", len(data), 0) + data + b"\n"


def conversation(listening: Listening) -> Conversation:
    """One round trip a call: the method is called by name on the root object, which the hello asks for."""
    import rpyc
    from rpyc.core import consts

    with rpyc.connect(HOST, listening.port) as connection:
        root = object.__getattribute__(connection.root, "____id_pack__")
    label, value = consts.LABEL_TUPLE, consts.LABEL_VALUE
    arguments = ((consts.LABEL_LOCAL_REF, root), (value, "echo"), (value, (TEXT,)), (value, ()))
    call = _frame(consts.MSG_REQUEST, DECIMAL_TAG, (consts.HANDLE_CALLATTR, (label, arguments)))
    hello = _frame(consts.MSG_REQUEST, 1, (consts.HANDLE_GETROOT, (value, ())))
    # Only what starts with MSG_REPLY is an answer: exceptions are not.
    match = (0, bytes([consts.MSG_REPLY]))
    return Conversation(framing="rpyc", hellos=(hello,), request=call, tag=decimal_tag(call), match=match)
