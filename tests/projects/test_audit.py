"""The audit trail: append-only, chained, written with the change it tells of."""

from __future__ import annotations

import hashlib
import json
import threading
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, transaction
from django.test import Client

from apps.accounts.models import User
from apps.projects import audit, services
from apps.projects.models import AuditEntry, AuditHead, Project, Role
from apps.projects.types import SYSTEM
from tests import factories
from tests.conftest import Api
from tests.factories import NOW, actor_of

ACTION = "projects.tested"


def note(project: Project | None, **details: audit.Detail) -> AuditEntry:
    return audit.record(actor=SYSTEM, action=ACTION, project=project, target=project, at=NOW, details=details)


def run(sql: str, *parameters: object) -> None:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)


def without_triggers(sql: str, *parameters: object) -> None:
    """What somebody with the database in their hands could do."""
    run("ALTER TABLE projects_auditentry DISABLE TRIGGER USER")
    run(sql, *parameters)
    run("ALTER TABLE projects_auditentry ENABLE TRIGGER USER")


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE projects_auditentry SET action = 'x'",
        "UPDATE projects_auditentry SET details = '{}' WHERE number = 1",
        "DELETE FROM projects_auditentry",
        "TRUNCATE projects_auditentry",
        "TRUNCATE projects_auditentry CASCADE",
    ],
)
def test_refuses_to_change_the_past(project: Project, sql: str) -> None:
    run("ALTER TABLE projects_auditentry ENABLE TRIGGER projects_audit_not_emptied")
    before = list(AuditEntry.objects.values())
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        run(sql)
    assert list(AuditEntry.objects.values()) == before


def test_chains_each_entry_to_the_one_before(project: Project) -> None:
    first, second = note(project, n=1), note(project, n=2)
    assert second.number == first.number + 1
    assert bytes(second.previous_hash) == bytes(first.entry_hash)
    head = AuditHead.objects.get(project_id=project.pk)
    assert (head.number, bytes(head.entry_hash)) == (second.number, bytes(second.entry_hash))
    assert audit.verify_chain(project.pk).problems == []


def test_hashes_what_the_api_shows(project: Project, key_api: Api) -> None:
    note(project, name="Ünïcode → \U0001f512", n=7, none=None, flag=True, many=["a", "b"])
    for entry in key_api.get("/api/v1/audit").json()["items"]:
        claimed = entry.pop("hash")
        text = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        assert hashlib.sha256(text.encode()).hexdigest() == claimed


TAMPERING: dict[str, tuple[str, str]] = {
    "changed details": (
        "UPDATE projects_auditentry SET details = '{\"n\": 9}' WHERE number = 3",
        "entry 3 was changed",
    ),
    "changed actor": ("UPDATE projects_auditentry SET actor_name = 'eve' WHERE number = 3", "entry 3 was changed"),
    "changed time": (
        "UPDATE projects_auditentry SET at = at + interval '1 microsecond' WHERE number = 3",
        "entry 3 was changed",
    ),
    "moved to another project": (
        "UPDATE projects_auditentry SET project_id = 999 WHERE number = 3",
        "entry 3 is missing",
    ),
    "deleted in the middle": ("DELETE FROM projects_auditentry WHERE number = 3", "entry 3 is missing"),
    "deleted at the end": ("DELETE FROM projects_auditentry WHERE number >= 4", "should end with entry 4"),
    "changed hash": (
        "UPDATE projects_auditentry SET entry_hash = '\\x00'::bytea WHERE number = 3",
        "entry 4 does not follow",
    ),
    "deleted wholly": ("DELETE FROM projects_auditentry", "should end with entry 4"),
    "lost its end": ("DELETE FROM projects_audithead", "the end of the chain is missing"),
}


@pytest.mark.parametrize("way", TAMPERING)
def test_finds_tampering(project: Project, way: str) -> None:
    for n in range(3):
        note(project, n=n)
    assert [report.problems for report in audit.verify()] == [[]]
    sql, problem = TAMPERING[way]
    without_triggers(sql)
    assert problem in "; ".join(audit.verify_chain(project.pk).problems)
    with pytest.raises(CommandError, match="was changed"):
        call_command("audit", "verify")


