"""What became of a call, as a value: for whoever makes several, and has to tell of each by itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

#: A result and None, or None and an error.
Outcome = tuple[Any, BaseException | None]


def attempt(function: Callable[..., Any], *args: Any) -> Outcome:
    """What became of ``function(*args)``."""
    try:
        return function(*args), None
    except Exception as error:
        return None, error


def result_of(outcome: Outcome) -> Any:
    """The result; raises the error."""
    result, error = outcome
    if error is None:
        return result
    try:
        raise error
    finally:
        del error, outcome  # or they would hold this frame, and it them
