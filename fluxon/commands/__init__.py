"""The vocabulary of both ends: what each command takes, answers and may raise. Declarations only, no behaviour."""

from fluxon.commands.arguments import (
    Anything,
    Binary,
    Boolean,
    Field,
    Integer,
    ListOf,
    Moment,
    Number,
    Optional,
    Structure,
    Text,
)
from fluxon.commands.base import Command
from fluxon.commands.calls import Call, CallOnce, Deliver
from fluxon.commands.session import PROTOCOL_VERSION, Goodbye, Hello, Leaving, SessionChanged

__all__ = [
    "PROTOCOL_VERSION",
    "Anything",
    "Binary",
    "Boolean",
    "Call",
    "CallOnce",
    "Command",
    "Deliver",
    "Field",
    "Goodbye",
    "Hello",
    "Integer",
    "Leaving",
    "ListOf",
    "Moment",
    "Number",
    "Optional",
    "SessionChanged",
    "Structure",
    "Text",
]
