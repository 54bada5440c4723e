"""What a word could become, from what the server has now."""

from __future__ import annotations

from collections.abc import Sequence

import attrs
from twisted.logger import LogLevel

from fluxon.cloud.permissions import Permissions
from fluxon.console.available import available
from fluxon.console.command import Kind
from fluxon.console.people import name_of
from fluxon.console.served import Served
from fluxon.errors import NotFound
from fluxon.limits import Limits

#: More than a person reads through.
_MOST = 200


def of(kind: Kind, served: Served) -> Sequence[str]:
    """Words of one kind, some hundreds at most."""
    if kind is Kind.COMMAND:
        return [each.name for each in available(served)]
    if kind is Kind.LIMIT:
        return ["all", *attrs.fields_dict(Limits)]
    if kind is Kind.VIEW:
        try:
            return sorted(served.router.views)
        except NotFound:
            return ()
    if kind is Kind.LEVEL:
        return [each.name for each in LogLevel.iterconstants()]
    if kind is Kind.PERMISSION:
        return [each.value for each in Permissions]
    if kind is Kind.ROLE:
        return () if served.storage is None else sorted(served.storage.rules.roles)
    sessions = served.sessions.connected()[:_MOST]
    if kind is Kind.USER:
        names = {name_of(each.user) for each in sessions if each.user is not None}
        # Users choose their names. One that could do something to a terminal, or needs quotes, is typed by hand.
        return sorted(each for each in names if each.isprintable() and not set(each) & set(" \"'\\"))
    if kind in (Kind.SESSION, Kind.CONNECTION):
        return sorted(each.public_id for each in sessions)
    return ()
