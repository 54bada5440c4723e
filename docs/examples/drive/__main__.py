"""The whole story by one command: Jane shares a folder with Mike, a line is cut, and a stranger is refused.

    python docs/examples/drive

It runs in this process, on ports that are free. Each of the three has the client of client.py, and this script types.
"""

import argparse
import os
import queue
import sys
from contextlib import ExitStack
from pathlib import Path

from fluxon.connect import CloudStorageConnector, ConnectionInterface
from fluxon.endpoint import run_in_background
from fluxon.errors import AlreadyExists
from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.threads import blockingCallFromThread

from bad_line import BadLine
from client import Shell, log_in
from router import HERE
from server import make_server


class Terminal(Shell):
    """Somebody's client, with what they type."""

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.news = queue.SimpleQueue()
        self.halfway = None

    def type(self, line):
        print(f"{self.prompt}{line}")
        self.onecmd(line)

    def changed(self, change):
        self.news.put(change)

    def hear(self):
        """Changes come by themselves; a story has to be told in order."""
        super().changed(self.news.get(timeout=60))

    def progress(self):
        told = super().progress()

        def and_halfway(done, total):
            told(done, total)
            if self.halfway and done >= total / 2:
                self.halfway, happens = None, self.halfway
                happens()

        return and_halfway


def story(jane, mike, stranger, cut):
    """What the three type, and what becomes of it."""
    Path("plan.txt").write_text("closed in August")
    Path("film.raw").write_bytes(os.urandom(16_000_000))

    print("Jane makes a folder, which is hers, and puts a file into it. Nobody else knows of it.")
    jane.type("mkdir /plans")
    jane.type("put plan.txt /plans/summer.txt")
    mike.type("ls /")
    mike.type("cat /plans/summer.txt")

    print("She shares it. A viewer reads, and is told of changes; more he may not.")
    jane.type("share /plans mike viewer")
    mike.type("cat /plans/summer.txt")
    mike.type("put plan.txt /plans/summer.txt")
    mike.type("share /plans mike owner")
    mike.type("watch /plans")

    print("A large file, and the line is cut halfway. The upload goes on where it was.")
    jane.halfway = lambda: (cut(), jane.tell("(the line is cut)"))
    jane.type("put film.raw /plans/film.raw")
    mike.hear()
    mike.type("get /plans/film.raw copy.raw")
    same = Path("copy.raw").read_bytes() == Path("film.raw").read_bytes()
    mike.tell("the same bytes" if same else "OTHER BYTES")

    print("An editor writes. What was there before is kept, and can be had again.")
    jane.type("share /plans mike editor")
    mike.hear()
    Path("plan.txt").write_text("closed in July")
    mike.type("put plan.txt /plans/summer.txt")
    mike.hear()
    jane.type("versions /plans/summer.txt")
    jane.type("restore /plans/summer.txt 1")
    mike.hear()
    mike.type("cat /plans/summer.txt")
    mike.type("rm /plans/summer.txt")

    print("A stranger sees nothing. The log has everything that was done, or refused.")
    stranger.type("ls /plans")
    stranger.type("cat /plans/summer.txt")
    jane.type("log /plans/summer.txt")

    print("Jane takes back what she gave.")
    jane.type("unshare /plans mike")
    mike.type("cat /plans/summer.txt")


def play(server):
    port, cloud_port = (each.listening_port.getHost().port for each in (server, server.cloud_storage))
    # A line to the files. Connections are the reactor's, which has a thread of its own and is asked to do this there.
    line = BadLine(cloud_port)
    endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
    listening = blockingCallFromThread(reactor, endpoint.listen, line)
    with ExitStack() as at_the_end:
        at_the_end.callback(blockingCallFromThread, reactor, listening.stopListening)

        def sit_down(name, files_at, password=None):
            server = at_the_end.enter_context(ConnectionInterface("localhost", port))
            cloud = at_the_end.enter_context(CloudStorageConnector("localhost", files_at, connection=server))
            if password is not None:
                try:
                    log_in(server, name, password, new=True)
                except AlreadyExists:  # the story was told before
                    log_in(server, name, password)
            return Terminal(name, server, cloud)

        jane = sit_down("jane", listening.getHost().port, "Jane-123")  # hers is the line that is cut
        mike = sit_down("mike", cloud_port, "Mike-123")
        stranger = sit_down("stranger", cloud_port)
        story(jane, mike, stranger, cut=lambda: reactor.callFromThread(line.cut))


def main():
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--folder", type=Path, default=HERE / "data", help="where the drive keeps its things")
    folder = options.parse_args().folder.absolute()
    server = make_server(folder, port=0, cloud_port=0)
    desk = folder / "desk"  # where the three have their own files
    desk.mkdir(exist_ok=True)
    os.chdir(desk)
    # The server gets a thread of its own, so that this one may wait for answers.
    with run_in_background(server):
        play(server)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("stopped")
