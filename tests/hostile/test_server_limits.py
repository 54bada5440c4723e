"""Each limit of ``docs/limits.rst`` that a stranger can reach, crossed on a real socket: the answer that is promised,
others unaffected, and what the console's ``status`` says of it."""

from __future__ import annotations

import contextlib
import socket
import time
from collections.abc import Callable
from typing import Any

import pytest
from raw_peer import HELLO
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import FluxonError
from fluxon.wire import encode
from fluxon.wire.messages import write_answer, write_ask

#: Two strangers at addresses of other machines, as a proxy says.
HERE, THERE = "192.0.2.7", "192.0.2.8"


@pytest.mark.usefixtures("attackers")
class LimitCase(SynchronousTestCase):
    attacked: Any

    def assert_closed(self, server: Any, visitor: Any, reason: str) -> None:
        """The server ends the connection, and its log says why."""
        self.assertTrue(visitor.ends(10))
        self.until(lambda: reason in server.log)

    def until(self, met: Callable[[], Any]) -> Any:
        """What ``met`` gives once that is something."""
        end = time.monotonic() + 15
        while not (found := met()):
            self.assertLess(time.monotonic(), end)
        return found


class FrameTests(LimitCase):
    """What a frame may be: before hello, as a stranger, and logged in."""

    sizes = {"frame_before_hello": 2_000, "frame_anonymous": 4_000, "frame_authenticated": 8_000}
    items = {"items_before_hello": 40, "items_anonymous": 80, "items_authenticated": 160}

    def test_bytes(self) -> None:
        """One byte more ends the connection; the limit itself is taken. It is another one after each step."""
        with self.attacked(users=("emma",), **self.sizes) as server:
            with server.visit() as visitor:
                visitor.send((2_001).to_bytes(4, "big"))
                self.assert_closed(server, visitor, "a frame of 2001 bytes; 2 to 2000 are taken here")
            around = len(write_ask(1, "call", {"view": "echo", "payload": b"x" * 3_000}, None, {})) - 3_000
            for size, log_in in ((4_004, False), (8_004, True)):
                with server.visit() as visitor:
                    visitor.greet()
                    if log_in:
                        self.log_in(visitor)
                    self.assertEqual(len(visitor.result("echo", b"x" * (size - around))), size - around)
                    visitor.call("echo", b"x" * (size - around + 1))
                    self.assert_closed(server, visitor, f"a frame of {size - 3} bytes; 2 to {size - 4} are taken here")
            self.assert_status(server, self.sizes)

    def test_items(self) -> None:
        """An ask of more is ResourceExhausted and the connection lives; anything else of more ends it."""
        with self.attacked(users=("emma",), **self.items) as server, server.visit() as visitor:
            tag = visitor.ask_command("hello", {**HELLO, "features": ["x"] * 30})
            self.assertEqual(visitor.code(tag), "ResourceExhausted")
            visitor.greet()
            for most in (80, 160):
                if most == 160:
                    self.log_in(visitor)
                # The message, its kind, tag, command, map, two names, the view, the list, timeout and options.
                room = most - 11
                self.assertEqual(visitor.result("echo", [0] * room), [0] * room)
                error = visitor.result("echo", [0] * (room + 1))
                self.assertEqual((error.code, str(most) in error.text), ("ResourceExhausted", True))
            visitor.send(write_answer(9, encode([0] * 200)))
            self.assert_closed(server, visitor, "a frame of more than 160 items")
            self.assert_status(server, self.items)

    def log_in(self, visitor: Any) -> None:
        tokens: list[str] = []
        tag = visitor.call("login", {"username": "emma", "password": "emma"})
        while tag not in visitor.outcomes:
            self.assertTrue(visitor.read(tokens))
        self.assertEqual(len(tokens), 1)

    def assert_status(self, server: Any, limits: dict[str, int]) -> None:
        status = server.limits()
        self.assertEqual({name: status[name][1] for name in limits}, limits)


