"""Which functions are views, under which names, and what is refused when the setup is made."""

from __future__ import annotations

import functools
import types
from typing import Any

from twisted.internet.defer import Deferred, inlineCallbacks
from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import ConfigurationError
from fluxon.routing import dynamic_views_loading
from fluxon.routing.mapping import make_views, unknown_view

HELPERS = """
import functools

def helper(request):
    return "stolen"

def checked(view):
    @functools.wraps(view)
    def wrapper(request):
        return view(request)
    return wrapper

def careless(view):
    def wrapper(request):
        return view(request)
    return wrapper

def with_name(view):
    @functools.wraps(view)
    def wrapper(request):
        return view(request, "name")
    return wrapper
"""

VIEWS = """
import os, functools
from collections import OrderedDict
from unittest.mock import call
from twisted.internet.defer import inlineCallbacks
import helpers
from helpers import helper, checked, careless, with_name
from helpers import helper as renamed

LIMIT = 3

def plain(request):
    return 1

async def waiting(request):
    return 2

@inlineCallbacks
def callbacks(request):
    yield None

@checked
def decorated(request):
    return 3

@careless
def undeclared(request):
    return 4

@with_name
def named(request, name):
    return name

cached = functools.lru_cache(plain)
short = lambda request: 5
wrapped_import = checked(helper)
partial = functools.partial(helper)

def _private(request):
    return "private"

class Form:
    def __init__(self, request):
        pass

form = Form
instance = os.environ
"""


def module(name: str, text: str) -> types.ModuleType:
    made = types.ModuleType(name)
    exec(compile(text, f"{name}.py", "exec"), made.__dict__)
    return made


class LoadingTests(SynchronousTestCase):
    """``dynamic_views_loading``: what a module defines, and nothing that it has from elsewhere."""

    def setUp(self) -> None:
        import sys

        self.patch(sys, "modules", {**sys.modules, "helpers": module("helpers", HELPERS)})
        self.views = module("views", VIEWS)

    def test_defined_and_public(self) -> None:
        """Functions of every kind that are defined there; no import, no underscore, no class, no other object."""
        self.assertEqual(
            set(dynamic_views_loading(self.views)),
            {"plain", "waiting", "callbacks", "decorated", "named", "cached", "short"},
        )

    def test_they_make_views(self) -> None:
        """All of them can be mapped, under their own names."""
        views = make_views(dynamic_views_loading(self.views))
        self.assertEqual({name: view.name for name, view in views.items()}, {name: name for name in views})
        self.assertEqual({name for name, view in views.items() if not view.in_thread}, {"waiting", "callbacks"})

    def test_takes_a_module(self) -> None:
        """Anything else is refused with what to write."""
        for wrong in (None, "views", {"a": 1}, object()):
            error = self.assertRaises(ConfigurationError, dynamic_views_loading, wrong)
            self.assertIn("import views", error.text)


class MappingTests(SynchronousTestCase):
    """``make_views``: what is wrong is said at once, with the name of the entry."""

    def refused(self, mapping: Any, *words: str) -> None:
        error = self.assertRaises(ConfigurationError, make_views, mapping)
        for word in words:
            self.assertIn(word, error.text)

    def test_no_mapping(self) -> None:
        """A list, a module, None: the text shows a mapping."""
        for wrong in (None, [], types.ModuleType("views"), "login"):
            self.refused(wrong, "mapping")

    def test_names(self) -> None:
        """Text of 1 to 255 bytes that can be sent."""
        for wrong in ("", "x" * 256, "ä" * 128, 3, None, "\ud800"):
            self.refused({wrong: lambda request: None}, "name")
        self.assertIn("ä" * 127, make_views({"ä" * 127: lambda request: None}))

    def test_what_cannot_be_called(self) -> None:
        """Values and classes are no views."""
        for wrong in (None, "login", 3, {}):
            self.refused({"login": wrong}, "'login'", "function")
        self.refused({"login": dict}, "'login'", "class dict")

    def test_arguments(self) -> None:
        """A view takes the request and needs nothing else; defaults and bound arguments are fine."""

        def none() -> None: ...

        def two(request: Any, other: Any) -> None: ...

        def keyword(request: Any, *, other: Any) -> None: ...

        def default(request: Any, other: Any = 1) -> None: ...

        async def waiting_none() -> None: ...

        @inlineCallbacks
        def callbacks_none() -> Any:
            yield None

        for wrong in (none, two, keyword, waiting_none, callbacks_none, functools.partial(two, 1, 2)):
            self.refused({"login": wrong}, "'login'", "one argument")
        make_views({"a": default, "b": functools.partial(two, 1), "c": functools.partial(keyword, other=1), "d": print})

    def test_a_decorator_may_pass_more(self) -> None:
        """What counts is what the decorated view takes, not what the decorator hands to it."""

        def with_user(view: Any) -> Any:
            @functools.wraps(view)
            def wrapper(request: Any) -> Any:
                return view(request, request.user)

            return wrapper

        @with_user
        async def view(request: Any, user: Any) -> None: ...

        self.assertFalse(make_views({"view": view})["view"].in_thread)

    def test_generators(self) -> None:
        """A view that yields without ``inlineCallbacks`` would answer a generator: it is refused."""

        def forgot(request: Any) -> Any:
            yield 1

        async def stream(request: Any) -> Any:
            yield 1

        self.refused({"forgot": forgot}, "'forgot'", "inlineCallbacks")
        self.refused({"stream": stream}, "'stream'", "yields")

    def test_annotations(self) -> None:
        """``-> Deferred`` in each of its spellings; nothing that merely looks like it."""

        def real(request: Any) -> Deferred: ...  # type: ignore[type-arg, empty-body]

        def generic(request: Any) -> Deferred[int]: ...  # type: ignore[empty-body]

        def text(request: Any) -> Any: ...

        def other(request: Any) -> Any: ...

        real.__annotations__["return"] = Deferred
        generic.__annotations__["return"] = Deferred[int]
        text.__annotations__["return"] = "defer.Deferred[int]"
        other.__annotations__["return"] = "list[Deferred]"
        views = make_views({each.__name__: each for each in (real, generic, text, other)})
        self.assertEqual([view.in_thread for view in views.values()], [False, False, False, True])


class UnknownViewTests(SynchronousTestCase):
    """What is said to a client that asks for a view which is not there."""

    def test_names_that_look_alike(self) -> None:
        """A typing mistake finds its view."""
        views = make_views(dict.fromkeys(("login", "logout", "send_message"), print))
        self.assertEqual(unknown_view("logn", views).details, {"near": ["login", "logout"]})
        self.assertEqual(unknown_view("send_mesage", views).details, {"near": ["send_message"]})
        self.assertEqual(unknown_view("zzz", views).details, {"near": []})
        self.assertIn("mapping", unknown_view("zzz", views).text)

    def test_it_looks_at_few(self) -> None:
        """However many views there are, and whatever is asked for, the answer costs little."""
        views = make_views({f"view_{number:04}": print for number in range(2_000)})
        self.assertLessEqual(len(unknown_view("view_00000", views).details["near"]), 3)
        self.assertLess(len(unknown_view("x" * 255, views).text), 200)
