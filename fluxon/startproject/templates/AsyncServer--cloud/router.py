"""The setup: which views answer, and where the project keeps its things.

Importing this file opens nothing; the server does, when it starts.
"""

import pathlib

from fluxon.database.apis import SQLiteDatabase
from fluxon.routing import Setup, dynamic_views_loading
from fluxon.security import Secrets

import models
import views
from authorization_model import CloudAuthorizationModel

BASE_DIR = pathlib.Path(__file__).resolve().parent

setup = Setup(
    # Every public function defined in views.py, under its own name.
    # To choose the names yourself, write a dict: {"login": views.login, ...}
    mapping=dynamic_views_loading(views),
    models=models,
    # Session keys and the certificate. Never commit this folder.
    secrets=Secrets(BASE_DIR / "secrets"),
    database_schema_dir=BASE_DIR / "database_schema",
    logs_dir=BASE_DIR / "logs",
    database_path=BASE_DIR / "database.sqlite3",
    database_api=SQLiteDatabase,
    # The bytes of all files, under names that only the server understands: names, roles and history are in the
    # database. Back up the two together.
    cloud_folder=BASE_DIR / "cloud",
    # Who may do what with them.
    cloud_auth_model=CloudAuthorizationModel,
)
