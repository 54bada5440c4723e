"""What names a database: a file, or a URL as text or SQLAlchemy's."""

from __future__ import annotations

from typing import Any

from sqlalchemy import URL

from fluxon.arguments import check_path


def check_database_path(name: str, path: Any) -> None:
    """Raise ``ConfigurationError``, which calls it ``name``, unless ``path`` may be one."""
    if not isinstance(path, URL):
        check_path(name, path, "BASE_DIR / 'database.sqlite3'", "a file, or a URL")
