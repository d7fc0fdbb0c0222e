"""Signing in: limits by account and by address, no open sign-up, resets, second factor."""

from __future__ import annotations

import base64
import hmac
import re
import struct
import time
from datetime import timedelta
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from django.contrib.sessions.models import Session
from django.core import mail
from django.test import Client
from django.utils import timezone
from pytest_django import Settings

from apps.accounts.models import User
from apps.projects.models import AuditEntry, Project
from tests.conftest import page_client, sign_in
from tests.factories import PASSWORD, make_user

LOGIN = "/accounts/login/"
WRONG = "a wrong password"
NEW = "another long sentence"
REFUSED = b"Too many failed login attempts"


def attempt(email: str, password: str = WRONG, *, address: str = "198.51.100.7", **extra: Any) -> bytes:
    """The page after trying to sign in; empty when it worked."""
    browser = Client(REMOTE_ADDR=address)
    answer = browser.post(LOGIN, {"login": email, "password": password}, **extra)
    assert answer.status_code in {200, 302}
    return b"" if answer.status_code == 302 else bytes(answer.content)


def test_signs_in(alice: User) -> None:
    browser = Client()
    answer = browser.post(LOGIN, {"login": "ALICE@example.com", "password": PASSWORD})
    assert (answer.status_code, answer["Location"]) == (302, "/")
    entry = AuditEntry.objects.get(action="accounts.signed_in")
    assert (entry.actor_name, entry.project_id, entry.details["address"]) == (alice.email, None, "127.0.0.1")


def test_comes_back_to_where_it_was_asked_for(alice: User, project: Project) -> None:
    browser = Client()
    asked = browser.get(f"/p/{project.slug}/settings/keys")
    answer = browser.post(asked["Location"], {"login": alice.email, "password": PASSWORD, "next": "/account/"})
    assert answer["Location"] == "/account/"


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example/", "javascript:alert(1)", "\\\\evil.example"]
)
def test_goes_nowhere_else(alice: User, target: str) -> None:
    answer = Client().post(LOGIN, {"login": alice.email, "password": PASSWORD, "next": target})
    assert answer["Location"] == "/"


def test_says_the_same_for_an_unknown_address_and_a_wrong_password(alice: User) -> None:
    wrong, unknown = attempt(alice.email), attempt("nobody@example.com")

    def plain(page: bytes) -> str:
        return re.sub(r'value="[^"]*"|[0-9a-f]{32}', "", page.decode())

    assert plain(wrong) == plain(unknown)
    assert b"not correct" in wrong


def test_refuses_the_sixth_failure_of_an_account_from_many_addresses(alice: User) -> None:
    for number in range(5):
        assert REFUSED not in attempt(alice.email, address=f"203.0.113.{number}")
    assert REFUSED in attempt(alice.email, address="203.0.113.99")
    assert REFUSED in attempt(alice.email, PASSWORD, address="203.0.113.100"), "the right one does not help now"
    assert attempt("bob@example.com", address="203.0.113.101") != b""


def test_refuses_the_sixth_failure_from_one_address_for_many_accounts(db: None) -> None:
    for number in range(5):
        assert REFUSED not in attempt(f"person{number}@example.com")
    assert REFUSED in attempt("another@example.com")


@pytest.mark.parametrize("header", ["X-Forwarded-For", "X-Real-Ip", "Forwarded", "Cf-Connecting-Ip", "True-Client-Ip"])
def test_counts_the_true_address_whatever_the_headers_claim(db: None, header: str) -> None:
    for number in range(5):
        assert REFUSED not in attempt(f"p{number}@example.com", headers={header: f"192.0.2.{number}"})
    assert REFUSED in attempt("another@example.com", headers={header: "192.0.2.77"})


def test_counts_one_account_under_every_spelling_and_host(alice: User) -> None:
    spellings = [
        (alice.email, "localhost"),
        ("ALICE@example.com", "localhost:1"),
        (" alice@example.com", "127.0.0.1"),
        ("alice@EXAMPLE.com", "localhost:2"),
        (alice.email, "127.0.0.1:3"),
    ]
    for number, (email, host) in enumerate(spellings):
        page = attempt(email, address=f"203.0.113.{number}", headers={"Host": host})
        assert REFUSED not in page
    assert REFUSED in attempt(alice.email, address="203.0.113.99", headers={"Host": "localhost:9"})


