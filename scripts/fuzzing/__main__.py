"""``scripts/fuzz``: each target for so long, what was found, and how much was tried."""

from __future__ import annotations

import argparse
import hashlib
import re
import subprocess
import sys
from pathlib import Path

from fuzzing.targets import FINDINGS, TARGETS

#: What each target has reached so far, kept between runs.
CORPUS = Path(__file__).resolve().parents[2] / ".fuzz"

#: One input that takes longer, or makes the process larger, is a finding too.
_SECONDS, _MIB = 10, 1_024

_DONE = re.compile(r"Done (\d+) runs in (\d+) second")
_COVERED = re.compile(r"cov: (\d+) ft: (\d+)")


def _options() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=f"{' | '.join(TARGETS)} (default: all)")
    parser.add_argument("--minutes", type=float, default=2.0, help="for each target (default: %(default)s)")
    parser.add_argument("--list", action="store_true", help="say which targets there are")
    return parser


def main() -> int:
    told = _options().parse_args()
    unknown = set(told.targets) - set(TARGETS)
    if unknown:
        raise SystemExit(f"fuzz: unknown: {', '.join(sorted(unknown))}; there are {', '.join(TARGETS)}")
    if told.list:
        for name, (target, _, _) in TARGETS.items():
            print(f"{name:14}{(target.__doc__ or '').splitlines()[0]}")
        return 0
    found = [fuzz(name, told.minutes) for name in told.targets or TARGETS]
    return 1 if any(found) else 0


def fuzz(name: str, minutes: float) -> bool:
    """Whether anything was found."""
    corpus, raw = CORPUS / name, CORPUS / f"{name}-found"
    for folder in (corpus, raw):
        folder.mkdir(parents=True, exist_ok=True)
    _, seeds, most = TARGETS[name]
    for each in seeds():
        (corpus / hashlib.sha1(each).hexdigest()).write_bytes(each)
    arguments = [
        f"-max_total_time={round(60 * minutes)}",
        f"-max_len={most}",
        f"-timeout={_SECONDS}",
        f"-rss_limit_mb={_MIB}",
        f"-artifact_prefix={raw}/",
        "-print_final_stats=1",
        str(corpus),
    ]
    run = subprocess.run([sys.executable, "-m", "fuzzing.run", name, *arguments], stderr=subprocess.PIPE, text=True)
    done, covered = _DONE.search(run.stderr), _COVERED.findall(run.stderr)
    runs = done[1] if done else (re.findall(r"^#(\d+)", run.stderr, re.MULTILINE) or ["0"])[-1]
    reached = f"{covered[-1][0]} places, {covered[-1][1]} features" if covered else "nothing"
    print(f"{name:14}{int(runs):>12,} executions, {reached}, {len(list(corpus.iterdir())):,} inputs kept", flush=True)
    kept = [_keep(name, each) for each in sorted(raw.iterdir()) if each.name.startswith(("crash", "timeout", "oom"))]
    if run.returncode == 0 and not kept:
        return False
    print(run.stderr[-6_000:])
    for each in kept:
        print(f"{name}: found {each}; run it again with: scripts/test tests/hostile/test_fuzzing.py")
    return True


def _keep(name: str, found: Path) -> Path:
    """Put an input among those that the suite runs."""
    data = found.read_bytes()
    FINDINGS.joinpath(name).mkdir(parents=True, exist_ok=True)
    kept = FINDINGS / name / hashlib.sha256(data).hexdigest()[:16]
    kept.write_bytes(data)
    found.unlink()
    return kept


if __name__ == "__main__":
    sys.exit(main())
