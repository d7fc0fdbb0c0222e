"""Erasing a user: nothing names them any more, figures stay exact, and a receipt tells of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import OperationalError, connection
from django.test import Client
from django.urls import reverse

from apps.projects.models import AuditEntry, Project
from apps.projects.types import SYSTEM, Scope
from apps.telemetry.models import Erasure, SavedView
from apps.telemetry.selectors.figures import read_figures
from apps.telemetry.services import digesting, erasing, fact_summaries, rollups
from apps.telemetry.services.masking import change_masking, forget_rules
from tests import factories
from tests.telemetry.calls import RECORD_TABLES, records
from tests.telemetry.conftest import Intake, make_span, rows

pytestmark = pytest.mark.django_db(transaction=True)

NOW = datetime.now(UTC)
USER = "carla-77"


@pytest.fixture
def _nobody_works(monkeypatch: pytest.MonkeyPatch) -> None:
    """Jobs are queued and stay there."""
    monkeypatch.setattr(erasing.jobs, "enqueue", lambda *_args, **_kwargs: None)


def a_trace(user: str = USER, word: str = "parcel", **changes: Any) -> list[dict[str, Any]]:
    """A trace whose outermost span alone names the user, with content in every place that there is."""
    root = make_span(
        kind="agent",
        name=f"help {user}",
        user_id=user,
        session_id=f"session of {user}",
        input=f"{word} of {user}",
        tags=[user],
        **changes,
    )
    call = make_span(
        trace_id=root["trace_id"],
        parent_span_id=root["span_id"],
        output={"text": f"your {word}, {user}"},
        documents=[{"id": "1", "content": f"{word} {user}", "score": 0.5}],
        attributes={"note": user},
        status="error",
        error_message=f"{user} not found",
        cost_usd="0.5",
        response_id=f"resp-{user}",
        started_at=root["started_at"],
    )
    return [root, call]


def erase(project: Project, user: str = USER) -> Erasure:
    """Ask for the erasure and carry it out."""
    erasure = erasing.request_erasure(project=project, user_id=user, actor=SYSTEM, now=NOW)
    erasing.erase(erasure.pk, now=NOW)
    erasure.refresh_from_db()
    return erasure


def everything() -> str:
    """Every column of every table of telemetry, as one text."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class WHERE relname LIKE 'telemetry\\_%%' AND relkind IN ('r', 'p')"
            " AND NOT relispartition"
        )
        tables = [name for (name,) in cursor.fetchall()]
    assert "telemetry_span" in tables
    return "\n".join(f"{table} {row}" for table in tables for row in rows(f"SELECT t::text FROM {table} AS t"))


def test_leaves_nothing_that_names_the_user(intake: Intake, project: Project) -> None:
    trace = a_trace()
    assert intake.post([*trace, *a_trace("dora", "letter")]).json()["stored"] == 4
    intake.send(b'{"spans": [{"user_id": "carla-77", "name": 1}]}')
    digesting.digest(now=NOW)
    fact_summaries.summarise(now=NOW)
    assert f"help {USER}" in str(rows("SELECT name FROM telemetry_factsummary"))
    _add_traces_of_people(project, trace[0]["trace_id"])
    assert USER in everything()
    erasure = erase(project)
    fact_summaries.summarise(now=NOW)
    found = everything()
    assert USER not in found
    assert "parcel" not in found
    assert found.count("dora") > 3
    assert "letter" in found
    assert erasure.status == "finished"
    assert erasure.counts == {
        "facts": 1,
        "log_parts": 1,
        "notes": 1,
        "payloads": 2,
        "refused_items": 1,
        "review_items": 1,
        "saved_views": 1,
        "scores": 2,
        "search_rows": 1,
        "spans": 2,
        "traces": 1,
    }


