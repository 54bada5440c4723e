"""What each command of the table does, by subject. The server is an argument of each."""

from __future__ import annotations

from fluxon.console.actions import databases, logs, overview, people, python, schemas, views
from fluxon.console.console import Action

ACTIONS: dict[str, Action] = {
    "help": overview.help_,
    "status": overview.status,
    "terminate": overview.terminate,
    "reload certificates": overview.reload_certificates,
    "sessions": people.sessions,
    "session": people.session,
    "connections": people.connections,
    "users": people.users,
    "kick": people.kick,
    "logout": people.logout,
    "push": people.push,
    "views": views.views,
    "call": views.call,
    "saveschema": schemas.save,
    "schemas": schemas.list_,
    "updateschema": schemas.update,
    "database": databases.database,
    "tail logs": logs.tail,
    "loglevel": logs.level,
    "python": python.python,
}
