"""Which models a module declares, and the user among their rows."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from types import ModuleType
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, succeed

from fluxon.arguments import shown
from fluxon.database.model import ModelType
from fluxon.database.rows import Row
from fluxon.errors import ConfigurationError

if TYPE_CHECKING:
    from fluxon.database.database import Database


def models_of(source: Any) -> list[Any]:
    """The models with a table among a module's names (imported ones too) or in a list; each once."""
    if isinstance(source, ModuleType):
        candidates: Iterable[Any] = vars(source).values()
    elif isinstance(source, Collection) and not isinstance(source, (ModelType, str, bytes, Mapping)):
        candidates = list(source)
        for each in candidates:
            if not isinstance(each, ModelType):
                raise ConfigurationError(f"models is a module, or a list of models; {shown(each)} is no model")
    else:
        raise ConfigurationError(
            f"models is the module that declares the models (import models), or a list of them; not {shown(source)}"
        )
    found = [each for each in candidates if isinstance(each, ModelType) and each.declaration is not None]
    return list(dict.fromkeys(found))


def load_user(database: Database, user_id: Any) -> Deferred[Row | None]:
    """The user's row, read afresh. A key of a wrong type is nobody's."""
    model = database.user_model
    if model is None:
        return succeed(None)
    declaration = model.declaration
    try:
        key = declaration.key.convert(user_id)
    except ValueError:
        return succeed(None)
    shape = ("select", declaration, declaration.all_fields, ("==", declaration.key), (), False, False)
    return database.read(_first, database.statements.shape(shape), (key,))


def _first(connection: Any, prepared: Any, values: tuple[Any, ...]) -> Row | None:
    rows = connection.select(prepared, values)
    return rows[0] if rows else None
