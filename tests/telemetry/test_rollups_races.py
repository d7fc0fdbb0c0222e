"""Writers, roll-ups and readers at the same time, with real commits: figures are those of the spans at every read."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction

from apps.telemetry.figures import COUNTS, Dimension, FigureRequest, Filters, Interval
from apps.telemetry.models import CostHour, DirtyHour
from apps.telemetry.selectors import figures
from apps.telemetry.selectors.figures import read_tables
from apps.telemetry.selectors.statement import compose
from apps.telemetry.services import rollups
from tests.telemetry.calls import RECORD_TABLES, Call, assert_row, make_partitions, put, records

PROJECT = 7201
DAY = datetime(2026, 3, 4, tzinfo=UTC)
END = DAY + timedelta(days=2)
WRITERS, BATCHES, PER_BATCH = 3, 25, 8

WHOLE = FigureRequest(DAY, END)
BY_FEATURE = FigureRequest(DAY, END, (Dimension.FEATURE,), Interval.HOUR)
TWO_WAYS = FigureRequest(DAY, END, (Dimension.FEATURE, Dimension.MODEL), filters=Filters(environment="production"))
SUMS = """
SELECT count(*), count(*) FILTER (WHERE status = 'error'), count(*) FILTER (WHERE cost_usd IS NULL),
  coalesce(sum(input_tokens), 0), sum(cost_usd)
