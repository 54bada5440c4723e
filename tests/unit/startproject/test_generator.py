"""What the generator makes, and that it never touches what is there."""

from __future__ import annotations

import ast
import errno
import os
import shutil
import stat
import tempfile
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from fluxon.errors import AlreadyExists, ConfigurationError, NotFound
from fluxon.security import Secrets
from fluxon.startproject import DATABASES, SERVER_TYPES, generate, generator

FILES = {"server.py", "router.py", "models.py", "views.py", "client.py", "README.md", ".gitignore"}
CLOUD_FILES = {"authorization_model.py", "cloud_client.py"}
FOLDERS = {"secrets", "logs", "database_schema", "tests"}
ADAPTERS = {"sqlite": "SQLiteDatabase", "postgresql": "PostgreSQLDatabase", "mysql": "MySQLDatabase"}


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every path below ``folder`` with its bytes; None for a folder."""
    return {
        str(each.relative_to(folder)): None if each.is_dir() else each.read_bytes()
        for each in sorted(folder.rglob("*"))
    }


class GeneratorTests(SynchronousTestCase):
    """``generate``, on real folders."""

    def setUp(self) -> None:
        self.parent = Path(tempfile.mkdtemp(prefix="fluxon-startproject-"))
        self.addCleanup(shutil.rmtree, self.parent)
        self.folder = self.parent / "chat"

    def test_makes_what_it_says(self) -> None:
        """The list that is returned is what lies in the folder, and nothing else does."""
        made = generate("AsyncServer", self.folder)
        self.assertEqual({str(each) for each in made}, FILES | FOLDERS)
        self.assertEqual(set(os.listdir(self.folder)), FILES | FOLDERS)

    def test_with_a_cloud(self) -> None:
        """Its model and its client come on top, and what it shares with the other kind is the same."""
        made = generate("AsyncServer", self.folder, cloud=True)
        self.assertEqual({str(each) for each in made}, FILES | FOLDERS | CLOUD_FILES)
        self.assertEqual(set(os.listdir(self.folder)), FILES | FOLDERS | CLOUD_FILES)
        generate("AsyncServer", self.parent / "plain")
        for name in ("models.py", "client.py", "tests/test_views.py"):
            self.assertEqual((self.folder / name).read_bytes(), (self.parent / "plain" / name).read_bytes())

    def test_what_is_in_the_way_of_a_cloud(self) -> None:
        """Also the folder that its server would make, which is not taken for its own."""
        for name in ("cloud", "authorization_model.py"):
            with self.subTest(name):
                folder = self.parent / f"with {name}"
                (folder / name).mkdir(parents=True)
                before = tree(folder)
                error = self.assertRaises(AlreadyExists, generate, "AsyncServer", folder, cloud=True)
                self.assertIn(name, error.text)
                self.assertEqual(tree(folder), before)
                if name == "cloud":
                    generate("AsyncServer", folder)

    def test_writes_no_schema_and_no_database(self) -> None:
        """The first start of the server does that, from the models as they are then."""
        generate("AsyncServer", self.folder)
        self.assertEqual(os.listdir(self.folder / "database_schema"), [])
        self.assertEqual(os.listdir(self.folder / "logs"), [])
        self.assertEqual([each for each in tree(self.folder) if ".sqlite" in each or each.endswith(".sql")], [])

    def test_secrets_are_the_owners_alone(self) -> None:
        """The folder is 0700 and each key 0600, under the loosest umask too."""
        self.addCleanup(os.umask, os.umask(0))
        generate("AsyncServer", self.folder)
        secrets = self.folder / "secrets"
        self.assertEqual(stat.S_IMODE(secrets.stat().st_mode), 0o700)
        keys = list(secrets.iterdir())
        self.assertGreater(len(keys), 0)
        for key in keys:
            self.assertEqual(stat.S_IMODE(key.stat().st_mode), 0o600, key.name)

    def test_secrets_can_be_opened_again(self) -> None:
        """What was generated is a whole secrets folder: a server that opens it adds and changes nothing."""
        generate("AsyncServer", self.folder)
        before = tree(self.folder)
        Secrets(self.folder / "secrets").open()
        self.assertEqual(tree(self.folder), before)

    def test_two_projects_share_no_key(self) -> None:
        """Keys are made for each project, never copied from a template."""
        other = self.parent / "other"
        generate("AsyncServer", self.folder)
        generate("AsyncServer", other)
        for key in (self.folder / "secrets").iterdir():
            self.assertNotEqual(key.read_bytes(), (other / "secrets" / key.name).read_bytes(), key.name)

    def test_again_in_the_same_folder(self) -> None:
        """A second run over an edited project changes nothing at all, and says which files are in the way."""
        generate("AsyncServer", self.folder)
        (self.folder / "views.py").write_text("def mine(request):\n    return 1\n")
        before = tree(self.folder)
        error = self.assertRaises(AlreadyExists, generate, "AsyncServer", self.folder)
        self.assertIn("views.py", error.text)
        self.assertEqual(tree(self.folder), before)

    def test_one_name_in_the_way_is_enough(self) -> None:
        """Whichever of the names exists: the error names it, its bytes stay, and nothing is written beside it."""
        for name in sorted(FILES):
            with self.subTest(name):
                folder = self.parent / name.strip(".")
                folder.mkdir()
                (folder / name).write_text("mine")
                error = self.assertRaises(AlreadyExists, generate, "AsyncServer", folder)
                self.assertIn(name, error.text)
                self.assertEqual(tree(folder), {name: b"mine"})

    def test_a_folder_in_the_way(self) -> None:
        """Keys or schema files of somebody else are not mixed with ours."""
        for name in sorted(FOLDERS):
            with self.subTest(name):
                folder = self.parent / name
                (folder / name).mkdir(parents=True)
                error = self.assertRaises(AlreadyExists, generate, "AsyncServer", folder)
                self.assertIn(name, error.text)
                self.assertEqual(tree(folder), {name: None})

    def test_a_dangling_link_is_not_written_through(self) -> None:
        """A link to nowhere is a name that is taken; following it would write outside of the project."""
        self.folder.mkdir()
        outside = self.parent / "outside.py"
        (self.folder / "models.py").symlink_to(outside)
        self.assertRaises(AlreadyExists, generate, "AsyncServer", self.folder)
        self.assertFalse(outside.exists())
        self.assertEqual(os.listdir(self.folder), ["models.py"])

    def test_an_empty_folder_is_welcome(self) -> None:
        """And so is one with other things in it, which stay."""
        self.folder.mkdir()
        (self.folder / "notes.txt").write_text("mine")
        generate("AsyncServer", self.folder)
        self.assertEqual(set(os.listdir(self.folder)), FILES | FOLDERS | {"notes.txt"})
        self.assertEqual((self.folder / "notes.txt").read_text(), "mine")

    def test_parents_are_made(self) -> None:
        """``path/to/new_project`` need not exist in any part."""
        deep = self.parent / "a" / "b" / "chat"
        generate("AsyncServer", deep)
        self.assertTrue((deep / "server.py").is_file())

    def test_somebody_else_is_there_first(self) -> None:
        """A file that appears meanwhile is named, and stays; what was made before it was seen does not."""
        look = generator._refuse_existing

        def meanwhile(folder: Path, names: list[str]) -> None:
            look(folder, names)
            self.folder.mkdir()
            (self.folder / "views.py").write_text("mine")

        self.patch(generator, "_refuse_existing", meanwhile)
        error = self.assertRaises(AlreadyExists, generate, "AsyncServer", self.folder)
        self.assertIn("views.py is in", error.text)
        self.assertEqual(tree(self.folder), {"views.py": b"mine"})

    def test_what_others_put_into_our_folders(self) -> None:
        """Is theirs: where it lies stays, when all else of a project that could not be made is taken away."""

        def fail(secrets: Secrets) -> None:
            (secrets.path.parent / "logs" / "note.txt").write_text("mine")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        self.patch(Secrets, "open", fail)
        self.assertRaises(OSError, generate, "AsyncServer", self.folder)
        self.assertEqual(tree(self.folder), {"logs": None, "logs/note.txt": b"mine"})

    def test_the_path_is_a_file(self) -> None:
        """A file where the folder should be is a clear error, and stays."""
        self.folder.write_text("mine")
        error = self.assertRaises(ConfigurationError, generate, "AsyncServer", self.folder)
        self.assertIn("is a file", error.text)
        self.assertEqual(self.folder.read_text(), "mine")

    def test_every_choice(self) -> None:
        """Each database and port, with a cloud or not: what was chosen stands in the files, and they are Python."""
        for database in DATABASES:
            for port in (8080, 9000):
                for cloud in (False, True):
                    with self.subTest((database, port, cloud)):
                        folder = self.parent / f"{database} {port} {cloud}"
                        generate("AsyncServer", folder, cloud=cloud, database=database, port=port)
                        texts = {each.name: each.read_text() for each in folder.iterdir() if each.is_file()}
                        for name, text in texts.items():
                            if name.endswith(".py"):
                                ast.parse(text, name)
                        self.assertIn(f"port={port},", texts["server.py"])
                        self.assertIn(f"default={port})", texts["client.py"])
                        self.assertIn(f"127.0.0.1:{port};", texts["README.md"])
                        self.assertEqual("os.environ" in texts["router.py"], database != "sqlite")
                        self.assertIn(ADAPTERS[database], texts["router.py"])
                        self.assertEqual("DATABASE_URL" in texts["README.md"], database != "sqlite")
                        self.assertLessEqual(max(map(len, texts["router.py"].splitlines())), 120)

    def test_choices_that_cannot_be(self) -> None:
        """Each is told in words, before anything is made."""
        for kind, wrong in (
            (NotFound, {"database": "oracle"}),
            (ConfigurationError, {"port": 0}),
            (ConfigurationError, {"port": 65_536}),
            (ConfigurationError, {"port": 8888, "cloud": True}),
        ):
            with self.subTest(wrong):
                self.assertRaises(kind, generate, "AsyncServer", self.folder, **wrong)
                self.assertFalse(self.folder.exists())
        generate("AsyncServer", self.folder, port=8888)

    def test_unknown_type(self) -> None:
        """The error lists what there is, and no folder is made."""
        error = self.assertRaises(NotFound, generate, "asyncserver", self.folder)
        self.assertIn("AsyncServer", error.text)
        self.assertFalse(self.folder.exists())


class TemplateTests(SynchronousTestCase):
    """The templates are programs, not only texts."""

    def test_python_files_compile(self) -> None:
        """Each parses, and opens with a docstring that says what it is for."""
        for kind in SERVER_TYPES:
            folder = Path(tempfile.mkdtemp(prefix="fluxon-templates-"))
            self.addCleanup(shutil.rmtree, folder)
            generate(kind, folder)
            programs = sorted([*folder.glob("*.py"), *folder.glob("tests/test_*.py")])
            self.assertLess({name for name in FILES if name.endswith(".py")}, {each.name for each in programs})
            for program in programs:
                with self.subTest(program.name):
                    self.assertTrue(ast.get_docstring(ast.parse(program.read_text(), program.name)))

    def test_the_secrets_are_kept_out_of_git(self) -> None:
        """A project that is committed whole on its first day gives no key away."""
        folder = Path(tempfile.mkdtemp(prefix="fluxon-templates-"))
        self.addCleanup(shutil.rmtree, folder)
        generate("AsyncServer", folder)
        lines = (folder / ".gitignore").read_text().splitlines()
        self.assertIn("secrets/", lines)
        self.assertIn("*.session", lines)
        self.assertIn("database.sqlite3*", lines)
