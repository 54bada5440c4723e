"""Loading a program's ``router.py``.

Rules kept here:

- The file is imported as what it is: a module of its own folder, which comes first on ``sys.path``, so that it can
  import the ``views`` and ``models`` beside it.
- Whatever goes wrong is a ``ConfigurationError`` that says where, in words for the one who wrote the file.
- Importing a router opens nothing; so does this.
"""

from __future__ import annotations

import importlib
import os
import sys
import traceback
from pathlib import Path
from types import ModuleType

from fluxon.errors import ConfigurationError

#: Files that are being imported just now.
_loading: list[str] = []


def must_not_be_loading(what: str) -> None:
    """Raise ``ConfigurationError`` while a file is imported for what it declares: ``what`` would never return."""
    if _loading:
        raise ConfigurationError(f'{what} is called when the file is imported; put it under: if __name__ == "__main__"')


def load_config(path: str | os.PathLike[str]) -> ModuleType:
    """The module at ``path``. Loading it again answers the same module.

    Raises ``ConfigurationError`` when there is no such file, when it cannot be imported, and when another module of
    its name was imported before (as happens to a file called like a package).
    """
    file = Path(os.path.abspath(path))
    if not file.is_file():
        raise ConfigurationError(f"there is no file {os.fspath(path)}; give the path of your router.py")
    if file.suffix != ".py" or not file.stem.isidentifier():
        raise ConfigurationError(f"{file.name} cannot be imported: its name must be letters and digits, and end in .py")
    folder = str(file.parent)
    if sys.path[:1] != [folder]:
        sys.path.insert(0, folder)
    importlib.invalidate_caches()
    _loading.append(file.name)
    try:
        module = importlib.import_module(file.stem)
    except ConfigurationError as error:
        raise ConfigurationError(f"{_place(error, file)}: {error.text}") from error
    except SyntaxError as error:
        name = os.path.basename(error.filename or file.name)
        # What is no text at all has no lines.
        place = name if error.lineno is None else f"{name}, line {error.lineno}"
        raise ConfigurationError(f"{place}: {error.msg}") from error
    except Exception as error:
        raise ConfigurationError(f"{_place(error, file)}: {_in_words(error)}") from error
    finally:
        _loading.pop()
    found = getattr(module, "__file__", None)
    if found is None or not os.path.samefile(found, file):
        raise ConfigurationError(
            f"{file.name} was not loaded: another module called {file.stem!r} is imported already; rename yours"
        )
    return module


def _in_words(error: Exception) -> str:
    """As Python says it (from 3.12 on with its guess at what was meant), on one line."""
    told = traceback.TracebackException.from_exception(error).format_exception_only()
    return " ".join("".join(told).split())


def _place(error: BaseException, file: Path) -> str:
    """File and line, in the program's own folder, where ``error`` came up."""
    lines = traceback.extract_tb(error.__traceback__)
    own = [each for each in lines if Path(each.filename).parent == file.parent]
    if not own:
        return file.name
    return f"{os.path.basename(own[-1].filename)}, line {own[-1].lineno}"
