"""From a client's request to the function that answers it: the setup, the request, and how views are run."""

from fluxon.routing.delivery import Delivery, Result
from fluxon.routing.events import Event
from fluxon.routing.mapping import dynamic_views_loading
from fluxon.routing.request import Connection, Request
from fluxon.routing.router import Router
from fluxon.routing.setup import Setup
from fluxon.sessions.user import AuthenticatedUser

__all__ = [
    "AuthenticatedUser",
    "Connection",
    "Delivery",
    "Event",
    "Request",
    "Result",
    "Router",
    "Setup",
    "dynamic_views_loading",
]
