"""Git both ways, end to end: a server on loopback, what Dora does there, and what becomes of it here."""

from __future__ import annotations

import re
import shutil
import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection as db

from apps.accounts.models import User
from apps.projects.models import Project
from apps.prompts import services as prompts
from apps.prompts import tasks
from apps.prompts.content import content_hash
from apps.prompts.files import own
from apps.prompts.git.standing import State
from apps.prompts.models import Deployment, Draft, GitFile, GitNote, GitPush, GitRemote, Prompt, Version
from apps.prompts.selectors import git as git_selectors
from apps.prompts.services import git as git_services
from apps.prompts.services import git_local, git_reading
from apps.prompts.services.git_remotes import Wishes
from apps.prompts.types import Origin
from tests.factories import NOW, actor_of
from tests.prompts.git_hands import git, publish, says
from tests.prompts.git_server import GitServer, served

pytestmark = pytest.mark.django_db

FILE = """\
# Answers mail. Ask Dora before you change it.
name: support/answer
x-team: blue   # nobody but us knows this key
version: {number}
messages:
- role: user
  content: |
    {text}
"""


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


def connect(project: Project, alice: User, server: GitServer, **wishes: Any) -> GitRemote:
    """Connect the server's repository."""
    return git_services.connect(
        project=project, wishes=Wishes(url=server.url, **wishes), actor=actor_of(alice), now=NOW
    )


def look(project: Project, minutes: int = 60) -> GitRemote:
    """Look at the repository; the row afterwards."""
    assert git_services.sync(project.pk, now=NOW + timedelta(minutes=minutes))
    remote = GitRemote.objects.get(project=project)
    assert remote.lease is None
    return remote


def good_look(project: Project, minutes: int = 60) -> GitRemote:
    """As `look`, and it has to work."""
    remote = look(project, minutes)
    assert remote.last_error == ""
    return remote


def states(project: Project) -> dict[str, State]:
    """How every prompt stands."""
    remote = git_selectors.get_remote(project)
    return {line.name: line.state for line in git_selectors.in_git(remote)}


def file(number: str, text: str) -> str:
    """Dora's file of support/answer."""
    return FILE.format(number=number, text=text)


def nothing_is_live() -> bool:
    """True when no version was made live anywhere."""
    return not Deployment.objects.exists()


def test_publishes_to_a_branch_and_notices_the_merge(project: Project, alice: User, server: GitServer) -> None:
    server.write({"README.md": "Prompts."}, "Begin")
    connect(project, alice, server)
    publish(project, alice, "support/answer", "Say hello.", note="First words")
    assert states(project) == {"support/answer": State.AHEAD}
    good_look(project)

    branch = "prodworthy/support/answer-1.0.0"
    assert set(server.heads()) == {"main", branch}
    assert git("log", "--format=%s", f"main..{branch}", cwd=server.bare).splitlines() == [
        "support/answer 1.0.0: First words"
    ]
    assert "Say hello." in server.text("support/answer.prompt.yaml", branch)
    push = GitPush.objects.get()
    assert (push.state, push.branch, push.commit) == ("pushed", branch, server.heads()[branch])
    assert push.title == "support/answer 1.0.0: First words"
    assert "**Step:** major" in push.body
    assert re.search(r"^\+ +(content: )?Say hello\.$", push.body, re.MULTILINE)
    assert "**Eval result:** No eval result yet." in push.body
    assert states(project) == {"support/answer": State.AHEAD}

    merged = server.merge(branch)
    good_look(project, 61)
    push.refresh_from_db()
    assert push.state == "merged"
    assert push.merged_commit in git("rev-list", merged, cwd=server.bare).split()
    assert states(project) == {"support/answer": State.IN_SYNC}
    assert Version.objects.count() == 1
    assert nothing_is_live()


def test_notices_a_merge_that_was_squashed(project: Project, alice: User, server: GitServer) -> None:
    server.write({"README.md": "Prompts."}, "Begin")
    connect(project, alice, server)
    publish(project, alice, "a", "Say hello.")
    good_look(project)
    merged = server.merge("prodworthy/a-1.0.0", squashes=True)
    good_look(project, 61)
    assert GitPush.objects.get().merged_commit == merged


