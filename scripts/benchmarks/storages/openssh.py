"""OpenSSH: an sshd of our own with its SFTP server built in, and ssh as the client's way to it.

Keys are made for the run. The cipher is the fastest that both have; SSH has no form without one.
"""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.content import Content
from benchmarks.listening import HOST, Listening
from benchmarks.storages import served_folder
from benchmarks.transfer_client import Action, TransferClient

VERSIONS = ()
SYNCED = True

CIPHER = "aes128-gcm@openssh.com"

CONFIGURATION = """
Port {port}
ListenAddress {host}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/user_key.pub
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
UsePAM no
UseDNS no
PidFile none
LogLevel ERROR
Compression no
Ciphers {cipher}
Subsystem sftp internal-sftp
"""

#: sshd started as root wants it, and only the system's own start-up makes it.
_PRIVILEGES = Path("/run/sshd")

clear = served_folder.clear


def _program() -> str | None:
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def missing() -> str | None:
    if _program() and shutil.which("ssh"):
        return None
    return "sshd or ssh is missing (on Debian: apt install openssh-server openssh-client)"


def version() -> str | None:
    done = subprocess.run(["ssh", "-V"], capture_output=True, text=True, check=True)
    return done.stderr.partition(",")[0].strip().replace("_", " ")


def prepare(listening: Listening, content: Content, client: TransferClient) -> None:
    served_folder.prepare(listening, content, client)
    for name in ("host_key", "user_key"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(listening.folder / name)]
        subprocess.run(command, check=True)


def serve(listening: Listening) -> None:
    program, folder = _program(), listening.folder
    assert program is not None
    if os.getuid() == 0:
        _PRIVILEGES.mkdir(mode=0o755, exist_ok=True)
    text = CONFIGURATION.format(port=listening.port, host=HOST, folder=folder, cipher=CIPHER)
    (folder / "sshd_config").write_text(text)
    os.execv(program, [program, "-D", "-e", "-f", str(folder / "sshd_config")])


def options(listening: Listening) -> list[str]:
    """What ssh and sftp are told to reach the server of this run, and to know it."""
    known = listening.folder / "known_hosts"
    host_key = (listening.folder / "host_key.pub").read_text()
    known.write_text(f"[{HOST}]:{listening.port} {host_key}")
    told = {
        "Port": listening.port,
        "User": getpass.getuser(),
        "IdentityFile": listening.folder / "user_key",
        "IdentitiesOnly": "yes",
        "UserKnownHostsFile": known,
        "GlobalKnownHostsFile": "none",
        "StrictHostKeyChecking": "yes",
        "BatchMode": "yes",
        "Ciphers": CIPHER,
        "Compression": "no",
    }
    return ["-F", "none", *(word for name, value in told.items() for word in ("-o", f"{name}={value}"))]


def words(listening: Listening, action: Action) -> list[str]:
    # SFTP's paths are the system's.
    path = f"{served_folder.served(listening)}{action.path}"
    told = ["--protocol", "sftp", "--in-flight", str(action.at_once), "--path", path]
    if action.synced:
        told.append("--sync")
    return [*told, "--", "ssh", *options(listening), "-s", HOST, "sftp"]


def program(listening: Listening, action: Action, local: Path) -> list[str] | None:
    if not shutil.which("sftp"):
        return None
    remote = f"{served_folder.served(listening)}{action.path}"
    batch = listening.folder / "batch"
    batch.write_text(f"get {remote} {local}\n" if action.operation == "get" else f"put {local} {remote}\n")
    return ["sftp", "-q", *options(listening), "-b", str(batch), HOST]
