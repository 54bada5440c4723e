"""An event of the log as a line of JSON, for programs that read logs.

Rules kept here:

- One line an event, whatever is in it: ``time`` (UTC), ``level``, ``namespace``, ``message``, and of the event's own
  fields the ones named here. The rest stays out: a program may log anything.
- Nothing raises: a log that fails to tell must not end what it tells of.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from twisted.logger import LogEvent, eventAsText, formatEvent

#: What is told of an event besides its message.
FIELDS = ("request", "session", "user", "view", "code", "milliseconds", "incident", "address", "skipped")


def json_line(event: LogEvent) -> str:
    """``event`` as one line."""
    level, seconds = event.get("log_level"), event.get("log_time")
    line: dict[str, Any] = {
        "time": datetime.fromtimestamp(0 if seconds is None else seconds, UTC).isoformat(timespec="milliseconds"),
        "level": "info" if level is None else level.name,
        "namespace": str(event.get("log_namespace", "")),
        "message": formatEvent(event) or "",
    }
    for name in FIELDS:
        if name in event:
            line[name] = event[name]
    if event.get("log_failure") is not None:
        line["traceback"] = eventAsText(event, includeTraceback=True, includeTimestamp=False, includeSystem=False)
    return json.dumps(line, default=str, ensure_ascii=False) + "\n"