def test_keeps_comments_and_unknown_keys_of_the_file_in_git(project: Project, alice: User, server: GitServer) -> None:
    crlf = file("1.0.0", "Say hello.").replace("\n", "\r\n")
    server.write({"prompts/mail.prompt.yaml": crlf}, "Begin")
    connect(project, alice, server, edits="versions")
    good_look(project)
    version = Version.objects.get()
    assert (str(version.number), version.origin, version.source_text) == ("1.0.0", Origin.GIT, crlf)

    changed = own.read(crlf.replace("Say hello.", "Say good day.")).content
    prompts.publish(
        prompt=Prompt.objects.get(), content=changed, actor=actor_of(alice), author=alice, now=NOW + timedelta(hours=2)
    )
    good_look(project, 121)
    after = server.text("prompts/mail.prompt.yaml", "prodworthy/support/answer-1.0.1")
    assert after == crlf.replace("Say hello.", "Say good day.").replace("1.0.0", "1.0.1")


def test_takes_an_edit_of_git_as_a_draft(project: Project, alice: User, server: GitServer) -> None:
    server.write({"support/answer.prompt.yaml": file("1.0.0", "Say hello.")}, "Begin")
    connect(project, alice, server)
    good_look(project)
    draft = Draft.objects.get()
    assert (draft.author, draft.origin, draft.body.messages[0].content) == (None, Origin.GIT, "Say hello.\n")
    assert not Version.objects.exists()
    assert states(project) == {"support/answer": State.BEHIND}

    prompts.publish(
        prompt=draft.prompt, content=draft.body, actor=actor_of(alice), author=alice, now=NOW + timedelta(hours=2)
    )
    good_look(project, 121)
    assert states(project) == {"support/answer": State.IN_SYNC}
    assert list(server.heads()) == ["main"], "git has it already"

    git_draft = file("1.1.0", "Say good day.")
    server.write({"support/answer.prompt.yaml": git_draft}, "Be polite")
    good_look(project, 122)
    waiting = Draft.objects.get(author=None)
    assert (waiting.body.messages[0].content, waiting.note) == ("Say good day.\n", "Be polite")
    good_look(project, 123)
    assert Draft.objects.get(author=None).revision == waiting.revision, "nothing is taken twice"


def test_does_not_bring_back_a_draft_that_was_thrown_away(project: Project, alice: User, server: GitServer) -> None:
    server.write({"a.prompt.yaml": "name: a\ntext: |\n  Hello\n"}, "Begin")
    connect(project, alice, server)
    good_look(project)
    prompts.discard_draft(draft=Draft.objects.get())
    server.write({"README.md": "Something else."}, "Elsewhere")
    good_look(project, 61)
    assert not Draft.objects.exists()


def test_never_overwrites_a_draft_that_a_person_changed(project: Project, alice: User, server: GitServer) -> None:
    server.write({"a.prompt.yaml": "name: a\ntext: |\n  Hello\n"}, "Begin")
    connect(project, alice, server)
    good_look(project)
    draft = Draft.objects.get()
    prompts.save_draft(
        prompt=draft.prompt, author=None, content=says("Mine"), revision=draft.revision, base=None, now=NOW
    )
    server.write({"a.prompt.yaml": "name: a\ntext: |\n  Hello again\n"}, "More")
    good_look(project, 61)
    assert Draft.objects.get().body == says("Mine")
    assert "nothing was overwritten" in GitFile.objects.get().refusal


def test_publishes_an_edit_of_git_where_edits_are_versions(project: Project, alice: User, server: GitServer) -> None:
    server.write({"support/answer.prompt.yaml": file("2.0.0", "Say hello.")}, "Begin")
    connect(project, alice, server, edits="versions")
    good_look(project)
    commit = server.write({"support/answer.prompt.yaml": file("2.1.0", "Say good day.")}, "Be polite")
    good_look(project, 61)
    newest = Version.objects.first()
    assert newest is not None
    assert (str(newest.number), newest.commit_id, newest.note) == ("2.1.0", commit, "Be polite")
    assert newest.publisher_name == "git (127.0.0.1)"
    assert states(project) == {"support/answer": State.IN_SYNC}
    good_look(project, 62)
    assert Version.objects.count() == 2
    assert list(server.heads()) == ["main"]
    assert nothing_is_live()


def test_publishes_snippets_and_what_includes_them_together(project: Project, alice: User, server: GitServer) -> None:
    server.write(
        {
            "a.prompt.yaml": "name: a\ntext: |\n  {{> rules@1.0.0}}\n",
            "rules.prompt.yaml": "name: rules\ntext: Be polite.\n",
        },
        "Begin",
    )
    connect(project, alice, server, edits="versions")
    good_look(project)
    assert {str(version) for version in Version.objects.all()} == {"a@1.0.0", "rules@1.0.0"}


