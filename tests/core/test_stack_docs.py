"""docs/configuration.md and the code name the same variables."""

from __future__ import annotations

import re

import pytest
import yaml
from django.core.exceptions import ImproperlyConfigured

from llmops_site.env import Env, with_password
from tests.core.stack_harness import BASE

PAGE = (BASE / "docs" / "configuration.md").read_text()
NAME = r"[A-Z][A-Z0-9_]+"


def read_by_settings() -> set[str]:
    source = (BASE / "llmops_site" / "settings.py").read_text()
    read = re.findall(rf'env\.\w+\(\s*"({NAME})"', source)
    secrets = re.findall(rf'env\.secret\(\s*"({NAME})"', source)
    return {*read, *(f"{name}_FILE" for name in secrets)}


def read_by_compose() -> set[str]:
    return set(re.findall(rf"\$\{{({NAME}):-", (BASE / "docker-compose.yml").read_text()))


def read_by_tests() -> set[str]:
    sources = [*(BASE / "tests").glob("*.py"), BASE / "llmops_site" / "test_settings.py"]
    return {name for path in sources for name in re.findall(r'environ[^"\n]*"(PRODWORTHY_\w+)"', path.read_text())}


def test_every_variable_that_is_read_is_documented() -> None:
    documented = set(re.findall(rf"`({NAME})`", PAGE))
    for name in sorted(read_by_settings() | read_by_compose() | read_by_tests()):
        assert name in documented, f"say in docs/configuration.md what {name} means"


def test_every_documented_variable_is_read() -> None:
    words_of_values = {"DEBUG", "INFO", "WARNING", "ERROR"}
    documented = set(re.findall(rf"`({NAME})`", PAGE)) - words_of_values
    assert documented - (read_by_settings() | read_by_compose() | read_by_tests()) == set()


def test_containers_are_given_only_variables_that_are_read() -> None:
    services = yaml.safe_load((BASE / "docker-compose.yml").read_text())["services"]
    for name in ("secrets", "setup", "web", "doors", "worker", "evals", "beat"):
        assert set(services[name]["environment"]) <= read_by_settings(), name


@pytest.mark.parametrize(
    ("url", "password", "expected"),
    [
        ("redis://app@cache:6379/0", "a/b@c", "redis://app:a%2Fb%40c@cache:6379/0"),
        ("redis://cache:6379/0", "word", "redis://:word@cache:6379/0"),
        ("redis://app:own@cache:6379/0", "word", "redis://app:own@cache:6379/0"),
        ("redis://cache", "", "redis://cache"),
        ("", "word", ""),
    ],
)
def test_puts_a_password_from_a_file_into_an_address(url: str, password: str, expected: str) -> None:
    assert with_password(url, password) == expected


def test_a_password_file_that_cannot_be_read_stops_the_start() -> None:
    with pytest.raises(ImproperlyConfigured, match="DATABASE_PASSWORD_FILE names /nowhere/password"):
        Env({"DATABASE_PASSWORD_FILE": "/nowhere/password"}).file_content("DATABASE_PASSWORD_FILE")
