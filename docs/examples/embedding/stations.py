"""Weather stations that talk to a server of ours: their accounts, their views, and the setup."""

import pathlib

from fluxon.database import models
from fluxon.database.apis import SQLiteDatabase
from fluxon.errors import AlreadyExists, Unauthenticated
from fluxon.routing import Setup
from fluxon.security import Secrets

BASE_DIR = pathlib.Path(__file__).resolve().parent

#: The last reading of each station, by its name. The website shows it.
readings = {}


class Station(models.AuthenticatedUser):
    username = models.CharField(max_length=100, unique=True)
    password = models.PasswordField()


async def enrol(request):
    """A new station, or one that is known and comes again."""
    name, password = request.payload["name"], request.payload["password"]
    station = await Station.Authenticate(name, password)
    station_id = station.id if station else await Station.Insert(username=name, password=password)
    if station_id is False:
        raise AlreadyExists("another station has this name, or the password is wrong")
    await request.login(station_id)


async def report(request):
    """A reading, which the website shows from now on."""
    if request.user is None:
        raise Unauthenticated()
    readings[request.user.username] = request.payload


setup = Setup(
    mapping={"enrol": enrol, "report": report},
    models=[Station],
    secrets=Secrets(BASE_DIR / "secrets"),
    database_schema_dir=BASE_DIR / "database_schema",
    database_path=BASE_DIR / "stations.sqlite3",
    database_api=SQLiteDatabase,
)
