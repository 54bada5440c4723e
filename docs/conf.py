"""The documentation site: ``python -m sphinx -W -b html docs build/docs``, with the extra ``fluxon[docs]``.

Rules kept here: a warning is an error, a reference that leads nowhere is one, and nothing is fetched from the network.
"""

import re
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
# The extensions of this folder, and the package as it is here.
sys.path[:0] = [str(HERE / "_extensions"), str(HERE.parent)]

import attrs  # noqa: E402

import fluxon  # noqa: E402

project = "Fluxon"
author = "the authors of Fluxon"
copyright = author
release = version = fluxon.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx_copybutton",
    "myst_parser",
    "linked_names",
    "help_texts",
    "limit_texts",
    "unreleased_changes",
]
exclude_patterns = ["changes", "examples/*/**", "_extensions"]

nitpicky = True
# Names in signatures of what is none of the reference's: the interpreter's, Twisted's, type variables, rooms' own.
nitpick_ignore_regex = [
    ("py:.*", r"(?!fluxon\.).*"),
    ("py:class", r"fluxon\.[a-z_.]+\.[ST]"),
    ("py:class", r"fluxon\.(cloud|connect|database|endpoint|routing|rpc|security|testing|wire)\.(\w+\.)+[A-Z]\w+"),
]
# "type" and "User" are names of many things.
suppress_warnings = ["ref.python"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_class_signature = "mixed"
autodoc_preserve_defaults = True
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 140
add_module_names = False
toc_object_entries_show_parents = "hide"

highlight_language = "none"
copybutton_exclude = ".linenos, .gp, .go"
copybutton_prompt_text = "$ "

html_theme = "furo"
html_title = f"Fluxon {release}"
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_theme_options = {
    "navigation_with_keys": True,
    "light_css_variables": {"code-font-size": "81.25%"},
}


def attrs_defaults(_: Any, what: str, __: str, cls: Any, ___: Any, signature: str | None, returns: str | None) -> Any:
    """The signature of an attrs class, with its fields' defaults instead of where attrs keeps them."""
    if what != "class" or not signature or not attrs.has(cls):
        return None
    fields = {field.alias: field.default for field in attrs.fields(cls)}

    def written(match: re.Match[str]) -> str:
        default = fields[match[1].lstrip("_")]
        return "..." if isinstance(default, attrs.Factory) else repr(default)

    signature = re.sub(r"attr_dict\['(\w+)'\]\.default", written, signature)
    return signature.replace("= NOTHING", "= ..."), returns


def setup(app: Any) -> None:
    """Sphinx calls this."""
    app.connect("autodoc-process-signature", attrs_defaults)
