"""A chat client for the terminal.

To the server on this machine, over TLS, and logged in until logout, over restarts too:

    python client.py
    python client.py --secure --trust secrets/certificate.pem
    python client.py --stay emma.session

What create_user and login need may stand on their line, and is asked for otherwise:

    create_user emma emma@example.com
    Password:
"""

import argparse
import getpass
import os
import sys

from fluxon.connect import ConnectionInterface
from fluxon.errors import FluxonError

HELP = "Commands: create_user, login, send NAME MESSAGE, logout, exit"


def receive_message(sender, message):
    """The server calls this whenever somebody writes to us."""
    print(f"[{sender}] {message}", flush=True)


def ask_password():
    return getpass.getpass("Password: ") if sys.stdin.isatty() else input("Password: ")


def answers(given, *names):
    """What was given on the line, in the order of names; the rest is asked for. A password may have spaces."""
    given = given.split(None, len(names) - 1)
    rest = names[len(given) :]
    return [*given, *(ask_password() if name == "Password" else input(f"{name}: ") for name in rest)]


def resume(connection, path):
    """Go on with the session that is kept in a file. The server knows whether it still stands."""
    if not os.path.exists(path):
        return
    with open(path) as file:
        connection.session.token = file.read() or None
    try:
        name = connection.send_request("whoami")["response"]
        print(f"welcome back, {name}" if name else "please log in", flush=True)
    except FluxonError as error:
        print(f"error: {error}", flush=True)


def keep(connection, path):
    """Write the session down: whoever has this file is this user, so nobody else may read it."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
        file.write(connection.session.token or "")


def run(connection, command, rest):
    """Carry out one line of input; what the server said."""
    if command == "create_user":
        username, email, password = answers(rest, "Username", "Email", "Password")
        return connection.send_request("create_user", {"username": username, "email": email, "password": password})
    if command == "login":
        username, password = answers(rest, "Username", "Password")
        return connection.send_request("login", {"username": username, "password": password})
    if command == "logout":
        return connection.send_request("logout", {})
    if command == "send" and " " in rest:
        receiver, message = rest.split(" ", 1)
        return connection.send_request("send_message", {"receiver": receiver, "message": message})
    return {"response": HELP}


def attempt(connection, command, rest, stay):
    """One line of input and its answer, or why there is none: the connection comes back by itself."""
    try:
        answer = run(connection, command, rest)
        if stay:
            keep(connection, stay)
        print(answer["response"], flush=True)
    except FluxonError as error:
        print(f"error: {error}", flush=True)


def main():
    options = argparse.ArgumentParser(description="Chat over Fluxon.")
    options.add_argument("--host", default="localhost")
    options.add_argument("--port", type=int, default=8080)
    options.add_argument("--secure", action="store_true", help="use TLS")
    options.add_argument("--trust", metavar="FILE", help="the server's certificate, if no public authority signed it")
    options.add_argument("--stay", metavar="FILE", help="stay logged in: keep the session in this file")
    chosen = options.parse_args()

    with ConnectionInterface(
        host=chosen.host, port=chosen.port, secure=chosen.secure, trust=chosen.trust
    ) as connection:
        connection.reverse_request_mapping({"receive_message": receive_message})
        print(HELP, flush=True)
        try:
            if chosen.stay:
                resume(connection, chosen.stay)
            for line in sys.stdin:
                command, _, rest = line.strip().partition(" ")
                if command == "exit":
                    break
                attempt(connection, command, rest.strip(), chosen.stay)
        except KeyboardInterrupt:
            print()


if __name__ == "__main__":
    main()
