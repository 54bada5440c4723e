"""A keyword that a class does not have, and which one may have been meant.

Rules of this module: pure. It is a ``TypeError``, as for every function; only its text is of more use.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

import attrs


class Spelt(type):
    """Makes classes of many keywords (declared with attrs) that tell which one is like a misspelt one."""

    if not TYPE_CHECKING:  # which knows the keywords, and says so itself

        def __call__(cls, *args: Any, **keywords: Any) -> Any:
            known = [each.alias for each in attrs.fields(cls) if each.init]
            for name in keywords:
                if name not in known:
                    near = difflib.get_close_matches(name, known, n=1)
                    hint = f"; did you mean {near[0]}?" if near else ""
                    raise TypeError(f"{cls.__name__} has no keyword {name!r}{hint}")
            return super().__call__(*args, **keywords)
