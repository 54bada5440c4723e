"""The demonstration: a generated project under twistd with TLS, two client processes, what goes wrong in real life, and
files with roles.

Every line that is printed as said by somebody was printed by that process. Whatever does not happen as told here ends
the demonstration with status 1 and the server's log.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from children import Child, Failed

LOCALHOST = "127.0.0.1"
PASSWORDS = {"emma": "Emma's 1st password", "mike": "Mike's 1st password"}


class Demonstration:
    """The project, its server and its clients, in one temporary folder."""

    def __init__(self, folder: Path) -> None:
        self.project = folder / "chat"
        self.children: list[Child] = []
        self.server: Child | None = None
        self.port = 0
        self.cloud_port = 0

    # --- the processes ------------------------------------------------------------------------------------------------

    def generate(self) -> None:
        command = [sys.executable, "-m", "fluxon.startproject", "AsyncServer", "--cloud", str(self.project)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise Failed(f"startproject ended with {done.returncode}: {done.stderr}")
        told("generated a project: " + ", ".join(sorted(each.name for each in self.project.glob("*.py"))))

    def start_server(self) -> None:
        """On any free port the first time, and on the same one afterwards, as clients expect."""
        twistd = Path(sys.executable).with_name("twistd")
        command = [twistd, "-n", "--pidfile=", "fluxon", "--config", "router.py", "--secure"]
        command += ["--port", f"tcp:{self.port}:interface={LOCALHOST}"]
        command += ["--cloud-port", f"tcp:{self.cloud_port}:interface={LOCALHOST}"]
        self.server = Child("the server", command, self.project)
        self.children.append(self.server)
        listening = rf"listening on tcp {re.escape(LOCALHOST)}:(\d+) with TLS"
        self.cloud_port = int(self.server.expect(f"cloud storage: {listening}").group(1))
        self.port = int(self.server.expect(listening).group(1))
        told(
            f"twistd fluxon (process {self.server.pid}) listens on port {self.port}, "
            f"and for files on {self.cloud_port}, with TLS"
        )

    def client(self, name: str) -> Child:
        command = [sys.executable, "-u", "client.py", "--port", str(self.port)]
        command += ["--secure", "--trust", "secrets/certificate.pem", "--stay", f"{name}.session"]
        child = Child(name, command, self.project)
        self.children.append(child)
        child.expect("^Commands: ")
        return child

    def share_files(self) -> None:
        """Two users of the cloud storage, as the project's own client has it."""
        command = [sys.executable, "-u", "cloud_client.py", "--port", str(self.port)]
        command += ["--cloud-port", str(self.cloud_port), "--secure", "--trust", "secrets/certificate.pem"]
        child = Child("the client of the files", command, self.project)
        self.children.append(child)
        for expected in (
            r"Mike: signed up",
            r"Jane: signed up",
            r"Jane: created /janes_dir",
            r"Jane: role assigned",
            r"Jane: wrote \d+ bytes to /janes_dir/some_file.txt, version \d",
            r"Jane: role assigned",
            r"Mike: sees \['/janes_dir/some_file.txt'\]",
            r"Mike: downloaded b'some text",
            r"Mike: may not change it",
        ):
            who, text = child.expect(f"^{expected}").string.split(": ", 1)
            says(who, text)
        if (status := child.end_of_input()) != 0:
            raise Failed(f"{child.name} ended with {status}")

    def discard_all(self) -> None:
        for child in self.children:
            child.discard()

    # --- the story ----------------------------------------------------------------------------------------------------

    def run(self) -> None:
        self.generate()
        self.start_server()

        heading("Two people sign up")
        emma, mike = self.client("emma"), self.client("mike")
        sign_up(emma)
        sign_up(mike)

        heading("They write to each other; the server calls a function in the other's client")
        message(emma, mike, "Hello Mike, is this thing on?")
        message(mike, emma, "Loud and clear, Emma.")

        heading("Logging out and in again")
        ask(mike, "logout", "^logged out$")
        ask(mike, "send emma Still me?", "^login needed$")
        log_in(mike)
        message(mike, emma, "There I am again.")

        heading(f"Emma's process ({emma.pid}) is killed")
        emma.kill()
        ask(mike, "send emma Are you there?", "^emma is offline$")
        emma = self.client("emma")
        told(f"emma is back (process {emma.pid}), without a password: her client kept the session")
        says("emma", emma.expect("^welcome back, emma$").string)
        message(mike, emma, "There you are!")

        heading("The server is killed, and started again")
        assert self.server is not None
        self.server.kill()
        self.start_server()
        told("nobody logs in again: the clients come back by themselves, with their sessions")
        message(emma, mike, "Did you notice anything?", within=30)
        message(mike, emma, "Not a thing.", within=30)

        heading("Jane shares a directory of files, and Mike reads in it; more he may not")
        self.share_files()

        heading("The end")
        for child in (emma, mike):
            if (status := child.end_of_input()) != 0:
                raise Failed(f"{child.name} ended with {status}")
        self.server.stop()
        if not any("Server Shut Down" in line for line in self.server.transcript):
            raise Failed("the server did not shut down in good order")
        told("clients and server have ended")


def told(text: str) -> None:
    print(f"       * {text}", flush=True)


def heading(text: str) -> None:
    print(f"\n{text}\n", flush=True)


def says(who: str, text: str) -> None:
    print(f"{who:>6} | {text}", flush=True)


#: What the client asks for is printed in front of its answer, since both go through a pipe here.
_PROMPTS = re.compile(r"^(?:Username: |Email: |Password: )+")


def ask(client: Child, command: str, answer: str, *more: str) -> None:
    """Type ``command`` (and ``more`` where the client asks for it); the next line has to be ``answer``."""
    client.say(command)
    for each in more:
        client.say(each)
    says(client.name, f"> {command}")
    line = client.expect("").string
    text = _PROMPTS.sub("", line)
    if not re.search(answer, text):
        raise Failed(f"{client.name}: {command!r} was answered {text!r}, not {answer!r}")
    says(client.name, text)


def sign_up(client: Child) -> None:
    name = client.name
    ask(client, "create_user", "^signed up successfully$", name, f"{name}@example.com", PASSWORDS[name])


def log_in(client: Child) -> None:
    ask(client, "login", "^logged in successfully$", client.name, PASSWORDS[client.name])


def message(sender: Child, receiver: Child, text: str, within: float = 0) -> None:
    """``sender`` writes and ``receiver`` reads; for ``within`` seconds the receiver may still be on their way back."""
    end = time.monotonic() + within
    sender.say(f"send {receiver.name} {text}")
    says(sender.name, f"> send {receiver.name} {text}")
    while (answer := sender.expect("").string) != "sent":
        if time.monotonic() > end:
            raise Failed(f"{sender.name} wrote to {receiver.name} and was told {answer!r}")
        time.sleep(0.2)
        sender.say(f"send {receiver.name} {text}")
    says(receiver.name, receiver.expect(re.escape(f"[{sender.name}] {text}")).string)
    says(sender.name, answer)


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="fluxon-demo-") as folder:
        demonstration = Demonstration(Path(folder))
        try:
            demonstration.run()
        except Failed as failure:
            print(f"\nFAILED: {failure}", file=sys.stderr)
            for child in demonstration.children:
                if child.name == "the server":
                    print("\nthe server's log:\n  " + "\n  ".join(child.transcript), file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("\nstopped", file=sys.stderr)
            return 130
        finally:
            demonstration.discard_all()
    print("\nAll of it happened.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
