"""The OpenAPI document: complete, clean, true of the hot door, and readable in a browser under the content policy."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.validation import validate_schema
from playwright.sync_api import Browser
from pytest_django.live_server_helper import LiveServer
from rest_framework.views import APIView

from apps.telemetry.openapi import TelemetryAnswer, TelemetryBody
from apps.telemetry.wire import KNOWN_FIELDS, NativeSpan
from tests.architecture.sources import ROOT
from tests.telemetry.conftest import make_span

METHODS = ("get", "post", "put", "patch", "delete")


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document; a warning of the generator fails every test here."""
    GENERATOR_STATS.reset()
    with GENERATOR_STATS.silence():
        made: dict[str, Any] = SchemaGenerator().get_schema(request=None, public=True)
    assert not GENERATOR_STATS._warn_cache
    assert not GENERATOR_STATS._error_cache
    return made


def _operations(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(path, method, entry) for path, methods in document["paths"].items() for method, entry in methods.items()]


def _api_routes(patterns: list[Any], prefix: str = "") -> dict[str, type[APIView]]:
    """Every address under /api/v1/ with the view behind it, as the document writes addresses."""
    found: dict[str, type[APIView]] = {}
    for entry in patterns:
        path = f"{prefix}{entry.pattern}"
        if isinstance(entry, URLResolver):
            found |= _api_routes(entry.url_patterns, path)
        elif isinstance(entry, URLPattern) and path.startswith("api/v1/"):
            found["/" + re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)] = entry.callback.view_class  # type: ignore[attr-defined]
    return found


def test_is_valid(document: dict[str, Any]) -> None:
    validate_schema(document)


def test_has_every_address_and_method_of_the_api(document: dict[str, Any]) -> None:
    expected = {
        (path, method)
        for path, view in _api_routes(get_resolver().url_patterns).items()
        for method in METHODS
        if hasattr(view, method)
    }
    from llmops_site.asgi import application

    expected |= {(path, door.method.lower()) for path, door in application.application.doors.items()}
    expected |= {
        (f"{pattern.prefix}{{prompt}}{pattern.suffix}", method.lower())
        for pattern in application.application.patterns
        if pattern.prefix.startswith("/api/")
        for method in pattern.door.method.split()
    }
    assert expected
    assert {(path, method) for path, method, _ in _operations(document)} == expected


def test_says_of_every_operation_who_may_and_what_comes_back(document: dict[str, Any]) -> None:
    for path, method, operation in _operations(document):
        where = f"{method} {path}"
        assert operation["security"], where
        assert {name for way in operation["security"] for name in way} <= set(document["components"]["securitySchemes"])
        assert "Needs " in operation["description"], where
        succeeded = [status for status in operation["responses"] if status.startswith("2")]
        assert succeeded, where
        assert all("content" in operation["responses"][status] for status in succeeded if status != "204"), where
        assert {"401", "403"} <= set(operation["responses"]), where
        assert all(response["description"] for response in operation["responses"].values()), where


def test_names_each_operation_once(document: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in _operations(document)]
    assert len(set(names)) == len(names)


def test_has_every_address_in_the_guide_for_programs(document: dict[str, Any]) -> None:
    guide = re.sub(r"{\w+}", "{}", (ROOT / "docs" / "api.md").read_text())
    named = {address.rstrip("/") for address in re.findall(r"/(?:api|v1|litellm)/[\w/{}-]+", guide)}
    assert not {re.sub(r"{\w+}", "{}", path) for path in document["paths"]} - named


def test_describes_every_field_of_a_span(document: dict[str, Any]) -> None:
    described = document["components"]["schemas"]["NativeSpan"]
    assert set(described["properties"]) == KNOWN_FIELDS
    assert set(described["required"]) == {"trace_id", "span_id", "name", "started_at"}


def test_describes_a_body_that_the_door_takes() -> None:
    body = msgspec.json.encode({"spans": [make_span()], "scores": []})
    assert isinstance(msgspec.json.decode(body, type=TelemetryBody).spans[0], NativeSpan)


@pytest.mark.parametrize(
    "answer",
    [
        {"stored": 2, "updated": 1, "duplicates": 0, "rejected": []},
        {
            "stored": 0,
            "updated": 0,
            "duplicates": 0,
            "rejected": [{"index": 3, "code": "invalid_kind", "message": "x"}],
        },
    ],
)
def test_describes_the_answers_of_the_door(answer: dict[str, Any]) -> None:
    assert msgspec.convert(answer, TelemetryAnswer)


def test_is_written_by_a_command_without_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("spectacular", "--fail-on-warn", "--validate", "--format", "openapi-json")
    assert json.loads(capsys.readouterr().out)["openapi"] == "3.1.0"


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/api/schema/", "/api/docs/"])
def test_is_not_shown_to_strangers(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == 302
    assert response["Location"].startswith("/accounts/login/")


def test_is_served_to_whoever_is_signed_in(charlie_client: Client) -> None:
    response = charlie_client.get("/api/schema/")
    assert response.status_code == 200
    assert "/api/v1/telemetry" in response.json()["paths"]


@pytest.mark.browser
def test_draws_in_a_browser_under_the_content_policy(
    live_server: LiveServer, alice_client: Client, chromium: Browser
) -> None:
    complaints: list[str] = []
    context = chromium.new_context(viewport={"width": 1440, "height": 900})
    context.add_cookies([{"name": "sid", "value": alice_client.cookies["sid"].value, "url": live_server.url}])
    page = context.new_page()
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(f"{live_server.url}/api/docs/")
    subjects = page.locator(".opblock-tag")
    subjects.filter(has_text="telemetry").click()
    page.get_by_text("/api/v1/telemetry", exact=True).wait_for()
    assert subjects.count() >= 5
    subjects.filter(has_text="keys").click()
    page.get_by_text("/api/v1/keys", exact=True).first.click()
    page.get_by_role("button", name="Try it out").first.click()
    page.get_by_role("button", name="Execute").first.click()
    page.locator(".live-responses-table .response-col_status").get_by_text("200").wait_for()
    assert not complaints
    context.close()
