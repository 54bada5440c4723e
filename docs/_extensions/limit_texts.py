"""The text of each field of ``fluxon.limits.Limits``, from its declaration: unit, reason, what happens beyond it."""

from __future__ import annotations

from typing import Any

import attrs
from sphinx.application import Sphinx

from fluxon.limits import Limits

_PREFIX = "fluxon.limits.Limits."


def add_text(app: Sphinx, what: str, name: str, value: Any, options: Any, lines: list[str]) -> None:
    field = attrs.fields_dict(Limits).get(name.removeprefix(_PREFIX)) if name.startswith(_PREFIX) else None
    if field is not None:
        unit = "a part, 1/n" if field.metadata["unit"] == "th part" else field.metadata["unit"]
        lines[:] = [f"{unit.capitalize()}. {field.metadata['why']} Beyond it: {field.metadata['beyond']}.", ""]


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.connect("autodoc-process-docstring", add_text)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
