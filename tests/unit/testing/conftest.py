"""Lets these tests share an application: ``tested_application``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
