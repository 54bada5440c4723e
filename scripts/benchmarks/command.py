"""``scripts/bench``: what can be measured, and with which options."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

from benchmarks import environment


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="bench", description=__import__("benchmarks").__doc__)
    kinds = parser.add_subparsers(
        dest="kind", required=True, metavar="rpc | blocking | fanout | idle | database | cloud"
    )
    for kind, text in (
        ("rpc", "servers under a load generator: requests a second, latency, CPU"),
        ("blocking", "blocking clients in Python, one call at a time, each against its own server"),
        ("fanout", "one message to thousands of clients: until the last has it, and the server's CPU"),
        ("idle", "thousands of clients that wait: what each of them costs the server in memory"),
        ("database", "models on SQLite beside other ORMs and raw sqlite3, in threads and on an event loop"),
        ("cloud", "files up, down and listed, beside nginx, OpenSSH's sftp and WsgiDAV"),
    ):
        command = kinds.add_parser(kind, help=text, description=text)
        command.add_argument("--json", type=Path, metavar="FILE", help="leave the figures there")
        rounds = 3 if kind in ("cloud", "fanout", "idle") else 5
        command.add_argument("--rounds", type=int, default=rounds, help="interleaved rounds (default: %(default)s)")
        if kind in ("rpc", "blocking", "database"):
            seconds = 0.5 if kind == "database" else 1.5
            command.add_argument(
                "--seconds", type=float, default=seconds, help="of each measurement (default: %(default)s)"
            )
        command.add_argument("--only", metavar="NAME,…", help="only these of those measured")
        command.add_argument("--venv", type=Path, default=environment.default_folder(), help="(default: %(default)s)")
        if kind == "rpc":
            default = "1x1,1x64,100x1,1x64-tls,100x1-tls,100x1-half"
            command.add_argument("--cases", default=default, help="connections x in flight (default: %(default)s)")
        if kind in ("fanout", "idle"):
            command.add_argument("--connections", type=int, default=10_000, help="without TLS (default: %(default)s)")
            secure = 0 if kind == "fanout" else 2_000
            command.add_argument("--secure", type=int, default=secure, help="with TLS (default: %(default)s)")
        if kind == "fanout":
            command.add_argument("--messages", type=int, default=10, help="in a round (default: %(default)s)")
        if kind == "database":
            command.add_argument("--cases", help="as select-key-thread,insert-async-64 (default: all)")
            command.add_argument("--rows", type=int, default=1_000_000, help="of the schema updates; 0 leaves them out")
        if kind == "cloud":
            command.add_argument("--cases", help="as large-down,small-up-16,list (default: all)")
            command.add_argument("--size", type=int, default=1024, help="of the large file, MiB (default: %(default)s)")
            command.add_argument("--files", type=int, default=2_000, help="of 64 KiB each (default: %(default)s)")
            command.add_argument("--items", type=int, default=10_000, help="that are listed (default: %(default)s)")
    return parser


def _chosen(only: str | None, names: list[str], more: list[str]) -> list[str]:
    """``only`` of the names, or all of them; ``more`` are those that have to be named."""
    chosen = only.split(",") if only else names
    unknown = set(chosen) - set(names) - set(more)
    if unknown:
        raise SystemExit(f"bench: unknown: {', '.join(sorted(unknown))}; there are {', '.join(names + more)}")
    return chosen


def main() -> int:
    told = _options().parse_args()
    if sys.version_info < (3, 11):  # noqa: UP036 (whoever's python3 this is)
        raise SystemExit("bench: needs Python 3.11 or later")
    environment.enter(told.venv)
    # From here on in the environment of the benchmark.
    from benchmarks import blocking, cloud, database, machine, report, rpc, schema_update, waiting_clients
    from benchmarks.clients import CLIENTS
    from benchmarks.crowds import CROWDS
    from benchmarks.databases import DATABASES
    from benchmarks.servers import PARTS, SERVERS
    from benchmarks.storages import STORAGES

    # Ended from outside, it still ends the server that it started.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    described = machine.describe()
    if told.kind == "database":
        del described["cores"]  # one process, wherever the system puts its threads
    if told.kind == "rpc":
        chosen = _chosen(told.only, list(SERVERS), list(PARTS))
        cases = [rpc.Case.parse(word) for word in told.cases.split(",")]
        results = rpc.measure(chosen, cases, rounds=told.rounds, seconds=told.seconds)
        layout, packages = report.RPC, rpc.packages(chosen)
    elif told.kind == "database":
        chosen = _chosen(told.only, list(DATABASES), [])
        cases = _chosen(told.cases, list(database.CASES), [])
        results = database.measure(chosen, cases, rounds=told.rounds, seconds=told.seconds)
        if told.rows:
            schema_update.measure(results, chosen, told.rows, told.rounds)
        layout, packages = report.DATABASE, database.packages(chosen)
    elif told.kind in ("fanout", "idle"):
        chosen = waiting_clients.able(_chosen(told.only, list(CROWDS), []), told.kind)
        shape = {"connections": told.connections, "secure": told.secure, "times": getattr(told, "messages", 0)}
        results = waiting_clients.measure(chosen, told.kind, rounds=told.rounds, **shape)
        layout = report.FANOUT if told.kind == "fanout" else report.IDLE
        packages = waiting_clients.packages(chosen)
    elif told.kind == "cloud":
        chosen = cloud.able(_chosen(told.only, list(STORAGES), []))
        cases = _chosen(told.cases, list(cloud.CASES), [])
        described |= cloud.describe(chosen)
        sizes = {"size": told.size * cloud.MIB, "files": told.files, "items": told.items}
        results = cloud.measure(chosen, cases, rounds=told.rounds, **sizes)
        layout, packages = report.CLOUD, cloud.packages(chosen)
    else:
        chosen = _chosen(told.only, list(CLIENTS), [])
        results = blocking.measure(chosen, rounds=told.rounds, seconds=told.seconds)
        layout, packages = report.BLOCKING, blocking.packages(chosen)
    versions = machine.versions(packages)
    report.show(results, layout, described, versions)
    if told.json:
        report.save(results, told.json, described, versions)
    return 1 if results.failures else 0
