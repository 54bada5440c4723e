"""``scripts/soak``."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from soaking import findings, slow_readers
from soaking.process import Soaked
from soaking.rounds import Rounds


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=3.0, help="of all rounds (default: %(default)s)")
    parser.add_argument("--round", type=float, default=12.0, metavar="SECONDS", help="of load (default: %(default)s)")
    parser.add_argument("--clients", type=int, default=6, help="of each server (default: %(default)s)")
    parser.add_argument("--slow-readers", type=int, metavar="N", help="measure others beside N of them instead")
    parser.add_argument("--seconds", type=float, default=15.0, help="of that (default: %(default)s)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="leave every quiet moment there")
    return parser


def main() -> int:
    told = _options().parse_args()
    with tempfile.TemporaryDirectory(prefix="fluxon-soak-") as folder:
        servers = [Soaked(Path(folder) / name, secure) for name, secure in (("plain", False), ("tls", True))]
        try:
            failed = beside(servers, told) if told.slow_readers else soak(servers, told)
        except BaseException:
            for server in servers:
                print(f"--- the end of the log of {server.name}:\n{server.log.read_text()[-4_000:]}", file=sys.stderr)
            raise
        finally:
            statuses = [server.stop() for server in servers]
        for server, status in zip(servers, statuses, strict=True):
            if status or "Unhandled" in server.log.read_text():
                print(f"{server.name}: ended with {status}; its log:\n{server.log.read_text()[-4_000:]}")
                failed = True
    return 1 if failed else 0


def soak(servers: list[Soaked], told: argparse.Namespace) -> bool:
    rounds = Rounds(servers, told.clients)
    rounds.warm_up()
    until = time.monotonic() + 60 * told.minutes
    while time.monotonic() < until:
        rounds.run(told.round)
        for name, moments in rounds.quiet.items():
            at, state = moments[-1]
            print(f"{at:7.0f} s  {name:6}{state['rss'] / findings.MIB:8.2f} MiB  {_counts(state)}", flush=True)
    failed = False
    for name, moments in rounds.quiet.items():
        slopes = [findings.slope(moments, of) / findings.MIB for of in ("rss", "pss")]
        left = findings.left(moments)
        print(f"{name}: {slopes[0]:+.2f} MiB in ten minutes (proportional {slopes[1]:+.2f}); left: {left or 'nothing'}")
        failed |= bool(left) or slopes[0] * findings.MIB >= findings.NO_GROWTH
    print("done:", ", ".join(f"{name} {count:,}" for name, count in sorted(rounds.done.items())))
    if told.json:
        told.json.write_text(json.dumps({"quiet": rounds.quiet, "done": rounds.done}))
    return failed


def _counts(state: dict[str, Any]) -> str:
    return "  ".join(f"{name} {count}" for name, count in state["counts"].items())


def beside(servers: list[Soaked], told: argparse.Namespace) -> bool:
    for server in servers:
        figures = slow_readers.measure(server, told.slow_readers, told.seconds)
        shown = ", ".join(f"{name} {value:.2f}" for name, value in figures.items())
        print(f"{server.name}: {told.slow_readers} slow readers: {shown}", flush=True)
    return False


if __name__ == "__main__":
    sys.exit(main())
