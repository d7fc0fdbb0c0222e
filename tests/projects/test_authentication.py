"""Who sends a key, and what becomes of keys that were revoked, have expired, or whose maker is gone."""

from __future__ import annotations

import base64
from datetime import timedelta

import pytest
from django.core.management import call_command
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from apps.accounts.models import User
from apps.core.errors import Forbidden, Unauthenticated
from apps.projects import services
from apps.projects.authentication import identify_key, key_from_headers, refuse_key_in_query, require_scope
from apps.projects.models import ApiKey, Membership, Project, Role, Scope
from tests import factories
from tests.conftest import Api
from tests.factories import NOW, actor_of

SECOND = timedelta(seconds=1)


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("headers", "found"),
    [
        ({}, None),
        ({"authorization": ""}, None),
        ({"authorization": "Bearer pw_x"}, "pw_x"),
        ({"authorization": "bearer   pw_x "}, "pw_x"),
        ({"authorization": "Bearer"}, ""),
        ({"authorization": basic("any:pw_x")}, "pw_x"),
        ({"authorization": basic("pw_x:")}, "pw_x"),
        ({"authorization": basic("pw_x:pw_y")}, "pw_y"),
        ({"authorization": basic("any:other")}, "other"),
        ({"authorization": "Basic %%%"}, "%%%"),
        ({"authorization": "Basic /w=="}, "/w=="),
        ({"authorization": "Digest pw_x"}, "Digest pw_x"),
        ({"x-api-key": "pw_x"}, "pw_x"),
        ({"x-api-key": " "}, None),
        ({"authorization": "Bearer pw_x", "x-api-key": "pw_y"}, "pw_x"),
    ],
)
def test_finds_the_key_in_the_headers(headers: dict[str, str], found: str | None) -> None:
    assert key_from_headers(headers) == found


def test_decides_alike_for_every_way_to_send_a_key(read_key: str, ingest_key: str, other_key: str) -> None:
    wrong = read_key[:-1] + ("0" if read_key[-1] != "0" else "1")
    for key, status in ((read_key, 403), (ingest_key, 403), (other_key, 200), (wrong, 401), ("", 401)):
        for headers in (
            {"Authorization": f"Bearer {key}"},
            {"Authorization": basic(f"name:{key}")},
            {"Authorization": basic(f"{key}:")},
            {"X-Api-Key": key},
        ):
            answer = Api().get("/api/v1/keys", headers=headers)
            assert answer.status_code == status, headers


@pytest.mark.parametrize("name", ["key", "api_key", "token", "access_token", "x"])
def test_refuses_a_key_in_the_address(admin_key: str, name: str) -> None:
    answer = Api(key=admin_key).get(f"/api/v1/keys?{name}={admin_key}")
    assert answer.status_code == 401
    assert admin_key not in answer.content.decode()


def test_finds_an_encoded_key_in_the_address(admin_key: str) -> None:
    with pytest.raises(Unauthenticated):
        refuse_key_in_query("q=a&x=pw_" + admin_key.removeprefix("pw_").replace("_", "%5F"))
    refuse_key_in_query("name=pw_draft")


def test_does_not_fall_back_to_the_session_when_a_key_is_wrong(alice_api: Api) -> None:
    assert alice_api.get("/api/v1/keys").status_code == 200
    assert alice_api.get("/api/v1/keys", headers={"Authorization": "Bearer nonsense"}).status_code == 401


def test_knows_a_key_by_project_and_scopes(project: Project, ingest_key: str) -> None:
    identity = identify_key(ingest_key, now=NOW)
    assert (identity.project_id, identity.project_slug) == (project.pk, project.slug)
    assert identity.scopes == {"ingest"}
    require_scope(identity, Scope.INGEST)
    with pytest.raises(Forbidden, match="lacks the scope 'read'"):
        require_scope(identity, Scope.READ)


def test_lets_admin_stand_for_every_scope(admin_key: str) -> None:
    for scope in Scope:
        require_scope(identify_key(admin_key, now=NOW), scope)


