"""Who a connection belongs to: sessions from hello and login to their end, and where they are kept."""

from fluxon.sessions.accounts import Accounts, DatabaseAccounts
from fluxon.sessions.memory import MemoryStore
from fluxon.sessions.record import SessionRecord
from fluxon.sessions.session import Ending, Session
from fluxon.sessions.sessions import Resumed, Sessions
from fluxon.sessions.sql import SQLStore
from fluxon.sessions.store import SessionStore
from fluxon.sessions.user import AuthenticatedUser

__all__ = [
    "Accounts",
    "AuthenticatedUser",
    "DatabaseAccounts",
    "Ending",
    "MemoryStore",
    "Resumed",
    "SQLStore",
    "Session",
    "SessionRecord",
    "SessionStore",
    "Sessions",
]
