"""`POST /api/v1/telemetry` over a real socket: what is stored, what is refused, and what is left behind."""

from __future__ import annotations

import gzip
import json
import secrets
import socket
import threading
import time
import tracemalloc
import zlib
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.db import connection

from apps.projects.models import Environment, Feature, Project, Scope
from apps.telemetry.models import DirtyHour, IntakeBatch, IntakeRejection, Score
from tests import factories
from tests.telemetry.conftest import Intake, make_span, rows

pytestmark = pytest.mark.django_db(transaction=True)


def stored_ids() -> set[str]:
    return {span_id.hex() for (span_id,) in rows("SELECT span_id FROM telemetry_span")}


def test_stores_a_call_and_answers_after_the_commit(intake: Intake, project: Project) -> None:
    span = make_span(user_id="u_1", ttft_ms=210, input=[{"role": "user", "content": "hello"}], output="hi")
    answer = intake.post([span])
    assert answer.status_code == 200
    assert answer.json() == {"stored": 1, "updated": 0, "duplicates": 0, "rejected": []}
    assert rows("SELECT project_id, trace_id, feature, user_id, latency_ms, ttft_ms, counted FROM telemetry_span") == [
        (project.pk, bytes.fromhex(span["trace_id"]), "support-answers", "u_1", 1200, 210, True)
    ]
    assert rows("SELECT input, input_is_json, output FROM telemetry_payload") == [
        ('[{"role":"user","content":"hello"}]', True, "hi")
    ]
    hour = datetime.fromisoformat(span["started_at"]).replace(minute=0, second=0, microsecond=0)
    assert list(DirtyHour.objects.values_list("project_id", "hour")) == [(project.pk, hour)]


def test_knows_a_span_that_is_sent_again(intake: Intake) -> None:
    span = make_span()
    intake.post([span])
    again = intake.post([span, span])
    assert again.json() == {"stored": 0, "updated": 0, "duplicates": 2, "rejected": []}
    assert len(stored_ids()) == 1


def test_completes_a_span_by_a_later_report_and_marks_its_hour_again(intake: Intake) -> None:
    opened = make_span(output_tokens=None, latency_ms=None)
    intake.post([opened])
    DirtyHour.objects.all().delete()
    answer = intake.post([opened | {"output_tokens": 120, "latency_ms": 900, "output": "done"}])
    assert answer.json() == {"stored": 1, "updated": 1, "duplicates": 0, "rejected": []}
    assert rows("SELECT input_tokens, output_tokens, latency_ms FROM telemetry_span") == [(800, 120, 900)]
    assert rows("SELECT output FROM telemetry_payload") == [("done",)]
    assert DirtyHour.objects.count() == 1
    assert intake.post([opened]).json()["duplicates"] == 1


def test_keeps_the_same_ids_of_two_projects_apart(intake: Intake, other_project: Project, charlie: Any) -> None:
    span = make_span()
    other_key = factories.make_key(other_project, Scope.INGEST, created_by=charlie)
    intake.post([span])
    answer = intake.post([span | {"feature": "other"}], key=other_key)
    assert answer.json()["stored"] == 1
    assert {feature for (feature,) in rows("SELECT feature FROM telemetry_span")} == {"support-answers", "other"}


@pytest.mark.parametrize("started_at", ["1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z"])
def test_stores_an_impossible_clock_once_under_the_time_received(intake: Intake, started_at: str) -> None:
    span = make_span(started_at=started_at)
    assert intake.post([span]).json()["stored"] == 1
    assert intake.post([span]).json()["duplicates"] == 1
    [(stored_at, flags)] = rows("SELECT started_at, flags FROM telemetry_span")
    assert abs(stored_at - datetime.now(UTC)) < timedelta(minutes=1)
    assert "clock" in flags


def test_makes_one_partition_for_a_late_span_and_none_for_an_impossible_one(intake: Intake) -> None:
    late = datetime.now(UTC) - timedelta(days=311)
    count = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'telemetry_span'::regclass"
    intake.post([make_span()])
    [(before,)] = rows(count)
    intake.post([make_span(started_at=late.isoformat()), make_span(started_at="1970-01-01T00:00:00Z")])
    [(after,)] = rows(count)
    assert after - before <= 1
    assert rows("SELECT to_regclass(%s) IS NOT NULL", f"telemetry_span_{late:%Y%m%d}") == [(True,)]


