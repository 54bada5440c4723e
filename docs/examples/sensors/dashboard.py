"""A dashboard for the terminal: a line each second, a line for each alarm, and a summary at the end.

python dashboard.py
python dashboard.py --seconds 60

It is a plain program that waits for its answers. Only what the server calls comes at any time, in another thread.
"""

import argparse
import json
import time
from pathlib import Path

from fluxon.connect import ConnectionInterface
from fluxon.errors import FluxonError

HERE = Path(__file__).resolve().parent

#: Seconds between the readings of a device that is too hot, and of one that no longer is.
CLOSELY, AS_USUAL = 0.2, 1.0


def show(line):
    """In one piece, since two threads print here: a line and its end apart could have another line between them."""
    print(line + "\n", end="", flush=True)


class Dashboard:
    """What is shown, and what is done about it."""

    def __init__(self, server):
        self.server = server
        self.alarms = 0
        server.reverse_request_mapping({"alarm": self.alarm, "calm": self.calm})

    # --- the server calls these ---------------------------------------------------------------------------------------

    def alarm(self, device, celsius):
        self.alarms += 1
        show(f"ALARM     {device} is at {celsius:.1f} °C")
        self.set_interval(device, CLOSELY)

    def calm(self, device, celsius):
        show(f"all well  {device} is at {celsius:.1f} °C")
        self.set_interval(device, AS_USUAL)

    def set_interval(self, device, seconds):
        """Ask the server, which asks the device. A function that the server called may do so: others run meanwhile."""
        try:
            before = self.server.send_request("set_interval", {"device": device, "seconds": seconds})
        except FluxonError as error:
            show(f"          {device} goes on as before: {error.text}")
        else:
            show(f"          {device} reports every {seconds:.1f} s, before that {before:.1f} s")

    # --- what there is to see -----------------------------------------------------------------------------------------

    def show_line(self):
        now = self.server.send_request("overview")
        line = f"{now['devices']} devices, {now['stored']} readings"
        if now["hottest"]:
            line += "".join(f", {which} {now[which]['celsius']:.1f} °C" for which in ("coldest", "hottest"))
        show(f"{line}, too hot: {len(now['alarms'])}")

    def show_summary(self, seconds):
        now = self.server.send_request("overview")
        together = now["stored"] / max(now["writes"], 1)
        show(f"In {seconds:.0f} seconds: {self.alarms} alarms.")
        show(f"Since the server started: {now['stored']} readings in {now['writes']} writes, {together:.1f} in each.")
        if now["hottest"]:
            device = now["hottest"]["device"]
            last = self.server.send_request("history", {"device": device, "count": 5})
            listed = " ".join(f"{row['celsius']:.1f}" for row in last)
            show(f"The hottest now is {device}; its last readings: {listed} °C.")


def main():
    options = argparse.ArgumentParser(description="Watch the devices.")
    options.add_argument("--seconds", type=float, help="end after so long; else by Ctrl+C")
    options.add_argument("--host", default="localhost")
    options.add_argument("--port", type=int, default=8080)
    options.add_argument("--trust", metavar="FILE", help="use TLS; the server's certificate, or its authority's")
    options.add_argument("--folder", type=Path, default=HERE / "data", help="where tokens.json is")
    chosen = options.parse_args()
    token = json.loads((chosen.folder / "tokens.json").read_text())["dashboard"]
    with ConnectionInterface(chosen.host, chosen.port, secure=bool(chosen.trust), trust=chosen.trust) as server:
        dashboard = Dashboard(server)
        server.send_request("log_in", {"token": token})
        began = time.monotonic()
        try:
            while chosen.seconds is None or time.monotonic() - began < chosen.seconds:
                time.sleep(1)
                try:
                    dashboard.show_line()
                except FluxonError as error:  # the connection is lost, and did not come back for a while
                    show(error.text)
        except KeyboardInterrupt:
            print()
        dashboard.show_summary(time.monotonic() - began)


if __name__ == "__main__":
    main()
