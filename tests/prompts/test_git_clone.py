"""`git clone` over HTTP: with a key that may read prompts, of the key's own project, and never a push."""

from __future__ import annotations

import base64
import gzip
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from pytest_django.live_server_helper import LiveServer

from apps.accounts.models import User
from apps.projects.models import Project, Scope
from apps.prompts.git import program
from tests import factories
from tests.prompts.git_hands import git, publish

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, settings: Any) -> None:
    """Repositories of this test alone: other workers of the run have projects with the same numbers."""
    settings.VAR_DIR = tmp_path / "var"


@pytest.fixture
def prompts_key(project: Project, alice: User) -> str:
    """A key of `project` that may fetch prompts."""
    return factories.make_key(project, Scope.PROMPTS_READ, created_by=alice)


def address(server: LiveServer, project: Project, key: str) -> str:
    """The repository's address with the key as its password."""
    return f"{server.url.replace('http://', f'http://key:{key}@')}/git/{project.slug}.git"


def test_clones_with_a_key_as_the_password(
    live_server: LiveServer, project: Project, alice: User, prompts_key: str, tmp_path: Path
) -> None:
    publish(project, alice, "support/answer", "Say hello.")
    publish(project, alice, "support/answer", "Say good day.", minutes=1)
    git("clone", "--quiet", address(live_server, project, prompts_key), str(tmp_path / "copy"))
    copy = tmp_path / "copy"
    assert "Say good day." in (copy / "support" / "answer.prompt.yaml").read_text()
    assert git("tag", cwd=copy).split() == ["support/answer@1.0.0", "support/answer@1.0.1"]
    assert len(git("log", "--format=%s", cwd=copy).splitlines()) == 2

    publish(project, alice, "another", "Something else.", minutes=2)
    git("pull", "--quiet", "--ff-only", cwd=copy)
    assert (copy / "another.prompt.yaml").exists()


@pytest.mark.parametrize("version", ["0", "1", "2"])
def test_speaks_every_protocol_of_git(
    live_server: LiveServer, project: Project, alice: User, prompts_key: str, tmp_path: Path, version: str
) -> None:
    for number in range(30):  # so many refs that the client compresses what it asks for
        publish(project, alice, f"p{number}", "A text.", minutes=number)
    copy = tmp_path / "copy"
    git("-c", f"protocol.version={version}", "clone", "-q", address(live_server, project, prompts_key), str(copy))
    assert len(git("tag", cwd=copy).split()) == 30


def test_clones_an_empty_repository(
    live_server: LiveServer, project: Project, prompts_key: str, tmp_path: Path
) -> None:
    git("clone", "-q", address(live_server, project, prompts_key), str(tmp_path / "copy"))
    assert git("symbolic-ref", "HEAD", cwd=tmp_path / "copy").strip() == "refs/heads/main"


def test_refuses_a_push_in_words(
    live_server: LiveServer, project: Project, alice: User, prompts_key: str, tmp_path: Path
) -> None:
    publish(project, alice, "a", "A text.")
    copy = tmp_path / "copy"
    git("clone", "-q", address(live_server, project, prompts_key), str(copy))
    git("commit", "-q", "--allow-empty", "-m", "mine", cwd=copy)
    with pytest.raises(AssertionError, match=r"cannot be pushed to"):
        git("push", "-q", cwd=copy)


def test_asks_a_git_client_for_basic(client: Client, project: Project) -> None:
    answer = client.get(
        f"/git/{project.slug}.git/info/refs?service=git-upload-pack", headers={"User-Agent": "git/2.39"}
    )
    assert answer.status_code == 401
    assert answer["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize("key", ["", "wrong", "other"])
def test_keeps_strangers_out(
    live_server: LiveServer, project: Project, alice: User, other_key: str, tmp_path: Path, key: str
) -> None:
    publish(project, alice, "a", "A text.")
    raw = other_key if key == "other" else key or "x"
    with pytest.raises(AssertionError, match=r"Authentication failed|not found"):
        git("clone", "-q", address(live_server, project, raw), str(tmp_path / "copy"))


def ask(key: str, path: str, body: bytes | None = None, **headers: str) -> Any:
    """The answer to a bare request with a key."""
    basic = base64.b64encode(f"x:{key}".encode()).decode()
    client = Client(headers={"Authorization": f"Basic {basic}", **headers})
    if body is None:
        return client.get(path)
    return client.post(path, data=body, content_type="application/x-git-upload-pack-request")


def test_holds_keys_to_their_scope(project: Project, alice: User, ingest_key: str, admin_key: str) -> None:
    publish(project, alice, "a", "A text.")
    path = f"/git/{project.slug}.git/info/refs?service=git-upload-pack"
    assert ask(ingest_key, path).status_code == 403
    answer = ask(admin_key, path, Accept="*/*")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "application/x-git-upload-pack-advertisement"
    assert b"refs/tags/a@1.0.0" in answer.getvalue()


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"0000" * (1024 * 1024 + 1), {}, 413),
        (gzip.compress(b"0" * (64 * 1024 * 1024)), {"Content-Encoding": "gzip"}, 413),
        (b"not gzip", {"Content-Encoding": "gzip"}, 400),
        (b"x", {"Content-Encoding": "br"}, 400),
        (b"rubbish that is no packet line", {}, 502),
    ],
    ids=["large", "bomb", "corrupt", "unknown", "rubbish"],
)
def test_bounds_what_a_client_sends(
    project: Project, alice: User, admin_key: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    publish(project, alice, "a", "A text.")
    answer = ask(admin_key, f"/git/{project.slug}.git/git-upload-pack", body, **headers)
    assert answer.status_code == status
    assert answer.json()["error"]["message"]


def test_says_so_when_git_is_missing(project: Project, admin_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "_path", lambda: None)
    answer = ask(admin_key, f"/git/{project.slug}.git/info/refs?service=git-upload-pack")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "git_missing")


def test_shows_the_key_to_nobody_on_the_machine(
    project: Project, alice: User, admin_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(project, alice, "a", "A text.")
    seen: list[str] = []
    popen = subprocess.Popen

    def watched(command: list[str], **options: Any) -> Any:
        seen.append(repr(command) + repr(options.get("env")))
        return popen(command, **options)

    monkeypatch.setattr(subprocess, "Popen", watched)
    answer = ask(admin_key, f"/git/{project.slug}.git/info/refs?service=git-upload-pack")
    assert answer.status_code == 200
    assert answer.getvalue()
    assert seen
    assert admin_key not in "".join(seen)
