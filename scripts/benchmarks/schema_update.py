"""What ``updateschema`` costs on a large table, with a change to that table and to another one only.

Beside it, in the same rounds, the least that can be done by hand: the same backup, and the new table filled from the
old one in one transaction. A rate is rows of the large table a second, however many of them were touched.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks.disturbance import Disturbance
from benchmarks.processes import environment
from benchmarks.results import FLUXON, RAW, Results, rotated

#: A million rows are filled and copied each time.
MAX_ROUNDS = 3

CASES = ("updateschema-large", "updateschema-other")

_PATIENCE = 600.0


def measure(results: Results, names: Sequence[str], rows: int, rounds: int) -> None:
    """Adds to ``results`` who of ``names`` can be measured."""
    able = [name for name in (FLUXON, RAW) if name in names]
    for number in range(min(rounds, MAX_ROUNDS)):
        for name in rotated(able, number) if able else []:
            for case in CASES:
                with tempfile.TemporaryDirectory(prefix=f"fluxon-bench-{name}-") as folder:
                    command = [sys.executable, "-m", "benchmarks.migrate", name, case]
                    command += ["--folder", str(Path(folder)), "--rows", str(rows)]
                    disturbance = Disturbance()
                    done = subprocess.run(
                        command, env=environment(), capture_output=True, text=True, timeout=_PATIENCE, check=False
                    )
                    if done.returncode:
                        results.fail(f"{name}, {case}", RuntimeError(done.stderr.strip()[-2000:]))
                    else:
                        measures = json.loads(done.stdout.splitlines()[-1])
                        results.add(case, name, {**measures, "others": disturbance.share()})
        print(f"bench: schema updates, round {number + 1} of {min(rounds, MAX_ROUNDS)}", file=sys.stderr)
