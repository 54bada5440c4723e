"""Jane and Mike share a directory in the cloud storage.

To the server on this machine, or over TLS:

    python cloud_client.py
    python cloud_client.py --secure --trust secrets/certificate.pem

Jane makes a directory, claims it, writes a file, and lets Mike read it. Mike downloads it; he cannot change it. Run it
again, and it begins where it can: the users are there, and so is the directory.
"""

import argparse
import os
import tempfile

from fluxon.connect import CloudStorageConnector, ConnectionInterface
from fluxon.errors import AlreadyExists, PermissionDenied

PASSWORDS = {"Jane": "Jane123@abc", "Mike": "Mike123@abc"}


def tell(who, text):
    print(f"{who}: {text}", flush=True)


def connect(chosen):
    """A connection to the server, and one to its cloud storage, which has the session of the first."""
    how = {"host": chosen.host, "secure": chosen.secure, "trust": chosen.trust}
    server = ConnectionInterface(port=chosen.port, **how)
    return server, CloudStorageConnector(port=chosen.cloud_port, connection=server, **how)


def enter(server, name):
    """Log in, and sign up before that the first time."""
    user = {"username": name, "password": PASSWORDS[name]}
    answer = server.send_request("login", user)["response"]
    if answer != "logged in successfully":
        answer = server.send_request("create_user", {**user, "email": f"{name.lower()}@example.org"})["response"]
    tell(name, answer)


def jane(server, cloud):
    enter(server, "Jane")
    try:
        # A directory in the cloud's root, as every user may make one there.
        made = cloud.create_directory(relative_path="/janes_dir")
        tell("Jane", f"created {made.path}")
    except AlreadyExists:
        tell("Jane", "/janes_dir is there already")
    # Claim it: in this project ownership is granted to whoever created the directory.
    answer = server.send_request("assign_me_as_owner", {"path": "/janes_dir"})
    tell("Jane", answer.get("status") or answer["response"])
    try:
        # No need to claim what is in it: its roles come down from /janes_dir.
        cloud.create_file(relative_path="/janes_dir/some_file.txt")
    except AlreadyExists:
        pass
    written = cloud.write_file(
        relative_path="/janes_dir/some_file.txt", data=b"some text... 123, some more text @#$abc"
    )
    tell("Jane", f"wrote {written.size} bytes to {written.path}, version {written.version}")
    # Let Mike read it. Jane can, since "owner" has ASSIGN_ROLES among its permissions.
    answer = server.send_request("assign_user_as_viewer", {"user_to_assign": "Mike", "path": "/janes_dir"})
    tell("Jane", answer.get("status") or answer["response"])


def mike(cloud):
    tell("Mike", f"sees {[item.path for item in cloud.read_tree_directory('/janes_dir')]}")
    with tempfile.TemporaryDirectory() as folder:
        local = os.path.join(folder, "some_file.txt")
        cloud.download_file("/janes_dir/some_file.txt", local)
        with open(local, "rb") as file:
            tell("Mike", f"downloaded {file.read()!r}")
    try:
        cloud.write_file(relative_path="/janes_dir/some_file.txt", data=b"Mike was here")
        tell("Mike", "changed it, which nobody allowed")
    except PermissionDenied as error:
        tell("Mike", f"may not change it: {error}")


def main():
    options = argparse.ArgumentParser(description="Two users of the cloud storage.")
    options.add_argument("--host", default="localhost")
    options.add_argument("--port", type=int, default=8080)
    options.add_argument("--cloud-port", type=int, default=8888)
    options.add_argument("--secure", action="store_true", help="use TLS")
    options.add_argument("--trust", metavar="FILE", help="the server's certificate, if no public authority signed it")
    chosen = options.parse_args()

    # Mike has to be a user before Jane can give him anything.
    his_server, his_cloud = connect(chosen)
    her_server, her_cloud = connect(chosen)
    with his_server, his_cloud, her_server, her_cloud:
        enter(his_server, "Mike")
        jane(her_server, her_cloud)
        mike(his_cloud)


if __name__ == "__main__":
    main()
