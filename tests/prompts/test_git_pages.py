"""The pages and endpoints of git: connecting, what is shown, what a person decides, and what is never shown."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from apps.accounts.models import User
from apps.core import sealing
from apps.projects.models import AuditEntry, Project, Role, Scope
from apps.prompts.git import program
from apps.prompts.models import Draft, GitFile, GitPush, GitRemote, Version
from apps.prompts.services import git as git_services
from apps.prompts.services.git_remotes import Wishes
from tests import factories
from tests.conftest import Api
from tests.factories import NOW, actor_of
from tests.prompts.git_hands import publish
from tests.prompts.git_server import GitServer, served

pytestmark = pytest.mark.django_db
CANARY = "canary-7f3e-token-that-nobody-may-see"


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, settings: Any) -> None:
    """Repositories of this test alone: other workers of the run have projects with the same numbers."""
    settings.VAR_DIR = tmp_path / "var"


@pytest.fixture
def server(tmp_path: Path, settings: Any) -> Iterator[GitServer]:
    """A git server that may be connected to."""
    with served(tmp_path / "git") as running:
        settings.EGRESS_ALLOW = [f"127.0.0.1:{running.port}"]
        yield running


@pytest.fixture
def editor_client(project: Project) -> Client:
    """Somebody who may write prompts and no more."""
    user = factories.make_user("emil@example.com", name="Emil")
    factories.make_member(project, user, role=Role.EDITOR)
    client = Client()
    client.force_login(user, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def page(project: Project, rest: str = "") -> str:
    """The address of a git page."""
    return f"/p/{project.slug}/prompts/-/git{rest}"


def entered(server: GitServer, **others: str) -> dict[str, str]:
    """What an admin types to connect."""
    return {
        "url": server.url,
        "branch": "main",
        "folder": "",
        "credential": "token",
        "secret": CANARY,
        "edits": "versions",
        "publishing": "branches",
        **others,
    }


def connected(project: Project, alice: User, server: GitServer) -> GitRemote:
    """A repository that needs the canary, and was looked at once."""
    server.password = f"git:{CANARY}"
    remote = git_services.connect(
        project=project,
        wishes=Wishes(url=server.url, credential="token", secret=CANARY, edits="versions"),
        actor=actor_of(alice),
        now=NOW,
    )
    git_services.sync(project.pk, now=NOW)
    return remote


def test_connects_with_a_sealed_credential(
    alice_client: Client, project: Project, alice: User, server: GitServer
) -> None:
    answer = alice_client.post(page(project, "/connect"), entered(server))
    assert (answer.status_code, answer.headers.get("Location")) == (302, page(project))
    remote = GitRemote.objects.get()
    assert sealing.unseal(remote.sealed_secret, place=remote.place) == CANARY
    with pytest.raises(sealing.CannotOpen):
        sealing.unseal(remote.sealed_secret, place="another row")
    entry = AuditEntry.objects.get(action="prompts.git_connected")
    assert CANARY not in json.dumps(entry.details)

    shown = alice_client.get(page(project, "/connect")).content.decode()
    assert server.url in shown
    assert CANARY not in shown


def test_keeps_the_credential_until_the_address_changes(
    alice_client: Client, project: Project, server: GitServer, settings: Any
) -> None:
    alice_client.post(page(project, "/connect"), entered(server))
    sealed = GitRemote.objects.get().sealed_secret
    alice_client.post(page(project, "/connect"), entered(server, secret="", branch="other"))
    assert GitRemote.objects.get().sealed_secret == sealed
    settings.EGRESS_ALLOW = [*settings.EGRESS_ALLOW, "127.0.0.1:9"]
    elsewhere = entered(server, secret="", url="http://127.0.0.1:9/remote.git")
    answer = alice_client.post(page(project, "/connect"), elsewhere)
    assert answer.status_code == 422
    assert "belongs to the address" in answer.content.decode()
    alice_client.post(page(project, "/connect"), {**elsewhere, "credential": "none"})
    remote = GitRemote.objects.get()
    assert (remote.url, remote.sealed_secret) == ("http://127.0.0.1:9/remote.git", "")


def test_asks_who_it_is_before_a_credential_is_stored(project: Project, alice: User, server: GitServer) -> None:
    client = Client()
    client.force_login(alice, backend="allauth.account.auth_backends.AuthenticationBackend")
    for answer in (client.get(page(project, "/connect")), client.post(page(project, "/connect"), entered(server))):
        assert answer.status_code == 302
        assert "reauthenticate" in answer["Location"]
    assert not GitRemote.objects.exists()
    assert CANARY not in str(dict(client.session)), "what was typed is not kept"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"url": "ext::sh -c touch%20canary"}, "begins with https:// or ssh://"),
        ({"url": "https://user:pass@git.example.com/a.git"}, "must not hold a name or password"),
        ({"url": "https://10.0.0.1/a.git"}, "not on the public internet"),
        ({"branch": "--upload-pack=x"}, "cannot be the name of a branch"),
        ({"folder": "../elsewhere"}, "leads out of the repository"),
        ({"url": "git@git.example.com:a/b.git"}, "opened with an ssh key"),
        ({"url": "git@git.example.com:a/b.git", "credential": "ssh_key"}, "ssh-keyscan"),
        ({"credential": "ssh_key"}, "opens ssh addresses only"),
        ({"secret": "two words"}, "no blanks"),
        ({"secret": ""}, "Enter the credential"),
    ],
)
def test_says_what_is_wrong_beside_the_field(
    alice_client: Client, project: Project, server: GitServer, changes: dict[str, str], words: str
) -> None:
    answer = alice_client.post(page(project, "/connect"), entered(server, **changes))
    assert answer.status_code == 422
    assert words in answer.content.decode()
    assert not GitRemote.objects.exists()


def test_shows_states_requests_and_what_happened(
    editor_client: Client, project: Project, alice: User, server: GitServer
) -> None:
    server.write({"README.md": "Prompts."}, "Begin")
    publish(project, alice, "support/answer", "Say hello.", note="First words")
    connected(project, alice, server)
    shown = editor_client.get(page(project)).content.decode()
    for words in ("support/answer 1.0.0: First words", "prodworthy/support/answer-1.0.0", "Ahead", "1 ahead"):
        assert words in shown
    assert f"git clone http://localhost:8000/git/{project.slug}.git" in shown
    assert page(project, "/connect") not in shown, "an editor does not connect"
    region = editor_client.get(f"/p/{project.slug}/prompts/support/answer/-/git").content.decode()
    assert 'id="prompt-git-state"' in region
    assert "prodworthy/support/answer-1.0.0" in region


@pytest.mark.parametrize(
    ("host", "link"),
    [
        ("github.com", "https://github.com/o/r/compare/main...prodworthy/a-1.0.0?expand=1"),
        (
            "gitlab.com",
            "https://gitlab.com/o/r/-/merge_requests/new?merge_request%5Bsource_branch%5D=prodworthy%2Fa-1.0.0",
        ),
        ("codeberg.org", "https://codeberg.org/o/r/compare/main...prodworthy/a-1.0.0"),
        ("git.example.com", ""),
    ],
)
def test_links_to_where_a_request_is_opened(project: Project, alice: User, host: str, link: str) -> None:
    from apps.prompts.selectors.git import request_link

    version = publish(project, alice, "a", "Say hello.")
    remote = git_services.connect(
        project=project, wishes=Wishes(url=f"https://{host}/o/r.git"), actor=actor_of(alice), now=NOW
    )
    push = GitPush.objects.create(
        project=project, remote=remote, version=version, branch="prodworthy/a-1.0.0", state="pushed"
    )
    found = request_link(remote, push)
    assert found.startswith(link)
    assert bool(found) == bool(link)


def conflict(project: Project, alice: User, server: GitServer) -> None:
    """Git says other words than the published ones, under a number below theirs."""
    server.write({"a.prompt.yaml": "name: a\nversion: 1.0.0\ntext: Say hello.\n"}, "Begin")
    connected(project, alice, server)
    server.write({"a.prompt.yaml": "name: a\nversion: 0.9.0\ntext: Say <b>nothing</b>.\n"}, "Sneak")
    git_services.sync(project.pk, now=NOW + timedelta(minutes=1))


def test_lets_a_person_take_gits_text(editor_client: Client, project: Project, alice: User, server: GitServer) -> None:
    conflict(project, alice, server)
    assert "Decide" in editor_client.get(page(project)).content.decode()
    shown = editor_client.get(page(project, "/compare?name=a")).content.decode()
    assert "Say hello." in shown
    assert '<span class="is-other">text: Say &lt;b&gt;nothing&lt;/b&gt;.\n</span>' in shown
    assert '<span class="is-other">version: 0.9.0\n</span>' in shown
    assert "<span>name: a\n</span>" in shown
    answer = editor_client.post(page(project, "/compare"), {"name": "a", "choice": "draft"})
    assert answer.status_code == 302
    assert Draft.objects.get().body.text == "Say <b>nothing</b>."
    assert Version.objects.count() == 1


def test_lets_a_person_send_ours(editor_client: Client, project: Project, alice: User, server: GitServer) -> None:
    conflict(project, alice, server)
    editor_client.post(page(project, "/compare"), {"name": "a", "choice": "push"})
    assert GitPush.objects.get().is_asked
    assert GitPush.objects.get().state == "waiting"


def test_disconnects_and_keeps_every_version(
    alice_client: Client, project: Project, alice: User, server: GitServer
) -> None:
    conflict(project, alice, server)
    assert "Disconnect" in alice_client.get(page(project, "/disconnect")).content.decode()
    alice_client.post(page(project, "/disconnect"))
    assert not GitRemote.objects.exists()
    assert not GitFile.objects.exists()
    assert Version.objects.count() == 1


def test_tells_programs_how_everything_stands(project: Project, alice: User, server: GitServer) -> None:
    conflict(project, alice, server)
    api = Api(key=factories.make_key(project, Scope.PROMPTS_READ, created_by=alice))
    told = api.get("/api/v1/git").json()
    assert told["remote"]["url"] == server.url
    assert told["has_git"] is True
    assert [(one["name"], one["state"], one["version"], one["path"]) for one in told["prompts"]] == [
        ("a", "conflict", "1.0.0", "a.prompt.yaml")
    ]
    assert api.post("/api/v1/git/sync", {}).status_code == 403
    GitRemote.objects.update(due_at=NOW + timedelta(days=1000))
    writer = Api(key=factories.make_key(project, Scope.PROMPTS_WRITE, created_by=alice))
    answer = writer.post("/api/v1/git/sync", {})
    assert answer.status_code == 202
    assert GitRemote.objects.get().due_at < NOW + timedelta(days=1000)


def test_answers_404_for_a_sync_of_nothing(project: Project, alice: User) -> None:
    writer = Api(key=factories.make_key(project, Scope.PROMPTS_WRITE, created_by=alice))
    assert writer.post("/api/v1/git/sync", {}).status_code == 404


def test_works_without_git(
    alice_client: Client, project: Project, alice: User, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(project, alice, "a", "Say hello.")
    program.version.cache_clear()
    monkeypatch.setattr(program, "_path", lambda: None)
    assert "git program is not installed" in alice_client.get(page(project)).content.decode()
    alice_client.post(page(project, "/connect"), entered(server))
    git_services.sync(project.pk, now=NOW)
    assert "Install git" in GitRemote.objects.get().last_error
    assert alice_client.get(f"/p/{project.slug}/prompts/a").status_code == 200
    assert alice_client.get(f"/p/{project.slug}/prompts/a/-/git").status_code == 200


def test_shows_the_credential_nowhere(
    alice_client: Client, project: Project, alice: User, server: GitServer, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither when all is well nor when the server refuses, quotes it, or is down."""
    caplog.set_level(logging.DEBUG)
    server.write({"README.md": "Prompts."}, "Begin")
    connected(project, alice, server)
    assert GitRemote.objects.get().last_error == "", "the credential is the right one"
    server.password = "another"
    git_services.sync(project.pk, now=NOW + timedelta(minutes=1))
    assert "credential" in GitRemote.objects.get().last_error
    server.password, server.answer = "", f"ERR you sent {CANARY}".encode()
    git_services.sync(project.pk, now=NOW + timedelta(minutes=5))
    server.answer, server.is_down = None, True
    git_services.sync(project.pk, now=NOW + timedelta(minutes=9))

    pages = [alice_client.get(page(project, rest)).content.decode() for rest in ("", "/connect", "/disconnect")]
    pages.append(Api(user=alice).get("/api/v1/git").content.decode())
    with connection.cursor() as cursor:
        for table in (
            "prompts_gitremote",
            "prompts_gitnote",
            "prompts_gitpush",
            "prompts_gitfile",
            "projects_auditentry",
        ):
            cursor.execute(f"SELECT coalesce(string_agg(t::text, ' '), '') FROM {table} t")
            pages.append(cursor.fetchone()[0])
    assert CANARY not in "".join(pages)
    assert CANARY not in caplog.text