class ConnectionTests(LimitCase):
    def test_per_address(self) -> None:
        """A third connection from one address is ended at its hello, behind a proxy; another address comes in."""
        with self.attacked(proxy=True, connections_per_address=2) as server:
            first, second = server.visit(address=HERE).greet(), server.visit(address=HERE).greet()
            with server.visit(address=HERE) as third:
                third.ask_command("hello", HELLO)
                self.assert_closed(server, third, f"connection of {HERE}:50000 aborted: there are too many connections")
            with server.visit(address=THERE) as other:
                self.assertEqual(other.greet().result("where_from"), THERE)
            self.assertEqual(server.limits()["connections_per_address"], [2, 2])
            first.socket.close()
            self.until(lambda: server.limits()["connections_per_address"][0] == 1)
            with server.visit(address=HERE) as again:
                self.assertEqual(again.greet().result("where_from"), HERE)
            second.socket.close()

    def test_this_machine(self) -> None:
        """A number that was set holds for it, too: the next connection is closed when it comes."""
        with self.attacked(connections_per_address=2) as server, server.visit() as first:
            first.greet()
            with (
                contextlib.suppress(ConnectionResetError),
                socket.create_connection(("127.0.0.1", server.port), timeout=5) as refused,
            ):
                self.assertEqual(refused.recv(100), b"")
            self.assertIn("there are too many connections from its address", server.log)
            self.assertEqual(first.result("echo", 1), 1)

    def test_per_session(self) -> None:
        """One connection more than may share a session: its hello is ResourceExhausted."""
        with self.attacked(connections_per_session=2) as server, server.visit() as first, server.visit() as second:
            token = first.greet().hello["token"]
            again = {**HELLO, "token": token}
            self.assertNotIsInstance(second.outcome(second.ask_command("hello", again)), FluxonError)
            with server.visit() as third:
                self.assertEqual(third.code(third.ask_command("hello", again)), "ResourceExhausted")
            self.assertEqual(server.limits()["connections_per_session"], [2, 2])

    def test_time(self) -> None:
        """No hello, silence, a frame that does not grow, answers that nobody takes, or that nobody asked for."""
        limits = {"handshake": 0.7, "heartbeat": 0.7, "frame_stall": 0.7, "output_stalled": 0.7, "unsolicited": 3}
        with self.attacked(**limits) as server:
            strangers = {
                "it did not say hello in time": server.visit(),
                "it is silent": server.visit().greet(),
                "it stalls within a frame": server.visit().greet(),
                "it took too little of its answers in time": server.visit(receive_buffer=4_096).greet(),
                "answers to questions that were never asked": server.visit().greet(),
            }
            _, _, stalling, slow, confused = strangers.values()
            stalling.send(b"\x00\x00\x10\x00\x00half")
            for _ in range(20):
                slow.put_call("make", 200_000)
            slow.flush()
            confused.send(write_answer(1_000, b"\x00") * 2)
            self.assertEqual(confused.result("echo", 1), 1)
            confused.send(write_answer(1_000, b"\x00"))
            for reason, stranger in strangers.items():
                if stranger is slow:
                    self.until(lambda: "it took too little" in server.log)
                else:
                    self.assert_closed(server, stranger, reason)
                stranger.socket.close()