def test_shows_other_content_under_a_published_number_as_a_conflict(
    project: Project, alice: User, server: GitServer
) -> None:
    server.write({"support/answer.prompt.yaml": file("1.0.0", "Say hello.")}, "Begin")
    connect(project, alice, server, edits="versions")
    good_look(project)
    server.write({"support/answer.prompt.yaml": file("1.1.0", "Say good day.")}, "More")
    good_look(project, 61)
    server.write({"support/answer.prompt.yaml": file("1.0.0", "Say nothing.")}, "Sneak")
    good_look(project, 62)
    assert states(project) == {"support/answer": State.CONFLICT}
    said = {str(version.number): version.body.messages[0].content for version in Version.objects.all()}
    assert said == {"1.0.0": "Say hello.\n", "1.1.0": "Say good day.\n"}
    assert not Draft.objects.exists()
    assert GitNote.objects.filter(is_trouble=True, text__contains="1.0.0").count() == 1
    good_look(project, 63)
    assert GitNote.objects.filter(is_trouble=True).count() == 1, "said once"

    git_services.take_as_draft(project=project, name="support/answer", actor=actor_of(alice), now=NOW)
    assert Draft.objects.get().body.messages[0].content == "Say nothing.\n"
    assert states(project) == {"support/answer": State.BEHIND}


def test_publishes_an_edit_that_left_the_number_as_it_was(project: Project, alice: User, server: GitServer) -> None:
    server.write({"support/answer.prompt.yaml": file("1.0.0", "Say hello.")}, "Begin")
    connect(project, alice, server, edits="versions")
    good_look(project)
    commit = server.write({"support/answer.prompt.yaml": file("1.0.0", "Say good day.")}, "Friendlier")
    good_look(project, 61)
    newest = Version.objects.first()
    assert newest is not None
    assert (str(newest.number), newest.body.messages[0].content) == ("1.0.1", "Say good day.\n")
    assert newest.commit_id == commit
    assert Version.objects.count() == 2
    assert states(project) == {"support/answer": State.AHEAD}, "the number is not in git yet"
    good_look(project, 62)
    branch = next(name for name in server.heads() if name != "main")
    assert server.text("support/answer.prompt.yaml", branch) == file("1.0.1", "Say good day.")
    server.merge(branch)
    good_look(project, 63)
    assert states(project) == {"support/answer": State.IN_SYNC}
    assert Version.objects.count() == 2
    assert not Deployment.objects.exists()


def test_drafts_an_edit_that_left_the_number_as_it_was(project: Project, alice: User, server: GitServer) -> None:
    server.write({"support/answer.prompt.yaml": file("1.0.0", "Say hello.")}, "Begin")
    connect(project, alice, server, edits="versions")
    good_look(project)
    GitRemote.objects.update(edits="drafts")
    server.write({"support/answer.prompt.yaml": file("1.0.0", "Say good day.")}, "Friendlier")
    good_look(project, 61)
    assert Draft.objects.get().body.messages[0].content == "Say good day.\n"
    assert Version.objects.count() == 1
    assert states(project) == {"support/answer": State.BEHIND}


def test_sends_ours_on_a_branch_when_a_person_wants_it(project: Project, alice: User, server: GitServer) -> None:
    server.write({"support/answer.prompt.yaml": file("1.0.0", "Say hello.")}, "Begin")
    connect(project, alice, server, edits="versions")
    good_look(project)
    server.write({"support/answer.prompt.yaml": file("0.9.0", "Say nothing.")}, "Sneak")
    good_look(project, 61)
    git_services.push_ours(project=project, name="support/answer", actor=actor_of(alice), now=NOW)
    good_look(project, 62)
    branch = next(name for name in server.heads() if name != "main")
    assert server.text("support/answer.prompt.yaml", branch) == file("1.0.0", "Say hello.")
    assert "Say nothing." in server.text("support/answer.prompt.yaml")
    server.merge(branch)
    good_look(project, 63)
    assert states(project) == {"support/answer": State.IN_SYNC}


