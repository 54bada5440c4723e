"""The wheel, installed into an environment of its own: what a user gets who never sees this tree."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from pathlib import Path
from typing import ClassVar

import pytest
from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parents[2]
SOURCES = ("setup.cfg", "setup.py", "pyproject.toml", "README.md", "LICENSE", "fluxon", "twisted")


def run(*command: str | Path, cwd: Path, check: bool = True) -> subprocess.CompletedProcess[str]:
    """A command as a user would run it: no PYTHONPATH, and not in this tree."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV"))}
    done = subprocess.run(
        [str(each) for each in command], cwd=cwd, env=environment, capture_output=True, text=True, timeout=100
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{command} ended with {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done


def build_wheel(folder: Path) -> Path:
    """The wheel of a clean copy of the sources, with the litter that a used tree has."""
    source = folder / "source"
    source.mkdir()
    for name in SOURCES:
        origin = ROOT / name
        if origin.is_dir():
            shutil.copytree(origin, source / name, ignore=shutil.ignore_patterns("__pycache__", "dropin.cache"))
        else:
            shutil.copy(origin, source / name)
    (source / "twisted/plugins/dropin.cache").write_bytes(b"litter of a test run")
    run(
        *(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"),
        *("--wheel-dir", folder / "wheels", source),
        cwd=folder,
    )
    (wheel,) = (folder / "wheels").glob("*.whl")
    return wheel


def make_environment(folder: Path) -> Path:
    """A virtual environment that sees this one's libraries but not its editable Fluxon; its Python."""
    run(sys.executable, "-m", "venv", "--without-pip", folder, cwd=folder.parent)
    python = folder / "bin" / "python"
    site = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).stdout.strip())
    # A folder named in a .pth file is searched, but .pth files in it are not read: so not our editable install.
    (site / "libraries.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def install(python: Path, *arguments: str | Path) -> None:
    run(sys.executable, "-m", "pip", "--python", python, *arguments, cwd=python.parent)


@pytest.mark.slow
class WheelTests(SynchronousTestCase):
    """One wheel and one environment for all of these; the last test takes a copy of its own."""

    folder: ClassVar[Path]
    wheel: ClassVar[Path]
    python: ClassVar[Path]
    elsewhere: ClassVar[Path]

    @classmethod
    def setUpClass(cls) -> None:
        cls.folder = Path(tempfile.mkdtemp(prefix="fluxon-wheel-"))
        cls.wheel = build_wheel(cls.folder)
        cls.python = make_environment(cls.folder / "environment")
        install(cls.python, "install", "--quiet", "--no-deps", "--no-index", cls.wheel)
        cls.elsewhere = cls.folder / "elsewhere"
        cls.elsewhere.mkdir()

    @classmethod
    def tearDownClass(cls) -> None:
        shutil.rmtree(cls.folder)

    def twistd(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        program = "import sys; sys.argv[0] = 'twistd'; from twisted.scripts.twistd import run; run()"
        return run(self.python, "-c", program, *arguments, cwd=cwd or self.elsewhere, check=False)

    def test_contents(self) -> None:
        """All of the package and its templates, the plugin, and nothing that would shadow Twisted or is litter."""
        names = set(zipfile.ZipFile(self.wheel).namelist())
        wanted = {
            str(each.relative_to(ROOT))
            for each in (ROOT / "fluxon").rglob("*")
            if each.is_file() and "__pycache__" not in each.parts
        }
        self.assertEqual(wanted - names, set())
        self.assertEqual({name for name in names if name.startswith("twisted/")}, {"twisted/plugins/fluxon_plugin.py"})
        outside = {name for name in names if not name.startswith(("fluxon/", "fluxon-", "twisted/plugins/"))}
        self.assertEqual(outside, set())

    def test_it_is_the_wheel_that_is_tested(self) -> None:
        """The environment imports Fluxon from its own site-packages, not from this tree."""
        place = run(self.python, "-c", "import fluxon; print(fluxon.__file__)", cwd=self.elsewhere).stdout
        self.assertTrue(place.startswith(str(self.folder)), place)

    def test_twistd_lists_the_plugin(self) -> None:
        """From a folder that has nothing to do with Fluxon."""
        done = self.twistd("--help")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("\n    fluxon ", done.stdout)
        self.assertIn("\n    fluxon-cloud ", done.stdout)

    def test_help_of_the_plugins(self) -> None:
        """``twistd fluxon --help`` and ``twistd fluxon-cloud --help`` explain each option."""
        for command, more in (("fluxon", ("--cloud-port", "--manhole")), ("fluxon-cloud", ())):
            done = self.twistd(command, "--help")
            self.assertEqual(done.returncode, 0, done.stderr)
            for option in ("--config", "--port", "--secure", *more):
                self.assertIn(option, done.stdout)

    def test_startproject_has_its_templates(self) -> None:
        """The generator works from the wheel too, where templates are package data."""
        run(self.python, "-m", "fluxon.startproject", "AsyncServer", "chat", cwd=self.elsewhere)
        self.assertTrue((self.elsewhere / "chat" / "client.py").is_file())
        self.assertTrue((self.elsewhere / "chat" / ".gitignore").is_file())
        run(self.python, "-m", "fluxon.startproject", "AsyncServer", "--cloud", "files", cwd=self.elsewhere)
        self.assertTrue((self.elsewhere / "files" / "authorization_model.py").is_file())

    def test_the_cloud_from_the_wheel(self) -> None:
        """The second plugin loads a generated project, and says what is wrong with the port it is given."""
        run(self.python, "-m", "fluxon.startproject", "AsyncServer", "--cloud", "cloudy", cwd=self.elsewhere)
        done = self.twistd("fluxon-cloud", "--config", "cloudy/router.py", "--port", "http")
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("--port: 'http' is no endpoint", done.stdout)

    def test_uninstall_takes_the_plugin_away(self) -> None:
        """After ``pip uninstall``, twistd knows no ``fluxon`` any more, even where it had cached the plugin."""
        python = make_environment(self.folder / "short-lived")
        install(python, "install", "--quiet", "--no-deps", "--no-index", self.wheel)
        self.patch(type(self), "python", python)
        self.assertIn("\n    fluxon ", self.twistd("--help").stdout)
        install(python, "uninstall", "--quiet", "--yes", "fluxon")
        self.assertNotIn("\n    fluxon ", self.twistd("--help").stdout)
        done = self.twistd("fluxon")
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("Unknown command: fluxon", done.stdout)
