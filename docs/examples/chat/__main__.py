"""One command for all of it: the chat in this terminal, and a server for it if none is there.

python docs/examples/chat

The first to come brings the server along, and takes it away when they leave. `server.py` and `client.py` are the two
parts, each for a terminal of its own.
"""

import argparse
import contextlib
import socket
import subprocess
import sys
import time
from pathlib import Path

from client import ChatApp

HERE = Path(__file__).resolve().parent


def is_served(port):
    """Whether somebody listens there."""
    with contextlib.suppress(OSError), socket.create_connection(("localhost", port), timeout=1):
        return True
    return False


@contextlib.contextmanager
def a_server(port, folder):
    """Make sure that there is one. If it is ours, it ends with us."""
    if is_served(port):
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "server.log"
    with log.open("w") as output:
        command = [sys.executable, HERE / "server.py", "--port", str(port), "--folder", folder]
        server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT)
    try:
        while not is_served(port):
            if server.poll() is not None:
                sys.exit(f"the server did not start:\n{log.read_text()}")
            time.sleep(0.1)
        yield
    finally:
        server.terminate()
        server.wait()


def main():
    options = argparse.ArgumentParser(description="Chat, with a server if there is none.")
    options.add_argument("--port", type=int, default=8080)
    options.add_argument("--folder", type=Path, default=HERE / "data", help="where the server keeps its things")
    chosen = options.parse_args()
    with a_server(chosen.port, chosen.folder):
        ChatApp("localhost", chosen.port).run()


if __name__ == "__main__":
    main()
