"""The review queue: flagging, taking, deciding, and what a verdict leaves behind."""

from __future__ import annotations

import json
import re
import threading
import time
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from apps.accounts.models import User
from apps.core.errors import DomainError
from apps.projects.models import AuditEntry, Project, Role, Scope
from apps.telemetry.models import ReviewItem, ReviewLabel
from apps.telemetry.selectors import review as selectors
from apps.telemetry.services import review as services
from tests import factories
from tests.conftest import Api, page_client
from tests.telemetry.conftest import Intake, make_span, rows

NOW = factories.NOW
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def flag(project: Project, trace: str = TRACE, *, reason: str = "odd", minutes: int = 0, **more: Any) -> ReviewItem:
    """An item that was flagged so many minutes after noon."""
    flagged = services.flag(
        project_id=project.pk,
        trace_id=bytes.fromhex(trace),
        reason=reason,
        source=ReviewItem.Source.PERSON,
        flagged_by="Alice",
        now=NOW + timedelta(minutes=minutes),
        **more,
    )
    return flagged.item


def trace_number(number: int) -> str:
    """A trace id."""
    return f"{number:032x}"


@pytest.fixture
def editor(project: Project) -> User:
    """Somebody who may decide."""
    user = factories.make_user("ed@example.com", name="Ed")
    factories.make_member(project, user, role=Role.EDITOR)
    return user


# --- Flags --------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_copies_what_was_asked_and_answered(intake: Intake, project: Project) -> None:
    root = make_span(kind="agent", name="desk", trace_id=TRACE, user_id="u_7", feature="support-answers")
    call = make_span(trace_id=TRACE, parent_span_id=root["span_id"], input="Where?", output="There.", feature="")
    assert intake.post([root, call]).json()["stored"] == 2
    item = flag(project)
    assert (item.input, item.output, item.name, item.kind) == ("Where?", "There.", "answer", "llm")
    assert (item.user_id, item.feature) == ("u_7", "support-answers")
    with connection.cursor() as cursor:
        cursor.execute("TRUNCATE telemetry_span, telemetry_payload")
    kept = selectors.get_item(project.pk, item.uuid)
    assert (kept.input, kept.output) == ("Where?", "There.")


@pytest.mark.django_db(transaction=True)
def test_copies_the_span_that_was_flagged(intake: Intake, project: Project) -> None:
    first = make_span(trace_id=TRACE, input="one", output="1")
    second = make_span(trace_id=TRACE, parent_span_id=first["span_id"], input="two", output="2", name="second")
    intake.post([first, second])
    item = flag(project, span_id=bytes.fromhex(second["span_id"]))
    assert (item.input, item.output, item.name) == ("two", "2", "second")
    assert item.started_at is not None
    assert item.started_at.isoformat() == second["started_at"]


@pytest.mark.django_db(transaction=True)
def test_copies_messages_that_came_as_log_records(intake: Intake, project: Project) -> None:
    root = make_span(kind="agent", trace_id=TRACE, name="desk")
    call = make_span(trace_id=TRACE, parent_span_id=root["span_id"], name="chat")
    intake.post([root, call])
    ids = {"traceId": TRACE, "spanId": call["span_id"], "timeUnixNano": str(int(time.time() * 1e9))}
    said = {"key": "content", "value": {"stringValue": "There."}}
    answer = {"kvlistValue": {"values": [{"key": "message", "value": {"kvlistValue": {"values": [said]}}}]}}
    asked = {"kvlistValue": {"values": [{"key": "content", "value": {"stringValue": "Where?"}}]}}
    records = [
        {**ids, "eventName": "gen_ai.user.message", "body": asked},
        {**ids, "eventName": "gen_ai.choice", "body": answer},
    ]
    body = {"resourceLogs": [{"scopeLogs": [{"logRecords": records}]}]}
    key = {"Authorization": f"Bearer {intake.key}"}
    assert intake.client.post("/v1/logs", json=body, headers=key).status_code == 200
    item = flag(project)
    assert (item.name, item.input_is_json, item.output_is_json) == ("chat", True, True)
    assert "Where?" in str(item.input)
    assert "There." in str(item.output)


