"""The ``twistd`` commands. Only pointers: options and services are in ``fluxon.tap`` and ``fluxon.cloud_tap``."""

from twisted.application.service import ServiceMaker

fluxon = ServiceMaker(
    "Fluxon",
    "fluxon.tap",
    "A Fluxon server: named views over a connection of its own, and calls back into its clients.",
    "fluxon",
)

fluxon_cloud = ServiceMaker(
    "Fluxon cloud storage",
    "fluxon.cloud_tap",
    "A Fluxon project's cloud storage, in a process of its own: files with roles, versions and an audit log.",
    "fluxon-cloud",
)