@pytest.mark.parametrize("edits", ["drafts", "versions"])
def test_never_chooses_when_both_sides_changed(project: Project, alice: User, server: GitServer, edits: str) -> None:
    server.write({"support/answer.prompt.yaml": file("1.0.0", "Say hello.")}, "Begin")
    connect(project, alice, server, edits="versions")
    good_look(project)
    GitRemote.objects.update(edits=edits)
    publish(project, alice, "support/answer", "Say good day.", minutes=61)
    server.write({"support/answer.prompt.yaml": file("1.0.1", "Say good evening.")}, "Theirs")
    good_look(project, 62)
    assert states(project) == {"support/answer": State.CONFLICT}, "both say 1.0.1"
    server.write({"support/answer.prompt.yaml": file("1.1.0", "Say good evening.")}, "Theirs")
    good_look(project, 63)
    assert states(project) == {"support/answer": State.DIVERGED}
    assert Version.objects.count() == 2
    assert not Draft.objects.exists()
    assert list(server.heads()) == ["main"]


def test_refuses_a_number_below_the_newest(project: Project, alice: User, server: GitServer) -> None:
    server.write({"support/answer.prompt.yaml": file("1.5.0", "Say hello.")}, "Begin")
    connect(project, alice, server, edits="versions")
    good_look(project)
    server.write({"support/answer.prompt.yaml": file("1.2.0", "Say good day.")}, "Older")
    good_look(project, 61)
    assert states(project) == {"support/answer": State.CONFLICT}
    assert Version.objects.count() == 1


def test_says_why_a_version_was_not_taken(project: Project, alice: User, server: GitServer) -> None:
    server.write({"a.prompt.yaml": "name: a\nversion: 1.0.0\nvariables:\n  name:\ntext: Hello {{name}}\n"}, "Begin")
    connect(project, alice, server, edits="versions")
    good_look(project)
    server.write({"a.prompt.yaml": "name: a\nversion: 1.0.1\ntext: Hello\n"}, "Drop a variable in a patch")
    good_look(project, 61)
    refusal = GitFile.objects.get().refusal
    assert "major" in refusal
    assert Version.objects.count() == 1
    server.write({"a.prompt.yaml": "name: a\nversion: 2.0.0\ntext: Hello\n"}, "As a major one")
    good_look(project, 62)
    assert str(Version.objects.first()) == "a@2.0.0"
    assert GitFile.objects.get().refusal == ""


def test_looks_through_templates_before_it_publishes(project: Project, alice: User, server: GitServer) -> None:
    jinja = "name: {}\nsyntax: jinja\nvariables:\n  who:\ntext: {}\n"
    server.write(
        {
            "good.prompt.yaml": jinja.format("good", '"Hello {% if who %}{{ who }}{% endif %}"'),
            "broken.prompt.yaml": jinja.format("broken", '"Hello {% if who %}"'),
            "undeclared.prompt.yaml": jinja.format("undeclared", '"Hello {{ nobody }}"'),
            "escape.prompt.yaml": jinja.format("escape", "\"{{ ''.__class__.__mro__ }}\""),
        },
        "Templates",
    )
    connect(project, alice, server, edits="versions")
    good_look(project)
    assert [version.prompt.name for version in Version.objects.all()] == ["good"]
    refused = dict(GitFile.objects.exclude(refusal="").values_list("path", "refusal"))
    assert set(refused) >= {"broken.prompt.yaml", "undeclared.prompt.yaml"}
    assert "nobody" in refused["undeclared.prompt.yaml"]
    assert not Prompt.objects.filter(name="broken").exists(), "nothing half made is left"


def test_waits_for_a_file_that_is_half_written(project: Project, alice: User, server: GitServer) -> None:
    server.write({"support/answer.prompt.yaml": file("1.0.0", "Say hello.")}, "Begin")
    connect(project, alice, server, edits="versions")
    good_look(project)
    server.write({"support/answer.prompt.yaml": file("1.1.0", "Say good")[:-30] + "\n  bad: ["}, "Oops")
    good_look(project, 61)
    assert states(project) == {"support/answer": State.CONFLICT}
    assert "Line " in GitFile.objects.get().problem
    assert Version.objects.count() == 1
    server.write({"support/answer.prompt.yaml": file("1.1.0", "Say good day.")}, "Mended")
    good_look(project, 62)
    assert states(project) == {"support/answer": State.IN_SYNC}
    assert Version.objects.count() == 2


