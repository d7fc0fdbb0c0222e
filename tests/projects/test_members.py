"""Invitations, roles, removing and leaving."""

from __future__ import annotations

import re
import threading
from datetime import timedelta
from typing import Any

import pytest
from django.core import mail
from django.db import connection
from django.test import Client
from pytest_django import Settings

from apps.accounts.models import User
from apps.core import clock
from apps.core.errors import DomainError
from apps.projects import authentication, services
from apps.projects.models import ApiKey, AuditEntry, Invitation, Membership, Project, Role, Scope
from tests import factories
from tests.conftest import page_client
from tests.factories import NOW, PASSWORD, actor_of

MEMBERS = "/p/support-desk/settings/members"


def invited(browser: Client, email: str = "dora@example.org", role: str = "editor") -> str:
    """The path of the link that the page shows once."""
    answer = browser.post(MEMBERS, {"email": email, "role": role}, follow=True)
    found = re.search(r"http://localhost:\d+(/invitations/[\w-]{43})", answer.content.decode())
    assert found, "the link is shown"
    assert "/invitations/" not in browser.get(MEMBERS).content.decode().replace("/settings/invitations/", "")
    return found[1]


def test_makes_an_account_for_whoever_was_invited(alice_client: Client, project: Project) -> None:
    link = invited(alice_client)
    browser = Client()
    page = browser.get(link)
    assert b"Join Support desk" in page.content
    answer = browser.post(link, {"name": "Dora", "password": PASSWORD})
    assert answer["Location"] == "/p/support-desk/"
    membership = Membership.objects.get(user__email="dora@example.org")
    assert (membership.role, membership.project_id) == ("editor", project.pk)
    assert browser.get(MEMBERS).status_code == 200


def test_holds_new_accounts_to_the_password_rules(alice_client: Client) -> None:
    link = invited(alice_client)
    for password in ("short", "dora example org", "support line 12"):
        answer = Client().post(link, {"name": "Dora", "password": password})
        assert answer.status_code == 422
        assert b"id_password_error" in answer.content
    assert not User.objects.filter(email="dora@example.org").exists()
    assert Invitation.objects.get().accepted_at is None


def test_lets_somebody_with_an_account_join(alice_client: Client, charlie: User) -> None:
    link = invited(alice_client, charlie.email)
    anonymous = Client().get(link)
    assert f"/accounts/login/?next={link}".encode() in anonymous.content
    answer = page_client(charlie).post(link)
    assert answer["Location"] == "/p/support-desk/"
    assert Membership.objects.get(user=charlie, project__slug="support-desk").role == "editor"


def test_does_not_make_a_second_account_for_an_address(alice_client: Client, charlie: User) -> None:
    link = invited(alice_client, charlie.email)
    answer = Client().post(link, {"name": "Not Charlie", "password": PASSWORD})
    assert answer.status_code == 422
    assert User.objects.filter(email=charlie.email).count() == 1


def test_names_both_addresses_when_another_person_joins(alice_client: Client, charlie: User) -> None:
    link = invited(alice_client, "dora@example.org")
    browser = page_client(charlie)
    assert b"would join as that" in browser.get(link).content
    browser.post(link)
    entry = AuditEntry.objects.get(action="projects.invitation_accepted")
    assert (entry.actor_name, entry.details["invited"]) == (charlie.email, "dora@example.org")


def test_works_once(alice_client: Client) -> None:
    link = invited(alice_client)
    Client().post(link, {"name": "Dora", "password": PASSWORD})
    assert Client().get(link).status_code == 404
    assert Client().post(link, {"name": "Eve", "password": PASSWORD}).status_code == 404


def test_works_for_seven_days(project: Project, alice: User) -> None:
    for age, status in ((timedelta(days=7, seconds=1), 404), (timedelta(days=6, hours=23), 200)):
        made = services.invite(
            project=project,
            email="dora@example.org",
            role=Role.VIEWER,
            invited_by=alice,
            actor=actor_of(alice),
            now=clock.now() - age,
        )
        assert Client().get(f"/invitations/{made.token}").status_code == status


def test_replaces_an_earlier_invitation_to_the_same_address(alice_client: Client) -> None:
    first = invited(alice_client)
    second = invited(alice_client, "DORA@example.org")
    assert Client().get(first).status_code == 404
    assert Client().get(second).status_code == 200


def test_stops_when_revoked(alice_client: Client) -> None:
    link = invited(alice_client)
    found = Invitation.objects.get()
    alice_client.post(f"/p/support-desk/settings/invitations/{found.uuid}/revoke")
    assert Client().get(link).status_code == 404
    assert AuditEntry.objects.filter(action="projects.invitation_revoked").count() == 1


