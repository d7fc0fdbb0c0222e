"""The ways in: the set-up link, the command for automation, the front door, a new project."""

from __future__ import annotations

import io
import json
import re
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import Client

from apps.accounts import services as accounts
from apps.accounts.models import SetupLink, User
from apps.core import clock
from apps.core.errors import DomainError
from apps.projects import authentication, keys, services, shown_once
from apps.projects.models import ApiKey, AuditEntry, Environment, Membership, Project, Role, Scope
from tests.conftest import page_client
from tests.factories import PASSWORD

ANSWERS = {
    "email": "Ada@Example.com",
    "name": "Ada",
    "password": PASSWORD,
    "project_name": "Harbor Desk",
    "timezone": "Europe/Berlin",
}


@pytest.fixture
def link(db: None) -> str:
    return f"/setup/{accounts.make_setup_link(now=clock.now())}"


def test_makes_account_project_and_key(link: str) -> None:
    browser = Client()
    assert browser.get(link).status_code == 200
    answer = browser.post(link, ANSWERS)
    assert (answer.status_code, answer["Location"]) == (302, "/p/harbor-desk/")
    user = User.objects.get()
    assert user.email == "ada@example.com"
    assert user.check_password(PASSWORD)
    project = Project.objects.get()
    assert (project.name, project.timezone) == ("Harbor Desk", "Europe/Berlin")
    assert Membership.objects.get().role == Role.ADMIN
    environments = list(Environment.objects.values_list("slug", "is_protected"))
    assert environments == [("production", True), ("staging", False), ("development", False)]
    assert ApiKey.objects.get().scopes == ["ingest"]
    assert browser.get("/account/").status_code == 200
    actions = set(AuditEntry.objects.values_list("action", flat=True))
    assert actions >= {"accounts.created", "accounts.signed_in", "projects.created", "projects.key_created"}


def test_keeps_the_first_key_for_the_overview_alone(link: str) -> None:
    browser = Client()
    browser.post(link, ANSWERS)
    project, session, now = Project.objects.get(), browser.session, clock.now()
    raw = shown_once.first_key(session, project=project, now=now)
    assert raw is not None
    assert keys.is_well_formed(raw)
    assert raw not in json.dumps(dict(session.items())), "it is sealed where the database keeps it"
    assert authentication.identify_key(raw, now=now).project_id == project.pk
    assert shown_once.first_key(session, project=Project(pk=project.pk + 1), now=now) is None
    assert shown_once.first_key(session, project=project, now=now + timedelta(minutes=59)) == raw
    assert shown_once.first_key(session, project=project, now=now + timedelta(hours=1)) is None
    assert shown_once.first_key(session, project=project, now=now) is None


def test_forgets_the_first_key_once_a_call_has_arrived(link: str) -> None:
    browser = Client()
    browser.post(link, ANSWERS)
    project, session = Project.objects.get(), browser.session
    project.first_call_at = clock.now()
    assert shown_once.first_key(session, project=project, now=clock.now()) is None
    project.first_call_at = None
    assert shown_once.first_key(session, project=project, now=clock.now()) is None


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"email": "nonsense"}, "email"),
        ({"email": ""}, "email"),
        ({"name": ""}, "name"),
        ({"password": "short"}, "password"),
        ({"password": "password1234"}, "password"),
        ({"password": "I love prodworthy"}, "password"),
        ({"password": "harbor side view"}, "password"),
        ({"password": "ada example dot"}, "password"),
        ({"project_name": "x" * 121}, "project_name"),
        ({"timezone": "Mars/Olympus"}, "timezone"),
    ],
)
def test_names_the_field_and_keeps_what_was_typed(link: str, change: dict[str, str], field: str) -> None:
    answer = Client().post(link, {**ANSWERS, **change})
    assert answer.status_code == 422
    page = answer.content.decode()
    assert f'id="id_{field}_error"' in page
    assert not User.objects.exists()
    if field != "project_name":
        assert 'value="Harbor Desk"' in page
    assert PASSWORD not in page
    assert SetupLink.objects.get().used_at is None


