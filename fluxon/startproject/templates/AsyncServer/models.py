"""The models: what the database holds.

The first start of the server writes database_schema/schema_00001.sql from them and makes the database. When you
change them later, save and apply the next schema; rows that are there stay:

    python -m fluxon.database --config router.py saveschema
    python -m fluxon.database --config router.py updateschema
"""

from fluxon.database import models


class User(models.AuthenticatedUser):
    """Someone who can log in. A project has one AuthenticatedUser."""

    username = models.CharField(max_length=100, unique=True)
    password = models.PasswordField()  # kept as an argon2id hash, never as text
    email = models.EmailField(unique=True)
    user_creation_date = models.DateTimeField(auto_now_add=True)
