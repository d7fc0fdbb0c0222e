"""What is too old goes, as a whole where it can, and nothing else: cost records stand when their spans are gone."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, transaction
from django.test import Client
from django.urls import reverse

from apps.core.errors import Invalid
from apps.projects.models import AuditEntry, Project
from apps.projects.types import SYSTEM, Scope
from apps.telemetry.models import CostHour, DirtyHour
from apps.telemetry.selectors.figures import read_figures
from apps.telemetry.selectors.lifecycle import Ages, ages_of
from apps.telemetry.selectors.retention import PARTITIONED, PLAIN, SHORT_LIVED, list_partitions, what_is_due
from apps.telemetry.services import digesting, forgetting, partitions, retention, rollups
from apps.telemetry.services.partitions import TABLES
from apps.telemetry.services.retention import NotConfirmed, change_ages
from tests import factories
from tests.telemetry.calls import RECORD_TABLES, records
from tests.telemetry.conftest import Intake, make_span, rows

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)


def keep(project: Project, **days: int) -> None:
    """Set some of the project's ages."""
    project.refresh_from_db()
    before = ages_of(project)
    after = Ages(**{name: days.get(name, getattr(before, name)) for name in Ages.__dataclass_fields__})
    change_ages(project=project, ages=after, is_confirmed=True, actor=SYSTEM, now=NOW)


def days_ago(days: int) -> str:
    """The middle of a UTC day."""
    return (NOW - timedelta(days=days)).replace(hour=12, minute=0, second=0, microsecond=0).isoformat()


def days_of(table: str) -> set[int]:
    """How many days ago the rows of a table are."""
    found = rows(f"SELECT DISTINCT (started_at AT TIME ZONE 'UTC')::date FROM {table}")
    return {(NOW.date() - day).days for (day,) in found}


def has_partition(table: str, days: int) -> bool:
    """Whether the table has a partition for the day so many days ago."""
    return (NOW - timedelta(days=days)).date() in {part.day for part in list_partitions(table)}


def test_drops_days_that_nobody_keeps(intake: Intake, project: Project) -> None:
    for days in (1, 20, 40, 60):
        intake.post([make_span(started_at=days_ago(days), input="hello")])
    keep(project, payload_days=30, span_days=50)
    retention.run(now=NOW)
    assert days_of("telemetry_span") == {1, 20, 40}
    assert days_of("telemetry_payload") == {1, 20}
    assert not has_partition("telemetry_span", 60)
    assert has_partition("telemetry_span", 40)
    assert not has_partition("telemetry_payload", 40)
    assert retention.run(now=NOW).deletions == []


def test_deletes_rows_where_another_project_keeps_the_day(
    intake: Intake, project: Project, other_project: Project
) -> None:
    other_key = factories.make_key(other_project, Scope.INGEST)
    for _ in range(3):
        intake.post([make_span(started_at=days_ago(40), input="mine")])
    intake.post([make_span(started_at=days_ago(40), input="theirs")], key=other_key)
    keep(project, payload_days=30, span_days=30)
    report = retention.run(now=NOW)
    assert rows("SELECT project_id FROM telemetry_span") == [(other_project.pk,)]
    assert rows("SELECT input FROM telemetry_payload") == [("theirs",)]
    assert has_partition("telemetry_span", 40)
    assert {(done.table, done.rows) for done in report.deletions} >= {("telemetry_span", 3), ("telemetry_payload", 3)}


def test_deletes_in_portions(intake: Intake, project: Project, other_project: Project, monkeypatch: Any) -> None:
    monkeypatch.setattr(retention, "ROWS_PER_PORTION", 2)
    intake.post([make_span(started_at=days_ago(40)) for _ in range(5)])
    keep(project, payload_days=30, span_days=30)
    report = retention.run(now=NOW)
    assert [done.rows for done in report.deletions if done.table == "telemetry_span" and done.rows] == [2, 2, 1]
    assert rows("SELECT * FROM telemetry_span") == []


