"""What was stored is looked through once, whatever fails on the way."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import pytest
from django.db import connection, transaction
from django.db.backends.utils import CursorWrapper

from apps.projects.models import Project
from apps.telemetry.services import digesting, storing
from apps.telemetry.services.fresh import Key
from tests.factories import NOW
from tests.telemetry.conftest import rows
from tests.telemetry.test_storing import batch, call

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _forgetful(span_tables: None) -> Iterator[None]:
    storing._repeating._until.clear()
    yield
    storing._repeating._until.clear()


def waiting() -> list[tuple[int, int]]:
    return rows("SELECT cardinality(span_ids), attempts FROM telemetry_fresh ORDER BY id")


def test_names_every_stored_and_changed_span_and_no_repeated_one(project: Project) -> None:
    sent = [call(number) for number in range(30)]
    storing.store([batch(project, sent)])
    storing.store([batch(project, sent)])
    storing.store([batch(project, [sent[0] | {"output": "more"}, sent[1]])])
    assert waiting() == [(30, 0), (1, 0)]
    assert digesting.digest(now=NOW) == 2
    assert waiting() == []


def test_finds_words_and_facts_of_what_it_looked_through(project: Project) -> None:
    spans = [
        call(1, output="the rare word is quixotry"),
        call(2, kind="retriever", documents=[{"id": "a", "score": 0.5, "content": "x"}], input_tokens=None),
    ]
    storing.store([batch(project, spans)])
    digesting.digest(now=NOW)
    assert rows("SELECT count(*) FROM telemetry_search WHERE project_id = %s", project.pk) == [(2,)]
    assert rows("SELECT count(*) FROM telemetry_retrieval WHERE project_id = %s", project.pk) == [(1,)]


def test_a_row_that_fails_is_tried_again_later_and_keeps_no_other(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Key] = []

    def stumble(_cursor: CursorWrapper, _project_id: int, keys: Sequence[Key], _now: datetime) -> None:
        if any(key in poison for key in keys):
            raise RuntimeError("this span makes the step fail")
        seen.extend(keys)

    monkeypatch.setattr(digesting, "STEPS", (stumble,))
    for number in range(3):
        storing.store([batch(project, [call(number)])])
    keys = rows("SELECT project_id, trace_ids[1], span_ids[1], started_ats[1] FROM telemetry_fresh ORDER BY id")
    poison = {keys[1]}
    assert digesting.digest(now=NOW) == 2
    assert sorted(seen) == sorted([keys[0], keys[2]])
    assert waiting() == [(1, 1)]
    assert digesting.digest(now=_stored_at()) == 0
    assert waiting() == [(1, 1)], "it waits a while"
    for attempt in range(2, digesting.MAX_ATTEMPTS + 3):
        digesting.digest(now=_stored_at() + timedelta(hours=attempt))
    assert waiting() == [(1, digesting.MAX_ATTEMPTS)], "it stays where it can be seen"


def _stored_at() -> datetime:
    (latest,) = rows("SELECT max(at) FROM telemetry_fresh")[0]
    assert isinstance(latest, datetime)
    return latest


def test_leaves_rows_to_whoever_has_them(project: Project) -> None:
    storing.store([batch(project, [call(1)])])
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT id FROM telemetry_fresh FOR UPDATE")
        found: list[int] = []

        def other() -> None:
            try:
                found.append(digesting.digest(now=NOW))
            finally:
                connection.close()

        thread = threading.Thread(target=other)
        thread.start()
        thread.join(20)
    assert found == [0]
    assert digesting.digest(now=NOW) == 1
