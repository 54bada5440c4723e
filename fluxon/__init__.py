"""Fluxon: a network engine for programs that talk over their own connection."""

__version__ = "0.1.0"
