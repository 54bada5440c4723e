"""``Names`` in literals become links to the reference, where exactly one public name is meant.

A page that is named by its path in the project (``docs/protocol.rst``) is linked by its title.

Rules kept here: only what the reference has is linked, by its own name (``Setup``), with its class (``Limits.drain``)
or in full; a name that two things have is left alone; headings, links and names of other projects are left alone.
"""

from __future__ import annotations

import re
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.domains.python import PythonDomain
from sphinx.transforms.post_transforms import SphinxPostTransform
from sphinx.util.nodes import make_refnode

#: Too much of a word of the language to be a link wherever it stands.
_PLAIN = {"login", "logout", "user", "connect", "check", "where"}


class LinkNames(SphinxPostTransform):
    """One page."""

    default_priority = 600

    def run(self, **_: Any) -> None:
        names = self._names()
        for literal in list(self.document.findall(nodes.literal)):
            if any(
                isinstance(each, nodes.reference | nodes.title) or self._is_theirs(each) for each in _above(literal)
            ):
                continue
            name = literal.astext().removesuffix("()")
            if (page := re.fullmatch(r"docs/(\w+)\.rst", name)) and page[1] in self.env.titles:
                title = self.env.titles[page[1]].astext()
                link = make_refnode(self.app.builder, self.env.docname, page[1], None, nodes.inline("", title))
                literal.replace_self(link)
                continue
            call = re.fullmatch(r"([\w.]+)\(.*\)", name)
            found = names.get(call[1] if call else name)
            if found is None:
                continue
            page, anchor = found
            if page == self.env.docname:
                continue
            link = make_refnode(self.app.builder, self.env.docname, page, anchor, literal.deepcopy(), name)
            literal.replace_self(link)

    def _is_theirs(self, node: nodes.Node) -> bool:
        """The first column of a table that compares: another project's names, which may be spelt like ours."""
        if not self.env.docname.startswith("coming_from/") or not isinstance(node, nodes.entry):
            return False
        return node.parent.index(node) == 0

    def _names(self) -> dict[str, tuple[str, str]]:
        """Every way to name something that is not ambiguous: page and anchor."""
        if (known := getattr(self.env, "_linked_names", None)) is not None:
            return known  # type: ignore[no-any-return]
        domain = self.env.get_domain("py")
        assert isinstance(domain, PythonDomain)
        found: dict[str, set[tuple[str, str]]] = {}
        for full, entry in domain.objects.items():
            parts = full.split(".")
            ways = {full, ".".join(parts[-2:])} if entry.objtype in ("method", "attribute", "property") else {full}
            if entry.objtype in ("class", "exception", "function", "data") and parts[-1] not in _PLAIN:
                ways.add(parts[-1])
            for way in ways:
                found.setdefault(way, set()).add((entry.docname, entry.node_id))
        known = {way: next(iter(places)) for way, places in found.items() if len(places) == 1}
        self.env._linked_names = known  # type: ignore[attr-defined]
        return known


def _above(node: nodes.Node) -> Any:
    while (node := node.parent) is not None:
        yield node


def _forget(_: Sphinx, env: Any, *__: Any) -> None:
    env._linked_names = None


def setup(app: Sphinx) -> dict[str, bool]:
    """Sphinx calls this."""
    app.add_post_transform(LinkNames)
    app.connect("env-updated", lambda app, env: _forget(app, env))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