class RequestTests(LimitCase):
    def test_in_flight(self) -> None:
        """Of one connection: one more is ResourceExhausted, and is taken when another has ended."""
        with self.attacked(in_flight=6, drain=1.0) as server, server.visit() as visitor:
            visitor.greet()
            tags = [visitor.put_call("hang", None, 30) for _ in range(6)]
            visitor.flush()
            self.assertEqual(visitor.code(visitor.call("echo", 1)), "ResourceExhausted")
            self.assertEqual(server.limits()["in_flight"], [6, 6])
            visitor.conversation.abandon(tags[0])
            visitor.flush()
            self.until(lambda: visitor.result("echo", 1) == 1)

    def test_in_total(self) -> None:
        """Of all: who has much gets no more, who has nothing does, until there is no place at all."""
        with self.attacked(in_flight_total=16, in_flight_kept=8, drain=1.0) as server, server.visit() as greedy:
            greedy.greet()
            tags = [greedy.put_call("hang", None, 30) for _ in range(14)]
            greedy.flush()
            self.assertEqual(greedy.code(greedy.call("echo", 1)), "ResourceExhausted")
            self.assertEqual(server.limits()["in_flight_total"], [14, 16])
            others = [server.visit().greet() for _ in range(2)]
            for other in others:
                self.assertEqual(other.result("echo", 1), 1)
                other.call("hang", None, 30)
                self.assertEqual(other.code(other.call("echo", 1)), "ResourceExhausted")
            # Views that do not wait need no place; the hello of yet another does.
            with server.visit() as late:
                self.assertEqual(late.code(late.ask_command("hello", HELLO)), "ResourceExhausted")
            for tag in tags:
                greedy.conversation.abandon(tag)
            greedy.flush()
            self.until(lambda: server.result("echo", 1) == 1)
            with server.visit() as late:
                self.assertEqual(late.greet().result("echo", 1), 1)
            for visitor in others:
                visitor.socket.close()

    def test_calls_into_a_client(self) -> None:
        """What does not fit among those that its client takes waits; beyond that the view hears ResourceExhausted."""
        with self.attacked(in_flight=8, waiting_asks=5, reverse_timeout=1.0) as server, server.visit() as visitor:
            visitor.greet()
            outcomes = visitor.result("ask_back", 12)
            self.assertEqual(sorted(outcomes), ["DeadlineExceeded"] * 9 + ["ResourceExhausted"] * 3)
            self.assertEqual(server.limits()["waiting_asks"][1], 5)

    def test_calls_of_many_bytes_into_a_client(self) -> None:
        """What waits for a client that does not answer is bounded in bytes as well."""
        limits = {"in_flight": 8, "waiting_bytes": 500_000, "reverse_timeout": 1.0}
        with self.attacked(**limits) as server, server.visit() as visitor:
            visitor.greet()
            outcomes = visitor.result("ask_back", [20, 100_000])
            self.assertEqual(sorted(outcomes), ["DeadlineExceeded"] * 8 + ["ResourceExhausted"] * 12)
            self.assertEqual(server.limits()["waiting_bytes"][1], 500_000)

    def test_rate_of_a_session(self) -> None:
        """Beyond its rate an ask is refused, and told for how long; then it is taken. Another session has its own."""
        with self.attacked(request_rate=20, request_burst=0.5) as server, server.visit() as visitor:
            visitor.greet()
            tags = [visitor.put_call("echo", number) for number in range(40)]
            visitor.flush()
            outcomes = [visitor.outcome(tag) for tag in tags]
            refused = [each for each in outcomes if isinstance(each, FluxonError)]
            self.assertEqual({each.code for each in refused}, {"ResourceExhausted"})
            self.assertGreaterEqual(len(refused), 20)
            self.assertIn("requests a second of one session; try again in ", refused[0].text)
            self.assertLess(0, refused[0].details["retry_after"])
            self.assertLess(refused[0].details["retry_after"], 0.1)
            with server.visit() as other:
                self.assertEqual(other.greet().result("echo", 1), 1)
            used, limit = self.until(lambda: _or_none(server.result("limits")))["request_rate"]
            self.assertEqual((limit, 0 < used <= 20), (20, True))
            self.until(lambda: visitor.result("echo", 2) == 2)

    def test_rate_of_an_address(self) -> None:
        """New sessions are no way around; other machines have a bound by default, this one has none."""
        with self.attacked(proxy=True, request_rate_per_address=20, request_burst=0.5) as server:
            codes = []
            for _ in range(40):
                with server.visit(address=HERE) as visitor:
                    codes.append(visitor.code(visitor.ask_command("hello", HELLO)))
                    codes.append(visitor.code(visitor.call("echo", 1)))
            self.assertIn("ResourceExhausted", codes)
            with server.visit(address=THERE) as other:
                self.assertEqual(other.greet().result("echo", 1), 1)

    def test_rates_by_default(self) -> None:
        """Other machines have a bound; this one has none, unless one is set."""
        # All 10,000 in a tenth of a second: more than may be saved up, and comes meanwhile, however slow the machine.
        with self.attacked(proxy=True, in_flight=20_000) as server:
            for address, bounded in ((HERE, True), ("127.0.0.1", False)):
                with server.visit(address=address) as visitor:
                    visitor.greet()
                    tags = [visitor.put_call("echo", 1) for _ in range(10_000)]
                    visitor.flush()
                    refused = sum(visitor.code(tag) == "ResourceExhausted" for tag in tags)
                    self.assertIs(refused > 0, bounded)


