"""The environment: every variable is documented and nonsense stops the start. Jobs are set up safely."""

from __future__ import annotations

import ast
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from celery import current_app
from kombu import serialization
from kombu.exceptions import ContentDisallowed

from llmops_site.env import Env
from tests.architecture.sources import ROOT, dotted, place, product_files, tree_of

READERS = {name for name in vars(Env) if not name.startswith("_")}
KNOWN_TO_OTHERS = {"DJANGO_SETTINGS_MODULE"}
MAY_READ_DIRECTLY = {
    "llmops_site/env.py",  # the readers themselves
    "llmops_site/test_settings.py",
    "apps/core/management/commands/up.py",  # whether PRODWORTHY_URL was given at all
    "apps/core/stack/startup.py",  # passes the environment on to the children
    "apps/providers/tokens.py",  # tells tiktoken where its vocabularies are, which it reads there alone
    "apps/prompts/cli/prompts.py",  # runs in CI, where there are no settings
    "apps/evals/cli/evals.py",  # as well
    "apps/promotions/cli/promotions.py",  # as well
    "apps/core/stack/postgres.py",
    "apps/core/stack/valkey.py",
    "apps/providers/adapters/litellm_adapter.py",  # LiteLLM takes some orders in no other way
}
ELSEWHERE = ("Makefile", "docker-compose.yml", ".ci/run")
RANDOM = "k3Jw9sQx7ZbT1mVd5RfYp8Lc2HgN6uEa0KiO4tBv"


def _variables() -> Iterator[str]:
    """Every environment variable that the settings read; a secret may also come from the file that NAME_FILE names."""
    for node in ast.walk(tree_of(ROOT / "llmops_site" / "settings.py")):
        if isinstance(node, ast.Call) and dotted(node.func).startswith("env.") and node.args:
            name = node.args[0]
            assert isinstance(name, ast.Constant), "the name of a variable stands in the settings as it is"
            yield str(name.value)
            if dotted(node.func) == "env.secret":
                yield f"{name.value}_FILE"


VARIABLES = sorted(set(_variables()))


def test_reads_the_environment_in_one_place() -> None:
    found = [
        place(path, node)
        for path in product_files()
        if str(path.relative_to(ROOT)) not in MAY_READ_DIRECTLY
        for node in ast.walk(tree_of(path))
        if (isinstance(node, ast.Attribute) and dotted(node) in {"os.environ", "os.getenv"})
        and not _only_names_the_settings(path)
    ]
    assert not found


def _only_names_the_settings(path: Path) -> bool:
    text = path.read_text()
    return text.count("os.environ") == text.count('os.environ.setdefault("DJANGO_SETTINGS_MODULE"')


@pytest.mark.parametrize("name", VARIABLES)
def test_documents_every_variable(name: str) -> None:
    assert re.search(rf"`{re.escape(name)}`", (ROOT / "docs" / "configuration.md").read_text())


def test_documents_no_variable_that_is_gone() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    documented = set(re.findall(r"`((?:PRODWORTHY|DATABASE|REDIS|SECRET)_[A-Z_]+)`", text))
    everywhere = "\n".join(path.read_text() for path in [*product_files(), *(ROOT / name for name in ELSEWHERE)])
    everywhere += "\n".join(path.read_text() for path in (ROOT / "tests").glob("*.py"))
    everywhere += "\n".join(VARIABLES)
    assert not {name for name in documented if not re.search(rf"\b{name}\b", everywhere)}


def _check(tmp_path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """`manage.py check` in a process of its own, with these variables."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return subprocess.run(
        [sys.executable, "manage.py", "check"],
        cwd=ROOT,
        env={**kept, "PRODWORTHY_VAR": str(tmp_path), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        ({"DEBUG": "1"}, "DEBUG is not supported"),
        ({"SECRET_KEY": "short"}, "SECRET_KEY is too short or looks like a sample"),
        ({"SECRET_KEY": "a" * 60}, "SECRET_KEY is too short or looks like a sample"),
        ({"SECRET_KEY": f"change-me-{RANDOM}"}, "SECRET_KEY is too short or looks like a sample"),
        ({"PRODWORTHY_KEY_PEPPER": "pepper"}, "PRODWORTHY_KEY_PEPPER is too short"),
        ({"PRODWORTHY_ENCRYPTION_KEY": "key"}, "PRODWORTHY_ENCRYPTION_KEY is too short"),
        ({"SECRET_KEY_FILE": "nowhere/at/all"}, "SECRET_KEY_FILE names nowhere/at/all, which cannot be read"),
        ({"PRODWORTHY_ALLOWED_HOSTS": "*"}, "a wildcard lets anybody forge links"),
        ({"PRODWORTHY_URL": "prodworthy.example.com"}, "PRODWORTHY_URL must look like https://"),
        ({"PRODWORTHY_PORT": "eight"}, "PRODWORTHY_PORT must be a whole number from 1 to 65535"),
        ({"PRODWORTHY_EGRESS_ALLOW": "a.corp:80,http://b"}, "'http://b' has no port from 1 to 65535"),
        ({"DEBUG": "maybe"}, "DEBUG must be one of"),
    ],
    ids=lambda value: "-".join(value) if isinstance(value, dict) else "",
)
def test_refuses_to_start(environment: dict[str, str], sentence: str, tmp_path: Path) -> None:
    ended = _check(tmp_path, **environment)
    assert ended.returncode != 0
    assert sentence in ended.stderr
    assert RANDOM not in ended.stderr, "a secret stays out of messages"


def test_starts_with_nothing_set_and_makes_its_secrets(tmp_path: Path) -> None:
    ended = _check(tmp_path)
    assert ended.returncode == 0, ended.stderr
    made = sorted((tmp_path / "secrets").iterdir())
    assert [path.name for path in made] == ["encryption_key", "key_pepper", "secret_key"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in made)
    assert len({path.read_text() for path in made}) == 3


def test_takes_only_json_from_the_broker() -> None:
    assert current_app.conf.task_serializer == "json"
    assert current_app.conf.accept_content == ["json"]
    assert current_app.conf.result_backend is None
    assert current_app.conf.task_ignore_result is True
    with pytest.raises(ContentDisallowed):
        serialization.loads(
            pickle.dumps("hello"), "application/x-python-serialize", "binary", accept=current_app.conf.accept_content
        )


def test_gives_a_lost_workers_jobs_to_others_soon() -> None:
    conf = current_app.conf
    assert conf.task_acks_late is True
    assert conf.task_reject_on_worker_lost is True
    assert conf.worker_prefetch_multiplier == 1
    assert conf.worker_soft_shutdown_timeout > 0
    assert conf.task_soft_time_limit < conf.task_time_limit < conf.broker_transport_options["visibility_timeout"]
    assert conf.broker_transport_options["unacked_restore_throttle"] == 1
    assert conf.broker_transport_options["unacked_restore_interval"] <= 10
    assert conf.worker_max_memory_per_child > 0
