"""The values that a caller gives for a row: which columns, and whether they may be stored.

Rules kept here:

- A name is looked up among the model's columns and is otherwise refused; no name given by anybody reaches SQL.
- Everything that is wrong is said at once: one ``InvalidPayload`` whose ``details["fields"]`` has a text for each.
- Defaults and clocks are read here, for each call anew.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from fluxon.database.attributes import Attribute, Reference, reference_of
from fluxon.database.declaration import Declaration
from fluxon.database.fields.base import MISSING, Field
from fluxon.errors import InvalidPayload

#: A hostile name is shown this far.
_SHOWN = 60

#: Of names that are no column, a payload of thousands has so many told; a model's own are told all.
_MOST_UNKNOWN = 50


def column_of(declaration: Declaration, named: Any) -> Field:
    """The model's own column that an attribute or a name means; ``InvalidPayload`` for a name that is none."""
    found = declaration.fields.get(named) if isinstance(named, str) else None
    if found is not None:
        return found
    if isinstance(named, Attribute):
        reference = reference_of(named)
        if isinstance(reference, tuple) or declaration.fields.get(reference.name) is not reference:
            raise TypeError(f"{named!r} is no column of {declaration.name}")
        return reference
    if not isinstance(named, str):
        raise TypeError(f"a column is named by an attribute, as {declaration.name}.id, or by its name")
    raise InvalidPayload(f"{declaration.name} has no column {named[:_SHOWN]!r}")


def reference_to(declaration: Declaration, named: Any) -> Reference:
    """As ``column_of``, for what is read: an attribute may also lead across relations, a name may not."""
    if isinstance(named, Attribute) and isinstance(reference := reference_of(named), tuple):
        if declaration.fields.get(reference[0].name) is not reference[0]:
            raise TypeError(f"{named!r} does not begin at {declaration.name}")
        return reference
    return column_of(declaration, named)


def given_values(declaration: Declaration, values: Any, keywords: Mapping[str, Any]) -> dict[Field, Any]:
    """The columns and values of one call, checked; fields in the model's order."""
    if values is not None and not isinstance(values, Mapping):
        raise InvalidPayload(f"the values of a {declaration.name} are a dict of columns, or keywords")
    given: dict[Field, Any] = {}
    wrong: dict[str, str] = {}
    unknown = 0
    for named, value in [*(values or {}).items(), *keywords.items()]:
        try:
            field = column_of(declaration, named)
        except InvalidPayload:
            unknown += 1
            if unknown <= _MOST_UNKNOWN:
                wrong[named[:_SHOWN]] = f"is no column of {declaration.name}"
            continue
        if field in given:
            wrong[field.name] = "is given twice"
            continue
        try:
            given[field] = None if value is None else field.check(value)
        except ValueError as error:
            wrong[field.name] = str(error) or "is not valid"
    if wrong:
        listed = "; ".join(f"{name!r} {text}" for name, text in list(wrong.items())[:20])
        raise InvalidPayload(f"{declaration.name}: {listed}", details={"fields": wrong})
    return given


def rows_to_insert(declaration: Declaration, rows: Sequence[Any]) -> list[dict[Field, Any]]:
    """As ``row_to_insert``, of many; an error says which row it is about."""
    found = []
    for number, values in enumerate(rows):
        try:
            found.append(row_to_insert(declaration, values, {}))
        except InvalidPayload as error:
            raise InvalidPayload(f"row {number}: {error.text}", details={**error.details, "row": number}) from None
    return found


def row_to_insert(declaration: Declaration, values: Any, keywords: Mapping[str, Any]) -> dict[Field, Any]:
    """Everything that a new row stores: what was given, and the defaults of the rest."""
    given = given_values(declaration, values, keywords)
    row: dict[Field, Any] = {}
    for field in declaration.fields.values():
        value = given.get(field, MISSING)
        if value is MISSING:
            value = field.initial()
            if value is not MISSING and value is not None:
                value = _checked_default(field, value)
        elif value is None and field is declaration.key and declaration.numbers_itself:
            continue
        if value is not MISSING:
            row[field] = value
    return row


def columns_to_update(declaration: Declaration, values: Any) -> dict[Field, Any]:
    """What an update sets: what was given, and the columns that every update refreshes."""
    if not isinstance(values, Mapping) or not values:
        raise InvalidPayload(f"an update of {declaration.name} takes a dict of columns and their new values")
    given = given_values(declaration, values, {})
    row: dict[Field, Any] = {}
    for field in declaration.fields.values():
        value = given.get(field, MISSING)
        if value is MISSING:
            value = field.refreshed()
        if value is not MISSING:
            row[field] = value
    return row


def row_to_put(
    declaration: Declaration, values: Any, keywords: Mapping[str, Any], by: Any
) -> tuple[dict[Field, Any], list[Field], list[Field]]:
    """A row as it is inserted; the fields of ``by``, which find the one that is there; and what is changed of that."""
    found_by = [column_of(declaration, each) for each in ([by] if isinstance(by, str | Attribute) else by)]
    if not declaration.is_unique(found_by):
        named = ", ".join(each.name for each in found_by) or "nothing"
        raise TypeError(f"by= is what no two rows share: the key, a unique column, a unique_together; not {named}")
    given = given_values(declaration, values, keywords)
    missing = {each.name: "is missing" for each in found_by if given.get(each) is None}
    if missing:
        raise InvalidPayload(f"{declaration.name}: no value for {', '.join(missing)}", details={"fields": missing})
    row = row_to_insert(declaration, values, keywords)
    changed = [field for field in row if field not in found_by and (field in given or field.refreshed() is not MISSING)]
    return row, found_by, changed


def _checked_default(field: Field, value: Any) -> Any:
    try:
        return field.check(value)
    except ValueError as error:
        raise TypeError(f"the default of {field} {error}") from error
