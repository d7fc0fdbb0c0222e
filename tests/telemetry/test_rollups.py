"""Cost records: what is written, when, by whom, and what a rebuild gives."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO

import numpy as np
import pytest
from django.core.management import CommandError, call_command
from django.db import DataError, connection

from apps.core import clock
from apps.core.histogram import pack
from apps.projects.models import Project
from apps.telemetry.models import CostDay, CostDaySlice, CostHour, CostHourSlice, DirtyHour
from apps.telemetry.selectors.figures import read_figures
from apps.telemetry.selectors.rollups import roll_up_delay
from apps.telemetry.services import rollups
from apps.telemetry.tasks import roll_up as roll_up_task
from tests.telemetry.calls import RECORD_TABLES, Call, assert_row, forget, make_partitions, put, records

PROJECT, OTHER = 7101, 7102
DAY = datetime(2026, 3, 4, tzinfo=UTC)
HOUR = timedelta(hours=1)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _partitions(db: None) -> None:
    make_partitions(date(2026, 3, 1), 8)


def some_calls(count: int, *, seed: int, days: int = 3) -> list[Call]:
    """Calls of many kinds, the same for a seed."""
    chance = random.Random(seed)
    return [
        Call(
            number,
            DAY + timedelta(microseconds=chance.randrange(days * 86_400_000_000)),
            environment=chance.choice(["production", "staging"]),
            feature=chance.choice(["", "answers", "search"]),
            provider=chance.choice(["openai", "mistral"]),
            model=chance.choice(["gpt-4o", "large", ""]),
            prompt_name=chance.choice(["", "greet"]),
            prompt_version=chance.choice(["", "1.0.0"]),
            source=chance.choice(["service", "gateway"]),
            counted=chance.random() < 0.8,
            status=chance.choice(["ok", "error"]),
            latency_ms=chance.choice([None, chance.randrange(100_000)]),
            ttft_ms=chance.choice([None, chance.randrange(1_000)]),
            cost_usd=chance.choice([None, Decimal(chance.randrange(10**12)).scaleb(-12)]),
        )
        for number in range(1, count + 1)
    ]


def test_writes_hours_days_and_slices() -> None:
    calls = [
        Call(1, DAY + HOUR, latency_ms=120, ttft_ms=20, prompt_name="greet", prompt_version="1.0.0"),
        Call(2, DAY + 2 * HOUR - timedelta(microseconds=1), latency_ms=95_000, status="error", cost_usd=None),
        Call(3, DAY + 2 * HOUR, latency_ms=None, feature="search"),
        Call(4, DAY + 2 * HOUR, counted=False),
    ]
    put(PROJECT, calls)

    assert rollups.roll_up() == rollups.RollUp(hours=2, is_unfinished=False)

    assert not DirtyHour.objects.exists()
    hours = CostHour.objects.order_by("hour", "prompt_version").values_list(
        "hour", "feature", "prompt_version", "calls", "errors", "unpriced_calls", "cost_usd"
    )
    assert list(hours) == [
        (DAY + HOUR, "answers", "", 1, 1, 1, Decimal(0)),
        (DAY + HOUR, "answers", "greet@1.0.0", 1, 0, 0, Decimal("0.0125")),
        (DAY + 2 * HOUR, "search", "", 1, 0, 0, Decimal("0.0125")),
    ]
    assert CostDay.objects.count() == 3
    assert set(CostDaySlice.objects.values_list("dimension", "value", "calls")) == {
        ("all", "", 3),
        ("feature", "answers", 2),
        ("feature", "search", 1),
        ("provider", "openai", 3),
        ("model", "gpt-4o", 3),
        ("prompt_version", "", 2),
        ("prompt_version", "greet@1.0.0", 1),
        ("source", "service", 3),
    }
    assert set(CostHourSlice.objects.filter(hour=DAY + HOUR).values_list("dimension", "value", "calls")) == {
        ("all", "", 2),
        ("feature", "answers", 2),
        ("model", "gpt-4o", 2),
    }


def test_packs_histograms_as_python_does() -> None:
    latencies = [0, 1, 5, 5, 199, 200, 201, 4_321, 4_322, 10**6, 2**32, 10**12, None]
    put(PROJECT, [Call(i, DAY, latency_ms=latency, ttft_ms=latency) for i, latency in enumerate(latencies, 1)])

    rollups.roll_up()

    packed = pack(np.array([latency for latency in latencies if latency is not None]))
    for model in (CostHour, CostHourSlice, CostDay, CostDaySlice):
        for record in model.objects.all():
            assert bytes(record.latency_histogram) == packed
            assert bytes(record.ttft_histogram) == packed


def test_leaves_no_record_of_an_hour_whose_spans_are_gone() -> None:
    call = Call(1, DAY + HOUR)
    put(PROJECT, [call])
    rollups.roll_up()
    forget(PROJECT, call)

    rollups.roll_up()

    assert not any(records(table) for table in RECORD_TABLES)


def test_gives_the_same_records_when_run_again() -> None:
    put(PROJECT, some_calls(120, seed=1))
    rollups.roll_up()
    before = {table: records(table) for table in RECORD_TABLES}
    DirtyHour.objects.create(project_id=PROJECT, hour=DAY + HOUR)

    rollups.roll_up()

    assert {table: records(table) for table in RECORD_TABLES} == before


def test_keeps_projects_apart() -> None:
    put(PROJECT, [Call(1, DAY)])
    put(OTHER, [Call(1, DAY), Call(2, DAY)])

    rollups.roll_up()

    assert dict(CostHour.objects.values_list("project_id", "calls")) == {PROJECT: 1, OTHER: 2}
    assert dict(CostDay.objects.values_list("project_id", "calls")) == {PROJECT: 1, OTHER: 2}


def test_takes_a_portion_at_a_time_and_is_right_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollups, "HOURS_PER_PORTION", 5)
    calls = some_calls(80, seed=2)
    put(PROJECT, calls)
    counted = [call for call in calls if call.counted]

    turns = 0
    while rollups.roll_up(max_portions=1).is_unfinished:
        turns += 1
        assert_row(read_figures(PROJECT, start=DAY, end=DAY + timedelta(days=3)).total, counted)

    assert turns > 5
    assert not DirtyHour.objects.exists()
    assert_row(read_figures(PROJECT, start=DAY, end=DAY + timedelta(days=3)).total, counted)


def test_one_project_that_fails_does_not_hold_up_the_others() -> None:
    put(PROJECT, [Call(1, DAY, cost_usd=Decimal(10) ** 30)])
    put(OTHER, [Call(1, DAY)])

    with pytest.raises(rollups.RollUpFailed) as failed:
        rollups.roll_up()

    assert failed.group_contains(DataError)
    assert list(CostHour.objects.values_list("project_id", flat=True)) == [OTHER]
    assert list(DirtyHour.objects.values_list("project_id", flat=True)) == [PROJECT]


def test_rebuilds_to_the_same_bytes_after_updates_and_late_spans() -> None:
    calls = some_calls(200, seed=3)
    put(PROJECT, calls[:120])
    rollups.roll_up()
    put(PROJECT, calls[120:])
    rollups.roll_up()
    changed = [Call(**{**vars(call), "cost_usd": Decimal("7"), "latency_ms": 77}) for call in calls[:30]]
    put(PROJECT, changed)
    rollups.roll_up()
    before = {table: records(table) for table in RECORD_TABLES}
    with connection.cursor() as cursor:
        cursor.execute(f"TRUNCATE {', '.join(RECORD_TABLES)}")

    rollups.rebuild(PROJECT, first=DAY.date(), last=DAY.date() + timedelta(days=2), now=DAY)

    assert all(before.values())
    assert {table: records(table) for table in RECORD_TABLES} == before


@pytest.mark.parametrize("table", RECORD_TABLES)
def test_a_rebuild_removes_and_repairs_what_is_wrong(table: str) -> None:
    put(PROJECT, some_calls(60, seed=4))
    rollups.roll_up()
    before = {name: records(name) for name in RECORD_TABLES}
    column = "hour" if "hour" in table else "day"
    with connection.cursor() as cursor:
        cursor.execute(
            f"UPDATE {table} SET calls = calls + 1, {column} = {column} + interval '10 days' WHERE id % 3 = 0"
        )
        cursor.execute(f"DELETE FROM {table} WHERE id % 3 = 1")

    rollups.rebuild(PROJECT, first=DAY.date(), last=DAY.date() + timedelta(days=13), now=DAY)

    assert {name: records(name) for name in RECORD_TABLES} == before


def test_a_rebuild_keeps_to_its_days() -> None:
    put(PROJECT, [Call(1, DAY), Call(2, DAY + timedelta(days=1))])
    rollups.roll_up()
    CostHour.objects.update(calls=99)

    assert rollups.rebuild(PROJECT, first=DAY.date(), last=DAY.date(), now=DAY) == 1

    assert list(CostHour.objects.order_by("hour").values_list("calls", flat=True)) == [1, 99]


def test_says_how_long_the_oldest_mark_has_waited() -> None:
    assert roll_up_delay(now=DAY) is None
    DirtyHour.objects.create(project_id=OTHER, hour=DAY, marked_at=DAY)
    DirtyHour.objects.create(project_id=PROJECT, hour=DAY, marked_at=DAY + timedelta(seconds=20))

    assert roll_up_delay(now=DAY + timedelta(seconds=90)) == timedelta(seconds=90)
    assert roll_up_delay(now=DAY - timedelta(seconds=1)) == timedelta(0)


def test_the_task_rolls_up() -> None:
    put(PROJECT, [Call(1, DAY)])

    roll_up_task()

    assert CostHour.objects.get().calls == 1


class TestCommand:
    """`manage.py rollups rebuild`."""

    def run(self, *arguments: str) -> str:
        """What the command prints."""
        out = StringIO()
        call_command("rollups", "rebuild", *arguments, stdout=out)
        return out.getvalue()

    def test_rebuilds_every_project_within_its_retention(
        self, project: Project, other_project: Project, some_days_ago: Callable[[int], datetime]
    ) -> None:
        Project.objects.filter(pk=project.pk).update(retention_days=10)
        put(project.pk, [Call(1, some_days_ago(2))])
        put(other_project.pk, [Call(1, some_days_ago(3))])
        CostHour.objects.create(**record_of(project, some_days_ago(20)))
        CostHour.objects.create(**record_of(project, some_days_ago(5)))
        DirtyHour.objects.all().delete()

        said = self.run()

        assert said.startswith(f"{other_project.slug}: 1 hours from ")
        assert f"{project.slug}: 2 hours from " in said
        found = CostHour.objects.filter(project_id=project.pk).order_by("hour").values_list("hour", flat=True)
        # The record beyond the retention stays, the one without spans goes, the missing one is written.
        assert list(found) == [clock.floor_hour(some_days_ago(20)), clock.floor_hour(some_days_ago(2))]
        assert CostHour.objects.get(project_id=other_project.pk).calls == 1

    def test_keeps_to_the_project_and_days_named(
        self, project: Project, other_project: Project, some_days_ago: Callable[[int], datetime]
    ) -> None:
        for owner in (project, other_project):
            put(owner.pk, [Call(1, some_days_ago(2)), Call(2, some_days_ago(4))])
        DirtyHour.objects.all().delete()
        day = str(some_days_ago(4).date())

        self.run("--project", project.slug, "--from", day, "--to", day)

        assert list(CostHour.objects.values_list("project_id", "hour")) == [
            (project.pk, clock.floor_hour(some_days_ago(4)))
        ]

    def test_knows_no_project_of_another_name(self, project: Project) -> None:
        with pytest.raises(CommandError, match="no such project"):
            self.run("--project", "nobody")


@pytest.fixture
def some_days_ago(db: None) -> Callable[[int], datetime]:
    """Moments of the recent past, whose days have partitions."""
    now = clock.now()
    make_partitions((now - timedelta(days=25)).date(), 26)
    return lambda days: now - timedelta(days=days)


def record_of(project: Project, moment: datetime) -> dict[str, object]:
    """A record of one call."""
    names = ("environment", "feature", "provider", "model", "prompt_version", "source")
    counts = [
        field.name for field in CostHour._meta.get_fields() if field.name.endswith(("calls", "errors", "_tokens"))
    ]
    return {
        "project_id": project.pk,
        "hour": clock.floor_hour(moment),
        **dict.fromkeys(names, ""),
        **dict.fromkeys(counts, 1),
        "cost_usd": 1,
        "latency_histogram": b"",
        "ttft_histogram": b"",
    }
