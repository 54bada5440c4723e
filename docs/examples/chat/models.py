"""What the database holds: who may come in, and what was said in which room."""

from fluxon.database import models


class User(models.AuthenticatedUser):
    """Somebody with an account. In a view, ``request.user`` is one of these."""

    username = models.CharField(max_length=32, unique=True)
    password = models.PasswordField()  # keeps an argon2id hash of it, never the password


class Message(models.Model):
    """Something that was said to a room. The ``id``, which the database counts up, puts them in order."""

    room = models.CharField(max_length=32)
    sender = models.ForeignKey(to_table=User, on_delete=models.CASCADE)
    text = models.CharField(max_length=1000)
    sent = models.DateTimeField()

    class Meta:
        indexes = [("room", "id")]  # the last messages of a room are found at once, however many there are
