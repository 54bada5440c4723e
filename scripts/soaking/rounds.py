"""Rounds of load with quiet moments between them, and what is seen in those."""

from __future__ import annotations

import threading
import time
from collections import Counter
from random import Random
from typing import Any

from soaking.clients import Client, be_hostile
from soaking.process import Soaked

#: A server has so long to come to rest: more than anything in it waits that was begun by a client that has left.
REST = 20.0

#: Between two actions of one client; so a handful of them is a busy server and not a benchmark.
PAUSE = 0.02

#: Sessions of the warm-up, and what each asks at once: one may have a quarter of a pool, so these fill all of them.
_SESSIONS, _PARALLEL = 5, 12

#: Counts that clients have to do with: they come back to what they were before the first client. The others are what a
#: server makes when it first needs them, such as threads.
RETURNING = ("peers", "sockets", "cloud_files", "sessions", "working", "waiting", "timers")


class Rounds:
    """Load for ``servers`` by so many ``clients`` each, and one connection of noise a second."""

    def __init__(self, servers: list[Soaked], clients: int, seed: int = 1) -> None:
        self.servers = servers
        self.clients = clients
        self.random = Random(seed)
        #: What was done, and which errors it met.
        self.done: Counter[str] = Counter()
        #: By server, in each quiet moment: seconds since the beginning, and the server's state.
        self.quiet: dict[str, list[tuple[float, dict[str, Any]]]] = {server.name: [] for server in servers}
        self._began = time.monotonic()
        self._failures: list[BaseException] = []
        self.rest()

    def warm_up(self) -> None:
        """Have every server make what it keeps: all threads of its pools, each with its connection to the database."""
        for server in self.servers:
            clients = [Client(server, number, number) for number in range(0, 2 * _SESSIONS, 2)]
            for client in clients:
                client.ask("login", client.name)
                client.ask("own_folder")
                client.files()
            work = [client.hold_a_thread for client in clients for _ in range(_PARALLEL)]
            work += [client.read_at_once for client in clients for _ in range(_PARALLEL)]
            # The threads for hashing, too: each keeps the 19 MiB that a hash takes.
            work += [client.hash_at_once for client in clients for _ in range(2)]
            threads = [threading.Thread(target=each, args=(number,)) for number, each in enumerate(work)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            for client in clients:
                client.close()
        self.rest()

    def run(self, seconds: float) -> None:
        """One round, and the quiet moment after it. Raises what a client met and should not have."""
        until = time.monotonic() + seconds
        threads = [
            threading.Thread(target=self._be_client, args=(server, number, self.random.random(), until))
            for server in self.servers
            for number in range(self.clients)
        ]
        threads += [threading.Thread(target=self._make_noise, args=(each, until)) for each in self.servers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self._failures:
            raise self._failures[0]
        self.rest()

    def _be_client(self, server: Soaked, number: int, seed: float, until: float) -> None:
        counts: Counter[str] = Counter()
        client = Client(server, number, hash(seed))
        try:
            while time.monotonic() < until and not self._failures:
                client.act(counts)
                time.sleep(client.random.random() * 2 * PAUSE)
        except BaseException as error:
            self._failures.append(error)
        finally:
            client.close()
            self.done += counts

    def _make_noise(self, server: Soaked, until: float) -> None:
        random = Random(server.port)
        while time.monotonic() < until and not self._failures:
            be_hostile(server, random)
            self.done["noise"] += 1
            time.sleep(1)

    def rest(self) -> None:
        """Wait until the servers are at rest, and note what they are like."""
        for server in self.servers:
            until = time.monotonic() + REST
            state = server.state()
            before = self.quiet[server.name][0][1]["counts"] if self.quiet[server.name] else state["counts"]
            while any(state["counts"][key] > before[key] for key in RETURNING) and time.monotonic() < until:
                time.sleep(0.2)
                state = server.state()
            self.quiet[server.name].append((time.monotonic() - self._began, state))
