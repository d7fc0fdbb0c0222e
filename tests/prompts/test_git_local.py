"""The project's own repository: one commit a version, tagged, and the same on every machine."""

from __future__ import annotations

import shutil
import threading
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection

from apps.accounts.models import User
from apps.projects import services as projects
from apps.projects.models import Project
from apps.prompts import services as prompts
from apps.prompts import tasks
from apps.prompts.files import own
from apps.prompts.git import program
from apps.prompts.git.importing import person, tag_of
from apps.prompts.models import GitRemote, HistoryStep, Prompt
from apps.prompts.services import git as git_services
from apps.prompts.services import git_history, git_local
from apps.prompts.services.git_remotes import Wishes
from tests.factories import NOW, actor_of, make_project
from tests.prompts.git_hands import git, publish, says

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _own_directory(tmp_path: Path, settings: Any) -> None:
    """Repositories of this test alone: other workers of the run have projects with the same numbers."""
    settings.VAR_DIR = tmp_path / "var"


def refs(project: Project) -> dict[str, str]:
    """Every ref of the project's repository after it was brought up to date."""
    return git_local.updated(project).refs("refs/")


def log(project: Project, form: str = "%s") -> list[str]:
    """The history, newest first."""
    return git("log", f"--format={form}", "main", cwd=git_local.updated(project).directory).splitlines()


def test_has_one_commit_a_version_with_a_tag(project: Project, alice: User) -> None:
    publish(project, alice, "support/answer", "Say hello.", note="First words\n\nAfter the talk of Monday.")
    publish(project, alice, "support/answer", "Say good day.", minutes=5)
    assert log(project) == ["support/answer 1.0.1", "support/answer 1.0.0: First words"]
    assert log(project, "%an <%ae> %at") == [
        f"Alice <alice@example.com> {int((NOW + timedelta(minutes=minutes)).timestamp())}" for minutes in (5, 0)
    ]
    place = git_local.updated(project).directory
    body = git("log", "-1", "--format=%B", "support/answer@1.0.0", cwd=place)
    assert "After the talk of Monday." in body
    assert "Major step:\n- This is the first version." in body
    text = git("show", "support/answer@1.0.0:support/answer.prompt.yaml", cwd=place)
    told = own.read(text)
    assert (told.name, told.version, told.content) == ("support/answer", "1.0.0", says("Say hello."))
    assert git("fsck", "--strict", cwd=place) == ""


def test_makes_the_same_commits_from_the_rows_alone(project: Project, alice: User) -> None:
    for minutes, text in enumerate(("one", "two", "three")):
        publish(project, alice, "a", text, minutes=minutes)
        publish(project, alice, "b/c", f"{text}!", minutes=minutes)
        step_by_step = refs(project)  # brought up to date after each
    shutil.rmtree(git_local.directory())
    assert refs(project) == step_by_step, "made anew at once"
    HistoryStep.objects.all().delete()
    shutil.rmtree(git_local.directory())
    assert refs(project) == step_by_step, "made anew from the audit trail and the versions"
    assert len(step_by_step) == 7


def test_shows_a_rename_as_a_rename(project: Project, alice: User) -> None:
    publish(project, alice, "old/name", "A text that is long enough to be recognised.\n" * 5)
    prompt = Prompt.objects.get(name="old/name")
    prompts.rename_prompt(prompt=prompt, name="new/name", actor=actor_of(alice), now=NOW + timedelta(minutes=1))
    publish(project, alice, "new/name", "Another text.", minutes=2)
    place = git_local.updated(project).directory
    names = git(
        "log", "--format=", "--name-status", "--follow", "-M50", "main", "--", "new/name.prompt.yaml", cwd=place
    )
    assert [line.split("\t")[1:] for line in names.split("\n") if line.startswith("R")] == [
        ["old/name.prompt.yaml", "new/name.prompt.yaml"]
    ]
    tags = git_local.updated(project).refs("refs/tags/")
    assert set(tags) == {"old/name@1.0.0", "new/name@1.0.0", "new/name@1.0.1"}
    assert tags["old/name@1.0.0"] == tags["new/name@1.0.0"]
    assert git("ls-tree", "-r", "--name-only", "main", cwd=place).split() == ["new/name.prompt.yaml"]


def test_recorded_late_it_still_tells_names_of_their_time(project: Project, alice: User) -> None:
    publish(project, alice, "first", "A text.")
    prompt = Prompt.objects.get(name="first")
    for minutes, name in enumerate(("second", "third"), start=1):
        prompts.rename_prompt(prompt=prompt, name=name, actor=actor_of(alice), now=NOW + timedelta(minutes=minutes))
    assert log(project) == ["Rename second to third", "Rename first to second", "first 1.0.0"]
    assert set(git_local.updated(project).refs("refs/tags/")) == {"first@1.0.0", "second@1.0.0", "third@1.0.0"}


def test_follows_what_stands_around_versions(project: Project, alice: User) -> None:
    publish(project, alice, "a", "A text.")
    prompt = Prompt.objects.get(name="a")
    assert len(log(project)) == 1
    prompts.change_prompt(
        prompt=prompt, actor=actor_of(alice), now=NOW + timedelta(minutes=1), description="What it is for", tags=["x"]
    )
    prompts.archive_prompt(prompt=prompt, actor=actor_of(alice), now=NOW + timedelta(minutes=2))
    place = git_local.updated(project).directory
    assert git("ls-tree", "-r", "--name-only", "main", cwd=place) == ""
    prompts.restore_prompt(prompt=prompt, actor=actor_of(alice), now=NOW + timedelta(minutes=3))
    assert log(project) == ["Restore a", "Archive a", "Describe a", "a 1.0.0"]
    assert own.read(git("show", "main:a.prompt.yaml", cwd=place)).description == "What it is for"


