"""/healthz, /readyz and /metrics: who may ask, and what is said when something is away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.db import connection
from django.db.migrations.recorder import MigrationRecorder
from django.test import Client
from pytest_django import Settings

from apps.core import readiness
from apps.core.readiness import Finding
from tests.core.stack_harness import free_port


@pytest.fixture
def visitor() -> Client:
    return Client()


@pytest.fixture
def no_other_looks() -> Iterator[None]:
    """Only what this app looks at itself."""
    kept = dict(readiness._looks)
    readiness._looks.clear()
    yield
    readiness._looks.clear()
    readiness._looks.update(kept)


@pytest.fixture
def broker_away(settings: Settings) -> None:
    settings.CELERY_BROKER_URL = f"redis://127.0.0.1:{free_port()}/0"


def checks(answer: Any) -> dict[str, dict[str, Any]]:
    return {check["name"]: check for check in answer.json()["checks"]}


def test_is_alive_without_asking_the_database(visitor: Client) -> None:
    # No database mark: pytest-django fails this test at the first query.
    answer = visitor.get("/healthz")
    assert (answer.status_code, answer.json()) == (200, {"status": "alive"})
    assert answer["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
def test_takes_reading_methods_alone(visitor: Client, path: str) -> None:
    assert visitor.post(path).status_code == 405


@pytest.mark.django_db(transaction=True)
def test_is_ready_when_everything_answers(visitor: Client, no_other_looks: None) -> None:
    answer = visitor.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (200, "ready")
    assert checks(answer)["database"]["says"] == "answers, and every migration is applied"
    assert checks(answer)["broker"]["ok"]


@pytest.mark.django_db(transaction=True)
def test_is_not_ready_while_a_migration_is_missing(visitor: Client, no_other_looks: None) -> None:
    recorder = MigrationRecorder(connection)
    recorder.record_unapplied("telemetry", "0001_cost_records_and_intake")
    try:
        answer = visitor.get("/readyz")
    finally:
        recorder.record_applied("telemetry", "0001_cost_records_and_intake")
    assert answer.status_code == 503
    assert answer["Retry-After"] == "5"
    assert "1 migrations are not applied; run manage.py prepare" in checks(answer)["database"]["says"]


@pytest.mark.django_db(transaction=True)
def test_is_not_ready_on_a_database_that_may_forget(visitor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    options = {**connection.settings_dict["OPTIONS"], "options": "-c synchronous_commit=off"}
    monkeypatch.setitem(connection.settings_dict, "OPTIONS", options)
    answer = visitor.get("/readyz")
    assert answer.status_code == 503
    assert checks(answer)["database"]["says"] == "synchronous_commit off: what is acknowledged could be lost"


@pytest.mark.django_db(transaction=True)
def test_is_not_ready_without_a_database(visitor: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "HOST", "127.0.0.1")
    monkeypatch.setitem(connection.settings_dict, "PORT", str(free_port()))
    answer = visitor.get("/readyz")
    assert (answer.status_code, answer.json()["status"]) == (503, "not ready")
    assert checks(answer)["database"]["says"].startswith("does not answer")


@pytest.mark.django_db(transaction=True)
def test_stays_ready_when_only_the_broker_is_away(visitor: Client, no_other_looks: None, broker_away: None) -> None:
    answer = visitor.get("/readyz")
    assert answer.status_code == 200
    assert not checks(answer)["broker"]["ok"]
    assert checks(answer)["broker"]["says"].startswith("does not answer, so jobs wait")


@pytest.mark.django_db(transaction=True)
def test_asks_the_apps_above(visitor: Client, no_other_looks: None) -> None:
    readiness.register("rollups", lambda: Finding("rollups", False, "the oldest waits for 90 s", waits_for_broker=True))
    answer = visitor.get("/readyz")
    assert answer.status_code == 503
    assert checks(answer)["rollups"] == {
        "name": "rollups",
        "ok": False,
        "needed": True,
        "says": "the oldest waits for 90 s",
    }


@pytest.mark.django_db(transaction=True)
def test_does_not_blame_the_queue_for_the_broker(visitor: Client, no_other_looks: None, broker_away: None) -> None:
    readiness.register("rollups", lambda: Finding("rollups", False, "the oldest waits for 90 s", waits_for_broker=True))
    assert visitor.get("/readyz").status_code == 200


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    ("token", "sent", "came_from", "status"),
    [
        ("", {}, "127.0.0.1", 200),
        ("", {}, "::1", 200),
        ("", {}, "192.0.2.7", 403),
        ("", {"X-Forwarded-For": "192.0.2.7"}, "127.0.0.1", 403),
        ("", {"Forwarded": "for=192.0.2.7"}, "127.0.0.1", 403),
        ("a-token", {}, "127.0.0.1", 403),
        ("a-token", {"Authorization": "Bearer a-token"}, "192.0.2.7", 200),
        ("a-token", {"Authorization": "Bearer another"}, "127.0.0.1", 403),
        ("a-token", {"Authorization": "Bearer ä"}, "127.0.0.1", 403),
        ("a-token", {"Authorization": "a-token-and-more"}, "127.0.0.1", 403),
    ],
)
def test_gives_figures_to_the_token_or_to_this_machine(
    visitor: Client, settings: Settings, token: str, sent: dict[str, str], came_from: str, status: int
) -> None:
    settings.METRICS_TOKEN = token
    answer = visitor.get("/metrics", headers=sent, REMOTE_ADDR=came_from)
    assert answer.status_code == status
    for figure in (
        b"process_resident_memory_bytes ",
        b'prodworthy_check_ok{check="database"} 1.0',
        b"prodworthy_ready 1.0",
    ):
        assert (figure in answer.content) == (status == 200)
