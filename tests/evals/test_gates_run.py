"""A gate that runs what it judges: asked again until the run ended, one run for one version."""

from __future__ import annotations

import pytest

from apps.evals.models import EvalRun
from apps.evals.services import executing
from apps.projects.models import Project
from tests.conftest import Api
from tests.evals import running
from tests.fakes.provider import FakeProvider
from tests.telemetry.conftest import span_tables as span_tables

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _nobody_wakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers are woken by the test: a start does not execute the run on the spot."""
    monkeypatch.setattr("apps.core.jobs.enqueue", lambda *_, **__: None)


def test_runs_a_version_that_was_not_run_and_judges_it(
    project: Project, provider: FakeProvider, span_tables: None, admin_key: str
) -> None:
    running.ready(project, provider, 12)
    api = Api(admin_key)
    conditions = {
        "scorers": [{"slug": "exact"}],
        "minimum_pass_rate": 0.7,
        "minimum_examples": 10,
        "model": "fake/fake-1",
        "maximum_latency_p50_ms": 60_000,
    }
    made = api.post("/api/v1/gates", {"name": "Ship", "eval_set": "golden", "conditions": conditions})
    assert made.status_code == 201, made.json()
    asked = {"prompt": "ask", "version": "1.0.0"}
    pending = api.post("/api/v1/gates/ship/check", asked)
    assert (pending.status_code, pending.json()["state"]) == (202, "queued"), pending.json()
    assert api.post("/api/v1/gates/ship/check", asked).json()["run"] == pending.json()["run"]
    executing.work()
    report = api.post("/api/v1/gates/ship/check", asked)
    assert report.status_code == 201
    assert (report.json()["verdict"], report.json()["run"]) == ("passed", pending.json()["run"]), report.json()
    assert report.json()["bound_to"]["model"] == "fake/fake-1"
    assert api.get(f"/api/v1/gate-reports/{report.json()['id']}").json()["is_current"] is True
    assert EvalRun.objects.count() == 1
    other = api.post("/api/v1/gates/ship/check", {**asked, "version": "draft"})
    assert (other.status_code, list(other.json()["error"]["details"])) == (422, ["version"])
