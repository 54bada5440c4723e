"""Two ends that keep the rules, with the network's delays between them, never find an offence in one another."""

from __future__ import annotations

from collections import deque
from random import Random
from typing import Any

from effort import times
from twisted.trial.unittest import SynchronousTestCase

from fluxon.wire import Answer, Ask, Chunk, Conversation, End, Flow


class Side:
    """One end, with what it has sent and the other has not got."""

    def __init__(self, conversation: Conversation, chance: Random) -> None:
        self.conversation = conversation
        self.chance = chance
        self.other: Side
        self.under_way = b""
        self.flows: list[Flow] = []
        #: What was sent, and what was heard, by stream; and how each ended here.
        self.sent: dict[int, bytes] = {}
        self.heard: dict[int, bytes] = {}
        self.ends: dict[int, str | None] = {}
        self.given_up: set[int] = set()

    def take(self, flow: Flow) -> None:
        if flow.end is not None:
            self.ends[flow.tag] = flow.end.code
        self.flows.append(flow)

    def flush(self) -> None:
        self.under_way += b"".join(self.conversation.output)
        self.conversation.output.clear()

    def deliver(self, size: int) -> None:
        """The other side reads ``size`` bytes."""
        self.flush()
        data, self.under_way = self.under_way[:size], self.under_way[size:]
        for message in self.other.conversation.receive(data):
            self.other.act(message)

    def act(self, message: Any) -> None:
        if isinstance(message, Chunk):
            self.heard[message.stream] = self.heard.get(message.stream, b"") + message.data
        elif isinstance(message, End):
            self.ends[message.stream] = message.code

    def step(self) -> None:
        """Anything that the rules allow."""
        if not self.flows:
            return
        flow, streams, chance = self.chance.choice(self.flows), self.conversation.streams, self.chance
        over = flow.ended or flow.end is not None
        match chance.randrange(12):
            case 0 if chance.random() < 0.3:
                streams.end(flow, "Cancelled")
                self.given_up.add(flow.tag)
            case 1 | 2 if flow.sending and not over:
                streams.end(flow)
            case 3 | 4 | 5 if not flow.sending:
                streams.grant(flow, chance.choice((1, 10, 1_000, 70_000)))
            case _ if flow.sending and flow.credit and not over:
                data = chance.randbytes(min(flow.credit, chance.choice((1, 100, 50_000))))
                self.conversation.put(streams.chunk(flow, len(data)) + data)
                self.sent[flow.tag] = self.sent.get(flow.tag, b"") + data


class Client(Side):
    def __init__(self, conversation: Conversation, chance: Random) -> None:
        super().__init__(conversation, chance)
        self.named: deque[tuple[int, bool]] = deque()

    def act(self, message: Any) -> None:
        if isinstance(message, Answer):
            if message.value.get("stream") is not None:
                self.named.append((message.value["stream"], message.waiter))
        else:
            super().act(message)

    def step(self) -> None:
        kind = self.chance.randrange(10)
        if kind == 0 and len(self.conversation.asked) < 5:
            down = self.chance.random() < 0.5
            tag = self.conversation.ask("get" if down else "put", {}, waiter=not down, opens=True)
            if self.chance.random() < 0.2:
                self.conversation.abandon(tag)
        elif kind < 3 and self.named:
            tag, sending = self.named.popleft()
            self.take(self.conversation.streams.attach(tag, sending, "client"))
        else:
            super().step()


class Server(Side):
    def __init__(self, conversation: Conversation, chance: Random) -> None:
        super().__init__(conversation, chance)
        self.asks: deque[Ask] = deque()

    def act(self, message: Any) -> None:
        if isinstance(message, Ask):
            self.asks.append(message)
        else:
            super().act(message)

    def step(self) -> None:
        if self.asks and self.chance.random() < 0.2:
            ask = self.asks.popleft()
            if len(self.conversation.streams) < 4:
                flow = self.conversation.streams.open(ask.command == "get", "server")
                self.conversation.answer(ask.tag, {"stream": flow.tag})
                self.take(flow)
            else:
                self.conversation.answer(ask.tag, {"stream": None})
        else:
            super().step()


class RandomTests(SynchronousTestCase):
    def run_one(self, seed: int) -> tuple[Client, Server]:
        chance = Random(seed)
        client = Client(Conversation(receive_limit=10_000, send_limit=10_000), chance)
        server = Server(Conversation(receive_limit=10_000, send_limit=10_000, stream_limit=4), chance)
        client.other, server.other = server, client
        for _ in range(400):
            side = chance.choice((client, server))
            side.step()
            if chance.random() < 0.5:
                chance.choice((client, server)).deliver(chance.choice((1, 20, 3_000, 200_000)))
        # Everybody comes to an end.
        for _ in range(4):
            for side in (client, server):
                side.deliver(2**30)
            while client.named:
                tag, sending = client.named.popleft()
                client.take(client.conversation.streams.attach(tag, sending, "client"))
            while server.asks:
                server.conversation.answer(server.asks.popleft().tag, {})
            for side in (client, server):
                for flow in side.flows:
                    if flow.sending or flow.end is None:
                        side.given_up.add(flow.tag)
                    side.conversation.streams.end(flow, None if flow.sending else "Cancelled")
        for side in (client, server):
            side.deliver(2**30)
        return client, server

    def test_any_order(self) -> None:
        """No offence, no stream left, one end for each; what was heard is what was sent, all of it if it ended well."""
        complete = 0
        for seed in range(times(150)):
            client, server = self.run_one(seed)
            for side in (client, server):
                self.assertFalse(side.conversation.has_streams, seed)
                self.assertEqual(side.under_way, b"")
                for flow in side.flows:
                    self.assertTrue(flow.ended and flow.end is not None, seed)
                for stream, heard in side.heard.items():
                    sent = side.other.sent[stream]
                    self.assertTrue(sent.startswith(heard))
                    if side.ends[stream] is None and stream not in side.given_up:
                        self.assertEqual(len(heard), len(sent), seed)
                        complete += 1
        self.assertGreater(complete, 20)
