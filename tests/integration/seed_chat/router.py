import pathlib
from fluxon.routing import Setup, dynamic_views_loading
from fluxon.database.apis import SQLiteDatabase
from fluxon.security import Secrets
import models, views

BASE_DIR = pathlib.Path(__file__).parent

DATABASE_SCHEMA_DIR = BASE_DIR / "database_schema"
LOGS_DIR = BASE_DIR / "logs"
SECRETS_DIR = BASE_DIR / "secrets"
DATABASE_PATH = BASE_DIR / "database.sqlite3"

setup = Setup(
    # routing models & views
    mapping=dynamic_views_loading(views),
    models=models,

    # server setup
    secrets=Secrets(SECRETS_DIR),
    database_schema_dir=DATABASE_SCHEMA_DIR,
    logs_dir=LOGS_DIR,
    database_path=DATABASE_PATH,
    database_api=SQLiteDatabase,
)
