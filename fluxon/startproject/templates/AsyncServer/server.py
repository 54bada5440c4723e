"""The server.

Run this file, or hand it to Twisted:

    python server.py
    twistd -n fluxon --config server.py
"""

from fluxon.endpoint import AsyncServer, run_server

import router

# Plain TCP answers on this machine only. With secure=True (TLS, with the certificate in secrets/) it answers on
# every network interface.
server = AsyncServer(
    port=8080,
    secure=False,
    setup=router.setup,
)

if __name__ == "__main__":
    run_server(server)
