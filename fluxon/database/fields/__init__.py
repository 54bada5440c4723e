"""Field declarations: what a column holds, and what it refuses."""

from fluxon.database.fields.base import MISSING, Column, Field
from fluxon.database.fields.data import BinaryField, JSONField, UUIDField
from fluxon.database.fields.numbers import (
    AutoField,
    BigIntegerField,
    BooleanField,
    DecimalField,
    FloatField,
    IntegerField,
    PositiveIntegerField,
)
from fluxon.database.fields.relations import (
    CASCADE,
    NO_ACTION,
    PROTECT,
    SET_DEFAULT,
    SET_NULL,
    ForeignKey,
    ManyToManyField,
    OnDelete,
    OneToOneField,
)
from fluxon.database.fields.text import CharField, EmailField, HashedPassword, PasswordField, TextField
from fluxon.database.fields.times import DateField, DateTimeField, TimeField

__all__ = [
    "CASCADE",
    "MISSING",
    "NO_ACTION",
    "PROTECT",
    "SET_DEFAULT",
    "SET_NULL",
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
    "HashedPassword",
    "IntegerField",
    "JSONField",
    "ManyToManyField",
    "OnDelete",
    "OneToOneField",
    "PasswordField",
    "PositiveIntegerField",
    "TextField",
    "TimeField",
    "UUIDField",
]
