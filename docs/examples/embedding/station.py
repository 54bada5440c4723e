"""A weather station: a Twisted program that reports by itself, and measures when it is asked.

python station.py 127.0.0.1:8080 roof secret-of-the-roof
"""

import sys

from fluxon.connect import connect
from twisted.internet import task


def measure():
    """The server calls this."""
    return {"temperature": 21.5}


async def come_to_work(reactor, where, name, password):
    """Connect, log in, and report for the first time; the client, which comes back by itself when it is cut off."""
    client = await connect(reactor, where, functions={"measure": measure})
    await client.call("enrol", {"name": name, "password": password})
    await client.call("report", measure())
    return client


async def main(reactor, where="127.0.0.1:8080", name="roof", password="secret-of-the-roof"):
    client = await come_to_work(reactor, where, name, password)
    print("reported", flush=True)
    while True:
        await task.deferLater(reactor, 60)
        await client.call("report", measure())


if __name__ == "__main__":
    task.react(main, sys.argv[1:])
