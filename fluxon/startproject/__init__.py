"""The generator of new projects: ``python -m fluxon.startproject AsyncServer [path]``."""

from fluxon.startproject.generator import SERVER_TYPES, generate

__all__ = ["SERVER_TYPES", "generate"]
