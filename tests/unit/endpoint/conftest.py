"""Lets the tests of servers, here and in ``routing``, share their parts: ``serving``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
