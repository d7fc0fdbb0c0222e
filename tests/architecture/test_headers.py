"""What every answer says about itself, on every kind of page."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.http import HttpResponseBase
from django.test import Client

from apps.projects.models import Project
from tests.architecture.sources import ROOT
from tests.conftest import Api

POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "manifest-src": "'self'",
    "object-src": "'none'",
    "base-uri": "'none'",
    "form-action": "'self'",
    "frame-ancestors": "'none'",
}


def _policy(header: str) -> dict[str, str]:
    return dict(part.strip().split(" ", 1) for part in header.split(";") if part.strip())


def _assert_guarded(response: HttpResponseBase) -> None:
    assert _policy(response["Content-Security-Policy"]) == POLICY
    assert response["X-Content-Type-Options"] == "nosniff"
    assert response["X-Frame-Options"] == "DENY"
    assert response["Referrer-Policy"] == "same-origin"
    assert response["Cross-Origin-Opener-Policy"] == "same-origin"
    assert len(response["X-Request-Id"]) == 32
    assert "Server" not in response


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("path", "status"),
    [("/accounts/login/", 200), ("/healthz", 200), ("/nothing/here", 404), ("/account/", 302), ("/api/v1/keys", 401)],
)
def test_guards_what_anybody_may_see(client: Client, path: str, status: int) -> None:
    response = client.get(path)
    assert response.status_code == status
    _assert_guarded(response)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/account/", 200),
        ("/p/{slug}/settings/general", 200),
        ("/p/{slug}/settings/members", 403),
        ("/p/nothing-here/settings/general", 404),
        ("/api/docs/", 200),
    ],
)
def test_guards_pages_of_people_and_keeps_them_out_of_caches(
    bob_client: Client, project: Project, path: str, status: int
) -> None:
    method = bob_client.post if status == 403 else bob_client.get
    response = method(path.format(slug=project.slug))
    assert response.status_code == status
    _assert_guarded(response)
    if status == 200:
        assert "no-store" in response["Cache-Control"]
        assert "private" in response["Cache-Control"]


def test_guards_answers_of_the_json_api(key_api: Api) -> None:
    response = key_api.get("/api/v1/keys")
    assert response.status_code == 200
    assert response["Content-Type"] == "application/json"
    _assert_guarded(response)


@pytest.mark.django_db
def test_guards_static_files(client: Client) -> None:
    response = client.get("/static/css/tokens.css")
    response.close()
    assert response.status_code == 200
    assert _policy(response["Content-Security-Policy"]) == POLICY
    assert response["X-Content-Type-Options"] == "nosniff"


@pytest.mark.django_db
def test_keeps_cookies_from_scripts_and_other_sites(client: Client) -> None:
    client.get("/accounts/login/")
    cookie = client.cookies["sid"]
    assert cookie["httponly"]
    assert cookie["samesite"] == "Lax"
    assert "csrftoken" not in client.cookies


def _at_the_front(method: str, path: str, **more: Any) -> httpx.Response:
    """The answer of the ASGI application in front of everything, without a socket."""
    from llmops_site.asgi import application

    async def ask() -> httpx.Response:
        transport = httpx.ASGITransport(app=application)
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            return await client.request(method, path, **more)

    # In a thread of its own: browser tests leave an event loop in this one.
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(asyncio.run, ask()).result()


@pytest.mark.django_db
@pytest.mark.parametrize(("method", "status"), [("POST", 401), ("GET", 405)])
def test_guards_the_hot_doors(method: str, status: int) -> None:
    response = _at_the_front(method, "/api/v1/telemetry")
    assert response.status_code == status
    assert response.headers["content-type"] == "application/json"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["cache-control"] == "no-store"
    assert len(response.headers["x-request-id"]) == 32


PROBE = """
import json, django
django.setup()
from django.conf import settings
from django.test import Client
secure = Client().get("/healthz", secure=True, headers={"host": "prodworthy.example.com"})
plain = {path: Client().get(path, headers={"host": "prodworthy.example.com"}).status_code
         for path in ("/accounts/login/", "/healthz")}
print(json.dumps({
    "hsts": secure["Strict-Transport-Security"],
    "plain": plain,
    "cookie": settings.SESSION_COOKIE_NAME,
    "secure": settings.SESSION_COOKIE_SECURE,
    "path": settings.SESSION_COOKIE_PATH,
    "domain": settings.SESSION_COOKIE_DOMAIN,
}))
"""


def test_insists_on_https_where_the_public_address_has_it(tmp_path: Path) -> None:
    """In a process of its own, since settings are read once."""
    environment = {
        **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
        "DJANGO_SETTINGS_MODULE": "llmops_site.settings",
        "PRODWORTHY_VAR": str(tmp_path),
        "PRODWORTHY_URL": "https://prodworthy.example.com",
    }
    ended = subprocess.run(
        [sys.executable, "-c", PROBE],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    said = json.loads(ended.stdout.splitlines()[-1])
    assert said["hsts"] == "max-age=31536000; includeSubDomains"
    assert said["plain"] == {"/accounts/login/": 301, "/healthz": 200}
    assert (said["cookie"], said["secure"], said["path"], said["domain"]) == ("__Host-sid", True, "/", None)
