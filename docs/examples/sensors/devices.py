"""Devices that do not exist: each has a connection, a token and a pace of its own, and all of them are in this program.

python devices.py
python devices.py --devices 20 --host sensors.example.com --trust certificate.pem

A real device would be one of these, in a program of its own. With Twisted's client hundreds of them need no thread.
"""

import argparse
import json
import math
import random
from pathlib import Path

from fluxon.connect import Client
from fluxon.errors import FluxonError
from twisted.internet.defer import ensureDeferred, gatherResults
from twisted.internet.task import deferLater, react

HERE = Path(__file__).resolve().parent

#: Seconds in which it gets warmer and colder once, everywhere.
PERIOD = 10


class Device:
    """Measures a temperature that goes up and down, and reports it every now and then."""

    def __init__(self, reactor, name, token, near_the_stove):
        self.reactor = reactor
        self.name = name
        self.token = token
        self.interval = random.uniform(0.5, 2)
        self.swing = 15 if near_the_stove else random.uniform(1, 5)
        self.began = reactor.seconds() - (0 if near_the_stove else random.uniform(0, PERIOD))

    def measure(self):
        return 20 + self.swing * math.sin((self.reactor.seconds() - self.began) * math.tau / PERIOD)

    def set_interval(self, seconds):
        """The server calls this. What is returned is its answer."""
        if not 0.1 <= seconds <= 3600:
            raise ValueError("an interval is between 0.1 seconds and an hour")
        before, self.interval = self.interval, seconds
        return before

    async def run(self, where, **tls):
        client = Client(self.reactor, where, functions={"set_interval": self.set_interval}, **tls)
        client.startService()  # it connects, and comes back by itself whenever the connection is lost
        while True:
            try:
                # Whoever comes back is still logged in, unless the session was ended meanwhile.
                if not client.session.authenticated:
                    await client.call("log_in", {"token": self.token})
                await client.call("report", {"celsius": self.measure()})
            except FluxonError as error:
                print(f"{self.name}: {error.text}", flush=True)  # the next reading is due soon anyhow
            await deferLater(self.reactor, self.interval)


async def main(reactor, chosen):
    tokens = json.loads((chosen.folder / "tokens.json").read_text())
    names = sorted(name for name in tokens if name != "dashboard")[: chosen.devices]
    where = f"{chosen.host}:{chosen.port}"
    tls = {"secure": True, "trust": chosen.trust} if chosen.trust else {}
    # Every fiftieth is near a stove.
    devices = [Device(reactor, name, tokens[name], number % 50 == 0) for number, name in enumerate(names)]
    print(f"{len(devices)} devices", flush=True)
    await gatherResults([ensureDeferred(device.run(where, **tls)) for device in devices], consumeErrors=True)


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="Simulated devices.")
    options.add_argument("--devices", type=int, help="at most so many; else all that have a token")
    options.add_argument("--host", default="localhost")
    options.add_argument("--port", type=int, default=8080)
    options.add_argument("--trust", metavar="FILE", help="use TLS; the server's certificate, or its authority's")
    options.add_argument("--folder", type=Path, default=HERE / "data", help="where tokens.json is")
    react(main, [options.parse_args()])
