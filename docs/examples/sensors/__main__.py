"""The whole of it by one command, for ten seconds: a server, two hundred devices, and a dashboard in this terminal.

python docs/examples/sensors
python docs/examples/sensors --devices 1000 --seconds 30

The server is in this process, on a port that is free; devices and dashboard are programs of their own.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from fluxon.endpoint import AsyncServer
from twisted.internet.task import react
from twisted.internet.threads import deferToThread

from server import make_setup

HERE = Path(__file__).resolve().parent


def command(program, *arguments):
    return [sys.executable, HERE / program, *map(str, arguments)]


async def main(reactor, chosen):
    subprocess.run(command("enrol.py", "--devices", chosen.devices, "--folder", chosen.folder), check=True)
    server = AsyncServer(port=0, setup=make_setup(chosen.folder))
    server.startService()
    await server.when_ready()
    place = ["--port", server.listening_port.getHost().port, "--folder", chosen.folder]
    devices = subprocess.Popen(command("devices.py", "--devices", chosen.devices, *place))
    try:
        # In a thread, since the server needs this one.
        await deferToThread(subprocess.run, command("dashboard.py", "--seconds", chosen.seconds, *place), check=True)
    finally:
        devices.kill()  # without a word, as devices go
        devices.wait()
        await server.stopService()


if __name__ == "__main__":
    options = argparse.ArgumentParser(description="A server, devices and a dashboard.")
    options.add_argument("--devices", type=int, default=200)
    options.add_argument("--seconds", type=float, default=10)
    options.add_argument("--folder", type=Path, default=HERE / "data", help="where the server keeps its things")
    react(main, [options.parse_args()])
