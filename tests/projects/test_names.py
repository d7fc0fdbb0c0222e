"""Environments and features: by hand, and by the calls that name them."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connection, transaction
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from apps.accounts.models import User
from apps.projects import services
from apps.projects.models import AuditEntry, Environment, Feature, Project
from tests import factories
from tests.factories import NOW, actor_of

ENVIRONMENTS = "/p/support-desk/settings/environments"
FEATURES = "/p/support-desk/settings/features"


def slugs(project: Project) -> list[str]:
    return list(Environment.objects.filter(project=project).values_list("slug", flat=True))


def learn(project: Project, *, features: str = "", environments: str = "", later: timedelta = timedelta()) -> None:
    services.learn_names(
        project.pk, features=set(features.split()), environments=set(environments.split()), now=NOW + later
    )


def test_makes_rows_for_new_names_only(project: Project) -> None:
    learn(project, features="answers search", environments="production canary")
    learn(project, features="answers summaries", environments="canary")
    features = list(Feature.objects.values_list("slug", "made_by_call", "last_call_on"))
    assert features == [(name, True, NOW.date()) for name in ("answers", "search", "summaries")]
    assert slugs(project) == ["production", "staging", "development", "canary"]
    assert Environment.objects.get(slug="production").last_call_on == NOW.date()
    assert Environment.objects.get(slug="staging").last_call_on is None
    assert not AuditEntry.objects.filter(action__endswith="_added").exists()


def test_notes_the_moment_of_the_first_call(project: Project) -> None:
    assert project.first_call_at is None
    learn(project, environments="production")
    learn(project, environments="staging", later=timedelta(days=2))
    project.refresh_from_db()
    assert project.first_call_at == NOW


@pytest.mark.django_db(transaction=True)
def test_asks_nothing_for_names_it_has_seen(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    project = factories.make_project()
    learn(project, features="answers", environments="production")
    with django_assert_num_queries(0):
        learn(project, features="answers", environments="production", later=timedelta(minutes=9))
    learn(project, features="answers", environments="production", later=timedelta(days=1))
    assert Feature.objects.get().last_call_on == (NOW + timedelta(days=1)).date()
    learn(project, features="answers", environments="production")
    assert Feature.objects.get().last_call_on == (NOW + timedelta(days=1)).date(), "the day never moves back"


@pytest.mark.django_db(transaction=True)
def test_remembers_nothing_of_a_transaction_that_was_rolled_back() -> None:
    project = factories.make_project()
    with transaction.atomic():
        learn(project, features="answers")
        transaction.set_rollback(True)
    assert not Feature.objects.exists()
    learn(project, features="answers")
    assert Feature.objects.exists()


def test_makes_nothing_for_a_project_that_is_gone(project: Project) -> None:
    learn(Project(pk=project.pk + 1000), features="answers", environments="canary")
    assert not Feature.objects.exists()


def test_leaves_out_what_does_not_fit(project: Project) -> None:
    services.learn_names(project.pk, features={"", "x" * 129, "x" * 128}, environments={"", "y" * 65}, now=NOW)
    assert [feature.slug for feature in Feature.objects.all()] == ["x" * 128]
    assert len(slugs(project)) == 3


def test_keeps_names_as_they_were_sent(project: Project) -> None:
    names = {"Größe & Co", "<b>bold</b>", "a/b?c=d#e", "混合"}
    services.learn_names(project.pk, features=names, environments=set(), now=NOW)
    assert set(Feature.objects.values_list("slug", flat=True)) == names


def test_stops_at_the_caps(project: Project) -> None:
    services.learn_names(
        project.pk,
        features={f"f{n}" for n in range(600)},
        environments={f"e{n}" for n in range(100)},
        now=NOW,
    )
    assert Feature.objects.count() == 500
    assert Environment.objects.filter(project=project).count() == 50
    learn(project, features="one-more f0")
    assert Feature.objects.count() == 500


@pytest.mark.django_db(transaction=True)
def test_makes_each_name_once_under_concurrent_writers() -> None:
    project = factories.make_project()
    barrier = threading.Barrier(8)
    errors: list[BaseException] = []

    def write(number: int) -> None:
        try:
            barrier.wait()
            for turn in range(5):
                names = {f"f{(number * 7 + turn * 3 + n) % 40}" for n in range(25)}
                services.learn_names(project.pk, features=names, environments={f"e{n}" for n in range(60)}, now=NOW)
        except BaseException as error:
            errors.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert Feature.objects.count() == 40
    assert Environment.objects.filter(project=project).count() == 50


def test_adds_an_environment_by_hand(alice_client: Client, project: Project) -> None:
    alice_client.post(ENVIRONMENTS, {"name": "canary", "is_protected": "on"})
    assert slugs(project)[-1] == "canary"
    assert Environment.objects.get(slug="canary").is_protected
    for name in ("canary", "Has Blanks", "ÜBER", "-x", "x" * 65, ""):
        refused = alice_client.post(ENVIRONMENTS, {"name": name})
        assert refused.status_code == 422
        assert b"id_name_error" in refused.content
    assert len(slugs(project)) == 4


def change(browser: Client, name: str, action: str) -> str:
    answer = browser.post(f"{ENVIRONMENTS}/change", {"name": name, "action": action}, follow=True)
    return answer.content.decode()


def test_moves_environments(alice_client: Client, project: Project) -> None:
    change(alice_client, "development", "up")
    assert slugs(project) == ["production", "development", "staging"]
    change(alice_client, "production", "up")
    change(alice_client, "staging", "down")
    assert slugs(project) == ["production", "development", "staging"]
    change(alice_client, "production", "down")
    assert slugs(project) == ["development", "production", "staging"]


def test_removes_only_what_is_unused(alice_client: Client, project: Project) -> None:
    assert "Lift its protection first" in change(alice_client, "production", "remove")
    change(alice_client, "production", "unprotect")
    Environment.objects.filter(slug="production").update(last_call_on=NOW.date())
    from apps.core import clock

    Environment.objects.filter(slug="staging").update(last_call_on=clock.now().date() - timedelta(days=29))
    assert "30 days without one" in change(alice_client, "staging", "remove")
    change(alice_client, "development", "remove")
    assert slugs(project) == ["production", "staging"]
    Environment.objects.filter(slug="staging").update(last_call_on=clock.now().date() - timedelta(days=30))
    change(alice_client, "staging", "remove")
    Environment.objects.update(last_call_on=None)
    assert "at least one environment" in change(alice_client, "production", "remove")
    actions = AuditEntry.objects.filter(action__startswith="projects.environment").values_list("action", flat=True)
    assert sorted(actions) == [
        "projects.environment_removed",
        "projects.environment_removed",
        "projects.environment_unprotected",
    ]


def test_brings_a_removed_environment_back_with_its_next_call(alice: User, project: Project) -> None:
    staging = Environment.objects.get(project=project, slug="staging")
    services.remove_environment(project=project, environment=staging, actor=actor_of(alice), now=NOW)
    learn(project, environments="staging")
    assert slugs(project)[-1] == "staging"


def test_describes_a_feature(alice_client: Client, project: Project, bob: User) -> None:
    alice_client.post(FEATURES, {"name": "answers", "description": "Replies", "owner": ""})
    services.learn_names(project.pk, features={"a/b & c?"}, environments=set(), now=NOW)
    page = alice_client.get(FEATURES).content.decode()
    assert "a/b &amp; c?" in page
    url = f"{FEATURES}/edit?name=a%2Fb%20%26%20c%3F"
    assert url.replace("&", "&amp;") in page
    answer = alice_client.post(url, {"description": "Odd", "owner": str(bob.pk)})
    assert answer.status_code == 302
    feature = Feature.objects.get(slug="a/b & c?")
    assert (feature.description, feature.owner) == ("Odd", bob)
    assert alice_client.get(f"{FEATURES}/edit?name=missing").status_code == 404
    refused = alice_client.post(FEATURES, {"name": "answers", "description": "kept text", "owner": ""})
    assert refused.status_code == 422
    assert b"kept text" in refused.content
