"""Declare a program's data::

    from fluxon.database import models

    class User(models.AuthenticatedUser):
        username = models.CharField(max_length=100, unique=True)
        email = models.EmailField(unique=True)
        joined = models.DateTimeField(auto_now_add=True)

Each class is a table (its name in small letters), each field a column. A class without a primary key gets ``id``.
"""

from fluxon.database.fields import (
    CASCADE,
    NO_ACTION,
    PROTECT,
    SET_DEFAULT,
    SET_NULL,
    AutoField,
    BigIntegerField,
    BinaryField,
    BooleanField,
    CharField,
    Column,
    DateField,
    DateTimeField,
    DecimalField,
    EmailField,
    Field,
    FloatField,
    ForeignKey,
    IntegerField,
    JSONField,
    ManyToManyField,
    OneToOneField,
    PasswordField,
    PositiveIntegerField,
    TextField,
    TimeField,
    UUIDField,
)
from fluxon.database.model import AuthenticatedUser, Model

__all__ = [
    "CASCADE",
    "NO_ACTION",
    "PROTECT",
    "SET_DEFAULT",
    "SET_NULL",
    "AuthenticatedUser",
    "AutoField",
    "BigIntegerField",
    "BinaryField",
    "BooleanField",
    "CharField",
    "Column",
    "DateField",
    "DateTimeField",
    "DecimalField",
    "EmailField",
    "Field",
    "FloatField",
    "ForeignKey",
    "IntegerField",
    "JSONField",
    "ManyToManyField",
    "Model",
    "OneToOneField",
    "PasswordField",
    "PositiveIntegerField",
    "TextField",
    "TimeField",
    "UUIDField",
]
