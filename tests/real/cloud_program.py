"""A server with a cloud storage: ``cloud_program.py PORT CLOUD_PORT plain|secure``. Its files lie where it runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from twisted.internet import reactor

from fluxon.cloud.authorization_models import DefaultRole, Permissions, RoleBasedAccessControl, RootPermissions
from fluxon.database import models
from fluxon.database.apis import SQLiteDatabase
from fluxon.database.query import where
from fluxon.endpoint import AsyncServer, CloudStorageServer, run_server
from fluxon.routing import Setup
from fluxon.security import Secrets


class User(models.AuthenticatedUser):
    username = models.CharField(max_length=100, unique=True)


class Files(RoleBasedAccessControl):
    """Directories may be made in the root, and claimed by those who made them."""

    class owner(RoleBasedAccessControl.Role):
        permissions = list(Permissions)

    class viewer(RoleBasedAccessControl.Role):
        permissions = [Permissions.READ_FILE, Permissions.READ_TREE_DIRECTORY]

    DefaultRole(None)
    RootPermissions(permissions=[Permissions.CREATE_SUB_DIRECTORY, Permissions.READ_TREE_DIRECTORY])


async def login(request: Any) -> Any:
    """Be somebody, who is made if need be."""
    name = request.payload["username"]
    if request.payload.get("password", "secret") != "secret":
        return {"response": "wrong username or password"}
    rows = await User.Check(where[User.username == name], fetch=1)
    await request.login(rows[0].id if rows else await User.Insert(username=name))
    return {"response": "logged in"}


async def logout(request: Any) -> None:
    await request.logout()


async def own(request: Any) -> Any:
    """Claim a path."""
    return await Files.assign_role(user=request.user, path=request.payload, role=Files.owner)


def main(port: int, cloud_port: int, secure: bool) -> None:
    folder = Path.cwd()
    setup = Setup(
        mapping={view.__name__: view for view in (login, logout, own)},
        models=[User],
        secrets=Secrets(folder / "secrets"),
        database_schema_dir=folder / "schema",
        database_path=folder / "database.sqlite3",
        database_api=SQLiteDatabase,
        cloud_auth_model=Files,
        cloud_folder=folder / "cloud",
    )
    storage = CloudStorageServer(port=cloud_port, secure=secure, host="127.0.0.1")
    server = AsyncServer(port=port, secure=secure, setup=setup, host="127.0.0.1", cloud_storage=storage)
    reactor.callWhenRunning(  # type: ignore[attr-defined]
        lambda: server.when_ready().addCallback(lambda _: print("READY", flush=True))
    )
    run_server(server)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] == "secure")
