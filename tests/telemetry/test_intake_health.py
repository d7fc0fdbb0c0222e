"""The health of the intake: whatever is sent can be found again in its numbers."""

from __future__ import annotations

import gzip
import json
import secrets
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from apps.accounts.models import User
from apps.projects import services as projects
from apps.projects.models import ApiKey, Project, Scope
from apps.telemetry import client_names, intake_words
from apps.telemetry.figures import Interval, bucket_starts
from apps.telemetry.models import IntakeBatch, IntakeHour, IntakeRefusal, IntakeRejection
from apps.telemetry.selectors import intake as selectors
from apps.telemetry.services.intake import refusals
from apps.telemetry.services.intake_hours import close_hours
from tests import factories
from tests.conftest import Api, page_client
from tests.telemetry.conftest import Intake, make_span

NAMES = ("received", "stored", "updated", "duplicates", "rejected")


@pytest.fixture(autouse=True)
def _nothing_noted() -> Any:
    """What an earlier test had refused is not this one's."""
    refusals._noted.clear()
    yield
    refusals._noted.clear()


@pytest.fixture
def read(read_key: str) -> Any:
    """The account as programs read it, with what was refused until now."""

    def get(**query: str) -> Any:
        refusals.write()
        answer = Api(read_key).get("/api/v1/intake", query)
        assert answer.status_code == 200, answer.content
        return answer.json()

    return get


def as_sum(total: dict[str, Any]) -> int:
    """What the parts of the account add up to."""
    return int(sum(total[name] for name in NAMES[1:]))


# --- Nothing vanishes ---------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_finds_every_item_of_a_mixed_stream_again(intake: Intake, read: Any, project: Project, alice: User) -> None:
    """Valid, repeated, completed and broken items, in requests that are taken and in some that are not."""
    first, second = make_span(), make_span()
    broken = [
        make_span(kind="spaceship"),
        {"name": "no ids"},
        make_span(cost_usd=-1),
        "not an object",
        make_span(trace_id="0"),
    ]
    many_broken = [make_span(kind="robot") for _ in range(30)]
    requests: list[list[Any]] = [
        [first, second],
        [first, make_span()],  # one is sent again
        [{**second, "output": "Late."}, *broken],  # one is completed
        [*many_broken, make_span()],  # more than are kept with their text
        [make_span() for _ in range(40)],  # by another way into the tables
    ]
    sent = {"received": 0, "stored": 0, "updated": 0, "duplicates": 0, "rejected": 0}
    for spans in requests:
        told = intake.post(spans).json()
        sent["received"] += len(spans)
        sent["stored"] += told["stored"] - told["updated"]
        sent["updated"] += told["updated"]
        sent["duplicates"] += told["duplicates"]
        sent["rejected"] += len(told["rejected"])
    assert intake.send(b"{}", headers={"Content-Type": "text/csv"}).status_code == 415
    assert intake.send(b"[not json").status_code == 400
    assert intake.send(gzip.compress(b"x" * 11_000_000), headers={"Content-Encoding": "gzip"}).status_code == 413
    assert intake.send(json.dumps({"spans": [{}] * 5_001}).encode()).status_code == 413
    assert intake.send(b"{}", key=factories.make_key(project, Scope.READ, created_by=alice)).status_code == 403

    account = read()
    total = account["total"]
    assert {name: total[name] for name in NAMES} == sent
    assert sent["received"] == as_sum(total) == sum(len(spans) for spans in requests)
    assert (sent["updated"], sent["duplicates"], sent["rejected"]) == (1, 1, 35)
    assert total["requests"] == len(requests)
    reasons = {reason["code"]: reason["items"] for reason in account["reasons"]}
    assert sum(reasons.values()) == sent["rejected"]
    assert (reasons["invalid_kind"], reasons["missing_trace_id"]) == (31, 1)
    for whose in ("keys", "clients"):
        assert {name: sum(each[name] for each in account[whose]) for name in NAMES} == sent
    refused = {refusal["code"]: refusal["requests"] for refusal in account["refusals"]}
    assert refused == {
        "unsupported_media_type": 1,
        "malformed": 1,
        "too_large": 1,
        "too_many_items": 1,
        "forbidden": 1,
    }
    assert account["refused_requests"] == 5


