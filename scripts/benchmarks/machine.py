"""What the figures were measured on and with."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable
from importlib import metadata
from pathlib import Path

from benchmarks.processes import cores


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def describe() -> dict[str, str]:
    """The machine, in words; the load says whether it was busy with something else."""
    server, client = cores()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": f"{_processor()}, {os.cpu_count()} cores, {memory:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "cores": f"server on {server}, client on {client}",
        "load before": " ".join(f"{load:.2f}" for load in os.getloadavg()),
    }


def versions(packages: Iterable[str]) -> dict[str, str]:
    return {package: metadata.version(package) for package in sorted(set(packages))}