def test_invites_no_member_again(alice_client: Client, bob: User) -> None:
    answer = alice_client.post(MEMBERS, {"email": "Bob@Example.com", "role": "admin"})
    assert answer.status_code == 422
    assert b"a member already" in answer.content
    assert not Invitation.objects.exists()


def test_keeps_no_token(alice_client: Client) -> None:
    token = invited(alice_client).rpartition("/")[2]
    assert token not in str(list(Invitation.objects.values()))
    assert token not in str(list(AuditEntry.objects.values()))


def test_mails_the_link_where_mail_is_set_up(alice_client: Client, settings: Settings) -> None:
    settings.SENDS_MAIL = True
    link = invited(alice_client)
    (sent,) = mail.outbox
    assert sent.to == ["dora@example.org"]
    assert link in sent.body
    assert "Support desk" in sent.subject


def test_says_so_when_the_mail_server_does_not_answer(alice_client: Client, settings: Settings) -> None:
    settings.SENDS_MAIL = True
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    settings.EMAIL_HOST, settings.EMAIL_PORT = "127.0.0.1", 9
    answer = alice_client.post(MEMBERS, {"email": "dora@example.org", "role": "viewer"}, follow=True)
    assert b"Send the link yourself" in answer.content
    assert Invitation.objects.count() == 1


def test_keeps_the_higher_role_of_somebody_who_is_in_already(project: Project, alice: User, bob: User) -> None:
    for role, expected in ((Role.EDITOR, "editor"), (Role.VIEWER, "editor")):
        made = services.invite(
            project=project,
            email="another@example.org",
            role=role,
            invited_by=alice,
            actor=actor_of(alice),
            now=NOW,
        )
        assert services.accept_invitation(token=made.token, user=bob, now=NOW).role == expected


def test_changes_a_role(alice_client: Client, bob: User, bob_client: Client) -> None:
    membership = Membership.objects.get(user=bob)
    assert bob_client.get("/p/support-desk/settings/audit").status_code == 403
    alice_client.post(f"{MEMBERS}/{membership.uuid}/role", {"role": "admin"})
    assert bob_client.get("/p/support-desk/settings/audit").status_code == 200
    entry = AuditEntry.objects.get(action="projects.role_changed")
    assert (entry.target_name, entry.details) == (bob.email, {"from": "viewer", "to": "admin"})
    alice_client.post(f"{MEMBERS}/{membership.uuid}/role", {"role": "emperor"})
    assert Membership.objects.get(user=bob).role == "admin"


def test_lets_nobody_change_their_own_role_below_admin(bob_client: Client, bob: User) -> None:
    membership = Membership.objects.get(user=bob)
    answer = bob_client.post(f"{MEMBERS}/{membership.uuid}/role", {"role": "admin"})
    assert answer.status_code == 403
    assert Membership.objects.get(user=bob).role == "viewer"


def test_keeps_the_last_admin(alice_client: Client, alice: User, bob: User) -> None:
    membership = Membership.objects.get(user=alice)
    for path, data in (("role", {"role": "viewer"}), ("remove", {})):
        answer = alice_client.post(f"{MEMBERS}/{membership.uuid}/{path}", data, follow=True)
        assert b"last admin" in answer.content
    answer = alice_client.post("/p/support-desk/settings/leave", follow=True)
    assert b"last admin" in answer.content
    assert Membership.objects.get(user=alice).role == "admin"


def test_does_not_count_a_disabled_admin(project: Project, alice: User, bob: User) -> None:
    Membership.objects.filter(user=bob).update(role=Role.ADMIN)
    User.objects.filter(pk=bob.pk).update(is_active=False)
    with pytest.raises(services.LastAdmin):
        services.remove_member(membership=Membership.objects.get(user=alice), actor=actor_of(alice), now=NOW)


def test_ends_access_and_keys_of_a_removed_member(
    alice_client: Client, alice: User, bob: User, bob_client: Client, project: Project
) -> None:
    Membership.objects.filter(user=bob).update(role=Role.EDITOR)
    his = factories.make_key(project, Scope.INGEST, name="worker", created_by=bob)
    hers = factories.make_key(project, Scope.INGEST, created_by=alice)
    membership = Membership.objects.get(user=bob)
    page = alice_client.get(f"{MEMBERS}/{membership.uuid}/remove")
    assert b"worker" in page.content
    alice_client.post(f"{MEMBERS}/{membership.uuid}/remove")
    assert bob_client.get(MEMBERS).status_code == 404
    with pytest.raises(DomainError, match="revoked"):
        authentication.identify_key(his, now=clock.now())
    assert authentication.identify_key(hers, now=clock.now())
    assert AuditEntry.objects.get(action="projects.key_revoked").details["reason"] == "its maker left the project"