def test_works_once(link: str) -> None:
    assert Client().post(link, ANSWERS).status_code == 302
    second = Client()
    assert second.get(link).status_code == 404
    assert second.post(link, {**ANSWERS, "email": "eve@example.com"}).status_code == 404
    assert User.objects.count() == 1


def test_works_for_an_hour(db: None) -> None:
    old = accounts.make_setup_link(now=clock.now() - timedelta(minutes=61))
    answer = Client().post(f"/setup/{old}", ANSWERS)
    assert answer.status_code == 404
    assert b"setup_link" in answer.content
    assert not User.objects.exists()


def test_voids_earlier_links(link: str) -> None:
    newer = accounts.make_setup_link(now=clock.now())
    assert Client().get(link).status_code == 404
    assert Client().get(f"/setup/{newer}").status_code == 200


def test_keeps_no_token(link: str) -> None:
    token = link.rpartition("/")[2]
    kept = json.dumps(list(SetupLink.objects.values()), default=str)
    assert token not in kept
    assert len(token) >= 43


def test_makes_no_link_where_an_account_exists(alice: User) -> None:
    with pytest.raises(CommandError, match="account already"):
        call_command("setup_link")
    assert not SetupLink.objects.exists()


def test_prints_the_link(db: None) -> None:
    out = io.StringIO()
    call_command("setup_link", stdout=out)
    path = re.fullmatch(r"http://localhost:\d+(/setup/[\w-]+)\n", out.getvalue())
    assert path is not None
    assert Client().get(path[1]).status_code == 200


def test_sends_everybody_through_the_right_door(alice: User, project: Project, charlie: User) -> None:
    assert Client().get("/")["Location"] == "/accounts/login/"
    assert page_client(charlie).get("/")["Location"] == "/projects/new"
    browser = page_client(alice)
    assert browser.get("/")["Location"] == "/p/support-desk/"
    browser.post("/projects/new", {"name": "Second", "timezone": "UTC"})
    browser.get("/p/second/settings/general")
    assert browser.get("/")["Location"] == "/p/second/"


def test_says_how_to_begin_where_nobody_has_an_account(db: None) -> None:
    answer = Client().get("/")
    assert answer.status_code == 200
    assert b"manage.py setup_link" in answer.content


def test_makes_further_projects(alice_client: Client, alice: User) -> None:
    for slug in ("support-desk-2", "support-desk-3"):
        answer = alice_client.post("/projects/new", {"name": "Support desk", "timezone": "UTC"})
        assert answer["Location"] == f"/p/{slug}/"
    assert Membership.objects.filter(user=alice, role=Role.ADMIN).count() == 3
    refused = alice_client.post("/projects/new", {"name": "", "timezone": "UTC"})
    assert refused.status_code == 422


@pytest.mark.parametrize(("name", "slug"), [("日本", "project"), ("A" * 120, "a" * 56), ("  --  Çok!", "ok")])
def test_finds_an_address_for_every_name(alice: User, name: str, slug: str) -> None:
    from tests.factories import make_project

    assert make_project(name, creator=alice).slug == slug


@pytest.fixture
def password_file(tmp_path: Path) -> Path:
    path = tmp_path / "password"
    path.write_text(f"{PASSWORD}\n")
    return path


def bootstrap(password_file: Path, email: str = "ci@example.com", project: str = "Robots") -> dict[str, str]:
    out = io.StringIO()
    call_command("bootstrap", email=email, password_file=password_file, project=project, stdout=out)
    assert out.getvalue().count("\n") == 1
    made: dict[str, str] = json.loads(out.getvalue())
    return made


@pytest.mark.django_db
def test_bootstraps_without_a_browser(password_file: Path) -> None:
    made = bootstrap(password_file)
    assert set(made) == {"project", "key"}
    identity = authentication.identify_key(made["key"], now=clock.now())
    assert (identity.project_slug, identity.scopes) == (made["project"], set(Scope))
    assert Client().post("/accounts/login/", {"login": "ci@example.com", "password": PASSWORD}).status_code == 302