def test_stops_a_revoked_key_within_five_seconds(ingest_key: str, alice: User) -> None:
    identify_key(ingest_key, now=NOW)
    services.revoke_key(key=ApiKey.objects.get(), actor=actor_of(alice), now=NOW)
    with pytest.raises(Unauthenticated, match="revoked"):
        identify_key(ingest_key, now=NOW + 5 * SECOND)


def test_stops_a_key_at_the_second_it_expires(project: Project) -> None:
    key = factories.make_key(project, expires_at=NOW + SECOND)
    assert identify_key(key, now=NOW)
    assert identify_key(key, now=NOW + 0.999 * SECOND)
    with pytest.raises(Unauthenticated, match="expired on"):
        identify_key(key, now=NOW + SECOND)


def test_stops_the_keys_of_a_disabled_person(ingest_key: str, alice: User) -> None:
    identify_key(ingest_key, now=NOW)
    call_command("disable_account", alice.email)
    with pytest.raises(Unauthenticated):
        identify_key(ingest_key, now=NOW + 5 * SECOND)


def test_cuts_a_key_to_what_its_maker_may_do_now(project: Project, alice: User) -> None:
    key = factories.make_key(project, Scope.ADMIN, Scope.READ, created_by=alice)
    Membership.objects.filter(user=alice).update(role=Role.EDITOR)
    assert identify_key(key, now=NOW).scopes == {"read"}
    Membership.objects.filter(user=alice).update(role=Role.VIEWER)
    with pytest.raises(Unauthenticated):
        identify_key(key, now=NOW + 3 * SECOND)


def test_keeps_both_keys_working_during_the_overlap_of_a_rotation(project: Project, alice: User) -> None:
    old = factories.make_key(project, Scope.INGEST, created_by=alice, expires_at=NOW + timedelta(days=100))
    made = services.rotate_key(
        key=ApiKey.objects.get(), allowed=list(Scope), created_by_id=alice.pk, actor=actor_of(alice), now=NOW
    )
    end = NOW + timedelta(hours=24)
    for moment in (NOW, end - SECOND):
        assert identify_key(old, now=moment).project_id == identify_key(made.raw, now=moment).project_id
    with pytest.raises(Unauthenticated):
        identify_key(old, now=end)
    assert identify_key(made.raw, now=end).scopes == {"ingest"}
    assert made.key.expires_at == NOW + timedelta(days=100)


def test_asks_the_database_at_most_every_two_seconds(
    ingest_key: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    identify_key(ingest_key, now=NOW)
    with django_assert_num_queries(0):
        identify_key(ingest_key, now=NOW + 1.9 * SECOND)
    with django_assert_num_queries(2):  # the key, and the role of its maker; its use was noted lately
        identify_key(ingest_key, now=NOW + 2 * SECOND)


def test_turns_a_typing_error_away_without_asking_the_database(
    ingest_key: str, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    with django_assert_num_queries(0), pytest.raises(Unauthenticated, match="wrong or missing"):
        identify_key(ingest_key[:-1] + "!", now=NOW)


def test_notes_the_last_use_once_a_minute(ingest_key: str) -> None:
    for seconds, noted in ((0, 0), (30, 0), (57, 0), (60, 60), (90, 60), (119, 60), (122, 122)):
        identify_key(ingest_key, now=NOW + seconds * SECOND)
        assert ApiKey.objects.get().last_used_at == NOW + noted * SECOND, seconds


def test_keeps_nothing_in_the_database_that_is_a_key(ingest_key: str, admin_key: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = current_schema()")
        tables = [name for (name,) in cursor.fetchall()]
        dump = []
        for table in tables:
            cursor.execute(f'SELECT t::text FROM "{table}" t')
            dump += [row for (row,) in cursor.fetchall()]
    text = "\n".join(dump)
    assert "pw_ingest_local_" in text, "the prefix is there, so the dump holds the table"
    for key in (ingest_key, admin_key):
        assert key not in text
        assert key.split("_")[3] not in text
        assert key.split("_")[3][9:] not in text
