"""One target under Atheris, in a process of its own: ``python -m fuzzing.run TARGET [options of libFuzzer]``."""

from __future__ import annotations

import sys

import atheris

with atheris.instrument_imports(include=["fluxon"]):
    from fuzzing.targets import TARGETS


def main() -> None:
    target, _, _ = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
