"""What an authorization model is, as the body of its class declares it.

Rules of this module:

- A model is made complete or not at all: a mistake is a ``ConfigurationError`` that names model and role, when the
  class is made.
- ``DefaultRole(...)``, ``AnonymousPermissions(...)`` and ``RootPermissions(...)`` are found in the namespace that the
  class body runs in, where they belong to that one model. Whatever is called by another way is the function below,
  which raises; so nothing has to remember which bodies are open, and a body that fails leaves nothing behind.
- A model may derive from another: it has its roles and statements, as far as it does not replace them.
"""

from __future__ import annotations

from collections.abc import Iterable
from types import MappingProxyType
from typing import Any, ClassVar, NoReturn

from fluxon.cloud.permissions import Permissions
from fluxon.cloud.policy import Rules
from fluxon.errors import ConfigurationError

#: Longest name of a role, in bytes: what its column and the commands take.
MAX_ROLE_NAME = 255


class Role:
    """A role: derive from it in the body of a model, and list what it permits."""

    permissions: ClassVar[Iterable[Permissions]] = []


def DefaultRole(role: type[Role] | None) -> None:
    """In the body of a model: the role of every logged-in user to whom none is assigned. None: they have none."""
    _misplaced("DefaultRole(viewer)")


def AnonymousPermissions(permissions: Iterable[Permissions]) -> None:
    """In the body of a model: what those may do who have not logged in, at every item."""
    _misplaced("AnonymousPermissions(permissions=[])")


def RootPermissions(permissions: Iterable[Permissions]) -> None:
    """In the body of a model: what every logged-in user may do directly in ``/``, besides what roles permit."""
    _misplaced("RootPermissions(permissions=[Permissions.CREATE_SUB_DIRECTORY])")


def _misplaced(example: str) -> NoReturn:
    raise ConfigurationError(
        f"{example} is a statement of an authorization model: write it in the body of a class that derives from "
        "RoleBasedAccessControl, by that name"
    )


_STATEMENTS = ("DefaultRole", "AnonymousPermissions", "RootPermissions")


class _Body(dict[str, Any]):
    """The namespace of a model's body; it takes the statements, and notices a second role of one name."""

    def __init__(self, model: str, roles: dict[str, type[Role]]) -> None:
        super().__init__()
        self.model = model
        #: Those of the models that this one derives from.
        self.inherited = roles
        self.said: dict[str, Any] = {}
        self.statements = {
            "DefaultRole": self._default_role,
            "AnonymousPermissions": lambda permissions: self._permissions("AnonymousPermissions", permissions),
            "RootPermissions": lambda permissions: self._permissions("RootPermissions", permissions),
        }
        self.update(self.statements)

    def __setitem__(self, name: str, value: Any) -> None:
        if name in _STATEMENTS:
            raise ConfigurationError(f"{self.model}.{name}: this name is the statement's; choose another")
        if isinstance(value, type) and isinstance(self.get(name), type):
            raise ConfigurationError(f"{self.model} has two roles that are called {name}; rename one")
        super().__setitem__(name, value)

    def roles(self) -> dict[str, type[Role]]:
        """The roles of this body, checked."""
        found: dict[str, type[Role]] = {}
        for name, value in self.items():
            if isinstance(value, type):
                found[name] = _role(self.model, name, value)
        return found

    def without_statements(self) -> dict[str, Any]:
        return {name: value for name, value in self.items() if name not in _STATEMENTS}

    def _default_role(self, role: Any) -> None:
        self._once("DefaultRole")
        if role is None:
            self.said["DefaultRole"] = None
            return
        known = {**self.inherited, **{name: each for name, each in self.items() if isinstance(each, type)}}
        names = [name for name, each in known.items() if each is role]
        if not names or not _is_role(role):
            raise ConfigurationError(
                f"{self.model}: DefaultRole takes a role that is declared above it, or None; not {_shown(role)}"
            )
        self.said["DefaultRole"] = names[0]

    def _permissions(self, statement: str, permissions: Any) -> None:
        self._once(statement)
        self.said[statement] = check_permissions(f"{self.model}: {statement}", permissions)

    def _once(self, statement: str) -> None:
        if statement in self.said:
            raise ConfigurationError(f"{self.model} says {statement} twice; keep one")


