"""The setup: which views answer, who may do what with files, and where it is all kept. Importing it opens nothing."""

import os
from pathlib import Path

from fluxon.routing import Setup, dynamic_views_loading
from fluxon.security import Secrets

import models
import views
from roles import Drive

HERE = Path(__file__).resolve().parent


def make_setup(folder):
    """The drive in this folder, a ``Path``."""
    return Setup(
        mapping=dynamic_views_loading(views),
        models=models,
        secrets=Secrets(folder / "secrets"),
        database_schema_dir=folder / "schema",
        database_path=folder / "drive.sqlite3",
        # The bytes of all files, under random names. What they are called, and whose they are, is in the database.
        cloud_folder=folder / "cloud",
        cloud_auth_model=Drive,
        # What is replaced or deleted is kept: so many contents of a file, for so many days.
        cloud_versions=10,
        cloud_keep_days=30,
    )


# What twistd looks for.
setup = make_setup(Path(os.environ.get("FOLDER", HERE / "data")))
