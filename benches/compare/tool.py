"""Tools: what takes part, where it is installed, how it is started."""

import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

try:
    import tomllib
except ModuleNotFoundError:  # Python 3.10
    from pip._vendor import tomli as tomllib

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = Path(os.environ.get("RATE_LIMITED_BENCH_CACHE", ROOT / "benches" / ".cache")).resolve()


@dataclass
class Binaries:
    judge: Path
    command: Path
    rivals: Path


@dataclass
class Tool:
    name: str
    adapter: str = ""
    about: str = ""
    packages: list = field(default_factory=list)
    environment_name: str = ""
    clock: str = "any"
    ours: bool = False
    one_answer_length: bool = False
    reason: str = ""

    @staticmethod
    def all():
        raw = tomllib.loads((HERE / "tools.toml").read_text())["tool"]
        return [Tool(environment_name=it.pop("environment", it["name"]), **it) for it in raw]

    def can(self, scenario):
        """Whether it can do the work of a scenario at all."""
        lengths = {str(block["max_tokens"]) for block in scenario.blocks}
        same = len(lengths) == 1 and all(isinstance(block["max_tokens"], int) for block in scenario.blocks)
        return (same or not self.one_answer_length) and (not scenario.among or self.name in scenario.among)

    @property
    def minute(self):
        return self.clock == "minute"

    @property
    def knows_all(self):
        return self.name == "reference"

    @property
    def rust(self):
        return self.adapter.startswith("rust:")

    @property
    def python(self):
        if self.adapter == "command.py":
            return sys.executable
        return str(CACHE / self.environment_name / "bin" / "python")

    def command(self, binaries, work):
        if self.rust:
            return [str(binaries.rivals), self.adapter.removeprefix("rust:"), str(work)]
        return [self.python, str(HERE / "adapters" / self.adapter), str(work)]

    def environment(self):
        # The tokenizer's table that litellm brings along, for all who would fetch it.
        tables = list(CACHE.glob("litellm/lib/python*/site-packages/litellm/litellm_core_utils/tokenizers"))
        return {"TIKTOKEN_CACHE_DIR": str(tables[0])} if tables else {}

    def install(self, already=False):
        """Installs its packages, unless they are there; the reason if that fails, or if nothing may be installed."""
        if self.adapter == "command.py" or self.rust:
            return ""
        place = CACHE / self.environment_name
        stamp = place / "installed"
        wanted = "\n".join(self.packages)
        is_there = stamp.exists() and stamp.read_text() == wanted
        if already:
            return "" if is_there else f"it is not installed: run `python3 benches/compare --install --tools {self.name}`"
        if is_there and not self.ours:
            return ""
        commands = [] if place.exists() else [[sys.executable, "-m", "venv", str(place)]]
        pip = [self.python, "-m", "pip", "install", "-q"]
        if self.packages:
            commands.append([*pip, *self.packages])
        if self.ours:
            commands.append([*pip, "--force-reinstall", "--no-deps", str(wheel())])
        for command in commands:
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                return f"it cannot be installed: {done.stderr.strip().splitlines()[-1]}"
        stamp.write_text(wanted)
        return ""


def target():
    return Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")).resolve()


def build(rivals, debug=False):
    """Builds the server, the command and, if wanted, the rivals in Rust."""
    profile = ["-q", "--locked"] + ([] if debug else ["--release"])
    cargo("build", *profile, "-p", "rate_limited_sim", "--features", "http", "--example", "judge")
    cargo("build", *profile, "-p", "rate_limited_cli")
    place = CACHE / "rivals_rust"
    if rivals:
        manifest = ROOT / "benches" / "rivals_rust" / "Cargo.toml"
        cargo("build", "--release", "--locked", "-q", "--manifest-path", manifest, "--target-dir", place)
    built = target() / ("debug" if debug else "release")
    return Binaries(built / "examples" / "judge", built / "rate-limited", place / "release" / "rivals")


def cargo(*args, **more):
    return subprocess.run(["cargo", *map(str, args)], cwd=ROOT, check=True, **more)


def wheel():
    """Our package as a user would install it."""
    folder = CACHE / "wheels"
    maturin = CACHE / "maturin"
    if not maturin.exists():
        subprocess.run([sys.executable, "-m", "venv", str(maturin)], check=True)
        subprocess.run([maturin / "bin" / "pip", "install", "-q", "maturin>=1.9.4,<2"], check=True)
    for old in folder.glob("*.whl"):
        old.unlink()
    subprocess.run([maturin / "bin" / "maturin", "build", "--release", "--locked", "-q", "--out", folder], cwd=ROOT, check=True)
    return next(folder.glob("*.whl"))
