"""Nothing that a project has masked reaches a table, and what cannot be masked in time is replaced whole."""

from __future__ import annotations

import time
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client
from django.urls import reverse

from apps.core.errors import Invalid
from apps.projects.models import AuditEntry, Project
from apps.projects.types import SYSTEM
from apps.telemetry.masking import (
    KINDS,
    TIMED_OUT,
    BadRule,
    Masker,
    OwnRule,
    Rules,
    check_rule,
)
from apps.telemetry.models import MaskingSettings
from apps.telemetry.services.masking import change_masking, forget_rules
from tests.factories import NOW
from tests.telemetry.conftest import Intake, make_span, rows

ALL = Masker(Rules(kinds=KINDS), b"pepper")


@pytest.mark.parametrize(
    ("text", "stored"),
    [
        ("write to bob.o+x@mail.example.co.uk now", "write to [email] now"),
        ("?to=bob%40example.com&x", "?to=[email]&x"),
        ("call +49 30 1234567 or (555) 123-4567", "call [phone] or [phone]"),
        ("0171 2345678, 06 12 34 56 78, 020 7946 0958", "[phone], [phone], [phone]"),
        ("4111 1111 1111 1111 12/28", "[card] 12/28"),
        ("5500-0000-0000-0004 and 378282246310005", "[card] and [card]"),
        ("from 10.0.0.1 and fe80::1", "from [ip] and [ip]"),
        ("sk-proj-abcdefghijklmnop1234", "[key]"),
        ("AKIAIOSFODNN7EXAMPLE", "[key]"),
        ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[key]"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.abc-_def", "[key]"),
        ("Authorization: Bearer abcdefghijklmnop1234", "Authorization: Bearer [key]"),
        ("postgres://admin:hunter2@db/x", "postgres://[key]@db/x"),
        (f"pw_ingest_live_{'a' * 27}_abcdef", "[key]"),
        ("a -----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY----- b", "a [key] b"),
        ("-----BEGIN OPENSSH PRIVATE KEY-----\ncut off", "[key]"),
    ],
)
def test_replaces_what_it_finds(text: str, stored: str) -> None:
    assert ALL.masked(text) == stored


@pytest.mark.parametrize(
    "text",
    [
        "on 2026-11-23 at 10:00:00.123456, not 03/04/2026",
        "v1.2.3 costs 3.14159265358979 and 1,234,567.89",
        "id 550e8400-e29b-41d4-a716-446655440000 at 1732360000000000000",
        "4111111111111112 is no card, nor is 1700000000000",
        "@alice, see http://a:8000/b and sk-short",
        "999.1.1.1 is no address",
    ],
)
def test_leaves_alone_what_only_looks_like_it(text: str) -> None:
    assert ALL.masked(text) == text


@pytest.mark.parametrize("number", ["4242424242424242", "6011111111111117", "3530111333300000", "2223003122003222"])
def test_tells_a_card_by_its_sum(number: str) -> None:
    assert ALL.masked(number) == "[card]"
    wrong = number[:-1] + str((int(number[-1]) + 1) % 10)
    assert "[card]" not in ALL.masked(wrong)


def test_is_quick_where_nothing_matches() -> None:
    masker = Masker(Rules(kinds=("key", "email", "card", "phone")), b"pepper")
    text = ("The quick brown fox jumps over 13 lazy dogs, and so on; total 42.5 items in 2026. " * 13)[:1024]
    best = min(_seconds(masker, text) for _ in range(20))
    # 30 microseconds on a free machine; a full one is given room.
    assert best < 100e-6, best


def _seconds(masker: Masker, text: str) -> float:
    start = time.perf_counter()
    for _ in range(50):
        masker.masked(text)
    return (time.perf_counter() - start) / 50


@pytest.mark.parametrize(
    "part", ["a@", "4 ", "://a:", "eyJ", "a:", "1.1.", "0 1", "(0", "x@a.", "01/", "-----BEGIN RSA PRIVATE KEY-----"]
)
def test_takes_time_in_proportion_to_the_text(part: str) -> None:
    def seconds(size: int) -> float:
        text = (part * size)[:size]
        start = time.process_time()
        ALL.masked(text)
        return time.process_time() - start

    # Twenty times the text takes some twenty times as long; squared it would be four hundred times.
    small = min(seconds(10_000) for _ in range(3))
    assert seconds(200_000) < 100 * max(small, 0.0005)


@pytest.mark.parametrize("pattern", [r"(a+)+$", r"(x+x+)+y", r"(?:a|aa)+$", r"(\w+\s?)+$", r"([a-z]+)*\d!"])
def test_refuses_a_pattern_that_goes_back_and_forth(pattern: str) -> None:
    with pytest.raises(BadRule):
        check_rule(OwnRule("slow", pattern))


