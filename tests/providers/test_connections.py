"""Connections as services see them: people at the same time, checks that come late, and what goes with a project."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import timedelta

import pytest
from django.db import connection as database

from apps.core.errors import Invalid
from apps.projects.models import AuditEntry, Project
from apps.providers import services
from apps.providers.models import Connection
from apps.providers.selectors.connections import target_for
from apps.providers.services import ConnectionChanged, ConnectionExists
from tests.factories import NOW
from tests.providers.test_target_for import ACTOR, add

LATER = NOW + timedelta(hours=1)


def change(row: Connection, *, secret: str | None = None, minutes: int = 0, **values: object) -> Connection:
    """Change a connection as somebody who has seen this row."""
    return services.change_connection(
        connection=row,
        values=replace(services.fields_of(row), **values),
        secret=secret,
        actor=ACTOR,
        now=LATER + timedelta(minutes=minutes),
    )


def test_undoes_nobodys_change(project: Project) -> None:
    row = add(project, "openai", "gpt-4o")
    seen = Connection.objects.get()
    change(row, name="First")
    with pytest.raises(ConnectionChanged):
        change(seen, name="Second", minutes=1)
    assert Connection.objects.get().name == "First"


def test_puts_a_new_key_to_the_address_that_is_saved(project: Project) -> None:
    row = add(project, "openai", "gpt-4o")
    change(row, base_url="https://new.example.com/v1")
    services.set_secret(connection=row, secret="sk-second-0123456789", actor=ACTOR, now=LATER)
    target = target_for(project, "gpt-4o")
    assert (target.base_url, target.secret) == ("https://new.example.com/v1", "sk-second-0123456789")


def test_says_that_it_is_gone(project: Project) -> None:
    row = add(project, "openai", "gpt-4o")
    services.remove_connection(connection=Connection.objects.get(), actor=ACTOR, now=LATER)
    for attempt in (
        lambda: change(row, name="x"),
        lambda: services.set_secret(connection=row, secret="", actor=ACTOR, now=LATER),
        lambda: services.switch_connection(connection=row, is_enabled=False, actor=ACTOR, now=LATER),
        lambda: services.remove_connection(connection=row, actor=ACTOR, now=LATER),
    ):
        with pytest.raises(ConnectionChanged):
            attempt()


def test_notes_no_check_of_what_was_changed_since(project: Project) -> None:
    row = add(project, "openai", "gpt-4o")
    seen = Connection.objects.get()
    change(row, base_url="https://new.example.com/v1")
    assert not services.note_check(connection=seen, is_ok=True, note="answered", actor=ACTOR, now=LATER)
    assert Connection.objects.get().last_check_ok is None
    assert not AuditEntry.objects.filter(action="providers.connection_checked").exists()


def test_leaves_no_trace_of_a_change_that_was_rolled_back(project: Project) -> None:
    add(project, "openai", "gpt-4o")
    before = AuditEntry.objects.count()
    with pytest.raises(ConnectionExists):
        add(project, "openai", "gpt-4o", minutes=1)
    assert (AuditEntry.objects.count(), Connection.objects.count()) == (before, 1)


def test_goes_with_its_project(project: Project, other_project: Project) -> None:
    add(project, "openai", "gpt-4o")
    kept = add(other_project, "openai", "gpt-4o")
    project.delete()
    assert list(Connection.objects.all()) == [kept]


def test_allows_fifty_of_them(project: Project) -> None:
    add(project, "first")
    Connection.objects.bulk_create(
        Connection(project=project, slug=f"c-{number}", name="x", protocol="openai", base_url="https://x.example.com")
        for number in range(49)
    )
    with pytest.raises(Invalid):
        add(project, "one-more")


@pytest.mark.django_db(transaction=True)
def test_makes_one_of_many_with_the_same_short_name(project: Project) -> None:
    barrier, outcomes = threading.Barrier(6), []

    def one() -> None:
        barrier.wait()
        try:
            add(project, "openai", "gpt-4o")
            outcomes.append("added")
        except ConnectionExists:
            outcomes.append("exists")
        finally:
            database.close()

    threads = [threading.Thread(target=one) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["added"] + ["exists"] * 5
    assert AuditEntry.objects.filter(action="providers.connection_added").count() == 1


@pytest.mark.django_db(transaction=True)
def test_never_sends_a_key_elsewhere_when_two_change_at_once(project: Project) -> None:
    """One types in a key for the old address while another changes the address: whoever comes second is refused."""
    for attempt in range(5):
        row = add(project, f"c-{attempt}", "gpt-4o", secret="sk-old-0123456789abcdef")
        barrier = threading.Barrier(2)

        def act(row: Connection = row, barrier: threading.Barrier = barrier, **changes: object) -> None:
            seen = Connection.objects.get(pk=row.pk)
            barrier.wait()
            try:
                change(seen, **changes)  # type: ignore[arg-type]
            except ConnectionChanged:
                pass
            finally:
                database.close()

        threads = [
            threading.Thread(target=act, kwargs={"secret": "sk-typed-for-the-old-0123"}),
            threading.Thread(target=act, kwargs={"base_url": "https://evil.example.net/v1", "minutes": 1}),
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        target = target_for(project, f"c-{attempt}/gpt-4o")
        assert target.base_url != "https://evil.example.net/v1" or target.secret == ""
