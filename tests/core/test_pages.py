"""The pages that say what went wrong."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory

from apps.core import logs, pages


@pytest.fixture
def request_id() -> Any:
    """The id that the middleware gives to a request."""
    token = logs.request_id.set("4bf92f3577b34da6a3ce929d0e0e4736")
    yield logs.request_id.get()
    logs.request_id.reset(token)


def text_of(response: HttpResponse) -> str:
    """The words of a page."""
    return " ".join(re.sub(r"<[^>]+>", " ", response.content.decode()).split())


def bare_request() -> HttpRequest:
    """A request as it is when the middleware has not run."""
    return RequestFactory().get("/somewhere")


def test_names_the_request_on_a_missing_page(db: None) -> None:
    response = Client().get("/no/such/page")
    assert response.status_code == 404
    assert "Nothing is at this address." in text_of(response)
    assert response["X-Request-Id"] in response.content.decode()


def test_says_that_a_role_does_not_allow_it(request_id: str) -> None:
    response = pages.forbidden(bare_request())
    assert response.status_code == 403
    assert "Your role does not allow this." in text_of(response)
    assert request_id in text_of(response)


def test_says_that_a_form_has_expired(request_id: str) -> None:
    response = pages.csrf_failure(bare_request(), reason="CSRF token missing.")
    assert response.status_code == 403
    assert "This form has expired." in text_of(response)


def test_fails_without_asking_the_database(request_id: str) -> None:
    # No `db` fixture: a query would raise.
    response = pages.failed(bare_request())
    assert response.status_code == 500
    assert "The server failed to answer." in text_of(response)
    assert request_id in text_of(response)


def test_is_what_the_product_answers_with() -> None:
    from django.conf import settings
    from django.urls import get_resolver

    resolver = get_resolver()
    assert resolver.resolve_error_handler(404) is pages.not_found
    assert resolver.resolve_error_handler(403) is pages.forbidden
    assert resolver.resolve_error_handler(500) is pages.failed
    assert settings.CSRF_FAILURE_VIEW == "apps.core.pages.csrf_failure"
