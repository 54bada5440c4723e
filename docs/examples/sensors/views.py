"""What clients may ask, and who hears of it. A device may report; a dashboard may look, and set a device's interval."""

from fluxon.database.query import where
from fluxon.errors import InvalidPayload, NotFound, PermissionDenied, Unauthenticated

from models import Account, Reading, digest_of

#: The group of all dashboards.
DASHBOARDS = "dashboards"

#: An alarm begins above the one, and ends below the other: a reading that trembles around one bound would call all day.
TOO_HOT, COOL_AGAIN = 30, 28


class Views:
    """The views share what the server has in memory: the readings, and which devices are too hot."""

    def __init__(self, readings):
        self.readings = readings
        self.alarms = set()

    async def log_in(self, request):
        """Whoever has the token is that device, or that dashboard. Its name."""
        (token,) = request.fields(token=str)
        account = await Account.Get(where[Account.digest == digest_of(token)])
        if account is None:
            raise PermissionDenied("nobody has this token")
        await request.login(account.id)
        return account.name

    # --- for devices --------------------------------------------------------------------------------------------------

    async def report(self, request):
        """A reading. It is stored when this is answered."""
        device = _user_of(request, "device").name
        (celsius,) = request.fields(celsius=float)
        if not -90 < celsius < 150:
            raise InvalidPayload("celsius is a temperature between -90 and 150")
        stored = self.readings.add(device, celsius)
        await self._watch(request.server, device, celsius)
        await stored

    async def _watch(self, server, device, celsius):
        if celsius > TOO_HOT and device not in self.alarms:
            self.alarms.add(device)
            await self._tell(server, "alarm", device, celsius)
        elif celsius < COOL_AGAIN and device in self.alarms:
            self.alarms.remove(device)
            await self._tell(server, "calm", device, celsius)

    async def _tell(self, server, function, device, celsius):
        # A slow dashboard must not hold up a device, so nobody waits until they have all heard it.
        payload = {"device": device, "celsius": celsius}
        await server.groups.send(DASHBOARDS, function, payload, acknowledge=False)

    # --- for dashboards -----------------------------------------------------------------------------------------------

    async def overview(self, request):
        """What there is to see in one line."""
        _user_of(request, "dashboard")
        latest = sorted(self.readings.latest.values(), key=lambda row: row["celsius"])
        return {
            "devices": sum(user.kind == "device" for user in await request.server.online.users()),
            "stored": self.readings.stored,
            "writes": self.readings.writes,
            "coldest": latest[0] if latest else None,
            "hottest": latest[-1] if latest else None,
            "alarms": sorted(self.alarms),
        }

    async def history(self, request):
        """The last readings of a device, the latest first."""
        _user_of(request, "dashboard")
        device, count = request.fields(device=str, count=int)
        rows = await Reading.Check(
            where[Reading.device == device],
            columns=[Reading.celsius, Reading.at],
            order_by=Reading.id.desc(),
            fetch=max(0, min(count, 1000)),
        )
        return [{"celsius": row.celsius, "at": row.at} for row in rows]

    async def set_interval(self, request):
        """Have a device report every so many seconds from now on. The server calls the device; what it did before."""
        _user_of(request, "dashboard")
        device, seconds = request.fields(device=str, seconds=float)
        account = await Account.Get(where[(Account.name == device) & (Account.kind == "device")])
        if account is None:
            raise NotFound(f"there is no device {device}")
        return await request.server.call_client(account, "set_interval", {"seconds": seconds}, timeout=5)


async def join_dashboards(event):
    """For on_login; and for on_connect, since a dashboard that lost its connection comes back logged in."""
    if event.user is not None and event.user.kind == "dashboard":
        await event.server.groups.join(DASHBOARDS, event)


def _user_of(request, kind):
    if request.user is None:
        raise Unauthenticated("log in first")
    if request.user.kind != kind:
        raise PermissionDenied(f"this is for a {kind}")
    return request.user
