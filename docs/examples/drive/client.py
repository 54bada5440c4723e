"""A client for a person in a terminal: python client.py jane

"help" at its prompt lists what may be typed, "help put" tells of one; Ctrl+D ends it.
"""

import argparse
import cmd
import getpass
import shlex
import sys

from fluxon.connect import CloudStorageConnector, ConnectionInterface
from fluxon.errors import FluxonError


class Shell(cmd.Cmd):
    """A function ``do_something`` is a command of that name; it gets the rest of the line."""

    def __init__(self, name, server, cloud):
        super().__init__()
        self.prompt = f"{name}> "
        self.server = server
        self.cloud = cloud

    def onecmd(self, line):
        """Whatever a command raises is told, and the next one may be typed."""
        try:
            return super().onecmd(line)
        except FluxonError as error:
            self.tell(f"{error.code}: {error}")
        except (OSError, ValueError) as error:  # a file of this machine; a command with too few words
            self.tell(f"{error}; try: help {line.split()[0]}")

    def emptyline(self):
        """Nothing was typed. Without this the last command would be done again."""

    def tell(self, text):
        print(f"  {text}", flush=True)

    # --- folders ------------------------------------------------------------------------------------------------------

    def do_mkdir(self, path):
        """mkdir /plans: a folder. In "/" it is yours."""
        name = path.removeprefix("/")
        if "/" in name:
            self.cloud.create_directory(path)
        else:
            path = self.server.send_request("make_folder", {"name": name})
        self.tell(f"made {path}")

    def do_ls(self, path):
        """ls [/plans]: what is in a folder"""
        for item in self.cloud.list_directory(path or "/"):
            about = "/" if item.is_directory else f"  {item.size:,} bytes, version {item.version}"
            self.tell(f"{item.path}{about}")

    def do_rm(self, path):
        """rm /plans/a.txt: delete a file. It is kept for a while: see deleted."""
        self.cloud.delete_file(path)
        self.tell(f"deleted {path}")

    def do_deleted(self, path):
        """deleted [/plans]: what was deleted and can be brought back, with its number"""
        for item in self.cloud.deleted(path or "/"):
            self.tell(f"{item.id}  {item.path}  {item.size:,} bytes, by {item.deleted_by}")

    def do_undelete(self, line):
        """undelete 7 /plans/a.txt: bring back what was deleted, by its number, at this path"""
        number, path = line.split()
        self.tell(f"brought back {self.cloud.restore(path, deleted=int(number)).path}")

    # --- contents -----------------------------------------------------------------------------------------------------

    def do_put(self, line):
        """put a.txt /plans/a.txt: send a file of this machine, as a new one or a new version"""
        local, path = shlex.split(line)
        item = self.cloud.upload_file(path, local, progress=self.progress())
        self.tell(f"{item.path} has {item.size:,} bytes, version {item.version}")

    def do_get(self, line):
        """get /plans/a.txt copy.txt: fetch a file to this machine"""
        path, local = shlex.split(line)
        item = self.cloud.download_file(path, local, progress=self.progress())
        self.tell(f"{local} has {item.size:,} bytes, version {item.version}")

    def do_cat(self, path):
        """cat /plans/a.txt: show a text"""
        self.tell(self.cloud.read_file(path).decode(errors="replace"))

    def progress(self):
        """A function that is told, again and again, how much of a transfer is done. It prints each quarter once."""
        shown = 0

        def told(done, total):
            nonlocal shown
            quarter = 4 * done // total if total else 4
            if quarter > shown:
                shown = quarter
                self.tell(f"{25 * quarter} %")

        return told

    # --- what was before ----------------------------------------------------------------------------------------------

    def do_versions(self, path):
        """versions /plans/a.txt: its contents, the present one first"""
        for each in self.cloud.versions(path):
            self.tell(f"version {each.version}: {each.size:,} bytes, by {each.by}")

    def do_restore(self, line):
        """restore /plans/a.txt 1: make an older version the present one again"""
        path, version = line.split()
        item = self.cloud.restore(path, version=int(version))
        self.tell(f"{item.path} is as in version {version} again, which is now version {item.version}")

    def do_log(self, path):
        """log [/plans]: what was done, by whom, allowed or not, the newest first"""
        for each in self.cloud.log(path or "/", limit=20):
            when = f"{each.timestamp:%Y-%m-%d %H:%M}"
            self.tell(f"{when}  {each.user:<9} {each.action_type:<11} {each.path}  {each.outcome}")

    # --- others -------------------------------------------------------------------------------------------------------

    def do_share(self, line):
        """share /plans mike viewer: let somebody in, as owner, editor or viewer"""
        path, user, role = line.split()
        self.cloud.assign_role(path, user, role)
        self.tell(f"{user} is {role} of {path}")

    def do_unshare(self, line):
        """unshare /plans mike: take away whatever role somebody has there"""
        path, user = line.split()
        count = self.cloud.remove_role(path, user)
        self.tell(f"roles of {user} at {path} that are no more: {count}")

    def do_roles(self, path):
        """roles /plans: who has which role there"""
        for each in self.cloud.roles(path):
            self.tell(f"{each.user} is {each.role}")

    def do_watch(self, path):
        """watch /plans: from now on be told of changes, whoever makes them"""
        self.cloud.watch(path, self.changed)
        self.tell(f"watching {path}")

    def changed(self, change):
        """Called for each change, in a thread of its own, while the prompt waits."""
        self.tell(f"({self.prompt[:-2]} is told: {change.user} {change.action} {change.path})")

    def do_EOF(self, _):
        """Ctrl+D: the end"""
        print()
        return True


def log_in(server, name, password, new=False):
    server.send_request("sign_up" if new else "login", {"username": name, "password": password})


def main():
    options = argparse.ArgumentParser(description="Files, shared with others.")
    options.add_argument("name", nargs="?", help="who you are; nobody, without it")
    options.add_argument("--new", action="store_true", help="sign up")
    options.add_argument("--port", type=int, default=8080)
    options.add_argument("--cloud-port", type=int, default=8888)
    chosen = options.parse_args()
    with ConnectionInterface("localhost", chosen.port) as server:
        if chosen.name is not None:
            try:
                log_in(server, chosen.name, getpass.getpass() if sys.stdin.isatty() else input(), chosen.new)
            except FluxonError as error:
                sys.exit(str(error))
        # For the files we are whoever the other connection is logged in as: nobody, if it is not.
        with CloudStorageConnector("localhost", chosen.cloud_port, connection=server) as cloud:
            Shell(chosen.name or "stranger", server, cloud).cmdloop("Try: help")


if __name__ == "__main__":
    main()
