"""Every address has a declared permission, and keeps it: tried as nobody, as a stranger, and as the lowest role.

The expected answers follow from the declaration alone, so a view that forgets to ask is found here.
"""

from __future__ import annotations

import re
from pathlib import Path
from uuid import uuid4

import pytest
from django.db import transaction
from django.http import HttpResponse
from django.test import Client

from apps.core.permissions import Permission, Route, routes
from apps.projects.models import Project, Role
from apps.projects.permission_table import as_markdown
from tests.conftest import Api

ROUTES = routes()
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]
LOGIN = "/accounts/login/"
SAMPLES = {
    "uuid": lambda: str(uuid4()),
    "int": lambda: "999999999",
    "slug": lambda: "nothing-here",
    "str": lambda: "nothing",
}
DOCS = Path(__file__).parents[2] / "docs" / "permissions.md"


def address(route: Route, project: Project) -> str:
    """The route's address in the project, with made-up ids."""

    def fill(match: re.Match[str]) -> str:
        kind, _, name = match[1].rpartition(":")
        return project.slug if name == "project" else SAMPLES.get(kind or "str", SAMPLES["str"])()

    path = route.path.replace("(?P<uidb36>[0-9A-Za-z]+)-(?P<key>.+)", "1-nothing").rstrip("$")
    return re.sub(r"<([^>]+)>", fill, path)


def of_kind(*kinds: str) -> list[pytest.ParameterSet]:
    """The routes whose permission is of one of the kinds."""
    chosen = [route for route in ROUTES if route.permission is not None and route.permission.kind in kinds]
    return [pytest.param(route, id=f"{route.name or route.path}") for route in chosen]


def declared(route: Route) -> Permission:
    """The route's permission, which the selection above has made sure of."""
    assert route.permission is not None
    return route.permission


def ask(client: Client, method: str, path: str, **headers: str) -> HttpResponse:
    """The answer; whatever it changed is undone, so that the next method meets the same rows."""
    with transaction.atomic():
        answer = client.generic(method, path, headers=headers)
        transaction.set_rollback(True)
    return answer


def goes_to_sign_in(answer: HttpResponse) -> bool:
    """True for a redirect to the sign-in page that comes back here."""
    return answer.status_code == 302 and answer["Location"].startswith(f"{LOGIN}?next=")


def is_let_in(answer: HttpResponse) -> bool:
    """True for any answer that is neither a refusal of the caller nor a failure."""
    return answer.status_code not in {401, 403} and answer.status_code < 500


def test_finds_a_declared_permission_on_every_address() -> None:
    undeclared = [route.path for route in ROUTES if route.permission is None]
    assert not undeclared, f"declare who may call these (apps.projects.access, apps.core.permissions): {undeclared}"
    assert len(ROUTES) > 40


def test_finds_names_used_once() -> None:
    names = [route.name for route in ROUTES]
    assert not {name for name in names if not name or names.count(name) > 1}


@pytest.mark.django_db
@pytest.mark.parametrize("route", of_kind("project", "person"))
def test_sends_nobody_to_sign_in(route: Route, project: Project) -> None:
    for method in METHODS:
        answer = ask(Client(), method, address(route, project))
        assert goes_to_sign_in(answer), f"{method}: {answer.status_code}"


@pytest.mark.django_db
@pytest.mark.parametrize("route", of_kind("open", "token"))
def test_asks_nobody_to_sign_in_where_it_is_open(route: Route, project: Project) -> None:
    for method in METHODS:
        answer = ask(Client(), method, address(route, project))
        assert not goes_to_sign_in(answer), method
        assert answer.status_code < 500


@pytest.mark.django_db
@pytest.mark.parametrize("route", of_kind("token"))
def test_refuses_a_secret_that_is_none(route: Route, project: Project) -> None:
    answer = ask(Client(REMOTE_ADDR="203.0.113.9"), "GET", address(route, project))
    refused = answer.status_code in {403, 404} or b"does not work any more" in answer.content
    assert refused, answer.status_code