@pytest.mark.django_db
def test_bootstraps_again_with_the_same_account(password_file: Path) -> None:
    first, second = bootstrap(password_file), bootstrap(password_file)
    assert first["project"] == second["project"]
    assert first["key"] != second["key"]
    assert bootstrap(password_file, project="Others")["project"] == "others"
    assert User.objects.count() == 1


@pytest.mark.parametrize(
    ("email", "password"), [("bob@example.com", PASSWORD), ("alice@example.com", "not her password")]
)
def test_bootstraps_nothing_without_the_password_of_an_account(
    alice: User, tmp_path: Path, email: str, password: str
) -> None:
    path = tmp_path / "password"
    path.write_text(password)
    with pytest.raises(CommandError, match="account already"):
        bootstrap(path, email=email)
    assert not Project.objects.exists()


@pytest.mark.django_db
def test_bootstraps_nothing_with_a_bad_password(tmp_path: Path) -> None:
    path = tmp_path / "password"
    path.write_text("short")
    with pytest.raises(CommandError, match="12 characters"):
        bootstrap(path)
    with pytest.raises(CommandError, match="cannot be read"):
        bootstrap(tmp_path / "missing")
    with pytest.raises(CommandError, match="not an e-mail"):
        bootstrap(path, email="nonsense")
    assert not User.objects.exists()


def test_changes_a_project_and_says_what(alice_client: Client, project: Project) -> None:
    url = f"/p/{project.slug}/settings/general"
    # For how long what is kept is changed where one sees what a shorter age deletes.
    answer = alice_client.post(url, {"name": "Desk", "timezone": "Asia/Tokyo", "retention_days": "30"})
    assert answer.status_code == 302
    project.refresh_from_db()
    assert (project.name, project.timezone, project.retention_days) == ("Desk", "Asia/Tokyo", 400)
    changes = AuditEntry.objects.get(action="projects.changed").details["changes"]
    assert "timezone: UTC → Asia/Tokyo" in changes
    alice_client.post(url, {"name": "Desk", "timezone": "Asia/Tokyo"})
    assert AuditEntry.objects.filter(action="projects.changed").count() == 1
    for timezone in ("Mars/Olympus", ""):
        refused = alice_client.post(url, {"name": "Typed", "timezone": timezone})
        assert refused.status_code == 422
        assert b'value="Typed"' in refused.content


def test_deletes_a_project_whose_name_was_typed(alice_client: Client, project: Project, ingest_key: str) -> None:
    url = f"/p/{project.slug}/settings/delete"
    wrong = alice_client.post(url, {"typed_name": "support desk"})
    assert wrong.status_code == 422
    assert Project.objects.count() == 1
    assert alice_client.post(url, {"typed_name": "Support desk"}).status_code == 302
    assert not Project.objects.exists()
    assert not ApiKey.objects.exists()
    with pytest.raises(DomainError):
        authentication.identify_key(ingest_key, now=clock.now())


def test_asks_for_the_password_before_deleting(alice: User, project: Project) -> None:
    from tests.conftest import sign_in

    browser = page_client(alice)
    sign_in(browser, alice, seconds_ago=1000)
    url = f"/p/{project.slug}/settings/delete"
    asked = browser.post(url, {"typed_name": project.name})
    assert asked["Location"].startswith("/accounts/reauthenticate/")
    assert Project.objects.count() == 1
    done = browser.post(asked["Location"], {"password": PASSWORD, "next": url})
    assert done.status_code == 302
    assert not Project.objects.exists(), "what was typed is carried out after the password"


def test_start_project_refuses_an_unknown_time_zone(alice: User) -> None:
    from tests.factories import NOW, actor_of

    with pytest.raises(DomainError):
        services.start_project(name="x", timezone="Nowhere", creator=alice, actor=actor_of(alice), now=NOW)
    assert not Project.objects.exists()