def _add_traces_of_people(project: Project, trace_id: str) -> None:
    """What people and other doors add to a trace."""
    trace = bytes.fromhex(trace_id)
    statements = [
        "INSERT INTO telemetry_logpart (project_id, trace_id, span_id, at, digest, event_name, body) SELECT project_id,"
        " trace_id, span_id, started_at, '', 'x', '\"carla-77\"' FROM telemetry_span WHERE trace_id = %s LIMIT 1",
        "INSERT INTO telemetry_search (project_id, trace_id, span_id, started_at, words) SELECT project_id, trace_id,"
        " span_id, started_at, 'carla-77'::tsvector FROM telemetry_span WHERE trace_id = %s LIMIT 1",
    ]
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM telemetry_search")
        for statement in statements:
            cursor.execute(statement, [trace])
        cursor.execute(
            "INSERT INTO telemetry_tracenote (uuid, project_id, trace_id, span_id, at, author_name, text)"
            " VALUES (gen_random_uuid(), %s, %s, '', now(), 'Bob', 'ask carla-77')",
            [project.pk, trace],
        )
        cursor.execute(
            "INSERT INTO telemetry_reviewitem (uuid, project_id, trace_id, span_id, source, reason, flagged_by,"
            " flagged_at, name, kind, feature, environment, model, prompt_version, user_id, session_id, input,"
            " input_is_json, output_is_json, status, verdict, failure_label, correction, reviewer_name)"
            " VALUES (gen_random_uuid(), %s, %s, '', 'api', 'carla-77 said so', 'a', now(), 'n', 'llm', '', '', '', '',"
            " 'carla-77', 's', 'parcel', false, false, 'open', '', '', '', '')",
            [project.pk, trace],
        )
        for target in (trace, None):
            cursor.execute(
                "INSERT INTO telemetry_score (project_id, score_id, trace_id, session_id, name, data_type, value,"
                " label, comment, user_id, source, at, received_at, digest, environment, feature, provider, model,"
                " prompt_version, call_source) VALUES (%s, gen_random_uuid(), %s, %s, 'thumbs', 'numeric', 0, '',"
                " 'carla-77 is angry', 'carla-77', 'api', now(), now(), '', '', '', '', '', '', '')",
                [project.pk, target, "" if target else "session of carla-77"],
            )
    SavedView.objects.create(
        project=project,
        owner=project.memberships.get().user,
        page="traces",
        name="hers",
        query="range=24h&user=carla-77",
    )


def test_changes_no_figure(intake: Intake, project: Project) -> None:
    intake.post([*a_trace(), *a_trace("dora")])
    rollups.roll_up()
    before = {table: records(table) for table in RECORD_TABLES}
    total = _total(project)
    erase(project)
    assert _total(project) == total
    # A late span has the hour written anew, from the rows that are left.
    intake.post([make_span(cost_usd="0.25")])
    rollups.roll_up()
    assert _total(project) == (total[0] + 1, total[1] + Decimal("0.25"))
    rollups.rebuild(project.pk, first=NOW.date() - timedelta(days=1), last=NOW.date() + timedelta(days=1), now=NOW)
    assert _total(project) == (total[0] + 1, total[1] + Decimal("0.25"))
    assert len(before["telemetry_costhour"]) == len(records("telemetry_costhour"))


def _total(project: Project) -> tuple[int, Decimal | None]:
    (row,) = read_figures(project.pk, start=NOW - timedelta(days=2), end=NOW + timedelta(days=2)).rows
    return row.calls, row.cost_usd


def test_gives_a_receipt_without_the_user(intake: Intake, project: Project) -> None:
    intake.post(a_trace())
    erasure = erase(project)
    receipt = erasing.receipt(erasure)
    assert receipt["status"] == "finished"
    assert receipt["counts"]["spans"] == 2
    assert receipt["first_at"] is not None
    assert receipt["finished_at"] is not None
    assert USER not in str(receipt)
    assert erasure.sealed_user == ""
    actions = [entry.action for entry in AuditEntry.objects.order_by("number") if entry.action.startswith("telemetry.")]
    assert actions == ["telemetry.erasure_requested", "telemetry.user_erased"]
    assert USER not in str(list(AuditEntry.objects.values_list("details", flat=True)))
    # The same user has the same digest, so a receipt can be found for whoever asks.
    assert bytes(erase(project).user_digest) == bytes(erasure.user_digest)
    assert bytes(erase(project, "dora").user_digest) != bytes(erasure.user_digest)


@pytest.mark.usefixtures("_nobody_works")
def test_goes_on_where_it_was_cut_off(intake: Intake, project: Project, monkeypatch: Any) -> None:
    monkeypatch.setattr(erasing, "TRACES_PER_PORTION", 1)
    intake.post([span for _ in range(3) for span in a_trace()])
    erasure = erasing.request_erasure(project=project, user_id=USER, actor=SYSTEM, now=NOW)
    portion = erasing._erase_portion
    done = []

    def failing(*args: Any) -> bool:
        if len(done) == 2:
            raise OperationalError("the server went away")
        done.append(1)
        return portion(*args)

    monkeypatch.setattr(erasing, "_erase_portion", failing)
    with pytest.raises(OperationalError):
        erasing.erase(erasure.pk, now=NOW)
    erasure.refresh_from_db()
    assert (erasure.status, erasure.counts["traces"]) == ("running", 2)
    monkeypatch.setattr(erasing, "_erase_portion", portion)
    # Whoever was at it may still be: nobody goes on before the lease ends.
    assert erasing.erase(erasure.pk, now=NOW) is False
    erasure.refresh_from_db()
    assert erasure.counts["traces"] == 2
    erasing.erase(erasure.pk, now=datetime.now(UTC) + timedelta(hours=1))
    erasure.refresh_from_db()
    assert (erasure.status, erasure.counts["traces"], erasure.counts["spans"]) == ("finished", 3, 6)
    assert USER not in everything()