def test_lets_features_and_environments_exist_by_their_first_call(intake: Intake, project: Project) -> None:
    intake.post([make_span(feature="invoice-extract", environment="canary")])
    assert Feature.objects.get(project=project, slug="invoice-extract").made_by_call
    assert Environment.objects.filter(project=project, slug="canary").exists()


def test_refuses_single_items_and_books_every_one(intake: Intake, project: Project) -> None:
    good = [make_span() for _ in range(3)]
    bad = [make_span(trace_id="nope"), make_span(input_tokens=-5), {"spans": 1}, 7]
    answer = intake.post([good[0], bad[0], good[1], bad[1], bad[2], good[2], bad[3]])
    assert answer.status_code == 200
    assert answer.json()["stored"] == 3
    assert [(item["index"], item["code"]) for item in answer.json()["rejected"]] == [
        (1, "invalid_trace_id"),
        (3, "invalid_input_tokens"),
        (4, "missing_trace_id"),
        (6, "not_an_object"),
    ]
    assert stored_ids() == {span["span_id"] for span in good}
    booked = IntakeBatch.objects.get()
    assert (booked.project_id, booked.received) == (project.pk, 7)
    assert booked.received == booked.stored + booked.updated + booked.duplicates + booked.rejected
    kept = IntakeRejection.objects.order_by("position")
    assert [(item.position, item.code) for item in kept][:2] == [(1, "invalid_trace_id"), (3, "invalid_input_tokens")]
    assert "nope" in kept[0].sample


def test_refuses_a_bad_score_alone(intake: Intake) -> None:
    span = make_span()
    good = {"name": "thumbs", "value": 1, "trace_id": span["trace_id"]}
    body = {"spans": [span], "scores": [{"name": "thumbs", "value": 1}, good]}
    answer = intake.send(json.dumps(body).encode()).json()
    assert answer["stored"] == 2
    assert [(item["list"], item["index"], item["code"]) for item in answer["rejected"]] == [
        ("scores", 0, "missing_target")
    ]
    booked = IntakeBatch.objects.get()
    assert (booked.received, booked.stored, booked.rejected) == (3, 2, 1)
    assert Score.objects.get().trace_id.hex() == span["trace_id"]


POISON = [
    ({"name": "a\x00b"}, None),
    ({"output": "\ud800"}, None),
    ({"attributes": {"n": "\x00", "\x00": 1}}, None),
    ({"attributes": {"big": "x" * 5_000_000}}, None),
    ({"attributes": {"__proto__": {"x": 1}, "": 1, "k" * 10_000: 2, "\u202e": 3}}, None),
    ({"unknown_field": [1, {"x": "y"}]}, None),
    ({"cost_usd": -1}, "invalid_cost_usd"),
    ({"input_tokens": 2**70}, "invalid_input_tokens"),
    ({"started_at": "1970-01-01"}, "invalid_started_at"),
]


@pytest.mark.parametrize(("changes", "code"), POISON)
def test_poison_amid_good_spans_never_fails_its_neighbours(
    intake: Intake, changes: dict[str, Any], code: str | None
) -> None:
    before, poison, after = make_span(), make_span(**changes), make_span()
    answer = intake.post([before, poison, after])
    assert answer.status_code == 200
    assert [item["code"] for item in answer.json()["rejected"]] == ([code] if code else [])
    assert stored_ids() >= {before["span_id"], after["span_id"]}
    assert (poison["span_id"] in stored_ids()) is (code is None)


def test_an_item_the_database_refuses_is_rejected_alone(intake: Intake) -> None:
    """The database has the last word: a constraint that the reader does not know stands for any such rule."""
    good, poison = [make_span() for _ in range(6)], make_span(name="forbidden by the database")
    with connection.cursor() as cursor:
        cursor.execute("ALTER TABLE telemetry_span ADD CONSTRAINT no_poison CHECK (name NOT LIKE 'forbidden%')")
    try:
        answer = intake.post([*good[:4], poison, *good[4:]])
    finally:
        with connection.cursor() as cursor:
            cursor.execute("ALTER TABLE telemetry_span DROP CONSTRAINT no_poison")
    assert answer.status_code == 200
    assert answer.json()["stored"] == 6
    assert [(item["index"], item["code"]) for item in answer.json()["rejected"]] == [(4, "not_storable")]
    assert stored_ids() == {span["span_id"] for span in good}


