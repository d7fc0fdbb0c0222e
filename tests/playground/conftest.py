"""The page with real commits, and a real server whose streams can be read and left."""

from __future__ import annotations

from typing import Any

import pytest
from django.http import QueryDict
from django.test import Client

from apps.playground.models import PlaygroundAnswer, PlaygroundRun
from apps.projects.models import Project
from tests.telemetry.conftest import address as address
from tests.telemetry.conftest import rows
from tests.telemetry.conftest import span_tables as span_tables

PAGE = "/p/support-desk/playground"


def typed(**changes: Any) -> dict[str, Any]:
    """What the page sends for one message and the test model, with changes."""
    return {
        "role": ["user"],
        "text": ["When will my order arrive?"],
        "name": [""],
        "more": [""],
        "syntax": "mustache",
        "model": ["test/steady"],
        **changes,
    }


def start(client: Client, **changes: Any) -> dict[str, Any]:
    """Begin a run as the page's script does; what the server answers."""
    answer = client.post(f"{PAGE}/start", typed(**changes))
    assert answer.status_code == 201, answer.content
    return dict(answer.json())


def the_run() -> PlaygroundRun:
    """The only run there is."""
    return PlaygroundRun.objects.get()


def answers() -> list[PlaygroundAnswer]:
    """The answers there are, left to right."""
    return list(PlaygroundAnswer.objects.order_by("run_id", "column"))


def spans(project: Project) -> list[tuple[Any, ...]]:
    """The spans stored for the project: source, model, status, cost, prompt and version."""
    return rows(
        "SELECT source, model, status, cost_usd, prompt_name, prompt_version, environment, error_type, output_tokens"
        " FROM telemetry_span WHERE project_id = %s ORDER BY started_at, span_id",
        project.pk,
    )


@pytest.fixture
def committed(span_tables: None) -> None:
    """Real commits, and empty span tables before and after."""


def query(**values: str) -> str:
    """The values as a query of an address."""
    given = QueryDict(mutable=True)
    given.update(values)
    return given.urlencode()
