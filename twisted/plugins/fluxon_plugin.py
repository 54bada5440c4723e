"""The ``twistd fluxon`` command. Only the pointer: options and service are in ``fluxon.tap``."""

from twisted.application.service import ServiceMaker

fluxon = ServiceMaker(
    "Fluxon",
    "fluxon.tap",
    "A Fluxon server: named views over a connection of its own, and calls back into its clients.",
    "fluxon",
)
