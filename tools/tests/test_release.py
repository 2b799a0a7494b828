"""`tools/release` on a copy of the project."""

from __future__ import annotations

import datetime
import re
import shutil
import subprocess
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools/release"
VERSION = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
MAJOR, MINOR, PATCH = map(int, VERSION.split("."))
#: What the tool reads, and what cargo needs to see to read the manifests.
PARTS = (
    "*.toml",
    "*.md",
    "Cargo.lock",
    "crates/*/Cargo.toml",
    "crates/*/src/*.rs",
    "crates/*/benches/*.rs",
    "crates/*/examples/*.rs",
    "python/rate_limited/__init__.py",
)
NEXT = f"{MAJOR}.{MINOR + 1}.0"
CHANGED = "- A thing that is new.\n"


class Release(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = Path(folder.name)
        for pattern in PARTS:
            for path in ROOT.glob(pattern):
                copy = self.root / path.relative_to(ROOT)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, copy)
        # Whatever the changelog of today says, the tests begin with a version that is not released.
        self.write(
            "CHANGELOG.md",
            f"# Changelog\n\n## Unreleased\n\n{CHANGED}\n## 0.0.1 (2020-01-01)\n\n- The first.\n",
        )
        self.git("init", "-q")
        self.commit()

    def git(self, *arguments: str) -> None:
        who = ["-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false"]
        subprocess.run(["git", *who, *arguments], cwd=self.root, check=True, capture_output=True)

    def commit(self) -> None:
        self.git("add", "-A")
        self.git("commit", "-qm", "state")

    def read(self, name: str) -> str:
        return (self.root / name).read_text()

    def write(self, name: str, text: str) -> None:
        (self.root / name).write_text(text)

    def edit(self, name: str, old: str, new: str) -> None:
        self.assertIn(old, self.read(name))
        self.write(name, self.read(name).replace(old, new, 1))

    def tool(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [str(TOOL), "--root", str(self.root), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=False)

    def refused(self, *arguments: str) -> str:
        before = {
            path: path.read_bytes()
            for path in self.root.rglob("*")
            if path.is_file() and ".git" not in path.parts
        }
        done = self.tool(*arguments)
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertTrue(done.stderr.startswith("error: "), done.stderr)
        for path, content in before.items():
            self.assertEqual(path.read_bytes(), content, f"{path} was changed")
        return done.stderr

    def test_it_sets_the_version_everywhere(self) -> None:
        done = self.tool(NEXT)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(f"git tag -a v{NEXT}", done.stdout)
        for name in ("Cargo.toml", "Cargo.lock", "python/rate_limited/__init__.py"):
            self.assertIn(f'"{NEXT}"', self.read(name))
        own = re.findall(
            r'^name = "(rate_limited\w*)"\nversion = "(.*)"', self.read("Cargo.lock"), re.MULTILINE
        )
        self.assertEqual(len(own), len(list(ROOT.glob("crates/*/Cargo.toml"))))
        self.assertEqual({version for _, version in own}, {NEXT})
        today = datetime.date.today()
        days = (today - datetime.timedelta(1), today)
        headings = [f"# Changelog\n\n## {NEXT} ({day})\n\n{CHANGED}\n## 0.0.1 (2020-01-01)\n" for day in days]
        self.assertTrue(self.read("CHANGELOG.md").startswith(tuple(headings)), self.read("CHANGELOG.md"))
        self.assertEqual(self.tool("--check").returncode, 0)
        # The lock file is the one that cargo would write. What is needed on other systems alone was not fetched by a build.
        command = ["cargo", "metadata", "--locked", "--format-version", "1"]
        cargo = subprocess.run(command, cwd=self.root, capture_output=True, text=True, check=False)
        self.assertEqual(cargo.returncode, 0, cargo.stderr)

    def test_the_announced_version_itself_can_be_released_once(self) -> None:
        done = self.tool(VERSION)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.commit()
        self.assertIn("released already", self.refused(VERSION))
        self.assertIn("nothing to release", self.refused(NEXT))
        self.edit("CHANGELOG.md", "# Changelog\n", "# Changelog\n\n## Unreleased\n\n- More.\n")
        self.commit()
        self.assertEqual(self.tool(NEXT).returncode, 0)

    def test_versions_that_are_none_or_out_of_order(self) -> None:
        for version in ("1.0", "v1.0.0", "1.0.0-rc.1", "01.0.0", "", "newest"):
            self.assertIn("MAJOR.MINOR.PATCH", self.refused(version))
        jumps = [
            f"{MAJOR}.{MINOR + 2}.0",
            f"{MAJOR}.{MINOR}.{PATCH + 2}",
            f"{MAJOR + 1}.{MINOR + 1}.0",
            "0.0.0",
        ]
        for version in jumps:
            self.assertIn(f"after {VERSION} comes", self.refused(version))
        self.assertIn("released already", self.refused("0.0.1"))

    def test_a_tag_that_exists(self) -> None:
        self.git("tag", f"v{NEXT}")
        self.assertIn(f"the tag v{NEXT}", self.refused(NEXT))

    def test_changes_that_are_not_committed(self) -> None:
        self.write("note.txt", "")
        self.assertIn("note.txt", self.refused(NEXT))
        (self.root / "note.txt").unlink()
        self.write("README.md", self.read("README.md") + "\n")
        self.assertIn("README.md", self.refused(NEXT))

    def test_a_release_about_nothing(self) -> None:
        self.edit("CHANGELOG.md", CHANGED, "")
        self.commit()
        self.assertIn("says nothing", self.refused(NEXT))

    def test_check_finds_each_place_that_differs(self) -> None:
        other = "9.9.9"
        edits = [
            (
                "Cargo.toml",
                f'core", version = "{VERSION}"',
                f'core", version = "{other}"',
                "rate_limited_core",
            ),
            (
                "Cargo.lock",
                f'name = "rate_limited_sim"\nversion = "{VERSION}"',
                f'name = "rate_limited_sim"\nversion = "{other}"',
                "rate_limited_sim",
            ),
            ("python/rate_limited/__init__.py", f'"{VERSION}"', f'"{other}"', "__version__"),
            ("CHANGELOG.md", "## Unreleased", f"## {other} (2030-01-01)", other),
            ("CHANGELOG.md", "## Unreleased", "## Unreleased (0.0.2)", "0.0.2"),
            ("CHANGELOG.md", "## Unreleased", "## Soon", "Soon"),
            ("CHANGELOG.md", "## 0.0.1 (2020-01-01)", "## 0.0.1", "## 0.0.1"),
            ("CHANGELOG.md", "## 0.0.1 ", "## 0.0.1 (2020-01-01)\n\n## 0.0.2 ", "is above"),
            (
                "crates/rate_limited_core/Cargo.toml",
                "version.workspace = true",
                f'version = "{VERSION}"',
                "rate_limited_core",
            ),
            ("python/rate_limited/__init__.py", "__version__", "version", "0 times"),
        ]
        self.assertEqual(self.tool("--check").returncode, 0)
        for name, old, new, said in edits:
            with self.subTest(new):
                former = self.read(name)
                self.edit(name, old, new)
                self.assertIn(said, self.refused("--check"))
                self.write(name, former)


if __name__ == "__main__":
    unittest.main()