@pytest.mark.django_db(transaction=True)
def test_finds_the_items_of_otlp_again(intake: Intake, read: Any) -> None:
    good = {"traceId": secrets.token_hex(16), "spanId": secrets.token_hex(8), "name": "chat"}
    now = str(int(datetime.now(UTC).timestamp() * 1e9))
    times = {"startTimeUnixNano": now, "endTimeUnixNano": now}
    spans = [good | times, good | times, {**good, "spanId": "", **times}]
    body = {"resourceSpans": [{"scopeSpans": [{"scope": {"name": "my.tracer"}, "spans": spans}]}]}
    headers = {"Authorization": f"Bearer {intake.key}", "User-Agent": "OTel-OTLP-Exporter-Python/1.38.0"}
    assert intake.client.post("/v1/traces", json=body, headers=headers).status_code == 200
    assert intake.client.post("/v1/traces", content=b"x", headers=headers | {"Content-Type": "text/html"}).is_error
    account = read()
    assert (account["total"]["received"], as_sum(account["total"])) == (3, 3)
    assert (account["total"]["stored"], account["total"]["duplicates"], account["total"]["rejected"]) == (1, 1, 1)
    assert [client["name"] for client in account["clients"]] == ["OTel-OTLP-Exporter-Python"]
    assert [(each["door"], each["code"]) for each in account["refusals"]] == [("/v1/traces", "unsupported_media_type")]
    assert [(scope["name"], scope["spans"]) for scope in account["recent"]["scopes"]] == [("my.tracer", 1)]


@pytest.mark.django_db(transaction=True)
def test_tells_of_a_key_that_no_longer_works(intake: Intake, read: Any, project: Project, alice: User) -> None:
    raw = factories.make_key(project, Scope.INGEST, created_by=alice, name="old worker")
    key = ApiKey.objects.get(name="old worker")
    projects.revoke_key(key=key, actor=factories.actor_of(alice), now=datetime.now(UTC))
    for _ in range(3):
        assert intake.post([make_span()], key=raw).status_code == 401
    (refusal,) = read()["refusals"]
    assert (refusal["key"], refusal["code"], refusal["requests"]) == ("old worker", "unauthenticated", 3)
    assert refusal["message"] == "This key was revoked."


@pytest.mark.django_db(transaction=True)
def test_books_nothing_for_keys_that_are_none_of_ours(intake: Intake, read: Any, ingest_key: str) -> None:
    assert intake.post([make_span()], key="").status_code == 401
    assert intake.post([make_span()], key="wrong").status_code == 401
    assert intake.post([make_span()], key=ingest_key[:-12] + ("A" * 12)).status_code == 401
    assert read()["refusals"] == []
    assert not IntakeRefusal.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_tells_of_what_was_too_much_and_of_our_own_faults(
    intake: Intake, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("a fault of ours")

    with monkeypatch.context() as patched:
        patched.setattr("apps.telemetry.services.writer.MAX_WAITING_SPANS_PER_PROJECT", 1)
        assert intake.post([make_span(), make_span()]).status_code == 429
    with monkeypatch.context() as patched:
        patched.setattr("apps.telemetry.wire.read_body", fail)
        assert intake.post([make_span()]).status_code == 500
    account = read()
    refused = {(each["code"], each["status"]): each["requests"] for each in account["refusals"]}
    assert refused == {("too_many_spans_waiting", 429): 1, ("internal_error", 500): 1}
    assert account["total"]["received"] == 0


@pytest.mark.django_db(transaction=True)
def test_adds_refusals_of_an_hour_up_in_one_row(intake: Intake) -> None:
    for _ in range(2):
        for _ in range(3):
            intake.send(b"[")
        refusals.write()
    (row,) = IntakeRefusal.objects.values_list("requests", "http_status", "door")
    assert row == (6, 400, "/api/v1/telemetry")


@pytest.mark.django_db(transaction=True)
def test_writes_refusals_by_itself_within_seconds(intake: Intake) -> None:
    import time

    intake.send(b"[")
    deadline = time.monotonic() + 10
    while not IntakeRefusal.objects.exists():
        assert time.monotonic() < deadline, "the refusal was not written"
        time.sleep(0.1)


@pytest.mark.django_db(transaction=True)
def test_keeps_the_account_from_the_other_tenant(
    intake: Intake, other_key: str, charlie: User, project: Project
) -> None:
    intake.post([make_span(), make_span(kind="robot")])
    account = Api(other_key).get("/api/v1/intake").json()
    assert account["total"]["received"] == 0
    assert account["reasons"] == []
    rejected = IntakeRejection.objects.get()
    stranger = page_client(charlie)
    assert stranger.get(f"/p/{project.slug}/settings/intake").status_code == 404
    assert stranger.get(f"/p/{project.slug}/settings/intake/samples/{rejected.pk}").status_code == 404
    assert stranger.get(f"/p/other-shop/settings/intake/samples/{rejected.pk}").status_code == 404


# --- The page -----------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_shows_the_first_broken_item_escaped_and_as_a_file(
    intake: Intake, bob_client: Client, project: Project
) -> None:
    intake.post([make_span(kind="<script>alert(1)</script>")])
    page = bob_client.get(f"/p/{project.slug}/settings/intake")
    text = page.content.decode()
    assert page.status_code == 200
    assert "1 of 1 items were rejected." in text
    assert "<script>alert" not in text
    assert "&lt;script&gt;alert(1)" in text
    assert str(intake_words.mend("invalid_kind")) in text
    rejected = IntakeRejection.objects.get()
    file = bob_client.get(f"/p/{project.slug}/settings/intake/samples/{rejected.pk}")
    assert file["Content-Type"] == "text/plain; charset=utf-8"
    assert "attachment" in file["Content-Disposition"]
    assert "<script>alert(1)</script>" in file.content.decode()


