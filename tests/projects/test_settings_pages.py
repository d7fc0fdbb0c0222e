"""Settings pages: who sees what, and that each renders with and without data."""

from __future__ import annotations

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from apps.projects.models import Project

PAGES = ["general", "members", "keys", "environments", "features"]
QUERIES_AT_MOST = 12


@pytest.mark.parametrize("page", PAGES)
def test_shows_a_viewer_every_page_but_the_audit_trail(bob_client: Client, project: Project, page: str) -> None:
    answer = bob_client.get(f"/p/{project.slug}/settings/{page}")
    assert answer.status_code == 200
    assert b"<form" not in answer.content.split(b"<main")[1].split(b"</main>")[0]
    assert b"settings/audit" not in answer.content


@pytest.mark.parametrize("page", [*PAGES, "audit"])
def test_shows_an_admin_every_page(alice_client: Client, project: Project, ingest_key: str, page: str) -> None:
    answer = alice_client.get(f"/p/{project.slug}/settings/{page}")
    assert answer.status_code == 200
    assert b"<form" in answer.content.split(b"<main")[1]


@pytest.mark.parametrize("page", [*PAGES, "audit"])
def test_asks_few_questions_of_the_database(
    alice_client: Client, project: Project, page: str, django_assert_max_num_queries: DjangoAssertNumQueries
) -> None:
    alice_client.get(f"/p/{project.slug}/settings/{page}")  # the first visit notes the session
    with django_assert_max_num_queries(QUERIES_AT_MOST):
        assert alice_client.get(f"/p/{project.slug}/settings/{page}").status_code == 200


def test_keeps_the_audit_trail_from_a_viewer(bob_client: Client, project: Project) -> None:
    assert bob_client.get(f"/p/{project.slug}/settings/audit").status_code == 403
