"""Rules of the review queue: what they choose, once and not too often."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from apps.projects.models import AuditEntry, Project
from apps.projects.types import Actor
from apps.telemetry.models import ReviewItem, ReviewRule
from apps.telemetry.services import digesting, review_rules
from apps.telemetry.services.review_rules import NewRule, is_chosen
from tests.telemetry.conftest import Intake, make_span

ALICE = Actor(kind="user", id=1, name="alice@example.com")


def add(project: Project, **more: Any) -> ReviewRule:
    """A rule of an hour ago."""
    rule = NewRule(**({"name": more.get("kind", "rule"), "kind": "error"} | more))
    return review_rules.add_rule(project=project, rule=rule, actor=ALICE, now=datetime.now(UTC) - timedelta(hours=1))


def digest() -> None:
    """Look through what was stored, as the worker does."""
    assert digesting.digest(now=datetime.now(UTC)) > 0


def reasons() -> list[str]:
    """Why the items are in the queue."""
    return sorted(ReviewItem.objects.values_list("reason", flat=True))


@pytest.mark.django_db(transaction=True)
def test_queues_failed_calls_of_one_feature(intake: Intake, project: Project) -> None:
    add(project, name="failed answers", feature="support-answers")
    failed = make_span(status="error", input="Where?", error_type="Timeout")
    intake.post(
        [failed, make_span(), make_span(status="error", feature="search"), make_span(kind="tool", status="error")]
    )
    digest()
    item = ReviewItem.objects.get()
    assert (item.reason, item.source, item.span_hex) == ("failed answers", "rule", failed["span_id"])
    assert item.input == "Where?"


@pytest.mark.django_db(transaction=True)
def test_queues_a_trace_once_however_often_its_spans_change(intake: Intake, project: Project) -> None:
    add(project, kind="sample")
    span = make_span(input="Where?")
    intake.post([span])
    digest()
    assert ReviewItem.objects.get().output is None
    intake.post([{**span, "output": "There."}])
    digest()
    assert ReviewItem.objects.get().output == "There."
    ReviewItem.objects.update(status="dismissed")
    intake.post([make_span(trace_id=span["trace_id"], parent_span_id=span["span_id"])])
    digest()
    assert ReviewItem.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_queues_no_more_than_so_many_a_day(intake: Intake, project: Project) -> None:
    add(project, kind="sample", most_a_day=3)
    for _ in range(2):
        intake.post([make_span() for _ in range(4)])
        digest()
    assert ReviewItem.objects.count() == 3


@pytest.mark.django_db(transaction=True)
def test_leaves_what_arrived_before_the_rule_was_made(intake: Intake, project: Project) -> None:
    intake.post([make_span(status="error")])
    rule = NewRule(name="failed", kind="error")
    review_rules.add_rule(project=project, rule=rule, actor=ALICE, now=datetime.now(UTC) + timedelta(seconds=1))
    digest()
    assert reasons() == []


@pytest.mark.django_db(transaction=True)
def test_leaves_the_other_tenant_alone(intake: Intake, project: Project, other_project: Project) -> None:
    add(other_project, kind="sample")
    intake.post([make_span()])
    digest()
    assert reasons() == []


@pytest.mark.django_db(transaction=True)
def test_queues_thumbs_down_and_low_scores(intake: Intake, project: Project) -> None:
    add(project, name="thumbs down", kind="score_label", score_name="thumbs", label="Down")
    add(project, name="unfaithful", kind="score_below", score_name="faithfulness", below=0.5)
    spans = [make_span() for _ in range(5)]
    scores = [
        {"name": "thumbs", "value": 0, "trace_id": spans[0]["trace_id"]},
        {"name": "thumbs", "value": 1, "trace_id": spans[1]["trace_id"]},
        {"name": "faithfulness", "value": 0.4, "trace_id": spans[2]["trace_id"], "span_id": spans[2]["span_id"]},
        {"name": "faithfulness", "value": 0.5, "trace_id": spans[3]["trace_id"]},
        {"name": "fluency", "value": 0.1, "trace_id": spans[4]["trace_id"]},
    ]
    answer = intake.client.post(
        "/api/v1/telemetry",
        json={"spans": spans, "scores": scores},
        headers={"Authorization": f"Bearer {intake.key}"},
    )
    assert answer.json()["rejected"] == []
    assert review_rules.queue_scores(now=datetime.now(UTC)) == 2
    assert reasons() == ["thumbs down", "unfaithful"]
    assert ReviewItem.objects.get(reason="unfaithful").span_hex == spans[2]["span_id"]
    assert review_rules.queue_scores(now=datetime.now(UTC)) == 0


def test_chooses_the_part_that_was_asked_for_and_always_the_same() -> None:
    rule = ReviewRule(percent=Decimal(10))
    traces = [secrets.token_bytes(16) for _ in range(5_000)]
    chosen = [trace for trace in traces if is_chosen(trace, rule)]
    assert 0.07 < len(chosen) / len(traces) < 0.13
    assert [trace for trace in traces if is_chosen(trace, rule)] == chosen
    whole = ReviewRule(percent=Decimal(100))
    assert all(is_chosen(trace, whole) for trace in traces)
    other = ReviewRule(percent=Decimal(10))
    assert [trace for trace in traces if is_chosen(trace, other)] != chosen


def test_adds_and_removes_rules_on_the_page(alice_client: Client, project: Project) -> None:
    url = f"/p/{project.slug}/review/rules"
    typed = {"name": "1 % of all", "kind": "sample", "percent": "1", "most_a_day": "20", "score_name": "left over"}
    assert alice_client.post(url, typed).status_code == 302
    rule = ReviewRule.objects.get()
    assert (rule.percent, rule.most_a_day, rule.score_name) == (Decimal(1), 20, "")
    assert "1 % of all" in alice_client.get(url).content.decode()
    again = alice_client.post(url, typed)
    assert again.status_code == 422
    assert "There is a rule named 1 % of all." in again.content.decode()
    assert alice_client.post(f"{url}/{rule.uuid}/remove").status_code == 302
    assert not ReviewRule.objects.exists()
    actions = AuditEntry.objects.filter(action__startswith="telemetry.").order_by("number")
    assert list(actions.values_list("action", flat=True)) == [
        "telemetry.review_rule_added",
        "telemetry.review_rule_removed",
    ]


@pytest.mark.parametrize(
    ("typed", "complaint"),
    [
        ({"kind": "score_below", "score_name": "", "below": "0.5"}, "Name the score."),
        ({"kind": "score_below", "score_name": "x", "below": ""}, "Give a number."),
        ({"kind": "score_label", "score_name": "x", "label": ""}, "Name the label."),
        ({"kind": "sample", "percent": "0"}, "greater than or equal to 0.01"),
        ({"kind": "sample", "percent": "101"}, "less than or equal to 100"),
    ],
)
def test_refuses_rules_that_say_nothing(
    alice_client: Client, project: Project, typed: dict[str, str], complaint: str
) -> None:
    whole = {"name": "a rule", "percent": "100", "most_a_day": "50"} | typed
    page = alice_client.post(f"/p/{project.slug}/review/rules", whole)
    assert page.status_code == 422
    assert complaint in page.content.decode()
    assert not ReviewRule.objects.exists()


def test_keeps_rules_from_viewers(bob_client: Client, project: Project) -> None:
    rule = add(project)
    url = f"/p/{project.slug}/review/rules"
    assert bob_client.get(url).status_code == 200
    assert bob_client.post(url, {"name": "x", "kind": "error", "percent": 100, "most_a_day": 5}).status_code == 403
    assert bob_client.post(f"{url}/{rule.uuid}/remove").status_code == 403
    assert ReviewRule.objects.count() == 1