def test_takes_neither_of_two_files_with_one_name(project: Project, alice: User, server: GitServer) -> None:
    server.write({"one.prompt.yaml": file("1.0.0", "One."), "two.prompt.yaml": file("1.0.0", "Two.")}, "Begin")
    connect(project, alice, server, edits="versions")
    good_look(project)
    assert states(project) == {"support/answer": State.CONFLICT}
    assert not Version.objects.exists()
    server.write({"one.prompt.yaml": None}, "Keep one")
    good_look(project, 61)
    assert Version.objects.get().body.messages[0].content == "Two.\n"


def test_follows_a_rename_by_name_and_by_content(project: Project, alice: User, server: GitServer) -> None:
    server.write({"support/answer.prompt.yaml": file("1.0.0", "Say hello.")}, "Begin")
    connect(project, alice, server, edits="versions")
    good_look(project)
    prompt = Prompt.objects.get()
    named = file("1.0.0", "Say hello.").replace("support/answer", "desk/reply")
    server.write({"support/answer.prompt.yaml": named}, "Another name in the same place")
    good_look(project, 61)
    prompt.refresh_from_db()
    assert (prompt.name, prompt.former_names) == ("desk/reply", ["support/answer"])
    moved = named.replace("desk/reply", "desk/answer")
    server.write({"support/answer.prompt.yaml": None, "desk/answer.prompt.yaml": moved}, "Another place, too")
    good_look(project, 62)
    prompt.refresh_from_db()
    assert prompt.name == "desk/answer"
    assert Prompt.objects.count() == 1
    assert states(project) == {"desk/answer": State.IN_SYNC}
    assert Version.objects.count() == 1


def test_sends_a_rename_of_ours(project: Project, alice: User, server: GitServer) -> None:
    server.write({"support/answer.prompt.yaml": file("1.0.0", "Say hello.")}, "Begin")
    connect(project, alice, server, edits="versions")
    good_look(project)
    prompt = Prompt.objects.get()
    prompts.rename_prompt(prompt=prompt, name="desk/reply", actor=actor_of(alice), now=NOW + timedelta(hours=1))
    publish(project, alice, "desk/reply", "Say good day.", minutes=61)
    good_look(project, 62)
    branch = "prodworthy/desk/reply-1.0.1"
    assert git("ls-tree", "-r", "--name-only", branch, cwd=server.bare).split() == ["desk/reply.prompt.yaml"]
    assert "# Answers mail." in server.text("desk/reply.prompt.yaml", branch)
    server.merge(branch)
    good_look(project, 63)
    assert states(project) == {"desk/reply": State.IN_SYNC}


def test_keeps_a_prompt_whose_file_was_deleted(project: Project, alice: User, server: GitServer) -> None:
    server.write({"support/answer.prompt.yaml": file("1.0.0", "Say hello.")}, "Begin")
    connect(project, alice, server, edits="versions")
    good_look(project)
    server.write({"support/answer.prompt.yaml": None}, "Away")
    good_look(project, 61)
    assert states(project) == {"support/answer": State.MISSING}
    prompt = Prompt.objects.get()
    assert prompt.archived_at is None
    assert list(server.heads()) == ["main"], "it is not sent back by itself"
    git_services.push_ours(project=project, name="support/answer", actor=actor_of(alice), now=NOW)
    good_look(project, 62)
    assert "prodworthy/support/answer-1.0.0" in server.heads()


def test_notices_a_force_push_and_loses_nothing(project: Project, alice: User, server: GitServer) -> None:
    server.write({"support/answer.prompt.yaml": file("1.0.0", "Say hello.")}, "Begin")
    connect(project, alice, server, edits="versions")
    good_look(project)
    seen = server.write({"support/answer.prompt.yaml": file("1.1.0", "Say good day.")}, "Second")
    good_look(project, 61)
    git("reset", "--quiet", "--hard", "HEAD~1", cwd=server.checkout)
    git("commit", "--quiet", "--allow-empty", "-m", "Another history", cwd=server.checkout)
    server.push("main", "--force")
    remote = good_look(project, 62)
    assert remote.rewritten_from == seen
    assert remote.rewritten_at is not None
    assert {str(version.number) for version in Version.objects.all()} == {"1.0.0", "1.1.0"}
    assert states(project) == {"support/answer": State.AHEAD}
    assert GitNote.objects.filter(is_trouble=True, text__contains="rewritten").count() == 1


