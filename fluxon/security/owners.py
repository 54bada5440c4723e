"""What is told to who may not use a folder or file since it is another user's: whose it is, and what to type."""

from __future__ import annotations

import os
import pwd


def anothers(label: str, owner: int) -> str:
    """For a log or a terminal; ``owner`` is the system's number of the user whose ``label`` is."""
    name, ours = _name_of(owner), _name_of(os.geteuid())
    return (
        f"{label} belongs to another user ({name}) than the one this program runs as ({ours}); run it as {name}, or "
        f"give the project to the user that its servers run as; as root type: chown -R <that user> {label}"
    )


def _name_of(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)