@pytest.mark.django_db(transaction=True)
def test_counts_what_is_unpriced_flagged_and_paid_by_the_clients_word(
    intake: Intake, alice_client: Client, project: Project, read: Any
) -> None:
    long_ago = (datetime.now(UTC) - timedelta(days=900)).isoformat()
    intake.post(
        [
            make_span(request_model="house-model", provider="house"),
            make_span(request_model="house-model", provider="house", cost_usd="0.25"),
            make_span(started_at=long_ago, request_model="other", name="a\x00b"),
        ]
    )
    account = read()
    unpriced = {each["model"]: (each["unpriced_calls"], each["calls"]) for each in account["unpriced"]}
    assert unpriced == {"house-model": (1, 2), "other": (1, 1)}
    assert [(each["model"], Decimal(each["cost_usd"])) for each in account["recent"]["client_costs"]] == [
        ("house-model", Decimal("0.25"))
    ]
    assert account["recent"]["flags"]["clock"] == 1
    assert account["recent"]["flags"]["text_replaced"] == 1
    assert account["recent"]["spans"] == 3
    assert account["recent"]["lag"]["spans"] == 2
    page = alice_client.get(f"/p/{project.slug}/settings/intake").content.decode()
    assert "settings/prices?model=house-model" in page


@pytest.mark.django_db(transaction=True)
def test_says_how_late_spans_are(intake: Intake, read: Any) -> None:
    started = datetime.now(UTC) - timedelta(minutes=10)
    intake.post([make_span(started_at=started.isoformat(), latency_ms=60_000)])
    lag = read()["recent"]["lag"]
    assert 539_000 <= lag["p50_ms"] <= 560_000


@pytest.mark.django_db(transaction=True)
def test_says_what_waits(intake: Intake, read: Any) -> None:
    intake.post([make_span()])
    backlog = read()["backlog"]
    assert (backlog["dirty_hours"], backlog["fresh"], backlog["stuck"]) == (1, 1, 0)
    with connection.cursor() as cursor:
        cursor.execute("UPDATE telemetry_fresh SET attempts = %s", [selectors.MAX_ATTEMPTS])
    assert read()["backlog"]["stuck"] == 1


@pytest.mark.django_db(transaction=True)
def test_asks_few_questions_of_the_database(
    intake: Intake, project: Project, alice: User, django_assert_max_num_queries: Any
) -> None:
    intake.post([make_span(), make_span(kind="robot")])
    intake.send(b"[")
    refusals.write()
    client = page_client(alice)
    client.get(f"/p/{project.slug}/settings/intake")
    with django_assert_max_num_queries(12):
        assert client.get(f"/p/{project.slug}/settings/intake?range=7d").status_code == 200


def test_shows_an_empty_project(alice_client: Client, project: Project) -> None:
    page = alice_client.get(f"/p/{project.slug}/settings/intake").content.decode()
    assert "Nothing was sent in this time." in page


def test_counts_by_the_range_and_cuts_it(project: Project) -> None:
    now = factories.NOW
    for hours, received in ((1, 5), (30, 7), (400, 9)):
        IntakeBatch.objects.create(
            project_id=project.pk,
            client="c/1",
            at=now - timedelta(hours=hours),
            received=received,
            stored=received,
            updated=0,
            duplicates=0,
            rejected=0,
        )
    buckets = [now - timedelta(hours=hours) for hours in range(48, 0, -1)]
    account = selectors.read_account(project.pk, start=buckets[0], end=now, buckets=buckets)
    assert account.total.received == 12
    assert [row.received for row in account.series if row.received] == [7, 5]
    assert account.series[-1].received == 5
    assert account.series[48 - 30].received == 7