def test_says_that_the_server_is_down_and_goes_on_later(project: Project, alice: User, server: GitServer) -> None:
    server.write({"README.md": "Prompts."}, "Begin")
    connect(project, alice, server)
    publish(project, alice, "a", "Say hello.")
    server.is_down = True
    waits = []
    for number in range(4):
        remote = look(project, 60 + number)
        assert remote.last_error
        waits.append(remote.due_at - (NOW + timedelta(minutes=60 + number)))
    assert waits == sorted(waits)
    assert waits[0] < waits[-1] <= timedelta(hours=1)
    assert remote.failures == 4
    assert GitNote.objects.filter(is_trouble=True).count() == 1, "said once, not each time"
    server.is_down = False
    assert good_look(project, 90).failures == 0
    assert "prodworthy/a-1.0.0" in server.heads()


def test_says_that_nobody_listens(project: Project, alice: User, server: GitServer, settings: Any) -> None:
    connect(project, alice, server)
    GitRemote.objects.update(url="http://127.0.0.1:9/remote.git")
    settings.EGRESS_ALLOW = ["127.0.0.1:9"]
    assert look(project).last_error == "The server cannot be reached."


def test_begins_an_empty_repository(project: Project, alice: User, server: GitServer) -> None:
    connect(project, alice, server, prefix="llm/prompts")
    publish(project, alice, "a/b", "Say hello.")
    publish(project, alice, "c", "Say good day.", minutes=1)
    good_look(project)
    assert list(server.heads()) == ["main"]
    assert git("ls-tree", "-r", "--name-only", "main", cwd=server.bare).split() == [
        "llm/prompts/a/b.prompt.yaml",
        "llm/prompts/c.prompt.yaml",
    ]
    assert states(project) == {"a/b": State.IN_SYNC, "c": State.IN_SYNC}


def test_commits_to_the_main_branch_where_that_is_wanted(project: Project, alice: User, server: GitServer) -> None:
    server.write({"README.md": "Prompts."}, "Begin")
    connect(project, alice, server, publishing="direct")
    publish(project, alice, "a", "Say hello.")
    good_look(project)
    assert list(server.heads()) == ["main"]
    assert "Say hello." in server.text("a.prompt.yaml")
    assert "Prompts." in server.text("README.md")
    assert states(project) == {"a": State.IN_SYNC}
    assert GitPush.objects.get().state == "merged"


def test_sends_many_prompts_on_one_branch(project: Project, alice: User, server: GitServer) -> None:
    server.write({"README.md": "Prompts."}, "Begin")
    connect(project, alice, server)
    for number in range(7):
        publish(project, alice, f"p{number}", f"Text {number}", minutes=number)
    good_look(project)
    branches = [name for name in server.heads() if name != "main"]
    assert len(branches) == 1
    assert len(git("log", "--format=%s", f"main..{branches[0]}", cwd=server.bare).splitlines()) == 7
    assert GitPush.objects.values("title").distinct().get()["title"] == "Publish 7 prompts"


def test_pushes_once_however_often_it_looks(project: Project, alice: User, server: GitServer) -> None:
    server.write({"README.md": "Prompts."}, "Begin")
    connect(project, alice, server)
    publish(project, alice, "a", "Say hello.")
    good_look(project)
    before = server.heads()
    asked = len(server.asked)
    for minutes in (61, 62):
        good_look(project, minutes)
    assert server.heads() == before
    assert not [line for line in server.asked[asked:] if "receive-pack" in line]


def test_sends_only_the_newest_of_what_waits(project: Project, alice: User, server: GitServer) -> None:
    server.write({"README.md": "Prompts."}, "Begin")
    connect(project, alice, server)
    publish(project, alice, "a", "Say hello.")
    hook = server.bare / "hooks" / "pre-receive"
    hook.parent.mkdir(exist_ok=True)
    hook.write_text("#!/bin/sh\nexit 1\n")
    hook.chmod(0o755)
    assert "refused the branch" in look(project).last_error
    assert GitPush.objects.get().state == "waiting"
    publish(project, alice, "a", "Say good day.", minutes=60)
    hook.unlink()
    good_look(project, 61)
    assert set(server.heads()) == {"main", "prodworthy/a-1.0.1"}
    assert dict(GitPush.objects.values_list("branch", "state")) == {
        "prodworthy/a-1.0.0": "superseded",
        "prodworthy/a-1.0.1": "pushed",
    }