def test_keeps_cost_records_exactly_when_their_spans_are_gone(intake: Intake, project: Project) -> None:
    intake.post([make_span(started_at=days_ago(40)) for _ in range(3)])
    keep(project, payload_days=30, span_days=30)
    # Nobody has rolled up yet: deleting must not lose what is not in the records.
    retention.run(now=NOW)
    assert rows("SELECT * FROM telemetry_span") == []
    assert [(hour.calls, hour.input_tokens) for hour in CostHour.objects.all()] == [(3, 2400)]
    before = {table: records(table) for table in RECORD_TABLES}
    # A mark on such an hour comes with a late span, and with a rebuild; neither may write the hour from what is left.
    hour = CostHour.objects.get().hour
    DirtyHour.objects.create(project_id=project.pk, hour=hour)
    assert _calls(project) == 3
    rollups.roll_up()
    assert not DirtyHour.objects.exists()
    day = hour.date()
    rollups.rebuild(project.pk, first=day - timedelta(days=1), last=day + timedelta(days=1), now=NOW)
    assert {table: records(table) for table in RECORD_TABLES} == before
    assert _calls(project) == 3


def _calls(project: Project) -> int:
    table = read_figures(project.pk, start=NOW - timedelta(days=100), end=NOW)
    return sum(row.calls for row in table.rows)


def test_does_not_shrink_a_record_when_a_late_span_arrives_after_a_longer_age(intake: Intake, project: Project) -> None:
    intake.post([make_span(started_at=days_ago(40)) for _ in range(3)])
    keep(project, payload_days=30, span_days=30)
    retention.run(now=NOW)
    keep(project, payload_days=30, span_days=300)
    intake.post([make_span(started_at=days_ago(40))])
    rollups.roll_up()
    assert _calls(project) >= 3


def test_deletes_what_is_not_cut_into_days_by_its_own_age(intake: Intake, project: Project) -> None:
    intake.post([make_span(started_at=days_ago(40)), {"kind": "llm"}])
    rollups.roll_up()
    keep(project, payload_days=1, span_days=1, cost_days=20, account_days=2, score_days=2)
    retention.run(now=NOW + timedelta(days=1))
    assert records("telemetry_costhour") == []
    assert records("telemetry_costday") == []
    assert len(rows("SELECT * FROM telemetry_intakerejection")) == 1
    retention.run(now=NOW + timedelta(days=4))
    assert rows("SELECT * FROM telemetry_intakerejection") == []
    # The last line of the account is how a deleted project's telemetry is found.
    assert len(rows("SELECT * FROM telemetry_intakebatch")) == 1


def test_takes_spans_of_a_day_whose_partition_was_dropped(intake: Intake, project: Project) -> None:
    intake.post([make_span(started_at=days_ago(40), input="first")])
    keep(project, payload_days=30, span_days=30)
    retention.run(now=NOW)
    keep(project, payload_days=300, span_days=300)
    answer = intake.post([make_span(started_at=days_ago(40), input="again")])
    assert answer.json()["stored"] == 1
    assert rows("SELECT input FROM telemetry_payload") == [("again",)]


def test_looks_through_late_spans_of_a_day_whose_contents_are_gone(intake: Intake, project: Project) -> None:
    intake.post([make_span(started_at=days_ago(40), input="first")])
    keep(project, payload_days=30, span_days=300)
    retention.run(now=NOW)
    assert not has_partition("telemetry_search", 40)
    # Another process still takes the day for whole; without content, the span goes where its day still is.
    partitions._known.add((NOW - timedelta(days=40)).date())
    intake.post([make_span(started_at=days_ago(40)), make_span(name="today")])
    digesting.digest(now=NOW)
    partitions.forget_known()
    assert rows("SELECT * FROM telemetry_fresh") == []
    assert len(rows("SELECT * FROM telemetry_span")) == 3
    assert days_of("telemetry_search") == {0}


def test_waits_for_nobody_long_and_tries_again(intake: Intake, project: Project, monkeypatch: Any) -> None:
    """A reader who takes his time keeps a partition from being dropped; the run goes on without it."""
    monkeypatch.setattr(retention, "DROP_ATTEMPTS", 2)
    intake.post([make_span(started_at=days_ago(40))])
    keep(project, payload_days=30, span_days=30)
    is_reading, may_end = threading.Event(), threading.Event()

    def read() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM telemetry_span")
            is_reading.set()
            may_end.wait(20)
        connection.close()

    reader = threading.Thread(target=read)
    reader.start()
    try:
        assert is_reading.wait(10)
        assert retention.run(now=NOW).is_unfinished
        assert has_partition("telemetry_span", 40)
    finally:
        may_end.set()
        reader.join(10)
    assert not retention.run(now=NOW).is_unfinished
    assert not has_partition("telemetry_span", 40)


