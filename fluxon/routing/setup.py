"""``Setup``: what a ``router.py`` declares. Making one opens nothing."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import attrs

from fluxon.arguments import check_count, check_flag, check_path, is_path
from fluxon.cloud.authorization_models import RoleBasedAccessControl
from fluxon.cloud.declaration import AuthorizationType
from fluxon.cloud.entries import MOST_DAYS
from fluxon.database.apis import adapter_of
from fluxon.database.binding import models_of
from fluxon.database.database import Database
from fluxon.database.place import check_database_path
from fluxon.errors import ConfigurationError
from fluxon.limits import Limits
from fluxon.routing.events import KINDS
from fluxon.routing.mapping import View, ViewFunction, make_lifetime, make_listener, make_views
from fluxon.routing.operator_commands import OperatorCommand, operator_commands
from fluxon.security import Secrets
from fluxon.spelling import Spelt

#: The folders as the generated project has them.
_FOLDERS = {"database_schema_dir": "database_schema", "logs_dir": "logs", "cloud_folder": "cloud"}


def _path(value: Any) -> Any:
    return Path(value) if is_path(value) else value  # and told by its name below


def _secrets(value: Any) -> Any:
    return Secrets(value) if isinstance(value, (str, os.PathLike)) else value


@attrs.frozen(kw_only=True, repr=False)
class Setup(metaclass=Spelt):
    """A server's parts: views, models, and where it keeps its things.

    Only ``mapping`` and ``secrets`` are needed. Without ``database_path`` there are no models and nobody can log in.
    Whatever is wrong is a ``ConfigurationError`` that names the keyword.
    """

    #: Names and functions; ``dynamic_views_loading(views)`` makes it from a module.
    mapping: Mapping[str, ViewFunction]
    #: The folder of keys and the certificate.
    secrets: Secrets = attrs.field(converter=_secrets)
    #: The module that declares the models, or a list of them.
    models: ModuleType | list[Any] | None = None
    #: Where the numbered schema files are.
    database_schema_dir: Path | None = attrs.field(default=None, converter=_path)
    #: Where the server writes its logs; None for nowhere but the terminal (or twistd's log).
    logs_dir: Path | None = attrs.field(default=None, converter=_path)
    #: A file, or an SQLAlchemy URL.
    database_path: Any = None
    #: The adapter's class: ``fluxon.database.apis.SQLiteDatabase``. Without it, the one that the URL names; a file is
    #: SQLite's.
    database_api: Callable[..., Any] | None = None
    #: Where the files of the cloud are, and who may do what with them.
    cloud_folder: Path | None = attrs.field(default=None, converter=_path)
    cloud_auth_model: Any = None
    #: Contents that are kept of a file when it is written again, and for how many days; 0 keeps none. What was deleted
    #: is kept as many days.
    cloud_versions: int = 10
    cloud_keep_days: int = 30
    #: Bytes that one user's files may have, those that are kept included; None for no bound.
    cloud_user_quota: int | None = None
    #: Whether what was only looked at is on the disk, in the audit log, before it is answered; else a second later at
    #: most, so that a machine which loses its power may forget who read what in its last second.
    cloud_reads_synced: bool = False
    #: Functions that are given the server: when everything is open and nobody can connect yet, and when the last
    #: connection has ended and the database is still open. They run as views do. If ``on_start`` fails, the server
    #: does not start.
    on_start: Callable[[Any], Any] | None = None
    on_stop: Callable[[Any], Any] | None = None
    #: Functions that hear of connections, each with an ``Event``: a client is there, somebody logged in or out on it,
    #: it is gone. They run as views do.
    on_connect: Callable[[Any], Any] | None = None
    on_login: Callable[[Any], Any] | None = None
    on_logout: Callable[[Any], Any] | None = None
    on_disconnect: Callable[[Any], Any] | None = None
    #: Whether the consoles, by SSH and on the terminal, offer Python in the server's process.
    console_python: bool = False
    #: Commands that the consoles have besides their own: names of one or two words, and functions that are given the
    #: server and what was typed.
    console_commands: Mapping[str, Callable[..., Any]] = attrs.field(factory=dict)
    #: Every bound of the server.
    limits: Limits = attrs.field(factory=Limits)
    #: The views by name, made from ``mapping``.
    views: dict[str, View] = attrs.field(init=False)
    #: Those that hear of connections, by ``connect``, ``login``, ``logout``, ``disconnect``.
    listeners: dict[str, View] = attrs.field(init=False)
    #: Those that are given the server, by ``start`` and ``stop``.
    lifetime: dict[str, View] = attrs.field(init=False)
    #: The commands by name, made from ``console_commands``.
    operator_commands: dict[str, OperatorCommand] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        if not isinstance(self.secrets, Secrets):
            raise ConfigurationError("secrets is the secrets folder: secrets=Secrets(BASE_DIR / 'secrets')")
        if not isinstance(self.limits, Limits):
            raise ConfigurationError("limits is a Limits: limits=Limits(view_timeout=60)")
        for name, usual in _FOLDERS.items():
            if getattr(self, name) is not None:
                check_path(name, getattr(self, name), f"{name}=BASE_DIR / {usual!r}")
        check_flag("cloud_reads_synced", self.cloud_reads_synced)
        check_flag("console_python", self.console_python)
        self._check_database()
        self._check_cloud()
        object.__setattr__(self, "views", make_views(self.mapping))
        object.__setattr__(self, "listeners", self._functions(KINDS, make_listener))
        object.__setattr__(self, "lifetime", self._functions(("start", "stop"), make_lifetime))
        object.__setattr__(self, "operator_commands", operator_commands(self.console_commands))
        self._keep_from_clients()

    def _keep_from_clients(self) -> None:
        """What is the server's and its operators' is easily written into ``views.py``, and is public there."""
        public = {id(each) for each in self.mapping.values()}
        for name, function in {"on_start": self.on_start, "on_stop": self.on_stop, **self.console_commands}.items():
            if id(function) in public:
                raise ConfigurationError(
                    f"the function of {name!r} is a view as well, which every client may ask for: begin its name with "
                    "an underscore, or put it into another module"
                )

    def _functions(self, kinds: Iterable[str], make: Callable[[str, Any], View]) -> dict[str, View]:
        told = {kind: getattr(self, f"on_{kind}") for kind in kinds}
        return {kind: make(f"on_{kind}", each) for kind, each in told.items() if each is not None}

    def __repr__(self) -> str:
        # Not its parts: the URL of a database has a password, and there are a hundred limits.
        return f"<Setup of {len(self.views)} views, {self.secrets!r}>"

    @property
    def has_cloud(self) -> bool:
        """Whether there is a cloud storage."""
        return self.cloud_folder is not None

    def _check_database(self) -> None:
        if self.models is not None:
            models_of(self.models)
        if self.database_path is not None:
            check_database_path("database_path", self.database_path)
        if self.database_api is None and self.database_path is not None:
            object.__setattr__(self, "database_api", adapter_of(self.database_path))
        if self.models is not None and self.database_api is None:
            raise ConfigurationError("models need a database: database_path=BASE_DIR / 'database.sqlite3'")
        if self.database_api is not None and self.database_path is None:
            raise ConfigurationError("database_api needs to know where: database_path=BASE_DIR / 'database.sqlite3'")
        adapter = self.database_api
        right = issubclass(adapter, Database) if isinstance(adapter, type) else callable(adapter)
        if adapter is not None and not right:
            raise ConfigurationError("database_api is an adapter's class: database_api=SQLiteDatabase, without ()")

    def _check_cloud(self) -> None:
        if (self.cloud_folder is None) != (self.cloud_auth_model is None):
            raise ConfigurationError(
                "a cloud storage needs both: cloud_folder=BASE_DIR / 'cloud', cloud_auth_model=CloudAuthorizationModel"
            )
        check_count("cloud_versions", self.cloud_versions)
        check_count("cloud_keep_days", self.cloud_keep_days, MOST_DAYS)
        check_count("cloud_user_quota", self.cloud_user_quota, optional=True)
        if self.cloud_folder is None:
            return
        if not isinstance(self.cloud_auth_model, AuthorizationType) or self.cloud_auth_model is RoleBasedAccessControl:
            raise ConfigurationError("cloud_auth_model is a class that derives from RoleBasedAccessControl, without ()")
        if self.database_api is None:
            raise ConfigurationError("a cloud storage needs a database: database_path=, and models")