EMPTY = b'{"spans":[]}'
GZIP = {"Content-Encoding": "gzip"}
BODIES: dict[str, tuple[Callable[[], bytes], dict[str, str], int, str | None]] = {
    "text": (lambda: b"not json", {}, 400, "malformed"),
    "nothing": (lambda: b"", {}, 400, "malformed"),
    "a list": (lambda: b"[]", {}, 400, "malformed"),
    "50,000 deep": (lambda: b"[" * 50_000, {}, 400, "malformed"),
    "1e999 for an item": (lambda: b'{"spans":[1e999]}', {}, 200, None),
    "10,000 items": (lambda: json.dumps({"spans": [{}] * 10_000}).encode(), {}, 413, "too_many_items"),
    "11 MB": (lambda: b" " * (11 * 1024 * 1024), {}, 413, "too_large"),
    "xml": (lambda: b"{}", {"Content-Type": "text/xml"}, 415, "unsupported_media_type"),
    "brotli": (lambda: b"{}", {"Content-Encoding": "br"}, 415, "unsupported_encoding"),
    "gzip that is none": (lambda: b"{}", GZIP, 400, "corrupt_body"),
    "gzip cut off": (lambda: gzip.compress(EMPTY)[:-4], GZIP, 400, "corrupt_body"),
    "gzip with a tail": (lambda: gzip.compress(EMPTY) + b"tail", GZIP, 400, "corrupt_body"),
    "a bomb of 512 MiB": (lambda: gzip.compress(bytes(512 * 1024 * 1024), 1), GZIP, 413, "too_large"),
    "gzip in gzip": (lambda: gzip.compress(gzip.compress(b"{}")), GZIP, 400, "malformed"),
    "an empty object": (lambda: b"{}", {}, 200, None),
    "gzip": (lambda: gzip.compress(EMPTY), GZIP, 200, None),
    "deflate": (lambda: zlib.compress(EMPTY), {"Content-Encoding": "deflate"}, 200, None),
}


@pytest.mark.parametrize("name", BODIES)
def test_answers_any_body_with_the_stated_status(intake: Intake, name: str) -> None:
    body, headers, status, code = BODIES[name]
    answer = intake.send(body(), headers=headers)
    assert (answer.status_code, answer.json().get("error", {}).get("code")) == (status, code)
    assert intake.post([make_span()]).status_code == 200, "the connection and the server must go on"


def test_a_bomb_costs_little_memory(intake: Intake) -> None:
    bomb = gzip.compress(b"\0" * (1024 * 1024 * 1024), 9)
    tracemalloc.start()
    answer = intake.send(bomb, headers={"Content-Encoding": "gzip"})
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert answer.status_code == 413
    assert peak < 64 * 1024 * 1024


def test_every_damaged_byte_of_a_compressed_body_is_a_4xx(intake: Intake) -> None:
    whole = gzip.compress(json.dumps({"spans": [make_span()]}).encode())
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0xFF
        answer = intake.send(bytes(damaged), headers={"Content-Encoding": "gzip"})
        # Bytes 4 to 9 of the header are a time and hints, which nothing depends on.
        assert answer.status_code in ({200} if 4 <= position <= 9 else {200, 400}), position
        assert 4 <= position <= 9 or answer.status_code == 400 or position == 3, position


def test_reads_a_body_that_comes_in_chunks(intake: Intake) -> None:
    body = gzip.compress(json.dumps({"spans": [make_span() for _ in range(50)]}).encode())

    def pieces() -> Iterator[bytes]:
        for start in range(0, len(body), 97):
            yield body[start : start + 97]

    answer = intake.send(pieces(), headers={"Content-Encoding": "gzip"})
    assert answer.json()["stored"] == 50


def test_refuses_a_caller_before_reading_the_body(intake: Intake, address: str) -> None:
    host, port = address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connected:
        connected.sendall(
            b"POST /api/v1/telemetry HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer wrong\r\n"
            b"Content-Type: application/json\r\nContent-Length: 52428800\r\n\r\n"
        )
        head = connected.recv(4096)
    assert head.startswith(b"HTTP/1.1 401")
    assert b"connection: close" in head.lower()