@pytest.mark.parametrize("pattern", [r".*", r"x?", "", "[", "(", "a" * 501])
def test_refuses_a_pattern_that_cannot_be_used(pattern: str) -> None:
    with pytest.raises(BadRule):
        check_rule(OwnRule("wrong", pattern))


@pytest.mark.parametrize("pattern", [r"K-\d{6}", r"\bkunde\s+\d+\b", r"(?i)secret\w*", r"[A-Z]{2}\d{2}(?: ?\d{4}){4}"])
def test_takes_an_ordinary_pattern(pattern: str) -> None:
    check_rule(OwnRule("customer", pattern))


def test_replaces_a_value_whole_when_time_runs_out() -> None:
    """A pattern that passed the trial all the same. Without a limit this would not end in a lifetime."""
    masker = Masker(Rules(own=(OwnRule("slow", r"(?:secret|secrets?)+z"),)), b"")
    flags: set[str] = set()
    stored = [masker._text("secret" * 5_000 + "secrets" * 5_000, flags) for _ in range(50)]
    slow = Masker(Rules(own=(OwnRule("slow", r"(b+b+)+c"),)), b"")
    stored += [slow._text("b" * 5_000, flags) for _ in range(50)]
    assert stored[-1] == TIMED_OUT
    assert "mask_timed_out" in flags
    assert not any("bbb" in text for text in stored)


@pytest.fixture
def masked(project: Project) -> Any:
    """Set the project's rules."""

    def change(**changes: Any) -> None:
        settings = {"kinds": KINDS, "own": [], "capture": "on", "hashes_users": False} | changes
        change_masking(project=project, actor=SYSTEM, now=NOW, **settings)
        forget_rules()

    yield change
    forget_rules()


SECRET = "bob@example.com"


def _everything() -> str:
    """All that is stored in any column of any table with content, as one text."""
    tables = (
        "telemetry_span", "telemetry_payload", "telemetry_logpart", "telemetry_search", "telemetry_score",
        "telemetry_intakerejection",
    )  # fmt: skip
    return "\n".join(str(row) for table in tables for row in rows(f"SELECT t::text FROM {table} AS t"))


@pytest.mark.django_db(transaction=True)
def test_stores_nothing_unmasked_whatever_field_it_came_in(intake: Intake, masked: Any) -> None:
    masked(own=[OwnRule("customer", r"K-\d{6}")])
    span = make_span(
        name=f"answer {SECRET}",
        status="error",
        error_message=f"no {SECRET}",
        input=[{"role": "user", "content": f"I am {SECRET}, K-123456"}],
        output=f"hello {SECRET}",
        documents=[{"id": "1", "content": f"of {SECRET}", "score": 0.5}],
        attributes={"deep": {"list": [f"x {SECRET}", 4111111111111111]}, SECRET: 1, "http.password": "hunter2"},
        customer=f"unknown field {SECRET}",
    )
    answer = intake.post([span, {"trace_id": SECRET}])
    assert answer.status_code == 200
    assert answer.json()["stored"] == 1
    assert len(answer.json()["rejected"]) == 1
    everything = _everything()
    assert "bob@" not in everything
    assert "K-123456" not in everything
    assert "4111111111111111" not in everything
    assert "hunter2" not in everything
    ((content, flags),) = rows(
        "SELECT input, flags FROM telemetry_payload JOIN telemetry_span USING (project_id, trace_id, span_id)"
    )
    assert content == '[{"role":"user","content":"I am [email], [customer]"}]'
    assert "masked" in flags


@pytest.mark.django_db(transaction=True)
def test_leaves_a_project_without_rules_alone(intake: Intake) -> None:
    forget_rules()
    intake.post([make_span(input=f"I am {SECRET}")])
    assert rows("SELECT input FROM telemetry_payload") == [(f"I am {SECRET}",)]
    assert rows("SELECT flags FROM telemetry_span") == [([],)]


@pytest.mark.django_db(transaction=True)
def test_sees_a_duplicate_of_what_was_masked(intake: Intake, masked: Any) -> None:
    masked()
    span = make_span(input=f"I am {SECRET}")
    assert intake.post([span]).json()["stored"] == 1
    assert intake.post([span]).json()["duplicates"] == 1
    assert rows("SELECT input FROM telemetry_payload") == [("I am [email]",)]


