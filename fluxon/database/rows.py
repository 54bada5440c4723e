"""Rows: tuples with names.

Rules kept here:

- A row is a tuple, so ``row[0]``, unpacking and comparison work; each column is an attribute too.
- One class per list of column names, made once and kept.
- A column may be called ``count`` or ``index``: the name of a column wins over the method of a tuple.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Any

#: One row of an answer: a named tuple whose class depends on the columns that were asked for.
Row = Any

_new_tuple = tuple.__new__


@lru_cache(maxsize=1_000)
def row_class(names: tuple[str, ...]) -> type[Any]:
    """The class of rows with these columns. Names that Python cannot spell become ``_0``, ``_1`` by position."""
    return namedtuple("Row", names, rename=True)


def row_maker(
    names: Sequence[str], processors: Sequence[Callable[[Any], Any] | None]
) -> Callable[[Iterable[tuple[Any, ...]]], list[Row]]:
    """A function from the driver's tuples to rows; columns without a processor are handed on as they are."""
    kind = row_class(tuple(names))
    converted = [(index, processor) for index, processor in enumerate(processors) if processor is not None]
    if not converted:

        def plain(found: Iterable[tuple[Any, ...]]) -> list[Row]:
            return [_new_tuple(kind, each) for each in found]

        return plain

    def convert(found: Iterable[tuple[Any, ...]]) -> list[Row]:
        rows = []
        for each in found:
            values = list(each)
            for index, processor in converted:
                values[index] = processor(values[index])
            rows.append(_new_tuple(kind, values))
        return rows

    return convert