def test_says_so_where_reasons_were_not_counted_yet(project: Project) -> None:
    now = factories.NOW
    IntakeBatch.objects.create(
        project_id=project.pk, client="", at=now, received=4, stored=1, updated=0, duplicates=0, rejected=3
    )
    (reason,) = selectors.read_reasons(project.pk, start=now, end=now + timedelta(hours=1))
    assert (reason.code, reason.items, reason.sample) == (selectors.UNKNOWN_REASON, 3, None)


# --- Names and words ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("agent", "family"),
    [
        ("OTel-OTLP-Exporter-Python/1.38.0", "OTel-OTLP-Exporter-Python"),
        ("python-requests/2.32.3", "python-requests"),
        ("Mozilla/5.0 (X11; Linux x86_64)", "Mozilla"),
        ("curl/8.5.0", "curl"),
        ("my service", "my"),
        ("", ""),
        ("   ", ""),
        ("(weird)", ""),
    ],
)
def test_names_a_client_by_its_product(agent: str, family: str) -> None:
    assert client_names.family(agent) == family


def test_has_words_for_every_code_that_the_intake_uses() -> None:
    for code in ("invalid_kind", "missing_trace_id", "not_storable", "too_large", "unauthenticated", "overloaded"):
        assert code in intake_words.MEND
    assert intake_words.mend("missing_whatever") == str(intake_words.MISSING)
    assert intake_words.mend("invalid_whatever") == str(intake_words.FIELD)


# --- Hours that are over ------------------------------------------------------------------------------------


def book(project: Project, at: datetime, *, key_id: int | None = 1, client: str = "c/1", **counts: Any) -> None:
    """A request that brought one stored item, unless other counts are given."""
    whole = {"received": 1, "stored": 1, "updated": 0, "duplicates": 0, "rejected": 0, "reasons": None} | counts
    IntakeBatch.objects.create(project_id=project.pk, key_id=key_id, client=client, at=at, **whole)


def test_says_the_same_before_and_after_hours_are_added_up(project: Project, other_project: Project) -> None:
    """Ranges that begin and end within hours, gaps, requests without a key, and hours that are still open."""
    now = factories.NOW + timedelta(minutes=40)
    for minutes in (3, 17, 61, 62, 200, 200, 1_000, 1_439, 4_000):
        at = now - timedelta(minutes=minutes)
        book(project, at, client=f"c/{minutes % 3}", key_id=minutes % 2 or None)
        book(project, at, received=3, stored=1, rejected=2, reasons={"invalid_kind": 1, f"code_{minutes % 2}": 1})
        book(project, at, received=2, stored=1, rejected=1)  # of before reasons were counted
        book(other_project, at)
    ranges = [(now - timedelta(minutes=length), now) for length in (90, 1_445, 6_000)]
    ranges.append((now - timedelta(minutes=4_010), now - timedelta(minutes=100)))

    def looked_at() -> list[Any]:
        seen = []
        for start, end in ranges:
            buckets = bucket_starts(start, end, Interval.HOUR, UTC)
            account = selectors.read_account(project.pk, start=start, end=end, buckets=buckets)
            reasons = selectors.read_reasons(project.pk, start=start, end=end)
            seen.append((account, [(reason.code, reason.items) for reason in reasons]))
            assert sum(reason.items for reason in reasons) == account.total.rejected
            assert account.total.is_balanced
        return seen

    before = looked_at()
    assert before[2][0].total.requests == 27
    assert close_hours(now=now) > 0
    assert looked_at() == before
    assert close_hours(now=now) == 0
    hours = IntakeHour.objects.filter(project_id=project.pk)
    assert hours.order_by("hour").last().hour == factories.NOW - timedelta(hours=1)
    closed = hours.values_list("requests", flat=True)
    assert sum(closed) == 27 - 6  # those of the last 17 minutes are not over yet
    IntakeBatch.objects.filter(project_id=project.pk, at__lt=factories.NOW).delete()
    start, end = factories.NOW - timedelta(hours=24), now
    assert selectors.read_account(project.pk, start=start, end=end, buckets=[start]).total.requests == 24


def test_leaves_an_hour_open_until_its_requests_must_be_there(project: Project) -> None:
    end = factories.NOW
    book(project, end - timedelta(minutes=1))
    assert close_hours(now=end + timedelta(minutes=14)) == 0
    assert close_hours(now=end + timedelta(minutes=15)) == 1
