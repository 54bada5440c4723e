"""The classes that models derive from.

Rules kept here:

- A model is made complete or not at all: a bad declaration is a ``ConfigurationError`` that names model and field,
  when the class is made.
- A model is never instantiated. What a query answers are rows: tuples with names, which nobody can half-save.
- A model without a primary key gets ``id``, which the database numbers.
- Fields may be inherited from abstract models (``class Meta: abstract = True``), never from one with a table.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NoReturn

from fluxon.database.attributes import attribute_of
from fluxon.database.authentication import authenticate
from fluxon.database.declaration import ENGINE_PREFIXES, Declaration, check_identifier
from fluxon.database.fields import AutoField, Field, ManyToManyField
from fluxon.database.linking import Links
from fluxon.database.operations import Operations, bound
from fluxon.database.options import Options, read_options
from fluxon.errors import ConfigurationError

#: Attributes of a model that are none of its columns.
_TAKEN = {"declaration", "abstract_fields", "abstract_options"}


class ModelType(type):
    """Turns the fields of a class body into columns."""

    declaration: Declaration | None

    def __new__(mcs, name: str, bases: tuple[type, ...], body: dict[str, Any], **kwargs: Any) -> ModelType:
        options = _options(name, bases, body.pop("Meta", None))
        abstract = options.abstract or kwargs.pop("abstract", False)
        own = {key: value for key, value in body.items() if isinstance(value, Field | ManyToManyField)}
        for key in own:
            del body[key]
        for key, value in body.items():
            if isinstance(value, type) and issubclass(value, Field | ManyToManyField):
                raise ConfigurationError(f"{name}.{key}: write {value.__name__}(), with parentheses")
        if abstract:
            body["abstract_fields"] = {**_inherited(bases, body), **own}
            body["abstract_options"] = options
            body["declaration"] = None
            return super().__new__(mcs, name, bases, body, **kwargs)
        for base in bases:
            if getattr(base, "declaration", None) is not None:
                raise ConfigurationError(
                    f"{name} derives from {base.__name__}, which has a table; put what they share in a model "
                    "with class Meta: abstract = True"
                )
        model = super().__new__(mcs, name, bases, body, **kwargs)
        model.declaration = _declare(model, {**_inherited(bases, body), **own}, options)
        return model

    def __call__(cls, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"{cls.__name__} is not instantiated; add a row with {cls.__name__}.Insert(...)")

    def __repr__(cls) -> str:
        return f"<model {cls.__name__}>"

    if not TYPE_CHECKING:  # which would believe that everything is there

        def __getattr__(cls, attribute: str) -> NoReturn:
            declaration = cls.__dict__.get("declaration")
            if declaration is None or attribute.startswith("_"):
                raise AttributeError(f"type object {cls.__name__!r} has no attribute {attribute!r}")
            columns = ", ".join([*declaration.fields, *declaration.relations])
            raise AttributeError(f"{cls.__name__} has no column {attribute!r}; it has {columns}")


def _inherited(bases: tuple[type, ...], body: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for base in reversed(bases):
        # Each model has fields of its own: a field knows its one place.
        found |= {name: copy.copy(field) for name, field in getattr(base, "abstract_fields", {}).items()}
    # A class that says ``name = None`` does without that field.
    return {name: field for name, field in found.items() if name not in body}


def _options(name: str, bases: tuple[type, ...], meta: Any) -> Options:
    options = read_options(name, meta)
    for base in bases:
        options = options.beside(getattr(base, "abstract_options", Options()))
    return options


def _declare(model: ModelType, declared: dict[str, Any], options: Options) -> Declaration:
    for name, each in declared.items():
        if each.mistake is not None:
            raise ConfigurationError(f"{model.__name__}.{name}: {each.mistake}")
    fields = {name: field for name, field in declared.items() if isinstance(field, Field)}
    relations = {name: each for name, each in declared.items() if isinstance(each, ManyToManyField)}
    keys = [name for name, field in fields.items() if field.primary_key]
    if len(keys) > 1:
        raise ConfigurationError(f"{model.__name__} has more than one primary key: {', '.join(keys)}")
    if not keys:
        if "id" in declared:
            raise ConfigurationError(f"{model.__name__}.id is no primary key; give it primary_key=True or another name")
        fields = {"id": AutoField(), **fields}
        keys = ["id"]
    check_identifier(model.__name__, f"the name of the model {model.__name__}")
    if model.__name__.lower().startswith(ENGINE_PREFIXES):
        raise ConfigurationError(f"{model.__name__}: names that begin with {' or '.join(ENGINE_PREFIXES)} are taken")
    small = [name.lower() for name in fields]
    twice = [name for name in fields if small.count(name.lower()) > 1]
    if twice:
        raise ConfigurationError(f"{model.__name__}: the databases do not tell {' from '.join(twice)}; rename one")
    options.must_fit(model.__name__, fields)
    declaration = Declaration(model, model.__name__, fields, relations, fields[keys[0]], options)
    if any(base.__name__ == "AuthenticatedUser" for base in model.__mro__[1:]) and not isinstance(
        fields.get("id"), AutoField
    ):
        raise ConfigurationError(f"{model.__name__}: the key of an AuthenticatedUser is its id, which it has unasked")
    # Known before the fields are, since a field may refer to its own model.
    model.declaration = declaration
    attributes: dict[str, Field | ManyToManyField] = {**fields, **relations}
    for name, field in attributes.items():
        check_identifier(name, f"the name of {model.__name__}.{name}")
        if hasattr(model, name) or name in _TAKEN:
            raise ConfigurationError(f"{model.__name__}.{name}: this name is taken by a method; choose another")
        if field.model is not None:
            raise ConfigurationError(f"{model.__name__}.{name} is {field}, too; each needs a field of its own")
        field.declared(model, name)
        setattr(model, name, attribute_of(field) if isinstance(field, Field) else Links(field))
    return declaration


class Model(Operations, metaclass=ModelType, abstract=True):
    """A table. Declare its columns as class attributes; see ``fluxon.database.models``."""

    if TYPE_CHECKING:
        #: The key that a model has unless it declares another.
        id: Any


class AuthenticatedUser(Model, abstract=True):
    """The model whose rows log in: ``request.user`` is one of them. There is exactly one in a program."""

    if TYPE_CHECKING:
        id: AutoField

    @classmethod
    def Authenticate(cls, name: Any, password: Any, *, address: str | None = None) -> Any:
        """The user (a row) with this ``username``, or ``email`` where there is none, and this password; or None.

        Takes as long for a user that does not exist. Raises ``ResourceExhausted`` when too many tries failed for this
        name or from this address: inside a view the address is the client's, elsewhere it may be given. Follows the
        rule of ``fluxon.blocking``.
        """
        declaration, _ = bound(cls)
        return authenticate(declaration, name, password, address)
