"""Feedback links: a vote without a key, once for each link, until it expires."""

from __future__ import annotations

import re
import secrets
from datetime import timedelta
from typing import Any
from urllib.parse import urlsplit

import pytest
from django.test import Client

from apps.core import clock
from apps.projects.models import Project
from apps.telemetry.models import IntakeBatch, Score
from apps.telemetry.services import feedback
from tests.conftest import Api

pytestmark = pytest.mark.django_db

TRACE = secrets.token_hex(16)


@pytest.fixture
def key(ingest_key: str) -> Api:
    """The API with the project's ingest key."""
    return Api(key=ingest_key)


def make(key: Api, **more: Any) -> dict[str, Any]:
    """A link for the trace."""
    response = key.post("/api/v1/feedback-links", {"trace_id": TRACE} | more)
    assert response.status_code == 201, response.content
    answer: dict[str, Any] = response.json()
    return answer


def path_of(link: dict[str, Any]) -> str:
    """The address without its host."""
    return urlsplit(link["url"]).path


def say(link: dict[str, Any], **body: Any) -> Any:
    """Vote as the script of a foreign page does."""
    return Client(enforce_csrf_checks=True).post(path_of(link), body, content_type="application/json")


def test_a_vote_by_the_page_is_stored_and_can_be_changed(key: Api, project: Project) -> None:
    link = make(key, user_id="u_1")
    stranger = Client(enforce_csrf_checks=True)
    page = stranger.get(path_of(link))
    assert page.status_code == 200
    assert b"Was this answer helpful?" in page.content
    assert not Score.objects.exists()
    voted = stranger.post(path_of(link), {"value": "1", "comment": "  Thanks  "})
    assert voted.status_code == 302
    assert b"Thank you." in stranger.get(voted["Location"]).content
    row = Score.objects.get()
    assert (row.project_id, row.trace_id.hex(), row.name, row.value) == (project.pk, TRACE, "thumbs", 1.0)
    assert (row.source, row.comment, row.user_id) == ("feedback", "Thanks", "u_1")
    stranger.post(path_of(link), {"value": "0"})
    row = Score.objects.get()
    assert (row.value, row.label, row.comment) == (0.0, "down", "")
    assert IntakeBatch.objects.filter(client="feedback link", stored=1).count() == 1


def test_two_links_are_two_votes(key: Api) -> None:
    for value in (1, 0):
        assert say(make(key), value=value).json() == {"stored": True}
    assert sorted(Score.objects.values_list("value", flat=True)) == [0.0, 1.0]


def test_a_page_of_another_origin_may_vote(key: Api) -> None:
    link = make(key, kind="rating", name="tone")
    asked = Client().options(
        path_of(link), headers={"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    )
    assert asked.status_code == 204
    assert asked["Access-Control-Allow-Origin"] == "*"
    assert (asked["Access-Control-Allow-Methods"], asked["Access-Control-Allow-Headers"]) == ("POST", "Content-Type")
    assert "Access-Control-Allow-Credentials" not in asked
    voted = say(link, value=4, comment="fine")
    assert (voted.status_code, voted["Access-Control-Allow-Origin"]) == (200, "*")
    assert not voted.cookies
    row = Score.objects.get()
    assert (row.name, row.value, row.comment) == ("tone", 4.0, "fine")


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("thumbs", {"value": 2}),
        ("thumbs", {}),
        ("thumbs", {"value": ["1"]}),
        ("rating", {"value": 0}),
        ("rating", {"value": 6}),
        ("rating", {"value": 2.5}),
        ("rating", {"value": "nan"}),
        ("rating", {"value": None}),
        ("thumbs", {"value": 1, "comment": "x" * 2_001}),
    ],
)
def test_refuses_what_is_no_vote(key: Api, kind: str, body: dict[str, Any]) -> None:
    refused = say(make(key, kind=kind), **body)
    assert (refused.status_code, refused.json()["error"]["code"]) == (422, "invalid")
    assert refused["Access-Control-Allow-Origin"] == "*"
    assert not Score.objects.exists()


