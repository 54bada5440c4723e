"""``Command``: what can be asked, as a declaration that both ends share.

After Twisted's AMP (``twisted.protocols.amp.Command``): a class names its arguments, its response and its errors; who
answers it is bound elsewhere, in an explicit table (``rpc.Responders``).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from fluxon.commands.arguments import Field, Structure
from fluxon.errors import FluxonError


class Command:
    """One command. Subclasses declare; nobody makes an instance.

    >>> class Add(Command):
    ...     name = "add"
    ...     arguments = {"a": Integer(), "b": Integer()}
    ...     response = {"sum": Integer()}
    """

    #: What crosses the wire; at most 255 bytes.
    name: ClassVar[str]
    arguments: ClassVar[Mapping[str, Field]] = {}
    #: A map of fields, or one field for a command that answers a bare value.
    response: ClassVar[Mapping[str, Field] | Field] = {}
    #: Errors that reach the asker as they are; any other becomes ``Internal`` with an incident id.
    errors: ClassVar[tuple[type[FluxonError], ...]] = ()
    #: Whether it may be asked before hello was answered.
    before_hello: ClassVar[bool] = False
    #: Whether its answer may open a stream, whose tag is then in the answer's field ``stream``.
    opens: ClassVar[bool] = False

    _arguments: ClassVar[Structure]
    _response: ClassVar[Field]

    def __init_subclass__(cls) -> None:
        cls._arguments = Structure(cls.arguments)
        cls._response = cls.response if isinstance(cls.response, Field) else Structure(cls.response)

    @classmethod
    def check_arguments(cls, arguments: Any) -> None:
        """Raise ``InvalidPayload`` unless ``arguments`` are what this command takes."""
        cls._arguments.check(arguments, cls.name)

    @classmethod
    def argument_check(cls) -> Callable[[Any, str], None]:
        """``check_arguments`` as ``check(arguments, name)``, for whoever does it often."""
        return cls._arguments.check

    @classmethod
    def check_response(cls, value: Any) -> None:
        """Raise ``InvalidPayload`` unless ``value`` is what this command answers."""
        cls._response.check(value, cls.name)
