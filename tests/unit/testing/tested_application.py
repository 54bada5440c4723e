"""An application as its author has it, with views of both kinds, users, and files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from fluxon.cloud.authorization_models import (
    AnonymousPermissions,
    DefaultRole,
    Permissions,
    RoleBasedAccessControl,
    RootPermissions,
)
from fluxon.database import models
from fluxon.database.apis import PostgreSQLDatabase
from fluxon.errors import PermissionDenied
from fluxon.routing import Request, Setup
from fluxon.security import Secrets


class Member(models.AuthenticatedUser):
    username = models.CharField(max_length=100, unique=True)
    password = models.PasswordField()


class Note(models.Model):
    text = models.CharField(max_length=100)


class Roles(RoleBasedAccessControl):
    class owner(RoleBasedAccessControl.Role):
        permissions = list(Permissions)

    DefaultRole(owner)
    AnonymousPermissions(permissions=[])
    RootPermissions(permissions=[Permissions.CREATE_SUB_DIRECTORY])


async def write(request: Request) -> Any:
    return await Note.Insert(text=request.payload)


def write_in_a_thread(request: Request) -> Any:
    return Note.Insert(text=request.payload)


async def count(request: Request) -> Any:
    return await Note.Count()


async def who(request: Request) -> Any:
    return request.user and request.user.username


async def where_from(request: Request) -> Any:
    return request.peername[0]


async def sign_in(request: Request) -> Any:
    user = await Member.Authenticate(*request.payload)
    if user is None:
        raise PermissionDenied("wrong name or password")
    await request.login(user.id)


async def tell(request: Request) -> Any:
    user_id, text = request.payload
    return await request.server.reverse_request(user_id, "hear", {"text": text})


async def ask_me(request: Request) -> Any:
    return await request.connection.send("answer", request.payload)


async def hang(request: Request) -> Any:
    await Deferred()


#: Where its own things would be, were it ever started by itself.
PLACE = Path("/nonexistent/application")

setup = Setup(
    mapping={
        each.__name__: each for each in (write, write_in_a_thread, count, who, where_from, sign_in, tell, ask_me, hang)
    },
    models=[Member, Note],
    secrets=Secrets(PLACE / "secrets"),
    logs_dir=PLACE / "logs",
    database_schema_dir=PLACE / "database_schema",
    database_path="postgresql://nobody@nowhere.invalid/nothing",
    database_api=PostgreSQLDatabase,
)

with_cloud = Setup(
    mapping=setup.mapping,
    models=[Member, Note],
    secrets=setup.secrets,
    database_schema_dir=setup.database_schema_dir,
    database_path=setup.database_path,
    database_api=PostgreSQLDatabase,
    cloud_folder=PLACE / "cloud",
    cloud_auth_model=Roles,
)