@pytest.mark.parametrize("body", ["", "[]", "{", "7", '{"value": 1, "comment": "' + "x" * 40_000 + '"}'])
def test_refuses_bodies_that_are_no_vote(key: Api, body: str) -> None:
    refused = Client().generic("POST", path_of(make(key)), body, content_type="application/json")
    assert refused.status_code == 422
    assert not Score.objects.exists()


def test_a_changed_or_foreign_token_does_nothing(key: Api) -> None:
    token = make(key)["token"]
    body, _, signature = token.rpartition(":")
    for wrong in (
        "nothing",
        "x" * 3_000,
        token[:-1] + ("A" if token[-1] != "A" else "B"),
        f"{body[:-2]}xx:{signature}",
        f"{body}:",
    ):
        assert Client().get(f"/f/{wrong}").status_code == 404
        answer = Client().post(f"/f/{wrong}", {"value": 1}, content_type="application/json")
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "link_expired")
    assert not Score.objects.exists()


def test_a_link_expires(key: Api, project: Project) -> None:
    link = feedback.make_link(
        project_id=project.pk,
        trace_id=TRACE,
        span_id="",
        session_id="",
        kind="thumbs",
        name="",
        user_id="",
        expires_in=timedelta(minutes=1),
        now=clock.now() - timedelta(minutes=2),
    )
    answer = Client().get(f"/f/{feedback.token_of(link)}")
    assert answer.status_code == 404
    assert b"does not work any more" in answer.content


def test_a_link_of_a_deleted_project_is_dead(key: Api, project: Project) -> None:
    link = make(key)
    project.delete()
    assert Client().get(path_of(link)).status_code == 404
    assert say(link, value=1).status_code == 404
    assert not Score.objects.exists()


def test_pressing_again_and_again_is_refused_for_a_while(key: Api) -> None:
    link, other = make(key), make(key)
    answers = [say(link, value=number % 2).status_code for number in range(feedback.VOTES_PER_MINUTE * 2 + 2)]
    # A minute may end in between.
    assert answers[: feedback.VOTES_PER_MINUTE] == [200] * feedback.VOTES_PER_MINUTE
    assert 429 in answers
    assert say(other, value=1).status_code == 200


def test_the_page_asks_nothing_of_others_and_keeps_its_address_to_itself(key: Api) -> None:
    page = Client().get(path_of(make(key)))
    policy = page["Content-Security-Policy"]
    assert "script-src 'none'" in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert (page["Referrer-Policy"], page["Cache-Control"]) == ("no-referrer", "no-store")
    assert page["X-Robots-Tag"] == "noindex"
    assert not page.cookies


def test_the_script_has_an_address_that_stays(db: None) -> None:
    answer = Client().get("/feedback.js")
    assert answer.status_code == 302
    assert re.fullmatch(r"/static/js/feedback(\.[0-9a-f]+)?\.js", answer["Location"])
    assert answer["Cache-Control"] == "public, max-age=3600"
    assert not answer.cookies


def test_a_token_holds_no_name_of_anybody_but_what_it_is_for(key: Api, project: Project) -> None:
    from django.core import signing

    facts = signing.Signer(salt=feedback.SALT).unsign_object(make(key)["token"])
    assert set(facts) == {"p", "t", "k", "e", "r"}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"trace_id": "abc"},
        {"trace_id": "0" * 32},
        {"trace_id": TRACE, "kind": "stars"},
        {"trace_id": TRACE, "expires_in": 1},
        {"trace_id": TRACE, "name": "a\tb"},
        {"trace_id": TRACE, "typo": 1},
    ],
)
def test_says_what_is_wrong_with_a_link_that_is_asked_for(key: Api, body: dict[str, Any]) -> None:
    assert key.post("/api/v1/feedback-links", body).status_code == 422


def test_links_are_made_with_a_key_that_may_send(read_key: str, bob_api: Api, alice_api: Api) -> None:
    assert Api(key=read_key).post("/api/v1/feedback-links", {"trace_id": TRACE}).status_code == 403
    assert bob_api.post("/api/v1/feedback-links", {"trace_id": TRACE}).status_code == 403
    assert alice_api.post("/api/v1/feedback-links", {"trace_id": TRACE}).status_code == 201
