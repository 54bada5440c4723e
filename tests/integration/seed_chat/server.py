from fluxon.endpoint import AsyncServer, run_server
import router

# Welcome to Fluxon!

run_server(
    AsyncServer(
        port=8080, secure=False,
        setup=router.setup
    )
)
