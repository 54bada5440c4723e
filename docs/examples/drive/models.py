"""The database's own model. What is known of files (names, roles, versions, the log) is in tables of the engine's."""

from fluxon.database import models
from fluxon.database.validators import validate_username


class User(models.AuthenticatedUser):
    """Whoever can log in."""

    username = models.CharField(max_length=32, unique=True, validators=[validate_username])
    password = models.PasswordField()  # stored as an argon2id hash
