"""Single sign-on, against a provider that answers on this machine."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from allauth.socialaccount.models import SocialAccount
from django.core.management import CommandError, call_command
from django.test import Client
from pytest_django import Settings

from apps.accounts.models import User
from apps.core import clock
from apps.projects import services
from apps.projects.models import AuditEntry, Membership, Project, Role
from tests.conftest import page_client
from tests.factories import actor_of

LOGIN = "/accounts/oidc/sso/login/"
CALLBACK = "/accounts/oidc/sso/login/callback/"


class Provider(ThreadingHTTPServer):
    """An OpenID Connect provider that believes every code. `person` is who it says has signed in."""

    person: dict[str, Any]
    seen: list[str]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Answers(BaseHTTPRequestHandler):
    server: Provider

    def do_GET(self) -> None:
        if self.path == "/.well-known/openid-configuration":
            url = self.server.url
            self.answer(
                {
                    "issuer": url,
                    "authorization_endpoint": f"{url}/authorize",
                    "token_endpoint": f"{url}/token",
                    "userinfo_endpoint": f"{url}/userinfo",
                    "jwks_uri": f"{url}/keys",
                    "token_endpoint_auth_methods_supported": ["client_secret_post"],
                }
            )
        else:
            self.answer(self.server.person)

    def do_POST(self) -> None:
        self.server.seen.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.answer({"access_token": "t", "token_type": "Bearer", "expires_in": 60})

    def answer(self, body: dict[str, Any]) -> None:
        text = json.dumps(body).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, format: str, *args: object) -> None:
        """Be quiet."""


@pytest.fixture
def provider(settings: Settings) -> Iterator[Provider]:
    server = Provider(("127.0.0.1", 0), Answers)
    server.seen = []
    server.person = {"sub": "dora-1", "email": "Dora@Example.org", "email_verified": True, "name": "Dora"}
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    settings.SOCIALACCOUNT_PROVIDERS = {
        "openid_connect": {
            "APPS": [
                {
                    "provider_id": "sso",
                    "name": "Acme",
                    "client_id": "prodworthy",
                    "secret": "a client secret",
                    "settings": {"server_url": server.url, "oauth_pkce_enabled": True},
                }
            ]
        }
    }
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def come_back(browser: Client, *, process: str = "login", next_url: str = "", state: str | None = None) -> Any:
    """Go to the provider and come back with a code."""
    query = {"process": process, **({"next": next_url} if next_url else {})}
    left = browser.post(f"{LOGIN}?{'&'.join(f'{k}={v}' for k, v in query.items())}")
    assert left.status_code == 302
    asked = parse_qs(urlsplit(left["Location"]).query)
    assert asked["code_challenge_method"] == ["S256"]
    return browser.get(CALLBACK, {"code": "c", "state": state or asked["state"][0]})


def invite(project: Project, alice: User, email: str = "dora@example.org") -> str:
    made = services.invite(
        project=project, email=email, role=Role.EDITOR, invited_by=alice, actor=actor_of(alice), now=clock.now()
    )
    return f"/invitations/{made.token}"


def test_makes_an_account_for_whoever_holds_an_invitation(provider: Provider, project: Project, alice: User) -> None:
    link, browser = invite(project, alice), Client()
    assert b"Sign in with Acme" in browser.get(link).content
    back = come_back(browser, next_url=link)
    assert back["Location"] == link
    dora = User.objects.get(email="dora@example.org")
    assert (dora.name, dora.has_usable_password()) == ("Dora", False)
    assert browser.post(link)["Location"] == "/p/support-desk/"
    assert Membership.objects.get(user=dora).role == "editor"
    assert "code_verifier=" in provider.seen[0]
    assert AuditEntry.objects.filter(action="accounts.signed_in", target_name="Dora").exists()


def test_knows_the_person_again_by_subject_and_not_by_address(
    provider: Provider, project: Project, alice: User
) -> None:
    link, browser = invite(project, alice), Client()
    browser.get(link)
    come_back(browser, next_url=link)
    provider.person |= {"email": "married@example.org"}
    again = Client()
    assert come_back(again)["Location"] == "/"
    assert again.get("/account/").content.count(b"dora@example.org") > 0
    assert User.objects.filter(email__contains="married").count() == 0


def test_lets_nobody_in_without_an_invitation(provider: Provider, project: Project) -> None:
    browser = Client()
    answer = come_back(browser)
    assert answer["Location"] == "/accounts/login/"
    assert b"Open the link of your invitation first" in browser.get("/accounts/login/").content
    assert not User.objects.filter(email="dora@example.org").exists()
    assert browser.get("/account/").status_code == 302


def test_lets_nobody_in_with_a_used_invitation(provider: Provider, project: Project, alice: User, bob: User) -> None:
    link, browser = invite(project, alice), Client()
    browser.get(link)
    services.accept_invitation(token=link.rpartition("/")[2], user=bob, now=clock.now())
    assert come_back(browser)["Location"] == "/accounts/login/"
    assert not SocialAccount.objects.exists()


@pytest.mark.parametrize("verified", [True, False])
def test_gives_nobody_an_account_by_its_address(
    provider: Provider, project: Project, alice: User, verified: bool
) -> None:
    provider.person = {"sub": "mallory", "email": "ALICE@example.com", "email_verified": verified}
    for with_invitation in (False, True):
        browser = Client()
        if with_invitation:
            browser.get(invite(project, alice, "someone@example.org"))
        assert come_back(browser)["Location"] == "/accounts/login/"
        assert browser.get("/account/").status_code == 302
    assert not SocialAccount.objects.exists()


def test_connects_an_account_of_somebody_signed_in(provider: Provider, project: Project, alice: User) -> None:
    provider.person = {"sub": "alice-1", "email": "someone-else@example.org"}
    browser = page_client(alice)
    assert b"Connect Acme" in browser.get("/accounts/3rdparty/").content
    come_back(browser, process="connect")
    connected = SocialAccount.objects.get()
    assert (connected.user, connected.provider, connected.uid) == (alice, "sso", "alice-1")
    other = Client()
    assert come_back(other)["Location"] == "/"
    assert alice.email.encode() in other.get("/account/").content
    assert AuditEntry.objects.filter(action="accounts.sign_on_connected").exists()


def test_refuses_a_state_it_did_not_give(provider: Provider, project: Project, alice: User) -> None:
    link, browser = invite(project, alice), Client()
    browser.get(link)
    answer = come_back(browser, state="forged")
    assert answer.status_code in {401, 403}
    assert not SocialAccount.objects.exists()


def test_refuses_a_disabled_person(provider: Provider, project: Project, alice: User) -> None:
    browser = page_client(alice)
    provider.person = {"sub": "alice-1"}
    come_back(browser, process="connect")
    User.objects.filter(pk=alice.pk).update(is_active=False)
    other = Client()
    assert come_back(other)["Location"] == "/accounts/inactive/"
    assert other.get("/account/").status_code == 302


def test_offers_nothing_where_it_is_off(db: None, alice: User) -> None:
    assert b"Sign in with" not in Client().get("/accounts/login/").content
    assert Client().post(LOGIN).status_code == 404
    assert b"Single sign-on" not in page_client(alice).get("/account/").content
    with pytest.raises(CommandError, match="is off"):
        call_command("sign_on")


def test_says_which_redirect_address_to_enter(provider: Provider, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("sign_on")
    assert capsys.readouterr().out.strip().endswith(CALLBACK)