def test_takes_over_words_about_a_prompt(project: Project, alice: User, server: GitServer) -> None:
    told = "name: a\ndescription: {}\ntags: [{}]\nversion: 1.0.0\ntext: Hello\n"
    server.write({"a.prompt.yaml": told.format("First", "x")}, "Begin")
    connect(project, alice, server, edits="versions")
    good_look(project)
    prompt = Prompt.objects.get()
    assert (prompt.description, prompt.tags) == ("First", ["x"])
    server.write({"a.prompt.yaml": told.format("Second", "x, y")}, "Describe")
    good_look(project, 61)
    prompt.refresh_from_db()
    assert (prompt.description, prompt.tags) == ("Second", ["x", "y"])
    assert Version.objects.count() == 1

    prompts.change_prompt(
        prompt=prompt, actor=actor_of(alice), now=NOW, description="Ours", tags=["ours"], keeps_owner=True
    )
    server.write({"a.prompt.yaml": told.format("Theirs", "theirs")}, "Both")
    good_look(project, 62)
    prompt.refresh_from_db()
    assert (prompt.description, prompt.tags) == ("Ours", ["ours"])


@pytest.mark.django_db(transaction=True)
def test_has_one_effect_when_two_workers_begin_at_once(project: Project, alice: User, server: GitServer) -> None:
    server.write({"a.prompt.yaml": "name: a\ntext: Hello\n"}, "Begin")
    connect(project, alice, server, edits="versions")
    publish(project, alice, "b", "Say hello.")
    GitRemote.objects.update(seen_commit="")
    GitPush.objects.all().delete()
    barrier = threading.Barrier(2)
    answers: list[bool] = []

    def work() -> None:
        try:
            barrier.wait()
            answers.append(git_services.sync(project.pk, now=NOW + timedelta(hours=1)))
        finally:
            db.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(answers) == 2
    assert any(answers)
    assert Version.objects.count() == 2
    assert GitPush.objects.count() == 1
    assert set(server.heads()) == {"main", "prodworthy/b-1.0.0"}
    assert GitRemote.objects.get().lease is None


def test_looks_by_schedule_at_what_is_due(
    project: Project, alice: User, server: GitServer, django_capture_on_commit_callbacks: Any
) -> None:
    server.write({"a.prompt.yaml": "name: a\ntext: Hello\n"}, "Begin")
    connect(project, alice, server, edits="versions")
    with django_capture_on_commit_callbacks(execute=True):
        tasks.sync_git()
    assert Version.objects.count() == 1
    asked = len(server.asked)
    with django_capture_on_commit_callbacks(execute=True):
        tasks.sync_git()
    assert len(server.asked) == asked, "its minute is not over"
    GitRemote.objects.update(due_at=NOW)
    with django_capture_on_commit_callbacks(execute=True):
        tasks.sync_git(a_newer_argument=1)
    assert len(server.asked) > asked


def test_goes_at_once_when_publishing_says_so(
    project: Project, alice: User, server: GitServer, django_capture_on_commit_callbacks: Any
) -> None:
    version = publish(project, alice, "a", "Say hello.")
    with django_capture_on_commit_callbacks() as callbacks:
        git_services.note_published(version)
    assert callbacks == [], "nobody to tell"
    server.write({"README.md": "Prompts."}, "Begin")
    connect(project, alice, server)
    with django_capture_on_commit_callbacks(execute=True):
        git_services.note_published(version)
    assert "prodworthy/a-1.0.0" in server.heads()


def test_finds_its_own_push_again_when_the_answer_got_lost(project: Project, alice: User, server: GitServer) -> None:
    server.write({"README.md": "Prompts."}, "Begin")
    connect(project, alice, server)
    publish(project, alice, "a", "Say hello.")
    good_look(project)
    branch = GitPush.objects.get().branch
    there = server.heads()[branch]
    GitPush.objects.update(state="waiting", commit="")
    server.pull()
    server.write({"README.md": "The main branch moved."}, "Move")
    good_look(project, 61)
    assert GitPush.objects.get().commit == there
    assert server.heads()[branch] == there


