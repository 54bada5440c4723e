"""An existing Twisted application, a website, that serves weather stations too.

    twistd -ny website.tac

One reactor, one process, one log: the Fluxon server is a service beside the others. The website calls it like any
other object, on the reactor, and awaits what it answers.
"""

import json
import os
import sys

from twisted.application.service import Application, MultiService
from twisted.application.strports import service
from twisted.internet.defer import ensureDeferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Site

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import stations

from fluxon.database.query import where
from fluxon.endpoint import AsyncServer
from fluxon.errors import FluxonError

# --- what was there before --------------------------------------------------------------------------------------------


class Readings(Resource):
    """GET / shows the last readings; POST /?station=NAME asks that station for one now."""

    isLeaf = True

    def __init__(self, server):
        super().__init__()
        self.server = server

    def render_GET(self, request):
        return self.answer(request, stations.readings)

    def render_POST(self, request):
        name = request.args.get(b"station", [b""])[0].decode(errors="replace")
        ensureDeferred(self.measure(request, name)).addErrback(request.processingFailed)
        return NOT_DONE_YET

    # --- what is new --------------------------------------------------------------------------------------------------

    async def measure(self, request, name):
        station = await stations.Station.Get(where[stations.Station.username == name])
        try:
            if station is None:
                request.setResponseCode(404)
                body = {"error": "no such station"}
            else:
                body = await self.server.call_client(station, "measure", timeout=5)
        except FluxonError as error:  # it is not connected, or did not answer in time
            request.setResponseCode(503)
            body = {"error": error.text}
        request.write(self.answer(request, body))
        request.finish()

    @staticmethod
    def answer(request, value):
        request.setHeader(b"content-type", b"application/json")
        return json.dumps(value).encode() + b"\n"


application = Application("weather")
services = MultiService()
services.setServiceParent(application)

server = AsyncServer(setup=stations.setup, endpoint=os.environ.get("STATIONS", "tcp:8080:interface=127.0.0.1"))
server.setServiceParent(services)

site = Site(Readings(server))
service(os.environ.get("WEBSITE", "tcp:8000:interface=127.0.0.1"), site).setServiceParent(services)
