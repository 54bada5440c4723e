"""The models of the typed example: a checker, and so an editor, knows each column."""

from fluxon.database import models


class User(models.AuthenticatedUser):
    """Who logs in."""

    username = models.CharField(max_length=100, unique=True)
    password = models.PasswordField()
    joined = models.DateTimeField(auto_now_add=True)
    # A checker cannot see that null=True lets it be empty, and so is told.
    nickname: models.Column[str | None] = models.CharField(max_length=40, null=True)


class Note(models.Model):
    """What somebody wrote down."""

    owner = models.ForeignKey(to_table=User, on_delete=models.CASCADE)
    text = models.TextField()
    written = models.DateTimeField(auto_now_add=True)
