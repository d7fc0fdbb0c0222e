"""What is under version control, and that its documents are true as far as a machine can tell."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, text_of, tracked_files

TOP = {
    *(".ci", ".dockerignore", ".gitignore", "apps", "benchmarks"),
    *("CHANGELOG.md", "CONTRIBUTING.md", "docker-compose.yml", "Dockerfile", "docs", "LICENSE"),
    *("llmops_site", "Makefile", "manage.py", "pyproject.toml", "README.md", "requirements.in", "requirements.lock"),
    *("requirements-dev.in", "requirements-dev.lock", "static", "templates", "tests"),
}
DOWNLOADS = re.compile(r"index" r"-url|https?://[^\s\"]*/(?:simple|packages)/|https?://registry[.]|\"resolved\":")
MACHINE_PATHS = re.compile(r"(?<![\w.~])/(?:work|tmp|root|home)/")
LARGEST = 1_000_000
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
BRITISH = re.compile(
    r"\b(colou?r(?<!color)\w*|behaviour\w*|favour\w*|licence\w*|organis\w*|recognis\w*|normalis\w*|initialis\w*"
    r"|summaris\w*|centre\w*|cancelled|labelled|catalogue)\b"
)


def _inside(path: Path) -> str:
    return str(path.relative_to(ROOT))


def test_keeps_the_top_level_as_agreed() -> None:
    assert {path.relative_to(ROOT).parts[0] for path in tracked_files()} <= TOP


def test_names_no_place_that_packages_come_from() -> None:
    assert not [_inside(path) for path in tracked_files() if DOWNLOADS.search(text_of(path))]


def test_carries_no_path_of_somebodys_machine() -> None:
    found = [
        f"{_inside(path)}: {match.group()}"
        for path in tracked_files()
        if path.suffix in {".py", ".md", ".toml", ".yml", ".html", ".js", ".css", ".txt", ""} and path.suffix != ".lock"
        for match in MACHINE_PATHS.finditer(text_of(path))
    ]
    assert not found


def test_carries_nothing_large() -> None:
    assert not [f"{_inside(path)}: {path.stat().st_size}" for path in tracked_files() if path.stat().st_size > LARGEST]


def test_carries_no_third_party_script_or_style() -> None:
    """htmx, Plotly and Swagger UI come with packages that are pinned by hash."""
    scripts = [path for path in tracked_files() if path.suffix in {".js", ".css"}]
    assert scripts
    assert not [
        _inside(path)
        for path in scripts
        if ".min." in path.name or max(map(len, text_of(path).splitlines()), default=0) > 600
    ]


def test_leaves_nothing_open() -> None:
    left = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|Not" r"Implemented(?:Error)?)\b")
    code = [path for path in tracked_files() if path.suffix in {".py", ".html", ".js", ".css"}]
    assert not [f"{_inside(path)}: {match.group()}" for path in code for match in left.finditer(text_of(path))]


@pytest.mark.parametrize("document", DOCUMENTS, ids=_inside)
def test_links_to_what_exists(document: Path) -> None:
    text = document.read_text()
    targets = [link.split("#")[0] for link in re.findall(r"\]\(([^)]+)\)", text) if "://" not in link]
    assert not [link for link in targets if link and not (document.parent / link).exists()]


@pytest.mark.parametrize("document", DOCUMENTS, ids=_inside)
def test_writes_documents_in_one_manner(document: Path) -> None:
    prose = re.sub(r"```.*?```|`[^`]*`", "", document.read_text(), flags=re.DOTALL)
    assert not BRITISH.findall(prose), "American spelling"
    assert not re.search(r"\w!(\s|$)", prose), "no exclamation marks"


@pytest.mark.parametrize("document", DOCUMENTS, ids=_inside)
def test_names_files_and_commands_that_exist(document: Path) -> None:
    """Paths of the repository in backticks exist; so do `make` targets and `manage.py` commands."""
    from django.core.management import get_commands

    text = document.read_text()
    makefile = (ROOT / "Makefile").read_text()
    paths = re.findall(r"`((?:apps|llmops_site|templates|static|tests|docs|benchmarks|\.ci)/[\w./-]*)`", text)
    assert not [path for path in paths if not (ROOT / path).exists()]
    targets = re.findall(r"`make (\w+)`|^(?:PRODWORTHY_\w+=\S+ )?make (\w+)", text, re.MULTILINE)
    assert not [
        name for pair in targets for name in pair if name and not re.search(rf"^{name}:", makefile, re.MULTILINE)
    ]
    commands = re.findall(r"manage\.py (\w+)", text)
    assert not [name for name in commands if name not in get_commands()]


def test_lists_every_document_in_the_index() -> None:
    index = (ROOT / "docs" / "README.md").read_text()
    listed = {(ROOT / "docs" / link.split("#")[0]).resolve() for link in re.findall(r"\]\(([^)]+)\)", index)}
    missing = [
        _inside(path) for path in (ROOT / "docs").rglob("*.md") if path.name != "README.md" and path not in listed
    ]
    assert not missing


def test_numbers_decisions_once_and_in_one_form() -> None:
    decisions = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    numbers = [path.name[:4] for path in decisions]
    assert len(set(numbers)) == len(numbers)
    for path in decisions:
        assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name)
        assert re.search(r"turned down|Turned down", path.read_text()), f"{path.name} says what was turned down"


def test_keeps_an_unreleased_section_in_the_changelog() -> None:
    assert "## [Unreleased]" in (ROOT / "CHANGELOG.md").read_text()


def test_carries_the_license_that_it_claims() -> None:
    text = (ROOT / "LICENSE").read_text()
    assert "Apache License" in text
    assert "Version 2.0, January 2004" in text
    assert 'license = "Apache-2.0"' in (ROOT / "pyproject.toml").read_text()
