"""Runs, from their start to their end, against a provider on real sockets."""

from __future__ import annotations

from decimal import Decimal

import pytest
from django.db import connection

from apps.evals.models import EvalRun, Result, ResultScore
from apps.evals.services import executing
from apps.projects.models import Project
from tests.evals import running
from tests.fakes.provider import FakeProvider

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nobody_wakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are woken by the tests: a start does not execute the run on the spot."""
    monkeypatch.setattr("apps.core.jobs.enqueue", lambda *_, **__: None)


def finished(run: EvalRun) -> EvalRun:
    """The run after a worker's turn."""
    executing.work(seconds=60)
    run.refresh_from_db()
    return run


def spans(run: EvalRun) -> list[tuple[str, str, Decimal | None]]:
    """Source, status and cost of the spans of the run's calls."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT source, status, cost_usd FROM telemetry_span WHERE project_id = %s ORDER BY started_at",
            [run.project_id],
        )
        return list(cursor.fetchall())


def test_runs_every_example_once_and_tells_what_it_cost(project: Project, provider: FakeProvider) -> None:
    running.ready(project, provider, 3)
    running.price(project)
    run = finished(running.start(project, repetitions=2))
    assert (run.state, run.sentence, run.done, run.failed, run.calls) == ("finished", "", 6, 0, 6)
    assert provider.count == 6
    results = list(Result.objects.filter(run=run))
    assert {(result.state, result.output, result.value, result.is_passed) for result in results} == {
        ("done", running.SAID, 1.0, True)
    }
    assert ResultScore.objects.filter(run=run, state="scored", value=1.0).count() == 6
    told = spans(run)
    assert [source for source, *_ in told] == ["eval"] * 6
    assert sum(cost or 0 for *_, cost in told) == sum(result.cost_usd or 0 for result in results) == run.spent_usd > 0
    assert run.untraced_calls == 0
    assert all(result.is_traced for result in results)
    assert run.summary is not None
    assert run.summary["overall"]["mean"] == 1.0
