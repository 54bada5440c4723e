"""Lets these tests use the parts of the tests of servers: ``serving``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "endpoint"))
