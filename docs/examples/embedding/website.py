"""The website's pages, which know what weather stations reported, and ask them.

A page has the Fluxon server as it has any other object: it calls it on the reactor, and awaits what it answers.
"""

import json

from fluxon.database.query import where
from fluxon.errors import FluxonError
from twisted.internet.defer import ensureDeferred
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET

import stations

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

    @staticmethod
    def answer(request, value):
        request.setHeader(b"content-type", b"application/json")
        return json.dumps(value).encode() + b"\n"

    # --- what is new --------------------------------------------------------------------------------------------------

    async def measure(self, request, name):
        station = await stations.Station.Get(where[stations.Station.username == name])
        try:
            if station is None:
                request.setResponseCode(404)
                body = {"error": "no such station"}
            else:
                # The server calls a function in the client of that user, and has what it returned.
                body = await self.server.call_client(station, "measure", timeout=5)
        except FluxonError as error:  # it is not connected, or did not answer in time
            request.setResponseCode(503)
            body = {"error": error.text}
        request.write(self.answer(request, body))
        request.finish()
