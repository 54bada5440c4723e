"""WsgiDAV on cheroot, the server that it comes with: anybody may do anything, no locks, no log, larger blocks."""

from __future__ import annotations

from pathlib import Path

from benchmarks.listening import HOST, Listening
from benchmarks.storages import served_folder
from benchmarks.transfer_client import Action

VERSIONS = ("wsgidav", "cheroot", "lxml")
SYNCED = False

#: Its own 8 KiB would cost it a third.
BLOCK = 256 * 1024

PROPERTIES = "resourcetype", "getcontentlength", "getlastmodified", "getetag"

prepare = served_folder.prepare
clear = served_folder.clear


def missing() -> str | None:
    return None


def version() -> str | None:
    return None


def serve(listening: Listening) -> None:
    from cheroot import wsgi
    from cheroot.ssl.builtin import BuiltinSSLAdapter
    from wsgidav.wsgidav_app import WsgiDAVApp

    app = WsgiDAVApp(
        {
            "provider_mapping": {"/": str(served_folder.served(listening))},
            "simple_dc": {"user_mapping": {"*": True}},
            "lock_storage": False,
            "property_manager": False,
            "dir_browser": {"enable": False},
            "logging": {"enable": False},
            "verbose": 0,
            "block_size": BLOCK,
        }
    )
    server = wsgi.Server((HOST, listening.port), app, numthreads=16, request_queue_size=1024)
    server.keep_alive_conn_limit = 1000  # beyond its own 10 it closes connections that would be used again
    if listening.tls:
        server.ssl_adapter = BuiltinSSLAdapter(str(listening.certificate), str(listening.key))
    server.start()


def words(listening: Listening, action: Action) -> list[str]:
    told = ["--protocol", "http", "--connections", str(action.at_once), "--path", action.path]
    if action.operation == "list":
        wanted = "".join(f"<D:{name}/>" for name in PROPERTIES)
        body = f'<?xml version="1.0"?><D:propfind xmlns:D="DAV:"><D:prop>{wanted}</D:prop></D:propfind>'
        told += ["--method", "PROPFIND", "--head", "Depth: 1\r\nContent-Type: application/xml\r\n", "--body", body]
        # The folder itself has one as well, and no length.
        told += ["--entry", "</D:getcontentlength>"]
    return told


def program(listening: Listening, action: Action, local: Path) -> list[str] | None:
    return None