@pytest.mark.django_db(transaction=True)
def test_waits_for_spans_that_come_after_the_flag(intake: Intake, ingest_key: str, project: Project) -> None:
    sender = Api(ingest_key)
    answer = sender.post("/api/v1/review-items", {"trace_id": TRACE, "reason": "user complained"})
    assert (answer.status_code, answer.json()["started_at"]) == (201, None)
    intake.post([make_span(trace_id=TRACE, input="Where?", output="There.")])
    assert services.complete_copies(project.pk, [bytes.fromhex(TRACE)]) == 1
    item = ReviewItem.objects.get()
    assert (item.input, item.output, item.source, item.flagged_by) == ("Where?", "There.", "api", "a key")


def test_queues_what_waits_only_once(project: Project) -> None:
    first = flag(project)
    again = flag(project, reason="another reason")
    assert again.pk == first.pk
    assert ReviewItem.objects.get().reason == "odd"


def test_queues_again_what_was_decided(project: Project, alice: User) -> None:
    first = flag(project)
    decide(first, project, alice)
    assert flag(project).pk != first.pk


@pytest.mark.parametrize("reason", ["", "   ", "x" * 201])
def test_wants_a_reason_of_a_few_words(admin_key: str, reason: str) -> None:
    answer = Api(admin_key).post("/api/v1/review-items", {"trace_id": TRACE, "reason": reason})
    assert answer.status_code == 422
    assert "reason" in answer.json()["error"]["details"]
    assert not ReviewItem.objects.exists()


# --- One item, one person -----------------------------------------------------------------------------------


def decide(item: ReviewItem, project: Project, user: User | None, verdict: str = "bad", **more: str) -> ReviewItem:
    """The item with a verdict."""
    return services.decide(
        item=item,
        project=project,
        decision=services.Decision(verdict=verdict, **more),
        user=user,
        actor=factories.actor_of(user or factories.make_user()),
        now=NOW,
    )


