"""Fluxon beside stock Twisted and the programs people use instead, measured in one run on one machine."""
