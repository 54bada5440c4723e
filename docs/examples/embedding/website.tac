"""An existing Twisted application, a website, that serves weather stations too.

    twistd -ny website.tac

One reactor, one process, one log: the Fluxon server is a service beside the others. Where they listen, and where the
data is kept, may be said by the environment: STATIONS, WEBSITE and FOLDER.
"""

import os
import sys
from pathlib import Path

from twisted.application.service import Application, MultiService
from twisted.application.strports import service
from twisted.web.server import Site

from fluxon.endpoint import AsyncServer

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))  # twistd does not look there
from stations import make_setup
from website import Readings

application = Application("weather")
services = MultiService()
services.setServiceParent(application)

folder = Path(os.environ.get("FOLDER", HERE / "data"))
folder.mkdir(parents=True, exist_ok=True)
server = AsyncServer(setup=make_setup(folder), endpoint=os.environ.get("STATIONS", "tcp:8080:interface=127.0.0.1"))
server.setServiceParent(services)

site = Site(Readings(server))
service(os.environ.get("WEBSITE", "tcp:8000:interface=127.0.0.1"), site).setServiceParent(services)
