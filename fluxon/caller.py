"""Who is being served just now: the client whose request is under way.

Rules kept here:

- Whoever runs a view says so with ``serve``, in the context (``contextvars``) that the request has for itself. What the
  view calls, in threads of the pools too, may ask ``caller_address``. Outside of a request nobody is served.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol


class Caller(Protocol):
    """A request, as far as it says where it came from."""

    @property
    def peername(self) -> tuple[str, int] | None:
        """Host and port of the client."""


_caller: ContextVar[Caller | None] = ContextVar("fluxon_caller", default=None)


#: ``serve(caller)``: from here on, this context works for ``caller``.
serve = _caller.set


def caller_address() -> str | None:
    """The host that the request under way came from, as text; None outside of one, or when its connection is gone."""
    caller = _caller.get()
    name = None if caller is None else caller.peername
    return None if name is None else name[0]