def test_does_not_overwrite_a_branch_of_that_name(project: Project, alice: User, server: GitServer) -> None:
    server.write({"README.md": "Prompts."}, "Begin")
    git("checkout", "--quiet", "-b", "theirs", cwd=server.checkout)
    theirs = server.write({"a.prompt.yaml": "name: a\ntext: Theirs\n"}, "Mine", pushes="prodworthy/a-1.0.0")
    connect(project, alice, server)
    publish(project, alice, "a", "Say hello.")
    remote = look(project)
    assert "nothing is overwritten" in remote.last_error
    assert server.heads()["prodworthy/a-1.0.0"] == theirs

    publish(project, alice, "b", "Say good day.", minutes=60)
    server.pull()
    server.write({"c.prompt.yaml": "name: c\ntext: Hello\n"}, "Another one")
    for minutes in range(61, 70):
        remote = look(project, minutes)
    assert "prodworthy/b-1.0.0" in server.heads(), "one refusal does not hold others up"
    assert Draft.objects.get().prompt.name == "c"
    assert remote.due_at - (NOW + timedelta(minutes=69)) <= timedelta(minutes=5)


def test_loses_nothing_with_its_directory(project: Project, alice: User, server: GitServer) -> None:
    server.write({"support/answer.prompt.yaml": file("1.0.0", "Say hello.")}, "Begin")
    connect(project, alice, server, edits="versions")
    good_look(project)
    shutil.rmtree(git_local.directory())
    publish(project, alice, "support/answer", "Say good day.", minutes=61)
    good_look(project, 62)
    assert "# Answers mail." in server.text("support/answer.prompt.yaml", "prodworthy/support/answer-1.0.1")


def test_ignores_a_worker_that_wakes_late(
    project: Project, alice: User, server: GitServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.write({"a.prompt.yaml": "name: a\ntext: Hello\n"}, "Begin")
    connect(project, alice, server, edits="versions")
    read = git_reading.read_changed

    def paused(*arguments: Any) -> Any:
        seen = read(*arguments)
        GitRemote.objects.update(lease=uuid.uuid4())  # its time was over, and another worker took the row
        return seen

    monkeypatch.setattr(git_reading, "read_changed", paused)
    assert git_services.sync(project.pk, now=NOW)
    assert not GitFile.objects.exists()
    assert not Version.objects.exists()
    assert GitRemote.objects.get().lease is not None, "the other worker's lease stands"
    assert not git_services.sync(project.pk, now=NOW + timedelta(minutes=1))
    monkeypatch.setattr(git_reading, "read_changed", read)
    assert git_services.sync(project.pk, now=NOW + timedelta(minutes=30))
    assert Version.objects.count() == 1


def test_does_not_restore_an_archived_prompt(project: Project, alice: User, server: GitServer) -> None:
    server.write({"support/answer.prompt.yaml": file("1.0.0", "Say hello.")}, "Begin")
    connect(project, alice, server, edits="versions")
    good_look(project)
    prompts.archive_prompt(prompt=Prompt.objects.get(), actor=actor_of(alice), now=NOW)
    server.write({"support/answer.prompt.yaml": file("1.1.0", "Say good day.")}, "More")
    good_look(project, 61)
    assert Prompt.objects.get().archived_at is not None
    assert Version.objects.count() == 1
    assert states(project) == {"support/answer": State.BEHIND}


def test_never_makes_anything_live(project: Project, alice: User, server: GitServer) -> None:
    server.write({"support/answer.prompt.yaml": file("1.0.0", "Say hello.")}, "Begin")
    connect(project, alice, server, edits="versions")
    good_look(project)
    version = Version.objects.get()
    staging = project.environments.get(slug="staging")
    live = prompts.deploy(prompt=version.prompt, version=version, environment=staging, actor=actor_of(alice), now=NOW)
    server.write({"support/answer.prompt.yaml": file("1.1.0", "Say good day.")}, "More")
    good_look(project, 61)
    assert Version.objects.count() == 2
    assert Deployment.objects.get(ended_at=None) == live


def test_tells_a_prompts_hash_from_its_words_alone(project: Project, alice: User, server: GitServer) -> None:
    """A change of comments or descriptions in git is no change of the prompt."""
    server.write({"support/answer.prompt.yaml": file("1.0.0", "Say hello.")}, "Begin")
    connect(project, alice, server, edits="versions")
    good_look(project)
    server.write({"support/answer.prompt.yaml": "# more words\n" + file("1.0.0", "Say hello.")}, "Comment")
    good_look(project, 61)
    assert Version.objects.count() == 1
    assert states(project) == {"support/answer": State.IN_SYNC}
    assert GitFile.objects.get().content_hash == content_hash(Version.objects.get().body)
