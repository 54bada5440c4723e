"""The calls that both clients of the cloud have, listed once: what ``requests`` says, asked and waited for.

Rules of this module: a call has the arguments, the types and the text of its request; a client says only how it waits.
``CloudStorageConnector`` answers what the request makes of the server's answer, ``CloudClient`` a ``Pending`` of that;
type checkers know which.
"""

from __future__ import annotations

import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, Protocol, TypeVar, get_args, get_type_hints, overload

from fluxon.blocking import Pending
from fluxon.connect.cloud import requests
from fluxon.connect.cloud.requests import Paged, Request

P = ParamSpec("P")
T = TypeVar("T")


class Call(Protocol[P, T]):
    """A method, as type checkers see it: of one client, or of the other."""

    @overload
    def __get__(self, client: BlockingCalls, owner: Any = None) -> Callable[P, T]: ...

    @overload
    def __get__(self, client: DeferredCalls, owner: Any = None) -> Callable[P, Pending[T]]: ...

    @overload
    def __get__(self, client: None, owner: Any = None) -> Callable[..., Any]: ...


def _once(request: Callable[P, Request[T]]) -> Call[P, T]:
    """The call of a request."""
    (result,) = get_args(get_type_hints(request)["return"])
    made: Call[P, T] = _method(request, "_do", result)
    return made


def _paged(request: Callable[P, Paged[T]]) -> Call[P, list[T]]:
    """The call of what is answered in pages: all of them."""
    (result,) = get_args(get_type_hints(request)["return"])
    made: Call[P, list[T]] = _method(request, "_all", list[result])  # type: ignore[valid-type]
    return made


def _method(request: Callable[..., Any], asks: str, result: Any) -> Any:
    @wraps(request)
    def call(self: Any, *arguments: Any, **named: Any) -> Any:
        return getattr(self, asks)(request, *arguments, **named)

    # What editors, help() and the reference show.
    signature = inspect.signature(request)
    this = inspect.Parameter("self", inspect.Parameter.POSITIONAL_OR_KEYWORD)
    parameters = [this, *signature.parameters.values()]
    call.__signature__ = signature.replace(parameters=parameters, return_annotation=result)  # type: ignore[attr-defined]
    call.__qualname__ = f"CloudCalls.{call.__name__}"
    return call


class CloudCalls:
    """What both clients have."""

    stat = _once(requests.stat)
    list_directory = _paged(requests.list_directory)
    read_tree_directory = _paged(requests.read_tree_directory)
    find = _paged(requests.find)
    create_directory = _once(requests.create_directory)
    create_file = _once(requests.create_file)
    delete_file = _once(requests.delete_file)
    delete_directory = _once(requests.delete_directory)
    move = _once(requests.move)
    copy = _once(requests.copy)

    versions = _once(requests.versions)
    restore = _once(requests.restore)
    deleted = _paged(requests.deleted)
    log = _paged(requests.log)

    assign_role = _once(requests.assign_role)
    remove_role = _once(requests.remove_role)
    roles = _once(requests.roles)
    permissions = _once(requests.permissions)

    unlock = _once(requests.unlock)


class BlockingCalls(CloudCalls, ABC):
    """Of a client that waits for each answer."""

    @abstractmethod
    def _do(self, request: Callable[P, Request[T]], *arguments: P.args, **named: P.kwargs) -> T:
        """What the server answers to a request, as the request understands it."""

    @abstractmethod
    def _all(self, request: Callable[P, Paged[T]], *arguments: P.args, **named: P.kwargs) -> list[T]:
        """The same of every page, as far as wanted."""


class DeferredCalls(CloudCalls, ABC):
    """Of a client whose answers come later."""

    @abstractmethod
    def _do(self, request: Callable[P, Request[T]], *arguments: P.args, **named: P.kwargs) -> Pending[T]:
        """As of ``BlockingCalls``."""

    @abstractmethod
    def _all(self, request: Callable[P, Paged[T]], *arguments: P.args, **named: P.kwargs) -> Pending[list[T]]:
        """As of ``BlockingCalls``."""