def test_says_that_a_whole_trail_is_whole(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    note(None)
    call_command("audit", "verify")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert all(line.endswith(": whole") for line in lines)


def test_reports_a_broken_trail_every_day(project: Project, caplog: pytest.LogCaptureFixture) -> None:
    from celery import current_app

    without_triggers("UPDATE projects_auditentry SET action = 'x'")
    current_app.tasks["projects.verify_audit"].apply().get()
    assert "is broken: entry 1 was changed" in caplog.text


def test_leaves_no_entry_of_a_change_that_was_rolled_back(project: Project, alice: User) -> None:
    count = AuditEntry.objects.count()
    with transaction.atomic():
        services.add_environment(project=project, name="canary", is_protected=False, actor=actor_of(alice), now=NOW)
        assert AuditEntry.objects.count() == count + 1
        transaction.set_rollback(True)
    assert AuditEntry.objects.count() == count
    assert audit.verify_chain(project.pk).problems == []


def test_keeps_the_trail_of_a_deleted_project(project: Project, alice: User) -> None:
    services.delete_project(project=project, typed_name=project.name, actor=actor_of(alice), now=NOW)
    actions = AuditEntry.objects.filter(target_name="Support desk").order_by("number").values_list("action", flat=True)
    assert list(actions) == ["projects.created", "projects.deleted"]


@pytest.mark.django_db(transaction=True)
def test_forms_one_line_under_concurrent_writers() -> None:
    project = factories.make_project()
    barrier = threading.Barrier(6)

    def write() -> None:
        try:
            barrier.wait()
            for _ in range(10):
                note(project)
                note(None)
        finally:
            connection.close()

    threads = [threading.Thread(target=write) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    reports = {report.project_id: report for report in audit.verify()}
    assert reports[project.pk].problems == reports[None].problems == []
    assert reports[project.pk].entries == 61  # 60, and the project's making
    assert reports[None].entries == 60


def test_pages_by_cursor(key_api: Api, project: Project) -> None:
    for n in range(5):
        note(project, n=n)
    seen: list[int] = []
    cursor: str | None = ""
    while cursor is not None:
        body = key_api.get(f"/api/v1/audit?limit=3&cursor={cursor}").json()
        assert len(body["items"]) <= 3
        seen += [entry["number"] for entry in body["items"]]
        cursor = body["next"]
    assert seen == sorted(seen, reverse=True)
    assert len(seen) == AuditEntry.objects.filter(project_id=project.pk).count()


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("action=projects.tes", 200),
        ("actor=SYST", 200),
        ("limit=0", 422),
        ("limit=201", 422),
        ("limit=x", 422),
        ("cursor=-1", 422),
        ("cursor=99999999999999999999", 422),
        ("action=%27%3B--", 200),
        ("actor=%25", 200),
        ("action=%00", 422),
    ],
)
def test_filters_by_what_is_allowed(key_api: Api, project: Project, query: str, status: int) -> None:
    note(project)
    answer = key_api.get(f"/api/v1/audit?{query}")
    assert answer.status_code == status
    if query in {"action=projects.tes", "actor=SYST"}:
        assert {entry["action"] for entry in answer.json()["items"]} == {ACTION}
    elif status == 200:
        assert answer.json()["items"] == []


def test_shows_the_trail_to_admins(alice_client: Client, project: Project, alice: User) -> None:
    note(project, colour="blue")
    page = alice_client.get(f"/p/{project.slug}/settings/audit")
    assert b"colour: blue" in page.content
    fragment = alice_client.get(
        f"/p/{project.slug}/settings/audit?action=projects.tested", headers={"HX-Request": "true"}
    )
    assert fragment.content.strip().startswith(b'<div id="audit_table">')
    assert b"projects.created" not in fragment.content
    assert "HX-Request" in fragment["Vary"]
    people = alice_client.get(f"/p/{project.slug}/settings/audit?of=people")
    assert b"accounts.signed_in" in people.content
    for nonsense in ("cursor=x", "of=all", "action=%00"):
        assert alice_client.get(f"/p/{project.slug}/settings/audit?{nonsense}").status_code == 200


def test_records_what_happens_to_a_project(project: Project, alice: User) -> None:
    by: dict[str, Any] = {"actor": actor_of(alice), "now": NOW}
    services.change_project(project=project, name="Desk", timezone="UTC", retention_days=30, **by)
    services.add_environment(project=project, name="canary", is_protected=True, **by)
    services.add_feature(project=project, name="answers", description="", owner=alice, **by)
    invited = services.invite(project=project, email="dora@example.org", role=Role.EDITOR, invited_by=alice, **by)
    dora = services.join_with_new_account(token=invited.token, name="Dora", password="quite a long sentence", now=NOW)
    services.change_role(membership=dora, role=Role.REVIEWER, **by)
    services.remove_member(membership=dora, **by)
    actions = AuditEntry.objects.filter(project_id=project.pk).order_by("number").values_list("action", flat=True)
    assert list(actions) == [
        "projects.created",
        "projects.changed",
        "projects.environment_added",
        "projects.feature_added",
        "projects.member_invited",
        "projects.invitation_accepted",
        "projects.role_changed",
        "projects.member_removed",
    ]
    assert invited.token not in json.dumps(list(AuditEntry.objects.values("details", "target_name")))
