"""The setup: which views answer, and where the school keeps its things. Importing this file opens nothing."""

import os
from pathlib import Path

from fluxon.routing import Setup, dynamic_views_loading
from fluxon.security import Secrets

import models
import views

HERE = Path(__file__).resolve().parent


def make_setup(folder):
    """The school in this folder, a ``Path``."""
    return Setup(
        # Every public function that views.py defines, under its own name.
        mapping=dynamic_views_loading(views),
        models=models,
        secrets=Secrets(folder / "secrets"),
        database_schema_dir=folder / "schema",
        # A file of SQLite, or the database that the environment names:
        # DATABASE_URL=postgresql://name:password@host/school, or mysql://...
        database_path=os.environ.get("DATABASE_URL", folder / "school.sqlite3"),
    )


# What twistd and python -m fluxon.database look for.
setup = make_setup(Path(os.environ.get("FOLDER", HERE / "data")))
