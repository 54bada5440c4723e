"""The whole story by one command: a website, a station, and somebody who looks at the pages.

    python docs/examples/embedding

Everything runs in this process, on ports that are free, and ends with the story. website.tac and station.py are the
same parts as programs of their own.
"""

import argparse
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

from fluxon.endpoint import AsyncServer
from fluxon.errors import AlreadyExists
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import react
from twisted.internet.threads import deferToThread
from twisted.web.server import Site

from station import come_to_work
from stations import make_setup
from website import Readings


async def main(reactor, folder):
    folder.mkdir(parents=True, exist_ok=True)
    # A service starts by itself in an application; without one, it is started here.
    server = AsyncServer(port=0, setup=make_setup(folder))
    server.startService()
    await server.when_ready()
    website = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Site(Readings(server)))
    try:
        await story(reactor, server.listening_port.getHost().port, website.getHost().port)
    finally:
        await website.stopListening()
        await server.stopService()


def look_at(url, method):
    """What a browser does. It waits for the answer, and so has to be called in a thread."""
    try:
        answer = urlopen(Request(url, method=method), timeout=20)
    except HTTPError as error:  # an answer, too
        answer = error
    with answer:
        return answer.status, answer.read().decode().strip()


async def story(reactor, for_stations, for_browsers):
    url, where = f"http://127.0.0.1:{for_browsers}/", f"127.0.0.1:{for_stations}"

    async def browse(method, page=""):
        status, text = await deferToThread(look_at, url + page, method)
        print(f"  {method} /{page}".ljust(24), status, text)

    print(f"The website is {url}, and stations connect to {where}.")
    await browse("GET")

    print("The station on the roof logs in, and reports.")
    roof = await come_to_work(reactor, where, "roof", "secret-of-the-roof")
    await browse("GET")

    print("A page asks it for a reading of now: the server calls a function in the station.")
    await browse("POST", "?station=roof")
    await browse("POST", "?station=cellar")

    print("Somebody else calls himself the roof, and does not know its password.")
    try:
        await come_to_work(reactor, where, "roof", "a guess")
    except AlreadyExists as error:
        print(f"  refused: {error}")

    print("The station is switched off. Its last reading stays; nobody can be asked.")
    await roof.close()
    await browse("GET")
    await browse("POST", "?station=roof")


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--folder", type=Path, default=Path(__file__).resolve().parent / "data", help="for its data")
    react(main, [options.parse_args().folder])
