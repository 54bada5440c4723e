"""``scripts/release [VERSION]``: what it does stands there."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

import artifacts
import version

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(prog="scripts/release", description="Build and check the files of a release.")
    parser.add_argument("version", nargs="?", help="the new version; without it, the tree's own is built as it is")
    wanted = parser.parse_args().version
    try:
        if wanted is not None:
            _must_be_clean()
            version.prepare(ROOT, wanted)
        made = _built()
    except (ValueError, RuntimeError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    for each in made:
        print(f"{each.relative_to(ROOT)}  {each.stat().st_size / 1024:,.0f} KiB")
    print(_left_to_do(version.version_of(ROOT), wanted is not None))
    return 0


def _must_be_clean() -> None:
    """What is committed with a release is the release alone."""
    changed = subprocess.run(["git", "status", "--porcelain"], cwd=ROOT, capture_output=True, text=True)
    if changed.returncode or changed.stdout:
        raise ValueError(f"commit or put away what is changed first:\n{changed.stdout or changed.stderr}".rstrip())


def _built() -> artifacts.Artifacts:
    folder, current = ROOT / "dist", version.version_of(ROOT)
    for each in folder.glob(f"fluxon-{current}[.-]*"):  # of an earlier try
        each.unlink()
    made = artifacts.build(ROOT, folder)
    artifacts.check(made)
    return made


def _left_to_do(current: str, prepared: bool) -> str:
    if not prepared:
        return "Built and checked; for a release, name its version: scripts/release VERSION"
    return (
        f"Built and checked. Read CHANGELOG.md, run .ci/run, and then:\n"
        f"  git commit --all --message 'Fluxon {current}'\n"
        f"  git tag v{current}\n"
        f"  git push origin main v{current}\n"
        f"  .venv/bin/twine upload dist/fluxon-{current}*"
    )


if __name__ == "__main__":
    sys.exit(main())
