"""nginx: static files, and WebDAV PUT, which neither hashes nor fsyncs; one worker, sendfile on."""

from __future__ import annotations

import getpass
import os
import shutil
import subprocess
from pathlib import Path

from benchmarks.listening import HOST, Listening
from benchmarks.storages import served_folder
from benchmarks.transfer_client import Action

VERSIONS = ()
SYNCED = True

#: Uploads go to a file beside the others first, so that the rename is one; a large one in few writes.
CONFIGURATION = """
daemon off;
{user}
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections 512; }}
http {{
    access_log off;
    default_type application/octet-stream;
    sendfile on;
    tcp_nopush on;
    tcp_nodelay on;
    keepalive_requests 100000000;
    open_file_cache max=4096 inactive=60s;
    client_max_body_size 0;
    client_body_buffer_size 1m;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen {host}:{port}{ssl} backlog=1024;
        {certificate}
        root {data};
        location / {{ dav_methods PUT DELETE; }}
        location /listed/ {{ autoindex on; autoindex_format json; }}
    }}
}}
"""

prepare = served_folder.prepare
clear = served_folder.clear


def _program() -> str | None:
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def missing() -> str | None:
    return None if _program() else "nginx is missing (on Debian: apt install nginx-light)"


def version() -> str | None:
    program = _program()
    done = subprocess.run([program or "nginx", "-v"], capture_output=True, text=True, check=True)
    return done.stderr.strip().removeprefix("nginx version: ").replace("/", " ")


def serve(listening: Listening) -> None:
    program, folder = _program(), listening.folder
    assert program is not None
    tls = f"ssl_certificate {listening.certificate}; ssl_certificate_key {listening.key};"
    text = CONFIGURATION.format(
        user=f"user {getpass.getuser()};" if os.getuid() == 0 else "",
        folder=folder,
        host=HOST,
        port=listening.port,
        ssl=" ssl" if listening.tls else "",
        certificate=tls if listening.tls else "",
        data=served_folder.served(listening),
    )
    (folder / "nginx.conf").write_text(text)
    os.execv(program, [program, "-p", str(folder), "-e", "stderr", "-c", str(folder / "nginx.conf")])


def words(listening: Listening, action: Action) -> list[str]:
    path = f"{action.path}/" if action.operation == "list" else action.path
    told = ["--protocol", "http", "--connections", str(action.at_once), "--path", path, "--entry", '"name":']
    if action.synced:
        told += ["--folder", str(served_folder.served(listening))]
    return told


def program(listening: Listening, action: Action, local: Path) -> list[str] | None:
    if not shutil.which("curl"):
        return None
    address = f"{'https' if listening.tls else 'http'}://localhost:{listening.port}{action.path}"
    command = ["curl", "--silent", "--show-error", "--fail", "--resolve", f"localhost:{listening.port}:{HOST}"]
    if listening.tls:
        command += ["--cacert", str(listening.certificate)]
    return [*command, "--output" if action.operation == "get" else "--upload-file", str(local), address]
