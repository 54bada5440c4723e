"""Weather stations that talk to a server of ours: their accounts, their views, and the setup."""

from fluxon.database import models
from fluxon.errors import AlreadyExists, Unauthenticated
from fluxon.routing import Setup
from fluxon.security import Secrets

#: The last reading of each station, by its name. The website shows it.
readings = {}


class Station(models.AuthenticatedUser):
    username = models.CharField(max_length=100, unique=True)
    password = models.PasswordField()


async def enrol(request):
    """A new station, or one that is known and comes again."""
    # InvalidPayload, and no answer, for whoever sends anything else.
    name, password = request.fields(name=str, password=str)
    station = await Station.Authenticate(name, password)
    station_id = station.id if station else await Station.Insert(username=name, password=password)
    if station_id is False:  # a constraint: the name is unique
        raise AlreadyExists("another station has this name, or the password is wrong")
    await request.login(station_id)


async def report(request):
    """A reading, which the website shows from now on."""
    if request.user is None:
        raise Unauthenticated()
    (temperature,) = request.fields(temperature=float)
    readings[request.user.username] = {"temperature": temperature}


def make_setup(folder):
    """What the Fluxon server is made of; it keeps its things in ``folder``, a ``Path``.

    Nothing is opened here. The server does that when it starts.
    """
    return Setup(
        mapping={"enrol": enrol, "report": report},
        models=[Station],
        secrets=Secrets(folder / "secrets"),
        database_schema_dir=folder / "schema",
        database_path=folder / "stations.sqlite3",
    )