def test_counts_behind_a_declared_proxy_by_what_the_proxy_says(db: None, settings: Settings) -> None:
    settings.ALLAUTH_TRUSTED_PROXY_COUNT = 1
    for number in range(5):
        page = attempt(f"p{number}@example.com", headers={"X-Forwarded-For": f"6.6.6.{number}, 192.0.2.1"})
        assert REFUSED not in page
    assert REFUSED in attempt("x@example.com", headers={"X-Forwarded-For": "6.6.6.9, 192.0.2.1"})
    assert REFUSED not in attempt("x@example.com", headers={"X-Forwarded-For": "6.6.6.9, 192.0.2.2"})


def test_does_not_count_what_succeeds(alice: User) -> None:
    for _ in range(8):
        assert attempt(alice.email, PASSWORD) == b""


def test_notes_failures_without_what_was_typed(alice: User) -> None:
    attempt(alice.email, "the secret I mistyped")
    attempt("my-password-in-the-wrong-field@example.com")
    known, unknown = AuditEntry.objects.filter(action="accounts.sign_in_failed").order_by("number")
    assert (known.target_name, known.details) == ("Alice", {"account": alice.email, "address": "198.51.100.7"})
    assert (unknown.target_name, unknown.details["account"]) == ("", "unknown")
    assert "mistyped" not in str(list(AuditEntry.objects.values()))


def test_offers_no_open_sign_up(db: None) -> None:
    answer = Client().get("/accounts/signup/")
    assert b"by invitation" in answer.content
    Client().post("/accounts/signup/", {"email": "eve@example.com", "password1": PASSWORD})
    assert not User.objects.exists()


def test_refuses_a_disabled_account_and_ends_its_session(alice: User, project: Project) -> None:
    browser = page_client(alice)
    assert browser.get("/account/").status_code == 200
    User.objects.filter(pk=alice.pk).update(is_active=False)
    assert browser.get("/account/")["Location"].startswith(LOGIN)
    assert browser.session.get("_auth_user_id") is None
    Client().post(LOGIN, {"login": alice.email, "password": PASSWORD})
    assert not AuditEntry.objects.filter(action="accounts.signed_in", details__address="127.0.0.1").exists()


# --- Reset ------------------------------------------------------------------------------------------------------------


def ask_for_reset(email: str) -> bytes:
    answer = Client().post("/accounts/password/reset/", {"email": email}, follow=True)
    return bytes(answer.content)


def reset_link() -> str:
    found = re.search(r"http://localhost:\d+(/accounts/password/reset/key/\S+)", mail.outbox[-1].body)
    assert found, mail.outbox[-1].body
    return found[1]


def test_answers_alike_whether_or_not_the_address_has_an_account(alice: User) -> None:
    known, unknown = ask_for_reset(alice.email), ask_for_reset("nobody@example.com")
    plain = re.compile(rb"[0-9a-f]{32}")
    assert plain.sub(b"", known) == plain.sub(b"", unknown)
    assert [message.to for message in mail.outbox] == [[alice.email], ["nobody@example.com"]]
    assert "/key/" not in mail.outbox[1].body


def test_resets_a_password_once_and_ends_other_sessions(alice: User, project: Project) -> None:
    elsewhere = page_client(alice)
    ask_for_reset(alice.email)
    browser = Client()
    link = reset_link()
    url = browser.get(link, follow=True).redirect_chain[-1][0]
    for wrong in ("short", "alice wonderland", "the support desk"):
        assert browser.post(url, {"password1": wrong, "password2": wrong}).status_code == 200
    done = browser.post(url, {"password1": NEW, "password2": NEW})
    assert done.status_code == 302
    alice.refresh_from_db()
    assert alice.check_password(NEW)
    assert elsewhere.get("/account/").status_code == 302
    assert b"does not work any more" in Client().get(link, follow=True).content