@pytest.mark.django_db(transaction=True)
def test_stores_no_content_when_capture_is_off(intake: Intake, masked: Any) -> None:
    masked(kinds=[], capture="off")
    intake.post(
        [
            make_span(
                input="the whole story",
                output={"answer": "story"},
                documents=[{"id": "story-1", "content": "story", "score": 0.5}],
                attributes={"gen_ai.prompt.0.content": "story", "note": "x" * 300 + "story", "retries": 2, "zone": "b"},
            )
        ]
    )
    assert "story" not in _everything()
    ((content, answer, documents, attributes),) = rows(
        "SELECT input, output, documents, attributes FROM telemetry_payload"
    )
    assert (content, answer, documents) == (None, None, '[{"score":0.5}]')
    assert attributes == '{"input_chars":15,"output_chars":18,"retries":2,"zone":"b"}'


@pytest.mark.django_db(transaction=True)
def test_sees_that_contents_are_equal_when_they_are_hashed(intake: Intake, masked: Any) -> None:
    masked(kinds=[], capture="hashed")
    intake.post([make_span(input="same"), make_span(input="same"), make_span(input="other")])
    texts = [text for (text,) in rows("SELECT input FROM telemetry_payload")]
    assert len(texts) == 3
    assert len(set(texts)) == 2
    assert all(text.startswith("[hashed ") for text in texts)


@pytest.mark.django_db(transaction=True)
def test_keeps_a_user_the_same_without_keeping_the_id(intake: Intake, masked: Any) -> None:
    masked(kinds=[], hashes_users=True)
    intake.post([make_span(user_id="alice-7", attributes={"enduser.id": "alice-7"}), make_span(user_id="alice-7")])
    intake.post([make_span(user_id="carol-8")])
    assert "alice-7" not in _everything()
    users = [user for (user,) in rows("SELECT user_id FROM telemetry_span")]
    assert len(users) == 3
    assert len(set(users)) == 2


@pytest.mark.django_db(transaction=True)
def test_holds_within_five_seconds_without_a_restart(intake: Intake, project: Project) -> None:
    forget_rules()
    intake.post([make_span(input=SECRET)])
    change_masking(project=project, kinds=["email"], own=[], capture="on", hashes_users=False, actor=SYSTEM, now=NOW)
    deadline = time.monotonic() + 6
    while time.monotonic() < deadline:
        span = make_span(input=SECRET)
        intake.post([span])
        ((text,),) = rows("SELECT input FROM telemetry_payload WHERE span_id = %s", bytes.fromhex(span["span_id"]))
        if text == "[email]":
            return
        time.sleep(0.2)
    pytest.fail("the new rules did not hold after six seconds")


@pytest.mark.django_db
def test_says_what_is_wrong_of_a_rule_and_saves_nothing(project: Project) -> None:
    with pytest.raises(Invalid) as refused:
        change_masking(
            project=project,
            kinds=[],
            own=[OwnRule("slow", r"(a+)+$"), OwnRule("slow", "x")],
            capture="on",
            hashes_users=False,
            actor=SYSTEM,
            now=NOW,
        )
    assert "two rules named slow" in str(refused.value.details)
    assert "too long" in str(refused.value.details)
    assert rows("SELECT * FROM telemetry_maskingsettings") == []


@pytest.mark.django_db(transaction=True)
def test_masks_what_comes_by_other_doors(intake: Intake, masked: Any, project: Project, client: Client) -> None:
    masked()
    span = make_span()
    intake.post([span])
    at = str(int(time.time() * 10**9))
    otlp_span = {
        "traceId": span["trace_id"],
        "spanId": "00f067aa0ba902b7",
        "name": "chat",
        "startTimeUnixNano": at,
        "endTimeUnixNano": at,
        "attributes": [
            {"key": "gen_ai.operation.name", "value": {"stringValue": "chat"}},
            {
                "key": "gen_ai.input.messages",
                "value": {"stringValue": '[{"role":"user","parts":[{"type":"text","content":"bob@example.com"}]}]'},
            },
            {"key": "note", "value": {"stringValue": SECRET}},
        ],
    }
    traces = {"resourceSpans": [{"scopeSpans": [{"spans": [otlp_span]}]}]}
    record = {
        "timeUnixNano": at,
        "traceId": span["trace_id"],
        "spanId": "00f067aa0ba902b7",
        "eventName": "gen_ai.user.message",
        "body": {"kvlistValue": {"values": [{"key": "content", "value": {"stringValue": f"I am {SECRET}"}}]}},
    }
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
    headers = {"Authorization": f"Bearer {intake.key}"}
    for path, body in (("/v1/traces", traces), ("/v1/logs", logs)):
        assert intake.client.post(path, json=body, headers=headers).status_code == 200
    score = {"trace_id": span["trace_id"], "name": "thumbs", "value": 0, "comment": f"ask {SECRET}"}
    answer = client.post("/api/v1/scores", score, content_type="application/json", headers=headers)
    assert answer.status_code == 200, answer.content
    assert len(rows("SELECT * FROM telemetry_span")) == 2
    assert len(rows("SELECT * FROM telemetry_logpart")) == 1
    assert rows("SELECT comment, label FROM telemetry_score") == [("ask [email]", "down")]
    label = {"trace_id": span["trace_id"], "name": "answered_by", "label": SECRET}
    assert client.post("/api/v1/scores", label, content_type="application/json", headers=headers).status_code == 200
    assert "bob@" not in _everything()


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("capture", ["off", "hashed"])
def test_keeps_no_content_of_logs_and_refused_items(intake: Intake, masked: Any, capture: str) -> None:
    masked(kinds=[], capture=capture)
    record = {
        "timeUnixNano": str(int(time.time() * 10**9)),
        "traceId": "1" * 32,
        "spanId": "2" * 16,
        "eventName": "gen_ai.user.message",
        "body": {"kvlistValue": {"values": [{"key": "content", "value": {"stringValue": "the whole story"}}]}},
    }
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}
    answer = intake.client.post("/v1/logs", json=logs, headers={"Authorization": f"Bearer {intake.key}"})
    assert answer.status_code == 200
    refused = intake.post([{"name": "no ids", "input": "the whole story"}])
    assert len(refused.json()["rejected"]) == 1
    assert len(rows("SELECT * FROM telemetry_logpart")) == 1
    assert rows("SELECT sample FROM telemetry_intakerejection") == [("",)]
    assert "story" not in _everything()


