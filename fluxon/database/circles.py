"""Models whose rows refer, directly or by way of others, to rows of their own kind.

Deleting a row of such a model may delete or change others of it in the midst of the same statement. Databases count and
look at those differently, so a deletion asks first.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fluxon.database.fields import ForeignKey
from fluxon.database.fields.relations import CASCADE, SET_DEFAULT, SET_NULL


def mark_circles(models: Iterable[Any]) -> None:
    """Have the declarations of ``models``, which are bound together, know what their own deletions do to them."""
    declarations = [model.declaration for model in models]
    keys = {each: _foreign_keys(each) for each in declarations}
    for declaration in declarations:
        gone = {declaration}
        while more := {
            each
            for each in declarations
            if each not in gone and any(key.on_delete is CASCADE and _target(key) in gone for key in keys[each])
        }:
            gone |= more
        circular = [key for key in keys[declaration] if _target(key) in gone]
        declaration.deletes_own = any(key.on_delete is CASCADE for key in circular)
        declaration.empties = frozenset(key for key in circular if key.on_delete in (SET_NULL, SET_DEFAULT))


def _foreign_keys(declaration: Any) -> list[ForeignKey]:
    return [field for field in declaration.all_fields if isinstance(field, ForeignKey)]


def _target(key: ForeignKey) -> Any:
    return key.target_key.model.declaration