FROM telemetry_span WHERE project_id = %s AND counted
"""

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _tables(span_tables: None) -> None:
    make_partitions(DAY.date(), 2)


def in_threads(*works: Callable[[], None]) -> None:
    """Run all at once from one barrier on; the first error of any rises here."""
    barrier, errors = threading.Barrier(len(works)), []

    def run(work: Callable[[], None]) -> None:
        try:
            barrier.wait(20)
            work()
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not any(thread.is_alive() for thread in threads), "a thread hangs"
    if errors:
        raise errors[0]


def batches_of(writer: int) -> Iterator[list[Call]]:
    """What a writer sends: calls over two days, each now and then sent again with other figures."""
    chance = random.Random(writer)
    sent: list[Call] = []
    for batch in range(BATCHES):
        fresh = [
            Call(
                writer * 100_000 + batch * 100 + place,
                DAY + timedelta(seconds=chance.randrange(172_800)),
                feature=chance.choice(["answers", "search"]),
                model=chance.choice(["small", "large"]),
                environment=chance.choice(["production", "staging"]),
                status=chance.choice(["ok", "error"]),
                latency_ms=chance.randrange(5_000),
                cost_usd=chance.choice([None, Decimal(chance.randrange(10**9)).scaleb(-9)]),
            )
            for place in range(PER_BATCH)
        ]
        again = [
            Call(**{**vars(call), "latency_ms": 9_000 + batch, "cost_usd": Decimal(batch), "input_tokens": batch})
            for call in chance.sample(sent, min(3, len(sent)))
        ]
        sent += fresh
        yield [*fresh, *again]


def test_figures_equal_the_spans_while_everything_runs() -> None:
    writing, reads = threading.Event(), [0]
    stored: list[dict[int, Call]] = [{} for _ in range(WRITERS)]
    left = [WRITERS]
    lock = threading.Lock()

    def write(writer: int) -> None:
        for calls in batches_of(writer):
            put(PROJECT, calls)
            stored[writer].update({call.number: call for call in calls})
        with lock:
            left[0] -= 1
            if not left[0]:
                writing.set()

    def roll_up() -> None:
        while not writing.is_set():
            rollups.roll_up(max_portions=2)

    def read_at_one_moment() -> None:
        while not writing.is_set():
            # All statements of this transaction see one moment, so that spans and figures can be compared.
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                cursor.execute(SUMS, [PROJECT])
                *numbers, cost = cursor.fetchone()
                tables = read_tables(PROJECT, [WHOLE, BY_FEATURE])
            for table in tables:
                total = table.total
                assert [total.calls, total.errors, total.unpriced_calls, total.input_tokens] == numbers
                assert (total.cost_usd or 0) == (cost or 0)
            reads[0] += 1

    def read_between_moments() -> None:
        """Whatever is committed while one reads: what was there before is counted, what comes after is not."""
        while not writing.is_set():
            least = count_calls()
            whole, by_feature, _ = read_tables(PROJECT, [WHOLE, BY_FEATURE, TWO_WAYS])
            most = count_calls()
            assert least <= whole.total.calls <= most
            assert [getattr(whole.total, name) for name in COUNTS] == [
                getattr(by_feature.total, name) for name in COUNTS
            ]
            assert whole.total.cost_usd == by_feature.total.cost_usd
            reads[0] += 1

    in_threads(
        *(lambda writer=writer: write(writer) for writer in range(WRITERS)),
        roll_up,
        roll_up,
        read_at_one_moment,
        read_between_moments,
    )

    calls = [call for part in stored for call in part.values()]
    assert len(calls) == WRITERS * BATCHES * PER_BATCH
    assert reads[0] >= 10
    for _ in ("as it was left", "rolled up"):
        whole, _, two_ways = read_tables(PROJECT, [WHOLE, BY_FEATURE, TWO_WAYS])
        assert_row(whole.total, calls)
        for row in two_ways.rows:
            chosen = [call for call in calls if (call.feature, call.model) == row.group]
            assert_row(row, [call for call in chosen if call.environment == "production"])
        while rollups.roll_up().hours:
            pass
    assert not DirtyHour.objects.exists()
    assert CostHour.objects.exists()


def count_calls() -> int:
    """How many calls are stored by now."""
    with connection.cursor() as cursor:
        cursor.execute(SUMS, [PROJECT])
        return int(cursor.fetchone()[0])


def test_two_roll_ups_at_once_have_one_effect() -> None:
    put(PROJECT, [call for calls in batches_of(1) for call in calls])
    hours: list[int] = []

    in_threads(*[lambda: hours.append(rollups.roll_up().hours)] * 4)
    while rollups.roll_up().hours:
        pass

    marked = sum(hours)
    rows = {table: records(table) for table in RECORD_TABLES}
    assert marked == len({row[0] for row in CostHour.objects.values_list("hour")})
    rollups.rebuild(PROJECT, first=DAY.date(), last=DAY.date() + timedelta(days=1), now=DAY)
    assert {table: records(table) for table in RECORD_TABLES} == rows


def test_rebuilds_at_once_wait_for_each_other() -> None:
    put(PROJECT, [call for calls in batches_of(2) for call in calls])
    while rollups.roll_up().hours:
        pass
    before = {table: records(table) for table in RECORD_TABLES}

    def rebuild() -> None:
        rollups.rebuild(PROJECT, first=DAY.date(), last=DAY.date() + timedelta(days=1), now=DAY)

    in_threads(rebuild, rebuild, lambda: void(rollups.roll_up()))

    assert not DirtyHour.objects.exists()
    assert {table: records(table) for table in RECORD_TABLES} == before


def void(_: object) -> None:
    """Nothing."""


def test_leaves_a_project_to_whoever_is_rolling_it_up() -> None:
    put(PROJECT, [Call(1, DAY)])
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(rollups.LOCK, [rollups.LOCK_KEY, PROJECT])
            held.set()
            assert done.wait(20)

    def try_it() -> None:
        assert held.wait(20)
        began = time.monotonic()
        assert rollups.roll_up() == rollups.RollUp(hours=0, is_unfinished=False)
        assert time.monotonic() - began < 10
        done.set()

    in_threads(hold, try_it)
    assert rollups.roll_up().hours == 1


def test_reads_again_when_an_hour_becomes_dirty_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    put(PROJECT, [Call(1, DAY)])
    rollups.roll_up()
    turns = [0]

    def compose_while_a_call_arrives(*given: object, **named: object) -> object:
        turns[0] += 1
        if turns[0] == 1:
            put(PROJECT, [Call(2, DAY + timedelta(minutes=5))])
        return compose(*given, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(figures, "compose", compose_while_a_call_arrives)

    (whole,) = read_tables(PROJECT, [WHOLE])

    assert turns[0] == 2
    assert whole.total.calls == 2
