"""The server, with the cloud storage in the same process.

Run this file, or hand it to Twisted:

    python server.py
    twistd -n fluxon --config server.py

or the two in processes of their own, each with the options it needs:

    twistd -n fluxon --config router.py
    twistd -n --pidfile=cloud.pid fluxon-cloud --config router.py
"""

from fluxon.endpoint import AsyncServer, CloudStorageServer, run_server

import router

# Plain TCP answers on this machine only. With secure=True (TLS, with the certificate in secrets/) it answers on
# every network interface.
server = AsyncServer(
    port=8080,
    secure=False,
    setup=router.setup,
    cloud_storage=CloudStorageServer(
        port=8888,
        secure=False,
    ),
)

if __name__ == "__main__":
    run_server(server)
