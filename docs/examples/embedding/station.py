"""A weather station: a Twisted program that reports by itself, and measures when it is asked.

python station.py 127.0.0.1:8080 roof secret-of-the-roof
"""

import sys

from twisted.internet import task

from fluxon.connect import connect


def measure():
    """The server calls this."""
    return {"temperature": 21.5}


async def main(reactor, where, name, password):
    client = await connect(reactor, where, functions={"measure": measure})
    await client.call("enrol", {"name": name, "password": password})
    await client.call("report", measure())
    print("reported", flush=True)
    while True:
        await task.deferLater(reactor, 60)
        await client.call("report", measure())


if __name__ == "__main__":
    task.react(main, sys.argv[1:])
