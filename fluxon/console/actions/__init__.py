"""What each command of the table does, by subject. The server is an argument of each."""

from __future__ import annotations

from fluxon.console.actions import databases, logs, overview, people, python, schemas, storage, views
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
    "groups": people.groups,
    "kick": people.kick,
    "logout": people.logout,
    "push": people.push,
    "views": views.views,
    "call": views.call,
    "saveschema": schemas.save,
    "schemas": schemas.list_,
    "updateschema": schemas.update,
    "storage ls": storage.ls,
    "storage tree": storage.tree,
    "storage roles": storage.roles_,
    "storage assign": storage.assign,
    "storage unassign": storage.unassign,
    "storage explain": storage.explain,
    "storage who-can": storage.who_can,
    "storage audit": storage.audit,
    "storage versions": storage.versions,
    "storage deleted": storage.deleted,
    "storage restore": storage.restore,
    "storage usage": storage.usage,
    "storage sweep": storage.sweep,
    "storage check": storage.check,
    "database": databases.database,
    "tail logs": logs.tail,
    "loglevel": logs.level,
    "python": python.python,
}