def test_lets_members_leave(bob_client: Client, bob: User, project: Project) -> None:
    assert b"Leave Support desk?" in bob_client.get("/p/support-desk/settings/leave").content
    assert bob_client.post("/p/support-desk/settings/leave")["Location"] == "/"
    assert not Membership.objects.filter(user=bob).exists()
    assert AuditEntry.objects.get(action="projects.member_left").actor_name == bob.email


def test_asks_for_the_password_before_a_role_changes(alice: User, bob: User) -> None:
    from tests.conftest import sign_in

    browser = Client()
    sign_in(browser, alice, seconds_ago=901)
    url = f"{MEMBERS}/{Membership.objects.get(user=bob).uuid}/role"
    asked = browser.post(url, {"role": "admin"})
    assert asked["Location"].startswith("/accounts/reauthenticate/")
    assert Membership.objects.get(user=bob).role == "viewer"
    wrong = browser.post(asked["Location"], {"password": "not hers at all", "next": url})
    assert wrong.status_code == 200
    assert Membership.objects.get(user=bob).role == "viewer"
    browser.post(asked["Location"], {"password": PASSWORD, "next": url})
    assert Membership.objects.get(user=bob).role == "admin"


@pytest.mark.django_db(transaction=True)
def test_keeps_one_of_two_admins_who_remove_each_other_at_once() -> None:
    for _ in range(5):
        first, second = factories.make_user(), factories.make_user()
        project = factories.make_project(creator=first)
        factories.make_member(project, second, role=Role.ADMIN)
        barrier = threading.Barrier(2)
        outcomes: list[str] = []

        def remove(actor: User, target: User, project: Project = project, **held: Any) -> None:
            membership = Membership.objects.get(project=project, user=target)
            held["barrier"].wait()
            try:
                services.remove_member(membership=membership, actor=actor_of(actor), now=NOW)
                held["outcomes"].append("removed")
            except services.LastAdmin:
                held["outcomes"].append("kept")
            finally:
                connection.close()

        held = {"barrier": barrier, "outcomes": outcomes}
        threads = [
            threading.Thread(target=remove, args=pair, kwargs=held) for pair in ((first, second), (second, first))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["kept", "removed"]


@pytest.mark.django_db(transaction=True)
def test_lets_one_of_two_use_an_invitation() -> None:
    alice = factories.make_user()
    project = factories.make_project(creator=alice)
    made = services.invite(
        project=project, email="x@example.org", role=Role.ADMIN, invited_by=alice, actor=actor_of(alice), now=NOW
    )
    people = [factories.make_user() for _ in range(4)]
    barrier = threading.Barrier(len(people))
    refused: list[User] = []

    def accept(user: User) -> None:
        try:
            barrier.wait()
            services.accept_invitation(token=made.token, user=user, now=NOW)
        except services.InvitationInvalid:
            refused.append(user)
        finally:
            connection.close()

    threads = [threading.Thread(target=accept, args=(user,)) for user in people]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(refused) == 3
    assert project.memberships.count() == 2


def test_shows_a_new_key_once(alice_client: Client, project: Project) -> None:
    url = f"/p/{project.slug}/settings/keys"
    shown = alice_client.post(url, {"name": "worker", "scopes": ["ingest", "read"], "lifetime": "30"}, follow=True)
    found = re.search(r"pw_read_local_\w{27}_\w{6}", shown.content.decode())
    assert found
    key = ApiKey.objects.get()
    assert key.expires_at is not None
    assert (key.expires_at - key.created_at).days == 30
    assert found[0] not in alice_client.get(url).content.decode()
    rotated = alice_client.post(f"{url}/{key.uuid}/rotate", follow=True)
    assert re.search(r"pw_read_local_\w{27}_\w{6}", rotated.content.decode())
    assert alice_client.get(f"{url}/{key.uuid}/revoke").status_code == 200
    alice_client.post(f"{url}/{key.uuid}/revoke")
    key.refresh_from_db()
    assert key.revoked_at is not None


def test_offers_no_scope_beyond_the_role(bob: User, bob_client: Client, project: Project) -> None:
    Membership.objects.filter(user=bob).update(role=Role.EDITOR)
    url = f"/p/{project.slug}/settings/keys"
    page = bob_client.get(url).content.decode()
    assert 'value="ingest"' in page
    assert 'value="admin"' not in page
    answer = bob_client.post(url, {"name": "x", "scopes": ["admin"], "lifetime": "30"})
    assert answer.status_code == 422
    assert not ApiKey.objects.exists()
    empty = bob_client.post(url, {"name": "kept", "lifetime": "30"})
    assert b"id_scopes_error" in empty.content
    assert b'value="kept"' in empty.content