def _or_none(found: Any) -> Any:
    return None if isinstance(found, FluxonError) else found


class LoginTests(LimitCase):
    def test_tries(self) -> None:
        """Beyond the free ones even the right password waits; from another address of the same name it does not."""
        with (
            self.attacked(proxy=True, users=("emma",), login_tries=2) as server,
            server.visit(address=HERE) as guesser,
            server.visit(address=THERE) as emma,
        ):
            guesser.greet()
            emma.greet()
            wrong, right = ({"username": "emma", "password": each} for each in ("x", "emma"))
            codes = [guesser.code(guesser.call("login", wrong)) for _ in range(3)]
            self.assertEqual(codes, ["PermissionDenied"] * 2 + ["ResourceExhausted"])
            self.assertEqual(guesser.result("login", right).details, {"retry_after": 1})
            self.assertEqual(server.limits()["login_tries"], [None, 2])
            self.assertGreater(server.limits()["login_remembered"][0], 1)
            tokens: list[str] = []
            tag = emma.call("login", right)
            while tag not in emma.outcomes:
                self.assertTrue(emma.read(tokens))
            self.assertIsNone(emma.outcomes[tag])


class ThreadTests(LimitCase):
    def test_sessions_of_one_address(self) -> None:
        """Four of them, with hung views, leave half of the threads to everybody else; what waits is bounded."""
        limits = {"view_threads": 8, "view_queue": 16, "view_timeout": 5.0, "drain": 1.0}
        with self.attacked(proxy=True, **limits) as server:
            crowd = [server.visit(address=HERE).greet() for _ in range(5)]
            tags = {}
            for visitor in crowd:
                tags[visitor] = [visitor.put_call("hang_thread") for _ in range(4)]
                visitor.flush()
            self.until(lambda: server.limits()["view_threads"][0] == 4)
            # Half of the threads, half of the queue: the rest of the 20 is refused at once.
            self.until(lambda: server.limits()["view_queue"] == [8, 16])
            with server.visit(address=THERE) as other:
                other.greet()
                for number in range(20):
                    self.assertEqual(other.result("plain_echo", number), number)
            self.assertEqual(server.result("plain_echo", "here"), "here")
            crowd[0].result("release")
            codes = [visitor.code(tag) for visitor in crowd for tag in tags[visitor]]
            self.assertEqual(codes.count("'released'"), 12)
            self.assertEqual(codes.count("ResourceExhausted"), 8)
            for visitor in crowd:
                visitor.socket.close()

    def test_view_time(self) -> None:
        """A view that runs longer is DeadlineExceeded."""
        with self.attacked(view_timeout=0.3, drain=1.0) as server, server.visit() as visitor:
            visitor.greet()
            self.assertEqual(visitor.code(visitor.call("hang")), "DeadlineExceeded")
            self.assertEqual(server.limits()["view_timeout"], [None, 0.3])
