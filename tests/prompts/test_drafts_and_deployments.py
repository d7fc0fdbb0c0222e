"""Drafts lose nothing, and what is live is one version at a time, with its history."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import DatabaseError, connection, transaction

from apps.core.errors import DomainError, Invalid
from apps.projects import services as projects
from apps.projects.models import AuditEntry, Project
from apps.prompts import selectors
from apps.prompts import services as prompts
from apps.prompts.models import Deployment, Draft, LiveMark, Prompt, Version
from tests import factories
from tests.prompts.conftest import content, environment, make_prompt, owner_of, publish

NOW = factories.NOW


def save(prompt: Prompt, text: str, *, revision: int | None, author: Any = None, **options: Any) -> Draft:
    """Save a draft whose last message says this."""
    author = author or owner_of(prompt.project)
    body = content(messages=[{"role": "user", "content": f"{{{{shop}}}} {{{{question}}}} {text}"}])
    return prompts.save_draft(
        prompt=prompt, author=author, content=body, revision=revision, base=None, now=NOW, **options
    )


def test_counts_saves_and_keeps_the_last(prompt: Prompt) -> None:
    draft = save(prompt, "one", revision=None)
    assert draft.revision == 1
    assert save(prompt, "two", revision=1).revision == 2
    assert save(prompt, "two", revision=2).revision == 2, "saving the same again is no new revision"
    assert "two" in Draft.objects.get().content["messages"][0]["content"]


def test_refuses_to_overwrite_another_window(prompt: Prompt) -> None:
    save(prompt, "one", revision=None)
    save(prompt, "mine", revision=1)
    with pytest.raises(prompts.DraftConflict) as caught:
        save(prompt, "from a window that still shows the first save", revision=1)
    assert caught.value.draft.revision == 2
    with pytest.raises(prompts.DraftConflict):
        save(prompt, "from a window that knows of no draft", revision=None)
    assert "mine" in Draft.objects.get().content["messages"][0]["content"]


def test_gives_each_person_their_own(project: Project, prompt: Prompt) -> None:
    other = factories.make_user()
    factories.make_member(project, other)
    save(prompt, "mine", revision=None)
    save(prompt, "theirs", revision=None, author=other)
    assert len(selectors.list_drafts(prompt)) == 2
    assert save(prompt, "mine again", revision=1).revision == 2


def test_makes_a_draft_again_that_was_published_elsewhere(prompt: Prompt) -> None:
    draft = save(prompt, "one", revision=None)
    publish(prompt, draft.body)
    assert not Draft.objects.exists()
    assert save(prompt, "typed meanwhile", revision=1).revision == 1


def test_keeps_a_draft_that_goes_beyond_what_was_published(prompt: Prompt) -> None:
    draft = save(prompt, "one", revision=None)
    save(prompt, "two", revision=1)
    publish(prompt, draft.body)
    assert "two" in Draft.objects.get().content["messages"][0]["content"]


def test_does_not_discard_what_was_saved_since(prompt: Prompt) -> None:
    draft = save(prompt, "one", revision=None)
    save(prompt, "two", revision=1)
    with pytest.raises(prompts.DraftConflict):
        prompts.discard_draft(draft=draft, revision=1)
    prompts.discard_draft(draft=draft, revision=2)
    assert not Draft.objects.exists()


def deploy(prompt: Prompt, number: str, slug: str = "staging", now: datetime = NOW) -> Deployment:
    """Make the version live."""
    return prompts.deploy(
        prompt=prompt,
        version=selectors.get_version(prompt, number),
        environment=environment(prompt.project, slug),
        actor=factories.actor_of(owner_of(prompt.project)),
        now=now,
    )


def test_keeps_one_version_live_and_the_history(project: Project, prompt: Prompt) -> None:
    publish(prompt, content(model="test/steady"))
    deploy(prompt, "1.0.0")
    deploy(prompt, "1.1.0", now=NOW + timedelta(minutes=1))
    deploy(prompt, "1.1.0", now=NOW + timedelta(minutes=2))
    (live,) = selectors.live_deployments(prompt)
    assert (str(live.version.number), live.started_at) == ("1.1.0", NOW + timedelta(minutes=1))
    assert [(str(one.version.number), one.ended_at) for one in selectors.list_deployments(prompt)] == [
        ("1.1.0", None),
        ("1.0.0", NOW + timedelta(minutes=1)),
    ]
    entry = AuditEntry.objects.filter(project_id=project.pk, action="prompts.deployed").order_by("-number")[0]
    assert (entry.details["environment"], entry.details["before"]) == ("staging", "1.0.0")


def test_does_not_let_a_clock_that_went_back_break_the_history(prompt: Prompt) -> None:
    publish(prompt, content(model="test/steady"))
    deploy(prompt, "1.0.0")
    deploy(prompt, "1.1.0", now=NOW - timedelta(seconds=3))
    assert [one.started_at for one in selectors.list_deployments(prompt)] == [NOW, NOW]


def test_refuses_protected_environments(project: Project, prompt: Prompt) -> None:
    with pytest.raises(prompts.ProtectedEnvironment, match="production is protected"):
        deploy(prompt, "1.0.0", "production")
    alice = factories.actor_of(owner_of(project))
    where = environment(project, "production")
    projects.protect_environment(project=project, environment=where, is_protected=False, actor=alice, now=NOW)
    with pytest.raises(prompts.ProtectedEnvironment):
        deploy(prompt, "1.0.0", "production")
    assert not Deployment.objects.exists()


def row(prompt: Prompt, slug: str, version: Version) -> Deployment:
    """A deployment as somebody would write it past the services."""
    where = environment(prompt.project, slug)
    return Deployment(project=prompt.project, prompt=prompt, environment=where, version=version)


def refused(deployment: Deployment) -> str:
    """What the database says to the row."""
    with pytest.raises(DatabaseError) as caught, transaction.atomic():
        deployment.save()
    return str(caught.value)


def test_has_the_database_refuse_what_the_services_refuse(
    project: Project, prompt: Prompt, other_project: Project
) -> None:
    version = prompt.versions.get()
    mixed = row(prompt, "staging", version)
    mixed.environment = environment(other_project, "staging")
    assert "is protected" in refused(row(prompt, "production", version))
    assert "one project and prompt" in refused(row(make_prompt(project, "other"), "staging", version))
    assert "one project and prompt" in refused(mixed)
    row(prompt, "staging", version).save()
    assert "prompts_deployment_one_live" in refused(row(prompt, "staging", version))


REWRITES = [
    "DELETE FROM prompts_deployment",
    "UPDATE prompts_deployment SET reason = 'other'",
    "UPDATE prompts_deployment SET ended_at = now(), reason = 'other'",
    "UPDATE prompts_deployment SET version_id = version_id + 1",
]


@pytest.mark.parametrize("statement", REWRITES)
def test_has_the_database_keep_the_history(prompt: Prompt, statement: str) -> None:
    deploy(prompt, "1.0.0")
    with pytest.raises(DatabaseError, match="is kept"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)


def test_refuses_a_version_of_another_prompt(project: Project, prompt: Prompt) -> None:
    other = make_prompt(project, "other")
    with pytest.raises(Invalid):
        prompts.deploy(
            prompt=other,
            version=prompt.versions.get(),
            environment=environment(project, "staging"),
            actor=factories.actor_of(owner_of(project)),
            now=NOW,
        )


def test_marks_each_change_of_what_is_live(project: Project, prompt: Prompt) -> None:
    marks = [LiveMark.objects.get(project=project).number]
    alice = factories.actor_of(owner_of(project))
    for change in (
        lambda: deploy(prompt, "1.0.0"),
        lambda: prompts.withdraw(prompt=prompt, environment=environment(project, "staging"), actor=alice, now=NOW),
        lambda: prompts.rename_prompt(prompt=prompt, name="reply", actor=alice, now=NOW),
        lambda: prompts.archive_prompt(prompt=prompt, actor=alice, now=NOW),
    ):
        change()
        marks.append(LiveMark.objects.get(project=project).number)
    assert marks == sorted(set(marks)), "each change makes the number grow"


def test_does_not_archive_what_is_live(project: Project, prompt: Prompt) -> None:
    deploy(prompt, "1.0.0")
    alice = factories.actor_of(owner_of(project))
    with pytest.raises(prompts.StillLive, match="live in staging"):
        prompts.archive_prompt(prompt=prompt, actor=alice, now=NOW)


def test_keeps_an_environment_that_has_a_history(project: Project, prompt: Prompt) -> None:
    deploy(prompt, "1.0.0")
    alice = factories.actor_of(owner_of(project))
    with pytest.raises(projects.EnvironmentInUse, match="is kept"):
        projects.remove_environment(project=project, environment=environment(project, "staging"), actor=alice, now=NOW)
    assert environment(project, "staging")


def race(*acts: Callable[[], Any]) -> list[Any]:
    """What each act returned or raised, all begun at the same moment."""
    barrier, results = threading.Barrier(len(acts)), [None] * len(acts)

    def run(place: int, act: Callable[[], Any]) -> None:
        try:
            barrier.wait(10)
            results[place] = act()
        except DomainError as error:
            results[place] = error
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=(place, act)) for place, act in enumerate(acts)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    return results


@pytest.mark.django_db(transaction=True)
def test_gives_racing_publishers_numbers_of_their_own(project: Project) -> None:
    prompt = make_prompt(project)
    publish(prompt)
    acts = [lambda step=step: publish(prompt, content(parameters={"seed": step})) for step in range(8)]
    made = race(*acts)
    assert sorted(str(version.number) for version in made) == [f"1.{step}.0" for step in range(1, 9)]
    same = race(*[lambda: publish(prompt, content(model="test/steady")) for _ in range(4)])
    assert sum(isinstance(one, Version) for one in same) == 1
    assert {type(one) for one in same} == {Version, prompts.SameContent}


@pytest.mark.django_db(transaction=True)
def test_lets_one_of_racing_deployments_be_live(project: Project) -> None:
    prompt = make_prompt(project)
    publish(prompt)
    for step in range(4):
        publish(prompt, content(parameters={"seed": step}))
    race(*[lambda number=f"1.{step}.0": deploy(prompt, number) for step in range(5)])
    rows = list(Deployment.objects.filter(prompt=prompt))
    assert len(rows) == 5
    assert sum(one.ended_at is None for one in rows) == 1


@pytest.mark.django_db(transaction=True)
def test_stores_one_of_racing_saves_and_refuses_the_others(project: Project) -> None:
    prompt = make_prompt(project)
    save(prompt, "first", revision=None)
    saved = race(*[lambda text=f"text {place}": save(prompt, text, revision=1) for place in range(6)])
    kept = [one for one in saved if isinstance(one, Draft)]
    assert len(kept) == 1
    assert Draft.objects.get().content == kept[0].content
    assert all(isinstance(one, prompts.DraftConflict) for one in saved if one is not kept[0])