def test_keeps_the_file_that_a_version_was_read_from(project: Project, alice: User) -> None:
    text = "# kept\r\nname: a\r\nx-team: blue\r\nversion: 1.0.0\r\nmessages:\r\n- role: user\r\n  content: Hi\r\n"
    prompt = prompts.create_prompt(project=project, name="a", actor=actor_of(alice), now=NOW)
    content = own.read(text).content
    prompts.publish(prompt=prompt, content=content, actor=actor_of(alice), now=NOW, source_text=text)
    place = git_local.updated(project).directory
    assert git("show", "main:a.prompt.yaml", cwd=place) == text


def test_is_recorded_ahead_of_whoever_clones(project: Project, alice: User) -> None:
    publish(project, alice, "a", "A text.")
    tasks.sync_git()
    assert HistoryStep.objects.get().message.startswith("a 1.0.0")
    prompts.change_prompt(
        prompt=Prompt.objects.get(), actor=actor_of(alice), now=NOW + timedelta(minutes=1), description="Later"
    )
    assert "Later" not in HistoryStep.objects.get().text


def test_is_rebuilt_when_it_was_damaged(project: Project, alice: User) -> None:
    publish(project, alice, "a", "A text.")
    before = refs(project)
    place = git_local.updated(project).directory
    git("update-ref", "-d", "refs/heads/main", cwd=place)
    assert refs(project) == before
    (place / git_local.STATE).write_text("{half")
    assert refs(project) == before


def test_serves_nothing_of_another_database(project: Project, alice: User) -> None:
    """The directory may be older than the rows, as after a restore: numbers alone do not make it theirs."""
    publish(project, alice, "a", "A text.")
    publish(project, alice, "b", "Another text.", minutes=1)
    before = refs(project)
    HistoryStep.objects.filter(message__startswith="b ").update(text="name: b\nversion: 1.0.0\ntext: Restored\n")
    after = refs(project)
    assert after["tags/a@1.0.0"] == before["tags/a@1.0.0"]
    assert after["tags/b@1.0.0"] != before["tags/b@1.0.0"]
    assert "Restored" in git("show", "main:b.prompt.yaml", cwd=git_local.updated(project).directory)
    HistoryStep.objects.filter(message__startswith="b ").delete()
    assert refs(project) == before, "recorded again as it was published"


def test_serves_one_project_only(project: Project, alice: User) -> None:
    publish(project, alice, "a", "A text.")
    other = make_project("Another", creator=alice)
    publish(other, alice, "b", "Another text.")
    assert set(git_local.updated(project).refs("refs/tags/")) == {"a@1.0.0"}
    assert set(git_local.updated(other).refs("refs/tags/")) == {"b@1.0.0"}


def test_forgets_repositories_of_projects_that_are_gone(project: Project, alice: User) -> None:
    publish(project, alice, "a", "A text.")
    git_local.updated(project)
    orphan = git_local.directory() / "999999999"
    shutil.copytree(git_local.directory() / str(project.pk), orphan)
    git_local.forget_orphans()
    assert not orphan.exists()
    assert (git_local.directory() / str(project.pk)).exists()


def test_goes_with_its_project(project: Project, alice: User) -> None:
    publish(project, alice, "a", "A text.")
    git_services.connect(
        project=project, wishes=Wishes(url="https://git.example.com/a.git"), actor=actor_of(alice), now=NOW
    )
    git_local.updated(project)
    projects.delete_project(project=project, typed_name=project.name, actor=actor_of(alice), now=NOW)
    assert not HistoryStep.objects.exists()
    assert not GitRemote.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_two_at_once_make_one_history(project: Project, alice: User) -> None:
    for number in range(8):
        publish(project, alice, f"p{number}", "A text.", minutes=number)
    barrier = threading.Barrier(4)
    failures: list[BaseException] = []

    def work() -> None:
        try:
            barrier.wait()
            git_history.record(project)
            git_local.updated(project)
        except BaseException as error:
            failures.append(error)
            raise
        finally:
            connection.close()

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures
    assert HistoryStep.objects.filter(project=project).count() == 8
    assert len(log(project)) == 8


def test_says_so_when_git_is_missing(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(program, "_path", lambda: None)
    with pytest.raises(program.GitMissing, match="Install git"):
        git_local.updated(project)


@pytest.mark.parametrize(
    ("name", "tag"),
    [("a", "a@1.0.0"), ("a..b", "a%2E%2Eb@1.0.0"), ("x.lock/y", "x%2Elock/y@1.0.0"), ("x.lock", "x.lock@1.0.0")],
)
def test_names_tags_that_git_allows(name: str, tag: str) -> None:
    assert tag_of(name, "1.0.0") == tag
    git("check-ref-format", f"refs/tags/{tag}")


@pytest.mark.parametrize("name", ["", "<>", "a\nb", "Eve <eve@x> 0 +0000\nparent 1", '\\"', "Zoë"])
def test_writes_people_that_git_can_read(project: Project, alice: User, name: str) -> None:
    publish(project, alice, "a", "A text.")
    git_history.record(project)
    HistoryStep.objects.update(author_name=name, author_address=name)
    assert git("fsck", "--strict", cwd=git_local.updated(project).directory) == ""
    assert "\n" not in person(name, name)
