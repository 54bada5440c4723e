"""A chat client for the terminal.

    python client.py                                                      to the server on this machine
    python client.py --secure --trust secrets/certificate.pem             over TLS
"""

import argparse
import getpass
import sys

from fluxon.connect import ConnectionInterface
from fluxon.errors import FluxonError

HELP = "Commands: create_user, login, send NAME MESSAGE, logout, exit"


def receive_message(sender, message):
    """The server calls this whenever somebody writes to us."""
    print(f"[{sender}] {message}", flush=True)


def ask_password():
    return getpass.getpass("Password: ") if sys.stdin.isatty() else input("Password: ")


def run(connection, command, rest):
    """Carry out one line of input; what the server said."""
    if command == "create_user":
        payload = {"username": input("Username: "), "email": input("Email: "), "password": ask_password()}
        return connection.send_request("create_user", payload)
    if command == "login":
        return connection.send_request("login", {"username": input("Username: "), "password": ask_password()})
    if command == "logout":
        return connection.send_request("logout", {})
    if command == "send" and " " in rest:
        receiver, message = rest.split(" ", 1)
        return connection.send_request("send_message", {"receiver": receiver, "message": message})
    return {"response": HELP}


def main():
    options = argparse.ArgumentParser(description="Chat over Fluxon.")
    options.add_argument("--host", default="localhost")
    options.add_argument("--port", type=int, default=8080)
    options.add_argument("--secure", action="store_true", help="use TLS")
    options.add_argument("--trust", metavar="FILE", help="the server's certificate, if no public authority signed it")
    chosen = options.parse_args()

    with ConnectionInterface(
        host=chosen.host, port=chosen.port, secure=chosen.secure, trust=chosen.trust
    ) as connection:
        connection.reverse_request_mapping({"receive_message": receive_message})
        print(HELP, flush=True)
        for line in sys.stdin:
            command, _, rest = line.strip().partition(" ")
            if command == "exit":
                break
            try:
                print(run(connection, command, rest.strip())["response"], flush=True)
            except FluxonError as error:  # every failure says what to do, and the connection comes back by itself
                print(f"error: {error}", flush=True)


if __name__ == "__main__":
    main()
