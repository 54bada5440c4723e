"""Build entry; everything is declared in setup.cfg, but for the two things that it cannot say.

- The source distribution has the documentation, the tests and the scripts, so that all of them work from it.
- The package's page shows README.md, away from the files that its links lead to.
"""

import re
from configparser import ConfigParser
from pathlib import Path

from setuptools import setup
from setuptools.command.sdist import sdist

ROOT = Path(__file__).resolve().parent
FOLDERS = ("docs", "scripts", "tests")
FILES = ("CHANGELOG.md", "ruff.toml")
LITTER = {"__pycache__", "dropin.cache"}


class SourceDistribution(sdist):
    """With what is not installed, too."""

    def make_release_tree(self, base_dir, files):
        more = [each.relative_to(ROOT) for name in FOLDERS for each in (ROOT / name).rglob("*") if each.is_file()]
        more = [str(each) for each in more if not LITTER.intersection(each.parts)]
        super().make_release_tree(base_dir, sorted({*files, *more, *FILES}))


def read_me():
    """README.md, with links and pictures that lead into the repository, at the tag of this version."""
    settings = ConfigParser()
    settings.read(ROOT / "setup.cfg", "utf-8")
    (source,) = re.findall(r"^Source = (\S+)$", settings["metadata"]["project_urls"], re.M)
    (version,) = re.findall(r'^__version__ = "(.+)"$', (ROOT / "fluxon" / "__init__.py").read_text("utf-8"), re.M)
    text = (ROOT / "README.md").read_text("utf-8")
    local = r"(?!https?:|#)"
    text = re.sub(rf"(!\[[^\]]*\]\(|<img [^>]*src=\"|srcset=\"){local}", rf"\g<1>{source}/raw/v{version}/", text)
    return re.sub(rf"(?<!!)(\[[^\]]*\]\(){local}", rf"\g<1>{source}/blob/v{version}/", text)


setup(cmdclass={"sdist": SourceDistribution}, long_description=read_me())