@pytest.mark.usefixtures("_nobody_works")
def test_stops_when_its_time_is_over(intake: Intake, project: Project) -> None:
    intake.post(a_trace())
    erasure = erasing.request_erasure(project=project, user_id=USER, actor=SYSTEM, now=NOW)
    assert erasing.erase(erasure.pk, now=NOW, max_seconds=0) is True
    assert erasing.erase(erasure.pk, now=NOW) is False
    assert Erasure.objects.get().status == "finished"


def test_does_not_bring_content_back_when_a_report_is_sent_again(intake: Intake, project: Project) -> None:
    trace = a_trace()
    intake.post(trace)
    erase(project)
    assert intake.post(trace).json()["duplicates"] == 2
    assert USER not in everything()


def test_keeps_to_its_project_and_user(intake: Intake, project: Project, other_project: Project) -> None:
    other_key = factories.make_key(other_project, Scope.INGEST)
    intake.post(a_trace(), key=other_key)
    intake.post(a_trace("carla-7"))
    erasure = erase(project)
    assert "traces" not in erasure.counts
    assert rows("SELECT count(*) FROM telemetry_payload") == [(4,)]
    assert {user for (user,) in rows("SELECT user_id FROM telemetry_span")} == {"carla-77", "carla-7"}


def test_finds_a_user_who_is_kept_under_a_digest(intake: Intake, project: Project) -> None:
    change_masking(project=project, kinds=[], own=[], capture="on", hashes_users=True, actor=SYSTEM, now=NOW)
    forget_rules()
    intake.post([make_span(user_id=USER, input="parcel")])
    forget_rules()
    ((kept,),) = rows("SELECT user_id FROM telemetry_span")
    assert kept.startswith("u_")
    assert erase(project).counts["spans"] == 1
    assert rows("SELECT user_id FROM telemetry_span") == [("",)]
    assert rows("SELECT * FROM telemetry_payload") == []


@pytest.mark.usefixtures("_nobody_works")
def test_answers_with_the_erasure_that_is_under_way(project: Project, client: Client) -> None:
    key = factories.make_key(project, Scope.ADMIN)
    headers = {"Authorization": f"Bearer {key}"}
    first = client.post("/api/v1/erasures", {"user_id": USER}, content_type="application/json", headers=headers)
    assert first.status_code == 202
    again = client.post("/api/v1/erasures", {"user_id": USER}, content_type="application/json", headers=headers)
    assert again.json()["id"] == first.json()["id"]
    assert Erasure.objects.count() == 1
    one = client.get(f"/api/v1/erasures/{first.json()['id']}", headers=headers)
    assert one.json()["status"] == "waiting"
    listed = client.get("/api/v1/erasures", headers=headers).json()
    assert [item["id"] for item in listed["items"]] == [first.json()["id"]]
    empty = client.post("/api/v1/erasures", {"user_id": ""}, content_type="application/json", headers=headers)
    assert empty.status_code == 422


def test_lets_only_admins_erase(project: Project, bob_client: Client, client: Client) -> None:
    reader = {"Authorization": f"Bearer {factories.make_key(project, Scope.READ)}"}
    refused = client.post("/api/v1/erasures", {"user_id": USER}, content_type="application/json", headers=reader)
    assert refused.status_code == 403
    page = reverse("settings_erasures", kwargs={"project": project.slug})
    assert bob_client.post(page, {"user_id": USER, "confirmed": "on"}).status_code == 403
    assert not Erasure.objects.exists()


def test_shows_how_much_there_is_before_it_begins(intake: Intake, project: Project, alice_client: Client) -> None:
    intake.post(a_trace())
    page = reverse("settings_erasures", kwargs={"project": project.slug})
    shown = alice_client.post(page, {"user_id": USER})
    assert "2 spans in one trace" in shown.content.decode()
    assert not Erasure.objects.exists()
    assert alice_client.post(page, {"user_id": USER, "confirmed": "on"}).status_code == 302
    erasure = Erasure.objects.get()
    assert erasure.requested_by == "alice@example.com"
    receipt = alice_client.get(
        reverse("settings_erasure_receipt", kwargs={"project": project.slug, "erasure": erasure.uuid})
    )
    assert receipt.json()["id"] == str(erasure.uuid)
    assert "attachment" in receipt["Content-Disposition"]
