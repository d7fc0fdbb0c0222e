"""What is installed: pinned by hash, above the floors of fixed versions, and each for a reason that is written down."""

from __future__ import annotations

import re
import site
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from tests.architecture.sources import ROOT

LOCKS = [ROOT / "requirements.lock", ROOT / "requirements-dev.lock"]
WISHES = [ROOT / "requirements.in", ROOT / "requirements-dev.in"]
FLOORS = tomllib.loads((ROOT / "docs" / "floors.toml").read_text())["floors"]
REASONS = (ROOT / "docs" / "dependencies.md").read_text()
KNOWN_STARTUP_FILES = {"distutils-precedence.pth", "_virtualenv.pth", "a1_coverage.pth"}
"""Files that run code when Python starts: of setuptools, of virtualenv, of coverage. A poisoned release used one."""


def _locked(path: Path) -> list[tuple[Requirement, list[str]]]:
    """Each pinned package with its hashes."""
    entries = re.split(r"\n(?=\S)", path.read_text().replace("\\\n", " "))
    found = []
    for entry in entries:
        if entry.strip() and not entry.startswith("#"):
            requirement, *hashes = entry.split("--hash=")
            found.append((Requirement(requirement.strip()), [text.strip() for text in hashes]))
    return found


def _wished(path: Path) -> list[Requirement]:
    lines = [line.split("#")[0].strip() for line in path.read_text().splitlines()]
    return [Requirement(line) for line in lines if line and not line.startswith("-")]


LOCKED = {path.name: _locked(path) for path in LOCKS}
WISHED = [requirement for path in WISHES for requirement in _wished(path)]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_pins_every_package_with_hashes(path: Path) -> None:
    loose = [
        str(requirement)
        for requirement, hashes in LOCKED[path.name]
        if [pin.operator for pin in requirement.specifier] != ["=="]
        or not hashes
        or not all(re.fullmatch(r"sha256:[0-9a-f]{64}", text) for text in hashes)
    ]
    assert len(LOCKED[path.name]) > 40
    assert not loose


@pytest.mark.parametrize("path", [*LOCKS, *WISHES], ids=lambda path: path.name)
def test_names_no_place_to_download_from(path: Path) -> None:
    assert not re.findall(r"://|--index|--extra-index|--find-links|--trusted-host", path.read_text())


@pytest.mark.parametrize("path", WISHES, ids=lambda path: path.name)
def test_locks_everything_that_is_asked_for(path: Path) -> None:
    lock = LOCKED[path.with_suffix(".lock").name]
    versions = {canonicalize_name(requirement.name): requirement for requirement, _ in lock}
    for wish in _wished(path):
        pinned = versions.get(canonicalize_name(wish.name))
        assert pinned is not None, f"{wish.name} is not in {path.with_suffix('.lock').name}: run make lock"
        assert wish.specifier.contains(next(iter(pinned.specifier)).version), str(wish)


def test_develops_with_the_versions_that_run() -> None:
    ours = {(str(entry.name), str(entry.specifier), str(entry.marker)) for entry, _ in LOCKED["requirements.lock"]}
    theirs = {
        (str(entry.name), str(entry.specifier), str(entry.marker)) for entry, _ in LOCKED["requirements-dev.lock"]
    }
    assert not ours - theirs


@pytest.mark.parametrize("lock", LOCKED)
@pytest.mark.parametrize("name", FLOORS)
def test_stays_above_the_floor_of_fixed_versions(lock: str, name: str) -> None:
    floor = FLOORS[name]
    for requirement, _ in LOCKED[lock]:
        if canonicalize_name(requirement.name) == name:
            version = next(iter(requirement.specifier)).version
            assert Version(version) >= Version(floor["from"]), floor["because"]
            assert version not in floor.get("never", []), floor["because"]


def test_gives_a_reason_for_every_floor() -> None:
    assert {"django", "litellm", "jinja2", "urllib3", "celery", "redis", "protobuf", "cryptography"} <= set(FLOORS)
    assert all(re.search(r"CVE-\d{4}-\d+|GHSA-|exponential", floor["because"]) for floor in FLOORS.values())


@pytest.mark.parametrize("requirement", WISHED, ids=lambda requirement: requirement.name)
def test_says_why_each_direct_dependency_is_there(requirement: Requirement) -> None:
    assert re.search(rf"^\| `{re.escape(requirement.name)}` \|.+\|.+\|", REASONS, re.MULTILINE | re.IGNORECASE)


def test_describes_no_dependency_that_is_gone() -> None:
    described = set(re.findall(r"^\| `([^`]+)` \|", REASONS, re.MULTILINE))
    assert described == {requirement.name for requirement in WISHED}


def test_runs_no_unknown_code_when_python_starts() -> None:
    found = [
        path.name
        for folder in site.getsitepackages()
        for path in Path(folder).glob("*.pth")
        if path.name not in KNOWN_STARTUP_FILES and re.search(r"^import\b", path.read_text(), re.MULTILINE)
    ]
    assert not found