@pytest.mark.django_db(transaction=True)
def test_stores_nothing_when_the_rules_cannot_be_read(intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    def away(_project_id: int) -> Masker:
        raise OperationalError("the server went away")

    monkeypatch.setattr("apps.telemetry.services.masking.rules_for", away)
    answer = intake.post([make_span(input=SECRET)])
    assert answer.status_code == 503
    assert answer.headers["Retry-After"]
    assert rows("SELECT * FROM telemetry_span") == []


RULES = {"kinds": ["email"], "own": "customer: K-\\d{6}\n\nticket: T-\\d+", "capture": "on"}


@pytest.mark.django_db
def test_saves_rules_and_says_so_in_the_audit_trail(project: Project, alice_client: Client) -> None:
    url = reverse("settings_masking", kwargs={"project": project.slug})
    assert alice_client.post(url, RULES).status_code == 302
    held = MaskingSettings.objects.get()
    assert (held.project_id, held.kinds, held.capture, held.hashes_users) == (project.pk, ["email"], "on", False)
    assert [rule["name"] for rule in held.own] == ["customer", "ticket"]
    assert "customer: K-\\d{6}" in alice_client.get(url).content.decode()
    alice_client.post(url, RULES)
    assert AuditEntry.objects.filter(action="telemetry.masking_changed").count() == 1


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"own": "customer K"}, "no colon"),
        ({"own": "slow: (a+)+$"}, "takes too long"),
        ({"own": "Big Name!: x"}, "small letters"),
        ({"capture": "maybe"}, "valid choice"),
    ],
)
def test_shows_what_is_wrong_beside_the_field(
    project: Project, alice_client: Client, changes: dict[str, str], says: str
) -> None:
    answer = alice_client.post(reverse("settings_masking", kwargs={"project": project.slug}), RULES | changes)
    assert answer.status_code == 422
    assert says in answer.content.decode()
    assert not MaskingSettings.objects.exists()


@pytest.mark.django_db
def test_shows_what_would_be_stored_and_stores_nothing(project: Project, alice_client: Client) -> None:
    url = reverse("settings_masking_try", kwargs={"project": project.slug})
    tried = RULES | {"text": f"K-123456 is {SECRET}"}
    assert "[customer] is [email]" in alice_client.post(url, tried).content.decode()
    fragment = alice_client.post(url, tried, headers={"HX-Request": "true"}).content.decode()
    assert "[customer] is [email]" in fragment
    assert "<html" not in fragment
    assert "[hashed " in alice_client.post(url, tried | {"capture": "hashed"}).content.decode()
    assert "takes too long" in alice_client.post(url, tried | {"own": "slow: (a+)+$"}).content.decode()
    assert not MaskingSettings.objects.exists()


@pytest.mark.django_db
def test_lets_only_admins_see_and_change_rules(project: Project, bob_client: Client) -> None:
    url = reverse("settings_masking", kwargs={"project": project.slug})
    assert bob_client.get(url).status_code == 403
    assert bob_client.post(url, RULES).status_code == 403
    assert not MaskingSettings.objects.exists()
