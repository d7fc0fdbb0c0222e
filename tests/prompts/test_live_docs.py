"""The Python client of the documentation, run as it stands there."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError

import pytest

from apps.core import clock
from apps.projects.models import Project
from apps.projects.types import SYSTEM, Scope
from apps.prompts import doors, services
from tests import factories
from tests.prompts.conftest import content, environment, make_prompt, publish
from tests.prompts.live_server import serving

DOCS = Path(__file__).resolve().parents[2] / "docs" / "live-prompts.md"


@pytest.fixture
def live() -> Callable[..., Any]:
    """The function that the documentation shows."""
    found = re.search(r"```python\n(.*?)```", DOCS.read_text(), re.DOTALL)
    assert found is not None
    names: dict[str, Any] = {}
    exec(compile(found[1], str(DOCS), "exec"), names)  # noqa: S102 -- our own documentation
    client: Callable[..., Any] = names["live"]
    return client


def test_the_python_client_keeps_the_last_good_answer(
    transactional_db: None, project: Project, live: Callable[..., Any], tmp_path: Path, monkeypatch: Any
) -> None:
    prompt = make_prompt(project)
    staging = environment(project, "staging")
    services.deploy(prompt=prompt, version=publish(prompt), environment=staging, actor=SYSTEM, now=clock.now())
    monkeypatch.setenv("PRODWORTHY_KEY", factories.make_key(project, Scope.PROMPTS_READ))
    folder = tmp_path / "live-prompts"
    with serving() as address:
        monkeypatch.setenv("PRODWORTHY_URL", address)
        with pytest.raises(HTTPError, match="404"):
            live("support/answer", "development", folder)
        first = live("support/answer", "staging", folder)
        assert (first["version"], first["messages"][1]) == ("1.0.0", {"role": "user", "content": "{{question}}"})
        kept = folder / "support~answer.staging.json"
        written = kept.stat().st_mtime_ns
        assert live("support/answer", "staging", folder) == first
        assert kept.stat().st_mtime_ns == written, "a 304 was expected, and nothing written"
        body = content(messages=[{"role": "user", "content": "{{shop}} {{question}}"}])
        services.deploy(
            prompt=prompt, version=publish(prompt, body), environment=staging, actor=SYSTEM, now=clock.now()
        )
        doors.forget()
        assert live("support/answer", "staging", folder)["version"] == "1.0.1"
        monkeypatch.setenv("PRODWORTHY_KEY", "nonsense")
        with pytest.raises(HTTPError, match="401"):
            live("support/answer", "staging", folder)
    assert live("support/answer", "staging", folder)["version"] == "1.0.1"
    with pytest.raises(URLError):
        live("support/other", "staging", folder)
    doors.forget()