@pytest.mark.django_db
@pytest.mark.parametrize("route", of_kind("project"))
def test_hides_a_project_from_a_stranger(route: Route, project: Project, charlie_client: Client) -> None:
    answers = {method: ask(charlie_client, method, address(route, project)) for method in METHODS}
    assert {method: answer.status_code for method, answer in answers.items()} == dict.fromkeys(METHODS, 404)
    absent = ask(charlie_client, "GET", address(route, Project(slug="no-such-project")))
    assert absent.status_code == 404
    assert without_ids(answers["GET"]) == without_ids(absent), "a foreign project must look like a missing one"


def without_ids(answer: HttpResponse) -> str:
    """The body without what differs from request to request."""
    return re.sub(r"[0-9a-f]{32}|csrfmiddlewaretoken\" value=\"\w+|X-CSRFToken[^}]*", "", answer.content.decode())


@pytest.mark.django_db
@pytest.mark.parametrize("route", of_kind("project"))
def test_holds_the_lowest_role_to_the_declaration(route: Route, project: Project, bob_client: Client) -> None:
    for method in METHODS:
        answer = ask(bob_client, method, address(route, project))
        if declared(route).role_for(method) == Role.VIEWER:
            assert answer.status_code in {200, 201, 302, 404, 405, 422}, f"{method}: {answer.status_code}"
        else:
            assert answer.status_code == 403, f"{method}: {answer.status_code}"


@pytest.mark.django_db
@pytest.mark.parametrize("route", of_kind("person"))
def test_lets_whoever_is_signed_in_reach_their_own_pages(route: Route, project: Project, bob_client: Client) -> None:
    answer = ask(bob_client, "GET", address(route, project))
    assert answer.status_code in {200, 302, 404, 405}
    assert not goes_to_sign_in(answer)


@pytest.mark.django_db
@pytest.mark.parametrize("route", of_kind("api"))
def test_answers_nobody_with_401(route: Route, project: Project) -> None:
    for method in METHODS:
        answer = ask(Api(), method, address(route, project))
        assert answer.status_code == 401, f"{method}: {answer.status_code}"
        assert answer["WWW-Authenticate"] == "Bearer"


@pytest.mark.django_db
@pytest.mark.parametrize("route", of_kind("api"))
def test_hides_a_project_of_the_api_from_a_stranger(
    route: Route, project: Project, charlie_api: Api, other_key: str
) -> None:
    for method in METHODS:
        if declared(route).role_for(method) is not None:
            by_session = ask(charlie_api, method, address(route, project), **{"X-Project": project.slug})
            assert by_session.status_code == 404, f"{method}: {by_session.status_code}"
        if declared(route).scope_for(method) is not None:
            by_key = ask(Api(key=other_key), method, address(route, project), **{"X-Project": project.slug})
            assert by_key.status_code == 404, f"{method}: {by_key.status_code}"


@pytest.mark.django_db
@pytest.mark.parametrize("route", of_kind("api"))
def test_holds_the_lowest_role_of_the_api_to_the_declaration(route: Route, project: Project, bob_api: Api) -> None:
    for method in METHODS:
        answer = ask(bob_api, method, address(route, project))
        if declared(route).role_for(method) == Role.VIEWER:
            assert is_let_in(answer), f"{method}: {answer.status_code}"
        else:
            assert answer.status_code == 403, f"{method}: {answer.status_code}"


@pytest.mark.django_db
@pytest.mark.parametrize("route", of_kind("api"))
def test_holds_a_key_to_its_scope(route: Route, project: Project, ingest_key: str, read_key: str) -> None:
    for method in METHODS:
        for key, scope in ((ingest_key, "ingest"), (read_key, "read")):
            answer = ask(Api(key=key), method, address(route, project))
            if declared(route).scope_for(method) == scope:
                assert is_let_in(answer), method
            else:
                assert answer.status_code == 403, f"{method} with {scope}: {answer.status_code}"


def test_is_written_down_as_declared() -> None:
    assert DOCS.read_text() == as_markdown(), "run: python manage.py permissions > docs/permissions.md"
