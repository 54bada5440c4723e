"""The generator of new projects: ``python -m fluxon.startproject AsyncServer [path]``."""

from fluxon.startproject.choices import DATABASES
from fluxon.startproject.generator import SERVER_TYPES, generate

__all__ = ["DATABASES", "SERVER_TYPES", "generate"]