class AuthorizationType(type):
    """Turns the body of a model into its roles and ``Rules``."""

    #: What the policy goes by.
    rules: Rules
    #: The roles by name, those of the models that it derives from included.
    declared_roles: dict[str, type[Role]]

    @classmethod
    def __prepare__(mcs, name: str, bases: tuple[type, ...], /, **_: Any) -> _Body:
        inherited: dict[str, type[Role]] = {}
        for base in reversed(bases):
            inherited |= getattr(base, "declared_roles", {})
        return _Body(name, inherited)

    def __new__(mcs, name: str, bases: tuple[type, ...], body: Any, *, base: bool = False) -> Any:
        if base:
            model = super().__new__(mcs, name, bases, body.without_statements())
            model.rules, model.declared_roles = Rules({}), {}
            return model
        own = body.roles()
        _check_names(name, bases, {**body.inherited, **own})
        for other in body.without_statements():
            # A method of one's own is welcome, unless it takes the place of a role.
            if other in body.inherited and other not in own:
                raise ConfigurationError(f"{name}.{other} replaces the role {other}, and is none; rename it")
        model = super().__new__(mcs, name, bases, body.without_statements())
        model.declared_roles = {**body.inherited, **own}
        model.rules = _rules(model, bases, body.said)
        return model

    def __call__(cls, *_: Any, **__: Any) -> NoReturn:
        raise TypeError(f"{cls.__name__} is not instantiated; call what it has on the class")

    def __repr__(cls) -> str:
        return f"<authorization model {cls.__name__}>"


def check_permissions(where: str, permissions: Any) -> frozenset[Permissions]:
    """``permissions`` as a set; raises ``ConfigurationError`` that begins with ``where``."""
    if not isinstance(permissions, list | tuple | set | frozenset):
        raise ConfigurationError(
            f"{where}: permissions is a list, as [Permissions.READ_FILE]; not {_shown(permissions)}"
        )
    for each in permissions:
        if not isinstance(each, Permissions):
            known = ", ".join(permission.name for permission in Permissions)
            raise ConfigurationError(f"{where}: {_shown(each)} is no permission; write Permissions. and one of {known}")
    return frozenset(permissions)


def _is_role(value: Any) -> bool:
    return isinstance(value, type) and issubclass(value, Role) and value is not Role


def _shown(value: Any) -> str:
    return value.__name__ if isinstance(value, type) else repr(value)[:80]


def _role(model: str, name: str, value: type) -> type[Role]:
    where = f"{model}.{name}"
    if not _is_role(value):
        raise ConfigurationError(f"{where} is no role; derive it from RoleBasedAccessControl.Role")
    if name.startswith("_"):
        raise ConfigurationError(f"{where}: the name of a role does not begin with an underscore")
    # Python lets names have letters of any script, so characters are not bytes.
    if len(name.encode()) > MAX_ROLE_NAME:
        raise ConfigurationError(f"{model}: the name of a role has {MAX_ROLE_NAME} bytes at most; shorten {name[:40]}…")
    if "permissions" not in {key for each in value.__mro__[: value.__mro__.index(Role)] for key in vars(each)}:
        raise ConfigurationError(f"{where} has no permissions; write permissions = [], if it shall have none")
    role: type[Role] = value
    check_permissions(where, role.permissions)
    return role


def _check_names(model: str, bases: tuple[type, ...], roles: dict[str, type[Role]]) -> None:
    for name in roles:
        for base in bases:
            if name not in getattr(base, "declared_roles", {}) and (name in dir(base) or hasattr(type(base), name)):
                raise ConfigurationError(f"{model}.{name}: this name is taken by a method; choose another")


def _rules(model: AuthorizationType, bases: tuple[type, ...], said: dict[str, Any]) -> Rules:
    before = next((base.rules for base in bases if isinstance(base, AuthorizationType)), Rules({}))
    roles = {
        name: check_permissions(f"{model.__name__}.{name}", role.permissions)
        for name, role in model.declared_roles.items()
    }
    return Rules(
        MappingProxyType(roles),
        said.get("DefaultRole", before.default),
        said.get("AnonymousPermissions", before.anonymous),
        said.get("RootPermissions", before.root),
    )
