"""Facts written and added up at the same time, with real commits: nothing is missed, nothing counted twice."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection, transaction

from apps.projects.models import Project
from apps.telemetry import wire
from apps.telemetry.figures import Interval
from apps.telemetry.models import FactMark
from apps.telemetry.selectors.fact_cells import FactScope, read_facts
from apps.telemetry.services import fact_summaries, store, trace_facts
from apps.telemetry.tallies import Subject
from apps.telemetry.types import Batch
from tests import factories
from tests.telemetry.conftest import rows

NOW = factories.NOW
TRACES = 24


def a_retrieval(number: int) -> dict[str, Any]:
    return {
        "trace_id": f"{number:032x}",
        "span_id": f"{number:016x}",
        "kind": "retriever",
        "name": "search",
        "started_at": (NOW - timedelta(hours=30 + number % 3)).isoformat(),
        "documents": [],
    }


def keep(project: Project, *spans: dict[str, Any]) -> None:
    body = wire.read_body(json.dumps({"spans": spans}).encode(), max_items=100)
    records, positions, _rejected = wire.read_spans(
        body.spans, project_id=project.pk, received_at=NOW, keep_since=NOW - timedelta(days=400)
    )
    store([Batch(project.pk, None, "tests", NOW, len(spans), records, positions, [])])


def in_threads(*works: Callable[[], None]) -> None:
    """Run all at once; raises what the first one that failed raised."""
    failures: list[BaseException] = []

    def run(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(work,)) for work in works]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    if failures:
        raise failures[0]


@pytest.mark.usefixtures("span_tables")
def test_adds_up_what_is_written_meanwhile(project: Project) -> None:
    keep(project, *(a_retrieval(number) for number in range(1, TRACES + 1)))
    ids = [bytes.fromhex(f"{number:032x}") for number in range(1, TRACES + 1)]
    is_written = threading.Event()

    def write(several: list[bytes]) -> None:
        for trace_id in several:
            with transaction.atomic(), connection.cursor() as cursor:
                trace_facts.refresh(cursor, project.pk, [trace_id], now=NOW)

    def write_all() -> None:
        # Each trace by two writers at once, from both ends.
        in_threads(lambda: write(ids), lambda: write(ids[::-1]))
        is_written.set()

    def add_up() -> None:
        while not is_written.is_set():
            fact_summaries.summarise(now=NOW)

    in_threads(write_all, add_up, add_up)
    while fact_summaries.summarise(now=NOW):
        pass
    assert rows("SELECT count(*) FROM telemetry_retrieval") == [(TRACES,)]
    assert not FactMark.objects.exists()
    scope = FactScope(NOW - timedelta(days=7), NOW, Interval.DAY)
    assert read_facts(project.pk, scope, Subject.RETRIEVAL)[0].total["empty"] == TRACES
    sums = rows("SELECT hours, sum(counts[1]) FROM telemetry_factsummary WHERE slice = 'all' GROUP BY hours ORDER BY 1")
    assert sums == [(1, TRACES), (6, TRACES), (24, TRACES)]