@pytest.mark.django_db(transaction=True)
def test_gives_an_item_to_one_of_two_who_take_it_at_once(project: Project, alice: User, editor: User) -> None:
    item = flag(project)
    start = threading.Barrier(2)
    outcomes: dict[str, str] = {}

    def take(user: User) -> None:
        start.wait(5)
        try:
            services.claim(item=item, user=user, now=NOW)
            outcomes[user.email] = "mine"
        except DomainError as error:
            outcomes[user.email] = error.code
        finally:
            connection.close()

    threads = [threading.Thread(target=take, args=(user,)) for user in (alice, editor)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(outcomes.values()) == ["mine", "taken"]
    held = ReviewItem.objects.select_related("assignee").get()
    assert held.assignee is not None
    assert outcomes[held.assignee.email] == "mine"


def test_lets_nobody_decide_what_somebody_else_has(project: Project, alice: User, editor: User) -> None:
    item = flag(project)
    services.claim(item=item, user=editor, now=NOW)
    with pytest.raises(services.TakenByAnother, match="Ed is reviewing this"):
        decide(item, project, alice)
    assert ReviewItem.objects.get().verdict == ""


def test_decides_an_item_once(project: Project, alice: User, editor: User) -> None:
    item = flag(project)
    decide(item, project, alice, "good")
    with pytest.raises(services.AlreadyDecided):
        decide(item, project, editor, "bad")
    assert ReviewItem.objects.get().verdict == "good"


def test_gives_back_only_what_is_ones_own(project: Project, alice: User, editor: User) -> None:
    item = flag(project)
    services.claim(item=item, user=editor, now=NOW)
    assert services.release(item=item, user=alice) is False
    assert services.release(item=item, user=editor) is True
    assert ReviewItem.objects.get().status == "open"


# --- What a verdict leaves ----------------------------------------------------------------------------------


def test_leaves_a_score_an_audit_entry_and_the_correction(project: Project, alice: User) -> None:
    item = flag(project)
    decided = decide(item, project, alice, "bad", failure_label="made up facts", correction="It is on Tuesday.")
    assert (decided.status, decided.correction, decided.reviewer_name) == ("done", "It is on Tuesday.", "Alice")
    assert rows("SELECT name, source, label, comment, trace_id FROM telemetry_score") == [
        ("review", "review", "bad", "made up facts", bytes.fromhex(TRACE))
    ]
    entry = AuditEntry.objects.get(action="telemetry.reviewed")
    assert entry.details["verdict"] == "bad"
    assert "It is on Tuesday." not in str(entry.details)
    assert list(ReviewLabel.objects.values_list("name", flat=True)) == ["made up facts"]


def test_takes_no_failure_with_a_good_verdict(project: Project, alice: User) -> None:
    assert decide(flag(project), project, alice, "good", failure_label="wrong tone").failure_label == ""
    assert not ReviewLabel.objects.exists()


# --- The API ------------------------------------------------------------------------------------------------


def test_lists_the_longest_waiting_first_page_by_page(project: Project, read_key: str) -> None:
    made = [flag(project, trace_number(number), minutes=number // 2) for number in range(5)]
    seen, cursor = [], None
    while True:
        page = Api(read_key).get("/api/v1/review-items", {"limit": 2} | ({"cursor": cursor} if cursor else {})).json()
        seen += [item["id"] for item in page["items"]]
        cursor = page["next"]
        if cursor is None:
            break
    assert seen == [str(item.uuid) for item in made]


def test_decides_by_api(project: Project, admin_key: str, read_key: str) -> None:
    item = flag(project)
    body = {"verdict": "bad", "failure_label": "wrong tone", "correction": "Kindly."}
    answer = Api(admin_key).post(f"/api/v1/review-items/{item.uuid}/decide", body)
    assert answer.status_code == 200
    assert answer.json() | body == answer.json()
    again = Api(admin_key).post(f"/api/v1/review-items/{item.uuid}/decide", body)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "already_decided")
    listed = Api(read_key).get("/api/v1/review-items", {"status": "done"}).json()["items"]
    assert [(each["verdict"], each["reviewer"]) for each in listed] == [("bad", "a key")]


@pytest.mark.parametrize("path", ["/decide", "/dismiss"])
def test_keeps_decisions_from_keys_that_only_send(project: Project, alice: User, path: str) -> None:
    item = flag(project)
    sender = Api(factories.make_key(project, Scope.INGEST, Scope.READ, created_by=alice))
    assert sender.post(f"/api/v1/review-items/{item.uuid}{path}", {"verdict": "good"}).status_code == 403
    assert ReviewItem.objects.get().status == "open"


def test_keeps_the_queue_from_the_other_tenant(project: Project, other_key: str) -> None:
    item = flag(project)
    stranger = Api(other_key)
    assert stranger.get("/api/v1/review-items").json()["items"] == []
    assert stranger.get(f"/api/v1/review-items/{item.uuid}").status_code == 404
    assert stranger.post(f"/api/v1/review-items/{item.uuid}/decide", {"verdict": "good"}).status_code == 404
    assert ReviewItem.objects.get().status == "open"


def test_keeps_notes_with_their_author(ingest_key: str, read_key: str, project: Project) -> None:
    answer = Api(ingest_key).post(f"/api/v1/traces/{TRACE}/notes", {"text": " retried by hand "})
    assert answer.status_code == 201
    listed = Api(read_key).get(f"/api/v1/traces/{TRACE}/notes").json()["items"]
    assert [(note["text"], note["author"], note["span_id"]) for note in listed] == [("retried by hand", "a key", None)]
    assert Api(read_key).get("/api/v1/traces/nonsense/notes").status_code == 404


# --- Pages --------------------------------------------------------------------------------------------------


def test_leads_to_the_longest_waiting_item_and_on_to_the_next(project: Project, alice_client: Client) -> None:
    first, second = (flag(project, trace_number(number), minutes=number) for number in (1, 2))
    page = alice_client.get(f"/p/{project.slug}/review")
    assert page["Location"] == f"/p/{project.slug}/review/{first.uuid}"
    answer = alice_client.post(page["Location"], {"verdict": "good"})
    assert answer["Location"] == f"/p/{project.slug}/review/{second.uuid}"
    answer = alice_client.post(answer["Location"], {"verdict": "bad", "failure_label": "incomplete"})
    assert answer["Location"] == f"/p/{project.slug}/review"
    assert list(ReviewItem.objects.order_by("pk").values_list("verdict", flat=True)) == ["good", "bad"]


@pytest.mark.django_db(transaction=True)
def test_shows_what_users_said_of_it(intake: Intake, project: Project, alice: User) -> None:
    span = make_span(trace_id=TRACE, input="Where?", output="There.")
    score = {"name": "thumbs", "value": 0, "trace_id": TRACE, "comment": "It is not there."}
    body = json.dumps({"spans": [span], "scores": [score]}).encode()
    assert intake.send(body).json()["rejected"] == []
    page = page_client(alice).get(f"/p/{project.slug}/review/{flag(project).uuid}").content.decode()
    assert "It is not there." in page
    assert "Where?" in page


def test_leads_back_and_forth_through_a_long_queue(project: Project, alice_client: Client) -> None:
    items = [flag(project, trace_number(number), minutes=number) for number in range(120)]
    base = f"/p/{project.slug}/review"
    for place in (0, 1, 49, 50, 51, 118, 119):
        page = alice_client.get(f"{base}/{items[place].uuid}").content.decode()
        links = dict(re.findall(r'href="([^"]*)" hx-get="[^"]*" data-key="([jk])"', page))
        there = {key: url for url, key in links.items()}
        assert there["j"] == f"{base}/{items[(place + 1) % 120].uuid}", place
        assert there.get("k") == (f"{base}/{items[place - 1].uuid}" if place else None), place


def test_keeps_the_filters_on_the_way(project: Project, alice_client: Client) -> None:
    first = flag(project, trace_number(1), reason="odd one")
    flag(project, trace_number(2), reason="other", minutes=1)
    third = flag(project, trace_number(3), reason="odd one", minutes=2)
    page = alice_client.post(f"/p/{project.slug}/review/{first.uuid}?reason=odd+one", {"verdict": "good"})
    assert page["Location"] == f"/p/{project.slug}/review/{third.uuid}?reason=odd+one"


def test_says_what_is_missing_and_keeps_what_was_typed(project: Project, alice_client: Client) -> None:
    item = flag(project)
    page = alice_client.post(f"/p/{project.slug}/review/{item.uuid}", {"correction": "It is on Tuesday."})
    assert page.status_code == 422
    assert "Choose good, bad or unsure." in page.content.decode()
    assert "It is on Tuesday." in page.content.decode()
    assert ReviewItem.objects.get().status == "open"


def test_keeps_what_was_typed_when_somebody_was_first(
    project: Project, alice: User, editor: User, alice_client: Client
) -> None:
    item = flag(project)
    decide(item, project, editor, "good")
    page = alice_client.post(f"/p/{project.slug}/review/{item.uuid}", {"verdict": "bad", "correction": "Tuesday."})
    assert page.status_code == 422
    assert "decided already" in page.content.decode()
    assert "Tuesday." in page.content.decode()
    assert ReviewItem.objects.get().verdict == "good"


def test_dismisses_several_but_not_what_somebody_has(project: Project, editor: User, alice_client: Client) -> None:
    items = [flag(project, trace_number(number)) for number in range(3)]
    services.claim(item=items[2], user=editor, now=NOW)
    chosen = [str(item.uuid) for item in items]
    page = alice_client.post(f"/p/{project.slug}/review/dismiss", {"item": chosen}, follow=True)
    assert "1 were left" in page.content.decode()
    assert list(ReviewItem.objects.order_by("pk").values_list("status", flat=True)) == [
        "dismissed",
        "dismissed",
        "in_review",
    ]
    assert AuditEntry.objects.get(action="telemetry.reviews_dismissed").details == {"items": 2}


def test_shows_a_viewer_the_case_without_a_form(project: Project, bob_client: Client) -> None:
    item = flag(project)
    url = f"/p/{project.slug}/review/{item.uuid}"
    page = bob_client.get(url)
    assert page.status_code == 200
    assert "Save and next" not in page.content.decode()
    assert bob_client.post(url, {"verdict": "good"}).status_code == 403
    assert bob_client.post(f"{url}/claim").status_code == 403
    assert ReviewItem.objects.get().status == "open"


def test_frees_what_somebody_holds_by_a_reviewer_only(
    project: Project, alice: User, editor: User, alice_client: Client
) -> None:
    item = flag(project)
    services.claim(item=item, user=alice, now=NOW)
    url = f"/p/{project.slug}/review/{item.uuid}/free"
    assert page_client(editor).post(url).status_code == 403
    assert ReviewItem.objects.get().status == "in_review"
    assert alice_client.post(url).status_code == 302
    assert ReviewItem.objects.values_list("status", "assignee").get() == ("open", None)
    assert AuditEntry.objects.get(action="telemetry.review_freed").details == {"from": "Alice"}


def test_counts_the_waiting_in_the_rail(project: Project, alice_client: Client) -> None:
    flag(project, trace_number(1))
    flag(project, trace_number(2))
    page = alice_client.get(f"/p/{project.slug}/settings/general").content.decode()
    assert '<span class="n">2<span class="vh"> waiting</span></span>' in page


def test_asks_few_questions_of_the_database(
    project: Project, alice_client: Client, django_assert_max_num_queries: Any
) -> None:
    items = [flag(project, trace_number(number), minutes=number) for number in range(60)]
    url = f"/p/{project.slug}/review/{items[55].uuid}"
    alice_client.get(url)
    with django_assert_max_num_queries(12):
        page = alice_client.get(url)
    assert str(items[55].uuid) in page.content.decode()
    with django_assert_max_num_queries(12):
        part = alice_client.get(url, headers={"HX-Request": "true"})
    assert part.content.decode().startswith('<div class="review" id="review"')


@pytest.mark.django_db(transaction=True)
def test_flags_and_notes_beside_a_trace(intake: Intake, project: Project, alice: User) -> None:
    span = make_span(trace_id=TRACE, input="Where?", output="There.")
    intake.post([span])
    client = page_client(alice)
    url = f"/p/{project.slug}/traces/{TRACE}/review?span={span['span_id']}"
    assert client.post(url, {"reason": "rude", "target": "span"}).status_code == 302
    assert client.post(url, {"text": "called them back"}).status_code == 302
    page = client.get(url, headers={"HX-Request": "true"}).content.decode()
    assert "rude" in page
    assert "called them back" in page
    item = ReviewItem.objects.get()
    assert (item.span_hex, item.source, item.flagged_by) == (span["span_id"], "person", "Alice")
    assert client.post(url, {"reason": " "}).status_code == 422


def test_says_nothing_of_a_trace_that_is_not_there(project: Project, alice_client: Client) -> None:
    assert alice_client.get(f"/p/{project.slug}/traces/{TRACE}/review").status_code == 404
    assert alice_client.get(f"/p/{project.slug}/traces/nonsense/review").status_code == 404
