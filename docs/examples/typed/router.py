"""The setup of the typed example."""

from pathlib import Path

from fluxon.database.apis import SQLiteDatabase
from fluxon.routing import Setup, dynamic_views_loading
from fluxon.security import Secrets

import models
import views

HERE = Path(__file__).resolve().parent

setup = Setup(
    mapping=dynamic_views_loading(views),
    models=models,
    secrets=Secrets(HERE / "secrets"),
    database_schema_dir=HERE / "database_schema",
    database_path=HERE / "database.sqlite3",
    database_api=SQLiteDatabase,
)
