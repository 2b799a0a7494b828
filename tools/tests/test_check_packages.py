"""`tools/check-packages` on packages with a fault each."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import subprocess
import tarfile
import tempfile
import unittest
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VERSION = re.search(r'^version = "(.*)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
INFO = f"rate_limited-{VERSION}.dist-info"
SHARE = f"rate_limited-{VERSION}.data/data/share"
WHEEL = f"rate_limited-{VERSION}-cp310-abi3-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"
NATIVE = "rate_limited/_native.abi3.so"
README = (ROOT / "README.md").read_bytes()
LICENCES = {name: (ROOT / name).read_bytes() for name in ("LICENSE-APACHE", "LICENSE-MIT")}
METADATA = f"""Metadata-Version: 2.4
Name: rate_limited
Version: {VERSION}
Requires-Dist: tqdm ; extra == 'progress'
Provides-Extra: progress
License-File: LICENSE-MIT
License-File: LICENSE-APACHE
Summary: Runs calls
License-Expression: MIT OR Apache-2.0
Requires-Python: >=3.10
Description-Content-Type: text/markdown; charset=UTF-8; variant=GFM

""".encode()


def package() -> dict[str, bytes]:
    files = [
        path for path in (ROOT / "python/rate_limited").rglob("*") if path.suffix in (".py", ".pyi", ".typed")
    ]
    files.append(ROOT / "python/rate_limited/py.typed")
    return {str(path.relative_to(ROOT)): path.read_bytes() for path in files}


def wheel() -> dict[str, bytes]:
    """What a good wheel has, but for its RECORD."""
    contents = {name.removeprefix("python/"): content for name, content in package().items()}
    contents[NATIVE] = b"\x7fELF PyInit__native GLIBC_2.2.5 GLIBC_2.17 /crates/index/tokio-1.0/src/lib.rs"
    contents |= {f"{INFO}/licenses/{name}": content for name, content in LICENCES.items()}
    contents[f"{INFO}/METADATA"] = METADATA + README
    contents[f"{INFO}/WHEEL"] = b"Wheel-Version: 1.0\n"
    contents[f"{INFO}/entry_points.txt"] = b"[console_scripts]\nrate-limited=rate_limited._command:main\n"
    for name in (
        "man/man1/rate-limited.1",
        "man/man1/rate-limited-run.1",
        "zsh/site-functions/_rate-limited",
    ):
        contents[f"{SHARE}/{name}"] = b"x"
    contents[f"{SHARE}/bash-completion/completions/rate-limited"] = b"x"
    contents[f"{SHARE}/fish/vendor_completions.d/rate-limited.fish"] = b"x"
    return contents


def crate(name: str) -> dict[str, bytes]:
    """What a good crate has."""
    folder = ROOT / "crates" / name
    files = [path for part in ("src", "apis") for path in (folder / part).rglob("*") if path.is_file()]
    contents = {str(path.relative_to(folder)): path.read_bytes() for path in files}
    contents |= LICENCES
    own = folder / "README.md"
    contents["README.md"] = own.read_bytes() if own.exists() else README
    contents["Cargo.toml"] = f"""# made

[package]
name = "{name}"
version = "{VERSION}"
rust-version = "1.89"
description = "x"
readme = "README.md"
keywords = ["x"]
categories = ["x"]
license = "MIT OR Apache-2.0"

[dependencies.rate_limited_core]
version = "{VERSION}"

