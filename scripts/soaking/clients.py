"""What clients do: each action is a method ``do_...`` of one client, and leaves nothing behind that it knows of.

Errors that are a server's right to give (it is busy, it hung up on request) are part of the load; any other ends the
soak.
"""

from __future__ import annotations

import socket
import ssl
import threading
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from fluxon.connect import CloudStorageConnector, ConnectionInterface
from fluxon.errors import (
    DeadlineExceeded,
    Internal,
    NotFound,
    OutcomeUnknown,
    PermissionDenied,
    ResourceExhausted,
    Unavailable,
)
from soaking.process import Soaked

#: What a client may hear for what it does here.
FORESEEN = (DeadlineExceeded, OutcomeUnknown, ResourceExhausted, Unavailable)

KIB = 1024


class Client:
    """A user's program: connected, mostly; logged in, now and then."""

    def __init__(self, server: Soaked, number: int, seed: int) -> None:
        self.server = server
        #: Of whom there are two programs.
        self.name = f"user{number // 2}"
        self.number = number
        self.random = Random(seed)
        self.told = 0
        self.connection = self.open()
        self.cloud: CloudStorageConnector | None = None
        self.actions: list[Callable[[], None]] = [
            getattr(self, name) for name in sorted(dir(self)) if name.startswith("do_")
        ]

    def open(self) -> ConnectionInterface:
        connection = self.server.connect(timeout=15)
        connection.reverse_request_mapping({"told": self.be_told})
        return connection

    def be_told(self, number: Any) -> Any:
        self.told += 1
        return number

    def ask(self, view: str, payload: Any = None, timeout: float | None = None) -> Any:
        return self.connection.send_request(view, payload, timeout)

    def act(self, counts: Counter[str]) -> None:
        """One action, by chance."""
        action = self.random.choice(self.actions)
        try:
            action()
        except FORESEEN as error:
            counts[f"{action.__name__[3:]}: {error.code}"] += 1
        else:
            counts[action.__name__[3:]] += 1

    def close(self) -> None:
        if self.cloud is not None:
            self.cloud.close()
        self.connection.close()

    # --- requests -----------------------------------------------------------------------------------------------------

    def do_ask(self) -> None:
        for number in range(20):
            view = self.random.choice(("echo", "echo", "plain", "later"))
            payload = {"number": number, "text": "x" * self.random.randrange(2_000)}
            assert self.ask(view, payload) == payload

    def do_ask_much(self) -> None:
        size = self.random.randrange(600 * KIB)
        assert len(self.ask("make", size)) == size

    def do_use_the_database(self) -> None:
        assert self.ask("note", self.name) > 0

    def do_meet_a_failure(self) -> None:
        try:
            self.ask("fail")
        except Internal:
            return
        raise AssertionError("a view that fails did not")

    def do_give_up(self) -> None:
        for view in ("hang", "later", "hang_plain", "hang"):
            try:
                self.ask(view, None, 0.01)
            except DeadlineExceeded:
                pass

    # --- sessions -----------------------------------------------------------------------------------------------------

    def do_log_in(self) -> None:
        self.ask("login", self.name)

    def do_log_out(self) -> None:
        self.ask("logout")
        assert self.ask("who") is None

    def do_leave_and_come_back(self) -> None:
        self.close()
        self.cloud = None
        self.connection = self.open()

    def do_be_cut_off(self) -> None:
        self.ask("hang_up")
        self.ask("echo", 1)

    # --- being called -------------------------------------------------------------------------------------------------

    def do_be_called(self) -> None:
        assert self.ask("call_back", 7) == 7

    def do_be_called_as_a_user(self) -> None:
        self.ask("login", self.name)
        assert self.ask("tell_user", 7) is True

    def do_be_in_a_group(self) -> None:
        group = f"group{self.random.randrange(3)}"
        self.ask("join", group)
        self.ask("tell_group", group)
        if self.random.random() < 0.7:
            self.ask("leave", group)

    # --- files --------------------------------------------------------------------------------------------------------

    def files(self) -> CloudStorageConnector:
        if self.cloud is None:
            there = ("localhost", self.server.cloud_port)
            self.cloud = CloudStorageConnector(*there, self.connection, self.server.secure, self.server.trust)
        return self.cloud

    def do_files(self) -> None:
        self.ask("login", self.name)
        path = f"{self.ask('own_folder')}/{self.number}-{self.random.randrange(3)}.bin"
        content = self.random.randbytes(self.random.choice((100, 30 * KIB, 700 * KIB)))
        files = self.files()
        try:
            files.write_file(path, content)
            assert files.read_file(path) == content
            files.list_directory(f"/{self.name}")
            if self.random.random() < 0.3:
                files.delete_file(path)
        except (NotFound, PermissionDenied):
            pass  # its session ended meanwhile, by another program of the same user

    def do_files_and_leave(self) -> None:
        """A transfer whose connection ends while it is under way."""
        self.ask("login", self.name)
        path = f"{self.ask('own_folder')}/{self.number}-left.bin"
        files = self.files()
        timer = threading.Timer(self.random.random() * 0.05, files.close)
        timer.start()
        try:
            files.write_file(path, bytes(900 * KIB))
            files.read_file(path)
        except (*FORESEEN, NotFound, PermissionDenied):
            pass
        finally:
            timer.join()
            files.close()
            self.cloud = None

    # --- for the warm-up ----------------------------------------------------------------------------------------------

    def hold_a_thread(self, number: int) -> None:
        """One of those for plain views."""
        self.ask("read_slowly")

    def hash_at_once(self, number: int) -> None:
        """One of those for passwords."""
        with self.open() as connection:
            connection.send_request("login", self.name)

    def read_at_once(self, number: int) -> None:
        """One of those for files."""
        path = f"/{self.name}/warm-{number}.bin"
        self.files().write_file(path, bytes(200 * KIB))
        self.files().delete_file(path)


def be_hostile(server: Soaked, random: Random) -> None:
    """A connection that has nothing good to say, to either port."""
    port = random.choice((server.port, server.cloud_port))
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connected:
        connected.settimeout(0.1)
        try:
            what = random.randrange(4)
            if what == 0:
                connected.sendall(random.randbytes(random.randrange(1, 5_000)))
            elif what == 1:
                connected.sendall(b"\x00\x00\x10\x00\x00half a frame")
            elif what == 2:
                connected.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
            elif server.secure:
                context = ssl.create_default_context(cafile=str(server.certificate))
                with context.wrap_socket(connected, server_hostname="localhost") as wrapped:
                    wrapped.sendall(random.randbytes(200))
                    wrapped.recv(100)
            connected.recv(100)
        except OSError:
            pass
