"""What the database holds: who may connect, and what was measured."""

import hashlib

from fluxon.database import models


class Account(models.AuthenticatedUser):
    """A device, or a dashboard. Nobody types a password here: each has a token, which `enrol.py` made at random.

    Only a digest of the token is kept, so a stolen database lets nobody in. Passwords need a slow digest, since they
    can be guessed; 32 random bytes cannot, so a fast one is enough, and a thousand devices may log in at once.
    """

    name = models.CharField(max_length=40, unique=True)
    kind = models.CharField(max_length=10, choices=["device", "dashboard"])
    digest = models.CharField(max_length=64, unique=True)


class Reading(models.Model):
    """What a device measured. Rows are numbered as they come, so the oldest have the lowest ids."""

    device = models.CharField(max_length=40)
    celsius = models.FloatField()
    at = models.DateTimeField()

    class Meta:
        indexes = [("device", "id")]


def digest_of(token):
    return hashlib.sha256(token.encode()).hexdigest()
