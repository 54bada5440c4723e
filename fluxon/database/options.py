"""``class Meta`` of a model: what holds for several of its columns together.

::

    class Enrollment(models.Model):
        student = models.ForeignKey(Student)
        course = models.ForeignKey(Course)
        begins = models.DateField()
        ends = models.DateField(null=True)

        class Meta:
            unique_together = [("student", "course")]
            indexes = [("course", "begins")]
            checks = {"order": lambda Enrollment: Enrollment.begins <= Enrollment.ends}

Rules kept here:

- An option that does not exist, or names no column, is a ``ConfigurationError`` when the class is made.
- What an abstract model asks for holds in every model that derives from it, beside its own.
- A check is a condition like those of a query, written into the schema: the database keeps it for every program.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import attrs

from fluxon.errors import ConfigurationError

Columns = tuple[str, ...]


@attrs.frozen
class Options:
    """What ``class Meta`` says."""

    abstract: bool = False
    unique_together: tuple[Columns, ...] = ()
    indexes: tuple[Columns, ...] = ()
    checks: Mapping[str, Callable[[Any], Any]] = attrs.field(factory=dict)
    #: The model's earlier name: a schema update then carries its rows over.
    renamed_from: str | None = None

    def beside(self, inherited: Options) -> Options:
        """These and those of an abstract model."""
        return attrs.evolve(
            self,
            unique_together=tuple(dict.fromkeys(inherited.unique_together + self.unique_together)),
            indexes=tuple(dict.fromkeys(inherited.indexes + self.indexes)),
            checks={**inherited.checks, **self.checks},
        )

    def must_fit(self, model: str, columns: Mapping[str, Any]) -> None:
        """Raise ``ConfigurationError`` unless every column that is named is one of ``columns``."""
        for option, lists in (("unique_together", self.unique_together), ("indexes", self.indexes)):
            for names in lists:
                for name in names:
                    if name not in columns:
                        raise ConfigurationError(f"{model}.Meta.{option}: there is no column {name!r}")
                    if not columns[name].comparable:
                        raise ConfigurationError(f"{model}.Meta.{option}: {name} cannot be compared")
        for name in self.checks:
            if name in columns:
                raise ConfigurationError(f"{model}.Meta.checks: {name!r} is the name of a column; choose another")


def read_options(model: str, meta: Any) -> Options:
    """The options of a ``class Meta`` (or of None)."""
    if meta is None:
        return Options()
    given = {name: value for name, value in vars(meta).items() if not name.startswith("__")}
    known = {each.name for each in attrs.fields(Options)}
    for name in given:
        if name not in known:
            raise ConfigurationError(f"{model}.Meta: there is no option {name!r}; there are {', '.join(sorted(known))}")
    if not isinstance(given.get("abstract", False), bool):
        raise ConfigurationError(f"{model}.Meta.abstract is True or False")
    if not isinstance(given.get("renamed_from", ""), str):
        raise ConfigurationError(f"{model}.Meta.renamed_from is the model's earlier name")
    for name in ("unique_together", "indexes"):
        if name in given:
            given[name] = _lists(f"{model}.Meta.{name}", given[name])
    checks = given.get("checks", {})
    if not isinstance(checks, Mapping) or not all(
        isinstance(name, str) and name.isidentifier() and callable(check) for name, check in checks.items()
    ):
        raise ConfigurationError(f"{model}.Meta.checks is a dict of names and functions of the model")
    return Options(**given)


def _lists(where: str, value: Any) -> tuple[Columns, ...]:
    if isinstance(value, list | tuple) and value and all(isinstance(each, str) for each in value):
        value = [value]  # one list of columns, as Django takes it
    if not isinstance(value, list | tuple):
        raise ConfigurationError(f"{where} is a list of lists of columns' names")
    found = []
    for names in value:
        if not isinstance(names, list | tuple) or not names or not all(isinstance(each, str) for each in names):
            raise ConfigurationError(f"{where} is a list of lists of columns' names")
        if len(set(names)) != len(names):
            raise ConfigurationError(f"{where} names a column twice")
        found.append(tuple(names))
    return tuple(found)