def test_lets_a_reset_link_work_for_thirty_minutes(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import datetime

    from django.contrib.auth.tokens import PasswordResetTokenGenerator

    ask_for_reset(alice.email)
    for minutes, works in ((29, True), (31, False)):
        later = datetime.now() + timedelta(minutes=minutes)  # noqa: DTZ005 the generator counts in local time
        monkeypatch.setattr(PasswordResetTokenGenerator, "_now", lambda self, later=later: later)
        page = Client().get(reset_link(), follow=True)
        assert (b"does not work any more" not in page.content) is works, minutes


def test_sends_links_to_the_configured_address_alone(alice: User) -> None:
    Client().post("/accounts/password/reset/", {"email": alice.email}, headers={"Host": "127.0.0.1:6666"})
    assert "6666" not in mail.outbox[0].body
    assert reset_link()


def test_survives_a_mail_server_that_does_not_answer(alice: User, settings: Settings) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    assert b"Check your mail" in ask_for_reset(alice.email)


# --- Second factor ----------------------------------------------------------------------------------------------------


def code_for(secret: str) -> str:
    """The code of this half minute, worked out as RFC 6238 says."""
    digest = hmac.digest(base64.b32decode(secret), struct.pack(">Q", int(time.time()) // 30), "sha1")
    start = digest[-1] & 15
    return f"{(int.from_bytes(digest[start : start + 4]) & 0x7FFFFFFF) % 1_000_000:06d}"


def set_up_totp(browser: Client) -> str:
    page = browser.get("/accounts/2fa/totp/activate/").content.decode()
    found = re.search(r'<pre tabindex="0">([A-Z2-7]{16,})</pre>', page)
    assert found, "the secret is shown"
    answer = browser.post("/accounts/2fa/totp/activate/", {"code": code_for(found[1])})
    assert answer.status_code == 302
    return found[1]


@pytest.mark.django_db(transaction=True)
def test_asks_for_the_second_factor_once_it_is_set_up(alice: User) -> None:
    browser = Client()
    browser.post(LOGIN, {"login": alice.email, "password": PASSWORD})
    sign_in(browser, alice)
    secret = set_up_totp(browser)
    assert AuditEntry.objects.filter(action="accounts.second_factor_added").exists()

    second = Client()
    half_way = second.post(LOGIN, {"login": alice.email, "password": PASSWORD})
    assert half_way["Location"].startswith("/accounts/2fa/authenticate/")
    assert second.get("/account/").status_code == 302, "a password alone is not enough now"
    wrong = second.post("/accounts/2fa/authenticate/", {"code": "000000"})
    assert wrong.status_code == 200
    assert AuditEntry.objects.filter(action="accounts.second_factor_failed").exists()
    code = code_for(secret)
    assert second.post("/accounts/2fa/authenticate/", {"code": code}).status_code == 302
    assert second.get("/account/").status_code == 200
    third = Client()
    third.post(LOGIN, {"login": alice.email, "password": PASSWORD})
    assert third.post("/accounts/2fa/authenticate/", {"code": code}).status_code == 200, "a code works once"


def test_keeps_the_secret_sealed(alice: User) -> None:
    browser = page_client(alice)
    sign_in(browser, alice)
    secret = set_up_totp(browser)
    kept = str(list(Authenticator.objects.values()))
    assert secret not in kept
    assert "v2." in kept


def test_takes_a_recovery_code_once(alice: User) -> None:
    browser = page_client(alice)
    set_up_totp(browser)
    page = browser.get("/accounts/2fa/recovery-codes/").content.decode()
    codes = re.findall(r"^(\w{8})$", page.partition('<pre tabindex="0">')[2].partition("</pre>")[0], re.MULTILINE)
    assert len(codes) == 10
    assert b"".join(browser.get("/accounts/2fa/recovery-codes/download/")).split() == [c.encode() for c in codes]
    for expected in (302, 200):
        other = Client()
        other.post(LOGIN, {"login": alice.email, "password": PASSWORD})
        answer = other.post("/accounts/2fa/authenticate/", {"code": codes[0]})
        assert answer.status_code == expected
    sets = page_client(alice)
    sign_in(sets, alice)
    assert sets.post("/accounts/2fa/recovery-codes/generate/").status_code == 302


def test_limits_guesses_of_the_second_factor(alice: User) -> None:
    set_up_totp(page_client(alice))
    browser = Client()
    browser.post(LOGIN, {"login": alice.email, "password": PASSWORD})
    pages = [browser.post("/accounts/2fa/authenticate/", {"code": f"{n:06d}"}).content for n in range(6)]
    assert not any(REFUSED in page for page in pages[:5])
    assert REFUSED in pages[5]


@pytest.mark.django_db(transaction=True)
def test_ends_other_sessions_when_a_factor_changes(alice: User) -> None:
    elsewhere, here = page_client(alice), page_client(alice)
    set_up_totp(here)
    assert elsewhere.get("/account/").status_code == 302
    assert here.get("/account/").status_code == 200
    assert here.post("/accounts/2fa/totp/deactivate/").status_code == 302
    assert AuditEntry.objects.filter(action="accounts.second_factor_removed").exists()


def test_wants_proof_before_a_factor_changes(alice: User) -> None:
    browser = Client()
    sign_in(browser, alice, seconds_ago=2000)
    assert browser.get("/accounts/2fa/totp/activate/")["Location"].startswith("/accounts/reauthenticate/")


# --- Sessions ---------------------------------------------------------------------------------------------------------


def aged(browser: Client, **stamps: int) -> Client:
    """The browser, its session's stamps moved into the past by so many seconds."""
    session = browser.session
    for name, seconds in stamps.items():
        session[name] = int(timezone.now().timestamp()) - seconds
    session.save()
    return browser


HOUR, DAY = 3600, 86_400


@pytest.mark.parametrize(
    ("began", "seen", "lives"),
    [
        (0, 0, True),
        (DAY, 12 * HOUR - 60, True),
        (DAY, 12 * HOUR, False),
        (7 * DAY - 60, 10, True),
        (7 * DAY, 10, False),
    ],
)
def test_ends_a_session_that_is_idle_or_old(alice: User, began: int, seen: int, lives: bool) -> None:
    browser = page_client(alice)
    browser.get("/account/")
    answer = aged(browser, began_at=began, seen_at=seen).get("/account/")
    assert (answer.status_code == 200) is lives
    assert ("_auth_user_id" in browser.session) is lives


def test_leaves_the_page_when_a_session_ends_behind_a_fragment(alice: User, project: Project) -> None:
    browser = page_client(alice)
    browser.get("/account/")
    headers = {"HX-Request": "true", "HX-Current-URL": f"http://localhost/p/{project.slug}/settings/audit?of=people"}
    assert browser.get(f"/p/{project.slug}/settings/audit", headers=headers).status_code == 200
    answer = aged(browser, seen_at=DAY).get(f"/p/{project.slug}/settings/audit", headers=headers)
    assert answer.status_code == 204
    assert answer["HX-Redirect"] == "/accounts/login/?next=%2Fp%2Fsupport-desk%2Fsettings%2Faudit%3Fof%3Dpeople"


def test_notes_use_every_five_minutes_and_slides(alice: User) -> None:
    browser = page_client(alice)
    browser.get("/account/")
    aged(browser, began_at=DAY, seen_at=200)
    before = browser.session["seen_at"]
    browser.get("/account/")
    assert browser.session["seen_at"] == before
    aged(browser, seen_at=301)
    Session.objects.update(expire_date=timezone.now() + timedelta(minutes=5))
    browser.get("/account/")
    assert browser.session["seen_at"] > before
    assert Session.objects.get().expire_date > timezone.now() + timedelta(hours=11)
    assert browser.session["began_at"] < before, "the absolute end does not move"


def test_gets_a_new_session_with_each_sign_in(alice: User) -> None:
    browser = Client()
    browser.get(LOGIN)
    before = browser.session.session_key
    browser.post(LOGIN, {"login": alice.email, "password": PASSWORD})
    assert browser.session.session_key != before


def test_signs_out_everywhere_else(alice: User, bob: User) -> None:
    here, there, others = page_client(alice), page_client(alice), page_client(bob)
    assert here.post("/account/sessions/end").status_code == 302
    assert here.get("/account/").status_code == 200
    assert there.get("/account/").status_code == 302
    assert others.get("/account/").status_code == 200


def test_forgets_what_has_expired(alice: User) -> None:
    from celery import current_app

    page_client(alice)
    page_client(alice)
    Session.objects.filter(pk=Session.objects.first().pk).update(expire_date=timezone.now())
    current_app.tasks["accounts.forget_expired"].apply().get()
    assert Session.objects.count() == 1


def test_changes_name_and_theme(alice: User) -> None:
    browser = page_client(alice)
    browser.post("/account/", {"name": "Alice Liddell", "theme": "dark"})
    alice.refresh_from_db()
    assert (alice.name, alice.theme) == ("Alice Liddell", "dark")
    assert b'data-theme="dark"' in browser.get("/account/").content
    assert browser.post("/account/", {"name": "x", "theme": "pink"}).status_code == 422


def test_changes_the_password(alice: User) -> None:
    here, there = page_client(alice), page_client(alice)
    page = "/accounts/password/change/"
    wrong = here.post(page, {"oldpassword": "not it", "password1": NEW, "password2": NEW})
    assert wrong.status_code == 200
    assert here.post(page, {"oldpassword": PASSWORD, "password1": NEW, "password2": NEW}).status_code == 302
    assert here.get("/account/").status_code == 200
    assert there.get("/account/").status_code == 302
    assert AuditEntry.objects.filter(action="accounts.password_changed").exists()


@pytest.mark.django_db
@pytest.mark.parametrize("path", ["/accounts/logout/", "/account/", "/account/sessions/end", "/projects/new"])
def test_refuses_forms_without_a_csrf_token(path: str) -> None:
    browser = Client(enforce_csrf_checks=True)
    sign_in(browser, make_user())
    answer = browser.post(path, {"name": "x", "timezone": "UTC", "theme": "dark"})
    assert answer.status_code == 403
    assert not Project.objects.exists()


def test_signs_out_only_by_post(alice: User) -> None:
    browser = page_client(alice)
    assert browser.get("/accounts/logout/").status_code == 200
    assert browser.get("/account/").status_code == 200
    browser.post("/accounts/logout/")
    assert browser.get("/account/").status_code == 302
    assert AuditEntry.objects.filter(action="accounts.signed_out").exists()


@pytest.mark.parametrize(
    "path",
    [
        "/accounts/inactive/",
        "/accounts/password/reset/done/",
        "/accounts/password/reset/key/done/",
        "/accounts/3rdparty/login/error/",
        "/accounts/3rdparty/login/cancelled/",
        "/accounts/password/reset/",
        "/accounts/login/",
    ],
)
def test_shows_its_entrance_pages_in_the_bare_layout(db: None, path: str) -> None:
    answer = Client().get(path)
    assert answer.status_code == (401 if "error" in path else 200)
    assert b'class="bare"' in answer.content


def test_shows_its_account_pages(alice: User, project: Project) -> None:
    browser = page_client(alice)
    for path in ("/account/", "/accounts/2fa/", "/accounts/3rdparty/", "/accounts/password/change/"):
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert b"<form" in answer.content


def test_keeps_pages_of_signed_in_people_out_of_caches(alice: User) -> None:
    assert "no-store" in page_client(alice).get("/account/")["Cache-Control"]


def test_writes_no_password_into_logs(alice: User, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    secret = "a canary of a password"
    attempt(alice.email, secret)
    Client(enforce_csrf_checks=True).post(LOGIN, {"login": alice.email, "password": secret})
    Client(raise_request_exception=False).post(LOGIN, {"login": "\x00", "password": secret})
    assert caplog.records
    assert "canary" not in caplog.text