@pytest.mark.parametrize(
    ("scopes", "status"),
    [((Scope.INGEST,), 200), ((Scope.ADMIN,), 200), ((Scope.READ,), 403), ((Scope.READ, Scope.GATEWAY), 403)],
)
def test_asks_for_the_ingest_scope(
    intake: Intake, project: Project, alice: Any, scopes: tuple[Scope, ...], status: int
) -> None:
    key = factories.make_key(project, *scopes, created_by=alice)
    assert intake.post([make_span()], key=key).status_code == status


@pytest.mark.parametrize("key", ["", "wrong", "pw_ingest_live_0000000000000000000000_000000"])
def test_refuses_a_missing_or_wrong_key(intake: Intake, key: str) -> None:
    answer = intake.post([make_span()], key=key)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "unauthenticated")
    assert stored_ids() == set()


def test_takes_the_key_in_every_documented_way_and_not_in_the_address(intake: Intake) -> None:
    basic = httpx_basic(intake.key)
    for headers in ({"x-api-key": intake.key}, {"Authorization": basic}):
        assert intake.send(b"{}", key="", headers=headers).status_code == 200
    answer = intake.client.post(f"/api/v1/telemetry?key={intake.key}", content=b"{}")
    assert answer.status_code == 401


def httpx_basic(key: str) -> str:
    import base64

    return "Basic " + base64.b64encode(f"anything:{key}".encode()).decode()


def test_tells_which_method_it_takes(intake: Intake) -> None:
    answer = intake.client.get("/api/v1/telemetry")
    assert (answer.status_code, answer.json()["error"]["code"]) == (405, "method_not_allowed")


def test_many_clients_with_the_same_batch_store_it_once(intake: Intake, address: str) -> None:
    """Sixteen clients post the same spans at the same moment, each in an order of its own."""
    spans = [make_span() for _ in range(60)]
    start, answers = threading.Barrier(16), []

    def client(number: int) -> None:
        sender = Intake(address, intake.key)
        start.wait()
        answers.append(sender.post(spans[number:] + spans[:number]).json())
        sender.client.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(answer["stored"] for answer in answers) == 60
    assert sum(answer["duplicates"] for answer in answers) == 15 * 60
    assert len(stored_ids()) == 60


def test_racing_updates_of_one_span_end_in_their_merge(intake: Intake, address: str) -> None:
    base = make_span(output_tokens=None)
    start = threading.Barrier(8)

    def client(number: int) -> None:
        sender = Intake(address, intake.key)
        start.wait()
        assert sender.post([base | {"output_tokens": number, "attributes": {f"a{number}": 1}}]).status_code == 200
        sender.client.close()

    threads = [threading.Thread(target=client, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    [(output_tokens,)] = rows("SELECT output_tokens FROM telemetry_span")
    [(attributes,)] = rows("SELECT attributes FROM telemetry_payload")
    assert output_tokens == 7
    assert json.loads(attributes) == {f"a{number}": 1 for number in range(8)}


def test_says_unavailable_within_seconds_when_the_database_holds_still_and_goes_on_after(intake: Intake) -> None:
    """Somebody holds the tables locked, which is what a database that does not answer looks like."""
    intake.post([make_span()])
    blocked = make_span()
    with connection.cursor() as cursor:
        cursor.execute("BEGIN; LOCK TABLE telemetry_span IN ACCESS EXCLUSIVE MODE")
        began = time.monotonic()
        answer = intake.post([blocked])
        took = time.monotonic() - began
        cursor.execute("ROLLBACK")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) >= 1
    assert took < 2.5
    again = intake.post([blocked])
    assert again.status_code == 200
    assert again.json()["stored"] + again.json()["duplicates"] == 1
    assert blocked["span_id"] in stored_ids()


def test_a_random_trace_id_of_upper_case_is_the_same_trace(intake: Intake) -> None:
    trace_id = secrets.token_hex(16)
    intake.post([make_span(trace_id=trace_id.upper())])
    assert rows("SELECT encode(trace_id, 'hex') FROM telemetry_span") == [(trace_id,)]
