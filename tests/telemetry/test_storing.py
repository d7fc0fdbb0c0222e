"""The three ways into the tables (one statement, COPY, staging) leave the same rows, and none of them stores twice."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pytest
from django.db import Error, connection, transaction

from apps.projects.models import Project
from apps.telemetry import wire
from apps.telemetry.models import DirtyHour, IntakeBatch, IntakeRejection
from apps.telemetry.services import storing
from apps.telemetry.services.inserting import FEW
from apps.telemetry.types import PAYLOAD_COLUMNS, SPAN_COLUMNS, Batch, Outcome
from tests.factories import NOW
from tests.telemetry.conftest import make_span, rows

pytestmark = pytest.mark.django_db(transaction=True)

NASTY = "a\\b\tc\nd\r\"e' {f} ,g NULL \\N \\x41 $1 %s ü 日本 \U0001f680"
MANY = FEW * 3


@pytest.fixture(autouse=True)
def _forgetful(span_tables: None) -> Iterator[None]:
    storing._repeating._until.clear()
    yield
    storing._repeating._until.clear()


def batch(project: Project, spans: list[dict[str, Any]], *, received_at: datetime = NOW) -> Batch:
    body = wire.read_body(msgspec.json.encode({"spans": spans}), max_items=5_000)
    read, positions, rejected = wire.read_spans(
        body.spans, project_id=project.pk, received_at=received_at, keep_since=received_at - timedelta(days=30)
    )
    return Batch(project.pk, None, "test", received_at, len(spans), read, positions, rejected)


def call(number: int = 0, **changes: Any) -> dict[str, Any]:
    return make_span(started_at=(NOW - timedelta(minutes=number)).isoformat(), **changes)


def everything(project: Project) -> list[tuple[Any, ...]]:
    """Every column of every span of the project, and of its payload."""
    columns = ", ".join(f"span.{name}" for name in SPAN_COLUMNS if name != "project_id")
    payload = ", ".join(PAYLOAD_COLUMNS)
    return rows(
        f"SELECT {columns}, {payload} FROM telemetry_span AS span LEFT JOIN telemetry_payload"
        " USING (project_id, trace_id, span_id, started_at) WHERE project_id = %s ORDER BY span_id",
        project.pk,
    )


def staged(batches: list[Batch]) -> list[Outcome]:
    storing._repeating.note({one.project_id for one in batches})
    return storing.store(batches)


def copied(batches: list[Batch]) -> list[Outcome]:
    spare = batch_of_others(batches[0])
    return storing.store([*batches, spare])[:-1]


def batch_of_others(like: Batch) -> Batch:
    """As many spans of a project that does not exist as make COPY worth it."""
    spans = [
        msgspec.structs.replace(like.spans[0], project_id=10**12, span_id=secrets.token_bytes(8)) for _ in range(MANY)
    ]
    return msgspec.structs.replace(like, project_id=10**12, spans=spans, positions=list(range(MANY)), received=MANY)


@pytest.mark.parametrize("way", [storing.store, copied, staged])
def test_leaves_the_same_rows_whichever_way_they_go(
    project: Project, other_project: Project, way: Callable[[list[Batch]], list[Outcome]]
) -> None:
    spans = [
        call(1),
        call(2, name=NASTY, tags=[NASTY, "b", "{}"], input=NASTY, output={"said": NASTY}, user_id=NASTY),
        call(3, cost_usd=0.000000123456789, request_model="unheard of", provider=None),
        call(4, kind="retriever", documents=[{"id": 1, "content": NASTY}], attributes={"n": 10**17, "x": None}),
        call(5, input_tokens=None, output_tokens=None, ttft_ms=0, streamed=False, parent_span_id="00000000000000ab"),
        call(6, status="error", error_type="Timeout", error_message=NASTY, environment=None, latency_ms=None),
        call(7, input="", output=[], attributes={"a": {"b": [1, 2.5, "c"]}}),
    ]
    reference = batch(other_project, spans)
    staged([reference])
    assert way([batch(project, spans)])[0].stored == len(spans)
    assert everything(project) == everything(other_project)
    assert len(everything(project)) == len(spans)
    assert rows("SELECT cost_usd FROM telemetry_span WHERE project_id = %s AND client_cost_usd > 0", project.pk) == [
        (Decimal("0.000000123456789"),)
    ]


@pytest.mark.parametrize("size", [1, FEW, FEW + 1, MANY])
def test_stores_a_batch_once_of_any_size(project: Project, size: int) -> None:
    sent = [call(number) for number in range(size)]
    first, second = batch(project, sent), batch(project, sent)
    assert storing.store([first])[0].stored == size
    assert storing.store([second])[0].duplicates == size
    assert len(everything(project)) == size
    assert list(IntakeBatch.objects.order_by("pk").values_list("received", "stored", "duplicates")) == [
        (size, size, 0),
        (size, 0, size),
    ]


@pytest.mark.parametrize("size", [2, MANY])
def test_stores_what_is_new_beside_what_is_known(project: Project, size: int) -> None:
    known = call()
    storing.store([batch(project, [known])])
    storing._repeating._until.clear()
    later = known | {"output": "done", "output_tokens": 99}
    outcome = storing.store([batch(project, [later, *(call(number) for number in range(1, size))])])[0]
    assert (outcome.stored, outcome.updated) == (size - 1, 1)
    assert len(everything(project)) == size
    assert rows("SELECT output FROM telemetry_payload") == [("done",)]


@pytest.mark.parametrize("size", [1, MANY])
def test_marks_the_hours_of_calls_and_of_nothing_else(project: Project, size: int) -> None:
    sent = [call(40 * number) for number in range(size)]
    others = [call(60 * 24 * 9, kind="tool")]
    storing.store([batch(project, [*sent, *others])])
    hours = {datetime.fromisoformat(span["started_at"]).replace(minute=0) for span in sent}
    assert sorted(DirtyHour.objects.values_list("hour", flat=True)) == sorted(hours)


@pytest.mark.parametrize("size", [1, MANY])
def test_finds_a_span_again_that_was_kept_under_another_time(project: Project, size: int) -> None:
    ahead = make_span(started_at=(NOW + timedelta(hours=1)).isoformat())
    storing.store([batch(project, [ahead])])
    rest = [call(number) for number in range(1, size)]
    outcome = storing.store([batch(project, [ahead, *rest], received_at=NOW + timedelta(hours=2))])[0]
    assert outcome.duplicates == 1
    assert len(everything(project)) == size


def test_keeps_samples_of_what_is_refused_beside_a_few_spans(project: Project) -> None:
    outcome = storing.store([batch(project, [call(), {"name": "no ids"}])])[0]
    assert (outcome.stored, len(outcome.rejected)) == (1, 1)
    assert IntakeRejection.objects.get().code == "missing_trace_id"


def test_is_not_called_inside_a_transaction(project: Project) -> None:
    for size in (1, MANY):
        with pytest.raises(RuntimeError), transaction.atomic():
            storing.store([batch(project, [call(number) for number in range(size)])])
    assert everything(project) == []


WAITING = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"


@pytest.mark.parametrize("size", [3, MANY])
@pytest.mark.parametrize("days", [0, 1])
@pytest.mark.parametrize("is_staged", [False, True])
def test_writers_with_spans_in_common_never_wait_for_each_other_in_a_circle(
    project: Project, size: int, days: int, is_staged: bool
) -> None:
    """Both are stopped half-way, at a span that somebody is deleting; let go, each wants what the other has."""
    sent = [call(number + 60 * 24 * days * (number % 2)) for number in range(size)]
    middle = sent[size // 2]
    storing.store([batch(project, [middle])])
    if is_staged:
        storing._repeating.note([project.pk])
    told: list[object] = []

    def write(spans: list[dict[str, Any]]) -> None:
        try:
            told.append(storing.store([batch(project, spans)])[0].stored)
        except Error as error:
            told.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(some,)) for some in (sent, sent[::-1])]
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM telemetry_span WHERE span_id = %s", [bytes.fromhex(middle["span_id"])])
        for thread in threads:
            thread.start()
        deadline = time.monotonic() + 20
        while rows(WAITING) != [(2,)]:
            assert time.monotonic() < deadline
            rows("SELECT pg_stat_clear_snapshot()")
    for thread in threads:
        thread.join()
    assert sorted(told, key=str) == [0, size]
    assert len(everything(project)) == size