def test_stops_in_time_and_goes_on_later(intake: Intake, project: Project) -> None:
    intake.post([make_span(started_at=days_ago(40))])
    keep(project, payload_days=30, span_days=30)
    assert retention.run(now=NOW, max_seconds=0).is_unfinished
    assert len(rows("SELECT * FROM telemetry_span")) == 1
    retention.run(now=NOW)
    assert rows("SELECT * FROM telemetry_span") == []


@pytest.mark.parametrize(
    ("days", "field"),
    [
        ({"payload_days": 31, "span_days": 30}, "payload_days"),
        ({"cost_days": 29, "span_days": 30, "payload_days": 30}, "cost_days"),
        ({"score_days": 0}, "score_days"),
        ({"account_days": 3651}, "account_days"),
    ],
)
def test_refuses_ages_in_the_wrong_order(project: Project, days: dict[str, int], field: str) -> None:
    with pytest.raises(Invalid) as refused:
        keep(project, **days)
    assert field in refused.value.details
    assert rows("SELECT * FROM telemetry_retentionsettings") == []


def test_asks_before_it_makes_an_age_shorter(project: Project) -> None:
    shorter = Ages(payload_days=10, span_days=400, cost_days=3650, score_days=400, account_days=400)
    with pytest.raises(NotConfirmed):
        change_ages(project=project, ages=shorter, is_confirmed=False, actor=SYSTEM, now=NOW)
    assert ages_of(project).payload_days == 400
    longer = Ages(payload_days=400, span_days=500, cost_days=3650, score_days=400, account_days=400)
    change_ages(project=project, ages=longer, is_confirmed=False, actor=SYSTEM, now=NOW)
    project.refresh_from_db()
    assert ages_of(project).span_days == 500
    assert AuditEntry.objects.filter(action="telemetry.retention_changed").count() == 1


def test_gives_every_table_with_telemetry_an_age() -> None:
    """A new table is either kept for some time or named as one that keeps nothing for long."""
    held = {one.table for one in (*PARTITIONED, *PLAIN)} | set(SHORT_LIVED)
    assert {*forgetting.PARTITIONED, *forgetting.PLAIN} == held
    assert {one.table for one in PARTITIONED} == set(TABLES)


def test_says_what_it_would_delete_and_deletes_nothing(intake: Intake, project: Project) -> None:
    intake.post([make_span(started_at=days_ago(40), input="hello") for _ in range(2)])
    keep(project, payload_days=30, span_days=30)
    out = StringIO()
    call_command("retention", dry_run=True, stdout=out)
    assert f"{project.slug}: telemetry_span: 2 rows" in out.getvalue()
    assert len(rows("SELECT * FROM telemetry_span")) == 2
    out = StringIO()
    call_command("retention", stdout=out)
    assert "telemetry_span of" in out.getvalue()
    assert rows("SELECT * FROM telemetry_span") == []
    out = StringIO()
    call_command("retention", dry_run=True, stdout=out)
    assert out.getvalue() == "Nothing is due.\n"


def test_shows_what_a_shorter_age_deletes_before_it_is_saved(
    intake: Intake, project: Project, alice_client: Client
) -> None:
    intake.post([make_span(started_at=days_ago(40), input="hello") for _ in range(2)])
    url = reverse("settings_data", kwargs={"project": project.slug})
    ages = {"payload_days": 30, "span_days": 400, "cost_days": 3650, "score_days": 400, "account_days": 400}
    page = alice_client.post(url, ages)
    assert page.status_code == 200
    assert "Save and delete" in page.content.decode()
    due = what_is_due(project.pk, Ages(**ages), now=NOW)
    assert [(one.table, one.rows) for one in due] == [("telemetry_payload", 2)]
    project.refresh_from_db()
    assert ages_of(project).payload_days == 400
    assert alice_client.post(url, ages | {"confirmed": "on"}).status_code == 302
    assert ages_of(project).payload_days == 30
    refused = alice_client.post(url, ages | {"payload_days": 500, "confirmed": "on"})
    assert refused.status_code == 422
    assert "no longer than the spans" in refused.content.decode()


def test_lets_only_admins_change_it(project: Project, bob_client: Client) -> None:
    url = reverse("settings_data", kwargs={"project": project.slug})
    assert bob_client.get(url).status_code == 200
    assert bob_client.post(url, {"span_days": 1}).status_code == 403
