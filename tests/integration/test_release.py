"""The files of a release, each installed into an environment of its own: what a user gets who never sees this tree."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path
from typing import ClassVar

import installed
import pytest
from installed import ROOT, run
from releasing import artifacts, version
from twisted.trial.unittest import SynchronousTestCase

import fluxon

#: What runs from the source distribution alone: a pure room, and what reads docs/ and pyproject.toml.
TESTS_OF_THE_SDIST = ("tests/unit/wire/test_frames.py", "tests/docs/test_changes.py")


def files_of(*folders: str) -> set[str]:
    """What the tree has in ``folders``, without what Python leaves there."""
    found = [each.relative_to(ROOT) for name in folders for each in (ROOT / name).rglob("*") if each.is_file()]
    return {str(each) for each in found if not {"__pycache__", "dropin.cache"}.intersection(each.parts)}


@pytest.mark.slow
@pytest.mark.timeout(300)
class ReleaseTests(SynchronousTestCase):
    """One build, and an environment for each of its files; the last test takes one of its own."""

    folder: ClassVar[Path]
    made: ClassVar[artifacts.Artifacts]
    pythons: ClassVar[dict[str, Path]]
    elsewhere: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp(prefix="fluxon-release-"))
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.made = installed.build(cls.folder)
        cls.pythons = {}
        for kind, artifact in cls.made._asdict().items():
            cls.pythons[kind] = installed.make_environment(cls.folder / kind)
            installed.install(cls.pythons[kind], artifact)
        cls.elsewhere = cls.folder / "elsewhere"
        cls.elsewhere.mkdir()

    def twistd(self, python: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        program = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"
        return run(python, "-c", program, *arguments, cwd=self.elsewhere, check=False)

    # --- what is in the files -----------------------------------------------------------------------------------------

    def test_contents_of_the_wheel(self) -> None:
        """All of the package and its templates, the plugin, and nothing that would shadow Twisted or is litter."""
        names = set(zipfile.ZipFile(self.made.wheel).namelist())
        self.assertEqual(files_of("fluxon") - names, set())
        self.assertEqual({name for name in names if name.startswith("twisted/")}, {"twisted/plugins/fluxon_plugin.py"})
        outside = {name for name in names if not name.startswith(("fluxon/", "fluxon-", "twisted/plugins/"))}
        self.assertEqual(outside, set())

    def test_contents_of_the_sdist(self) -> None:
        """The tree: the package, its documentation, tests and scripts, which may still be run; no litter."""
        with tarfile.open(self.made.sdist) as archive:
            modes = {each.name.partition("/")[2]: each.mode for each in archive.getmembers() if each.isfile()}
        self.assertEqual(files_of("fluxon", "twisted", "docs", "scripts", "tests") - modes.keys(), set())
        for name in ("setup.cfg", "setup.py", "pyproject.toml", "ruff.toml", "README.md", "LICENSE", "CHANGELOG.md"):
            self.assertIn(name, modes)
        self.assertEqual([name for name in modes if "__pycache__" in name or name.endswith("dropin.cache")], [])
        self.assertTrue(modes["scripts/test"] & 0o100)

    def test_tests_run_from_the_sdist(self) -> None:
        """Unpacked, and against what was installed from it."""
        with tarfile.open(self.made.sdist) as archive:
            archive.extractall(self.folder / "unpacked", filter="data")
        (tree,) = (self.folder / "unpacked").iterdir()
        command = (self.pythons["sdist"], "-m", "pytest", "-p", "no:cacheprovider", *TESTS_OF_THE_SDIST)
        self.assertRegex(run(*command, cwd=tree).stdout, r"\[100%\]")

    def test_an_index_takes_them(self) -> None:
        """twine has nothing to say of either; of one whose page is broken it has."""
        artifacts.check(self.made)
        folder = Path("broken")
        folder.mkdir()
        broken = folder / self.made.wheel.name
        with zipfile.ZipFile(self.made.wheel) as old, zipfile.ZipFile(broken, "w") as new:
            for name in old.namelist():
                text = old.read(name)
                new.writestr(name, text.replace(b"text/markdown", b"text/x-rst") if "METADATA" in name else text)
        self.assertRaises(RuntimeError, artifacts.check, artifacts.Artifacts(self.made.sdist, broken))

    # --- what they say ------------------------------------------------------------------------------------------------

    def metadata(self) -> Message:
        archive = zipfile.ZipFile(self.made.wheel)
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        return message_from_string(archive.read(name).decode("utf-8"))

    def test_one_version(self) -> None:
        """The files, their metadata, the package and its command lines say what ``fluxon.__version__`` says."""
        ours = version.version_of(ROOT)
        self.assertEqual(ours, fluxon.__version__)
        self.assertEqual(self.made.sdist.name, f"fluxon-{ours}.tar.gz")
        self.assertEqual(self.made.wheel.name, f"fluxon-{ours}-py3-none-any.whl")
        self.assertEqual(self.metadata()["Version"], ours)
        for python in self.pythons.values():
            program = "import fluxon, importlib.metadata as m; print(fluxon.__version__, m.version('fluxon'))"
            self.assertEqual(run(python, "-c", program, cwd=self.elsewhere).stdout, f"{ours} {ours}\n")
            for module in ("fluxon", "fluxon.connect", "fluxon.database", "fluxon.startproject"):
                said = run(python, "-m", module, "--version", cwd=self.elsewhere).stdout
                self.assertEqual(said, f"fluxon {ours}\n", module)
            for plugin in ("fluxon", "fluxon-cloud"):
                self.assertRegex(self.twistd(python, plugin, "--version").stdout, rf"\Afluxon {re.escape(ours)} \(")
        program = "import runpy; print(runpy.run_path('docs/conf.py')['release'])"
        self.assertEqual(run(sys.executable, "-c", program, cwd=ROOT).stdout, f"{ours}\n")

    def test_metadata(self) -> None:
        """A license that programs understand, where everything is, and a page whose links and pictures lead there."""
        said = self.metadata()
        self.assertEqual(said["License-Expression"], "MIT")
        self.assertEqual([each for each in said.get_all("Classifier", []) if each.startswith("License")], [])
        urls = dict(each.split(", ") for each in said.get_all("Project-URL", []))
        self.assertEqual({"Source", "Documentation", "Changelog", "Issues"}, set(urls))
        page = str(said.get_payload())
        links = re.findall(r"\]\(([^)]+)\)", page) + re.findall(r'(?:src|srcset|href)="([^"]+)"', page)
        self.assertGreater(len(links), 10)
        self.assertEqual([link for link in links if not link.startswith(("https://", "#"))], [])
        begin = re.compile(rf"{re.escape(urls['Source'])}/(?:blob|raw)/v{re.escape(fluxon.__version__)}/")
        ours = [begin.sub("", link) for link in links if begin.match(link)]
        self.assertIn("LICENSE", ours)
        self.assertEqual([path for path in ours if not (ROOT / path).exists()], [])

    # --- what works once it is installed ------------------------------------------------------------------------------

    def test_it_is_the_file_that_is_tested(self) -> None:
        """Each environment imports Fluxon from its own site-packages, not from this tree."""
        for python in self.pythons.values():
            place = run(python, "-c", "import fluxon; print(fluxon.__file__)", cwd=self.elsewhere).stdout
            self.assertTrue(place.startswith(str(python.parents[1])), place)

    def test_help_of_the_plugins(self) -> None:
        """twistd lists both, from a folder that has nothing to do with Fluxon; each explains its options."""
        for python in self.pythons.values():
            listed = self.twistd(python, "--help")
            self.assertEqual(listed.returncode, 0, listed.stderr)
            for command, more in (("fluxon", ("--cloud-port", "--manhole")), ("fluxon-cloud", ())):
                self.assertIn(f"\n    {command} ", listed.stdout)
                done = self.twistd(python, command, "--help")
                self.assertEqual(done.returncode, 0, done.stderr)
                for option in ("--config", "--port", "--secure", *more):
                    self.assertIn(option, done.stdout)

    def test_startproject_has_its_templates(self) -> None:
        """The generator works, where templates are package data."""
        for kind, python in self.pythons.items():
            chat, files = self.elsewhere / f"chat-{kind}", self.elsewhere / f"files-{kind}"
            run(python, "-m", "fluxon.startproject", "AsyncServer", chat.name, cwd=self.elsewhere)
            self.assertTrue((chat / "client.py").is_file())
            self.assertTrue((chat / ".gitignore").is_file())
            run(python, "-m", "fluxon.startproject", "AsyncServer", "--cloud", files.name, cwd=self.elsewhere)
            self.assertTrue((files / "authorization_model.py").is_file())

    def test_the_list_of_commands(self) -> None:
        """``python -m fluxon`` names commands that are there; it is none itself."""
        python = self.pythons["wheel"]
        listed = run(python, "-m", "fluxon", cwd=self.elsewhere).stdout
        modules = re.findall(r"^  python -m (\S+)", listed, re.MULTILINE)
        self.assertEqual(len(modules), 3)
        for module in modules:
            self.assertIn(module, run(python, "-m", module, "--help", cwd=self.elsewhere).stdout)
        self.assertEqual(re.findall(r"twistd -n (\S+)", listed), ["fluxon", "fluxon-cloud"])
        refused = run(python, "-m", "fluxon", "startproject", cwd=self.elsewhere, check=False)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("python -m fluxon.startproject", refused.stderr)

    def test_the_cloud(self) -> None:
        """The second plugin loads a generated project, and says what is wrong with the port it is given."""
        python = self.pythons["wheel"]
        run(python, "-m", "fluxon.startproject", "AsyncServer", "--cloud", "cloudy", cwd=self.elsewhere)
        done = self.twistd(python, "fluxon-cloud", "--config", "cloudy/router.py", "--port", "http")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("--port: 'http' is no endpoint", done.stdout)

    def test_uninstall_takes_the_plugin_away(self) -> None:
        """After ``pip uninstall``, twistd knows no ``fluxon`` any more, even where it had cached the plugin."""
        python = installed.make_environment(self.folder / "short-lived")
        installed.install(python, self.made.wheel)
        self.assertIn("\n    fluxon ", self.twistd(python, "--help").stdout)
        installed.pip(python, "uninstall", "--quiet", "--yes", "fluxon")
        self.assertNotIn("\n    fluxon ", self.twistd(python, "--help").stdout)
        done = self.twistd(python, "fluxon")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("Unknown command: fluxon", done.stdout)


class NewVersionTests(SynchronousTestCase):
    """What ``scripts/release VERSION`` writes, in a copy."""

    def setUp(self) -> None:
        self.tree = Path("tree").absolute()
        shutil.copytree(ROOT / "docs" / "changes", self.tree / "docs" / "changes")
        (self.tree / "fluxon").mkdir()
        for name in ("pyproject.toml", "CHANGELOG.md", "fluxon/__init__.py"):
            shutil.copy(ROOT / name, self.tree / name)
        (self.tree / "docs" / "changes" / "everything.changed.md").write_text("Something is otherwise.\n")

    def test_prepare(self) -> None:
        """The package says the new version, and the first section of CHANGELOG.md is its."""
        version.prepare(self.tree, "7.0.1")
        self.assertEqual(version.version_of(self.tree), "7.0.1")
        sections = re.findall(r"^## (\S+)", (self.tree / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)
        self.assertEqual(sections[0], "7.0.1")

    def test_what_is_no_new_version(self) -> None:
        """A word, and one that was released, are refused before anything is written."""
        version.prepare(self.tree, "7.0.1")
        before = (self.tree / "CHANGELOG.md").read_text("utf-8")
        for wrong in ("seven", "7.0.1", "v7.0.2"):
            self.assertRaises(ValueError, version.prepare, self.tree, wrong)
        self.assertEqual((self.tree / "CHANGELOG.md").read_text("utf-8"), before)
        self.assertEqual(version.version_of(self.tree), "7.0.1")