[dependencies.serde]
version = "1"
""".encode()
    return contents | {"Cargo.toml.orig": b"x", "Cargo.lock": b"x", ".cargo_vcs_info.json": b"{}"}


def sdist() -> dict[str, bytes]:
    """What a good source distribution has."""
    contents = {name: (ROOT / name).read_bytes() for name in ("pyproject.toml", "Cargo.toml", "Cargo.lock")}
    contents |= package() | LICENCES | {"README.md": README, "PKG-INFO": METADATA + README}
    source = "crates/rate_limited_core/src/lib.rs"
    return contents | {source: (ROOT / source).read_bytes(), "crates/rate_limited_core/Cargo.toml": b"x"}


class Packages(unittest.TestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)

    def check(self, path: Path, *options: str) -> tuple[int, str]:
        command = [str(ROOT / "tools/check-packages"), *options, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        self.assertNotIn("Traceback", done.stderr)
        return done.returncode, done.stderr

    def good(self, path: Path, *options: str) -> None:
        self.assertEqual(self.check(path, *options), (0, ""))

    def bad(self, said: str, path: Path, *options: str) -> None:
        code, complained = self.check(path, *options)
        self.assertEqual(code, 1)
        self.assertIn(said, complained)

    def wheel(self, contents: dict[str, bytes], name: str = WHEEL, record: bytes = b"") -> Path:
        path = self.folder / name
        with zipfile.ZipFile(path, "w") as archive:
            for entry, content in contents.items():
                digest = base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()
                record += f"{entry},sha256={digest},{len(content)}\n".encode()
                archive.writestr(entry, content)
            archive.writestr(f"{INFO}/RECORD", record + f"{INFO}/RECORD,,\n".encode())
        return path

    def tar(self, contents: dict[str, bytes], name: str, top: str) -> Path:
        with tarfile.open(self.folder / name, "w:gz") as archive:
            for entry, content in contents.items():
                member = tarfile.TarInfo(f"{top}/{entry}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        return self.folder / name

    def test_a_good_wheel(self) -> None:
        self.good(self.wheel(wheel()), "--published")

    def test_wheels_with_a_file_too_many(self) -> None:
        for name, said in [
            ("rate_limited.pth", "would run whenever Python starts"),
            ("sitecustomize.py", "would run whenever Python starts"),
            (f"rate_limited-{VERSION}.data/purelib/x.pth", "would run whenever Python starts"),
            ("tests/test_x.py", "does not belong there"),
            ("rate_limited/notes.py", "does not belong there"),
            (f"rate_limited-{VERSION}.data/scripts/helper", "does not belong there"),
            (f"{SHARE}/man/man1/ls.1", "does not belong there"),
            ("../outside.py", "does not belong there"),
        ]:
            with self.subTest(name):
                self.bad(f"{name} {said}", self.wheel(wheel() | {name: b"x"}))

    def test_wheels_with_a_file_too_few(self) -> None:
        names = ["rate_limited/py.typed", "rate_limited/_native.pyi", "rate_limited/_command.py", NATIVE]
        names += [f"{INFO}/licenses/LICENSE-MIT", f"{INFO}/entry_points.txt", f"{INFO}/METADATA"]
        for name in names:
            with self.subTest(name):
                contents = wheel()
                del contents[name]
                self.bad(f"{name} is missing", self.wheel(contents))

    def test_wheels_with_a_file_that_differs(self) -> None:
        for name, old, new, said in [
            ("rate_limited/__init__.py", b"\n", b"\n\n", "differs from python/rate_limited/__init__.py"),
            (f"{INFO}/licenses/LICENSE-MIT", b"\n", b"", "differs from LICENSE-MIT"),
            (f"{INFO}/METADATA", b"Name: rate_limited", b"Name: rate-limit", "Name is rate-limit"),
            (f"{INFO}/METADATA", VERSION.encode(), b"9.9.9", "Version is 9.9.9"),
            (f"{INFO}/METADATA", b">=3.10", b">=3.8", "Requires-Python is >=3.8"),
            (f"{INFO}/METADATA", b" ; extra == 'progress'", b"", "depends on tqdm"),
            (f"{INFO}/METADATA", b"License-File: LICENSE-MIT\n", b"", "License-File is"),
            (f"{INFO}/METADATA", b"Summary: Runs calls\n", b"", "Summary is missing"),
            (f"{INFO}/METADATA", README, b"words", "not README.md"),
            (f"{INFO}/entry_points.txt", b"_command", b"_other", "the command rate-limited alone"),
            (
                f"{INFO}/entry_points.txt",
                b"[console",
                b"[pytest11]\nx=y:z\n[console",
                "the command rate-limited alone",
            ),
            (NATIVE, b"PyInit__native", b"PyInit_other", "no module of Python"),
            (
                NATIVE,
                b"GLIBC_2.17",
                b"GLIBC_2.34",
                "needs glibc 2.34, but manylinux_2_17_x86_64 promises 2.17",
            ),
        ]:
            with self.subTest(said):
                contents = wheel()
                self.assertIn(old, contents[name])
                self.bad(said, self.wheel(contents | {name: contents[name].replace(old, new, 1)}))

    def test_a_record_that_is_wrong(self) -> None:
        contents = wheel()
        path = self.wheel(contents)
        with zipfile.ZipFile(path, "a") as archive:
            archive.writestr("rate_limited/late.py", b"")
        self.bad("RECORD has no right line for rate_limited/late.py", path)
        self.bad("RECORD names ghost.py", self.wheel(contents, record=b"ghost.py,sha256=x,1\n"))

    def test_what_is_published_says_nothing_of_its_maker_and_is_whole(self) -> None:
        home = str(Path.home()).encode()
        for path in (
            home + b"/.cargo/registry/src/x.rs",
            str(ROOT).encode() + b"/crates/x.rs",
            b"/home/someone/x.rs",
        ):
            contents = wheel()
            contents[NATIVE] += b" " + path
            self.good(self.wheel(contents))
            self.bad(f"has the path {path.decode()} of this machine", self.wheel(contents), "--published")
        contents = {name: content for name, content in wheel().items() if not name.startswith(SHARE)}
        self.good(self.wheel(contents))
        self.bad("share/man/man1/rate-limited.1 is missing", self.wheel(contents), "--published")
        plain = WHEEL.replace("manylinux_2_17_x86_64.manylinux2014_x86_64", "linux_x86_64")
        self.bad("no index takes wheels for linux_x86_64", self.wheel(wheel(), plain), "--published")

    def test_names_of_wheels(self) -> None:
        for name in (
            WHEEL.replace(VERSION, "9.9.9"),
            WHEEL.replace("abi3", "cp310"),
            WHEEL.replace("cp310", "cp39"),
        ):
            self.bad("its name is not", self.wheel(wheel(), name))

    def test_source_distributions(self) -> None:
        top = f"rate_limited-{VERSION}"
        self.good(self.tar(sdist(), f"{top}.tar.gz", top))
        for name, said in [
            ("python/tests/test_x.py", "does not belong there"),
            ("target/debug/x.rs", "does not belong there"),
            ("crates/rate_limited_core/tests/it/main.rs", "does not belong there"),
            ("python/x.pth", "would run whenever Python starts"),
            ("crates/rate_limited_core/src/lib.rs", "differs from"),
        ]:
            with self.subTest(name):
                self.bad(f"{name} {said}", self.tar(sdist() | {name: b"x"}, f"{top}.tar.gz", top))
        for name in ("LICENSE-MIT", "Cargo.lock", "python/rate_limited/py.typed"):
            contents = sdist()
            del contents[name]
            self.bad(f"{name} is missing", self.tar(contents, f"{top}.tar.gz", top))
        self.bad("is outside of", self.tar(sdist(), f"{top}.tar.gz", "elsewhere"))

    def test_crates(self) -> None:
        for name in ("rate_limited", "rate_limited_apis", "rate_limited_core"):
            top = f"{name}-{VERSION}"
            self.good(self.tar(crate(name), f"{top}.crate", top))
        top = f"rate_limited_apis-{VERSION}"
        for name, said in [
            ("tests/it/main.rs", "does not belong there"),
            ("fuzz/Cargo.toml", "does not belong there"),
            ("src/lib.rs", "differs from"),
            ("README.md", "differs from"),
        ]:
            with self.subTest(name):
                self.bad(
                    f"{name} {said}", self.tar(crate("rate_limited_apis") | {name: b"x"}, f"{top}.crate", top)
                )
        for name in ("LICENSE-MIT", "README.md", "src/lib.rs"):
            contents = crate("rate_limited_apis")
            del contents[name]
            self.bad(f"{name} is missing", self.tar(contents, f"{top}.crate", top))
        for line, said in [
            ('readme = "README.md"', "readme is missing"),
            ('keywords = ["x"]', "keywords is missing"),
        ]:
            contents = crate("rate_limited_apis")
            contents["Cargo.toml"] = contents["Cargo.toml"].replace(line.encode(), b"")
            self.bad(said, self.tar(contents, f"{top}.crate", top))
        contents = crate("rate_limited_apis")
        core = f'core]\nversion = "{VERSION}"'.encode()
        contents["Cargo.toml"] = contents["Cargo.toml"].replace(core, b'core]\npath = "../rate_limited_core"')
        self.bad("rate_limited_core is not needed in version", self.tar(contents, f"{top}.crate", top))
        self.bad(
            "no crate of version", self.tar(crate("rate_limited_apis"), "rate_limited_apis-9.9.9.crate", top)
        )

    def test_the_crates_of_this_tree(self) -> None:
        made = self.folder / "crates"
        subprocess.run(
            ["cargo", "package", "--locked", "--quiet", "--workspace", "--exclude", "rate_limited_py"]
            + ["--no-verify", "--allow-dirty", "--target-dir", made],
            cwd=ROOT,
            check=True,
        )
        crates = sorted((made / "package").glob("*.crate"))
        folders = {path.parent.name for path in ROOT.glob("crates/*/Cargo.toml")} - {"rate_limited_py"}
        self.assertEqual({path.name for path in crates}, {f"{name}-{VERSION}.crate" for name in folders})
        for path in crates:
            with self.subTest(path.name):
                self.good(path)


if __name__ == "__main__":
    unittest.main()
