"""Drills: back and forward again, what is refused, and whoever looks ends one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from apps.alerts.models import Notice
from apps.core import clock
from apps.projects.models import AuditEntry, Project
from apps.projects.types import SYSTEM, Scope
from apps.promotions.models import Drill, Rollback
from apps.promotions.selectors import rollbacks as selectors
from apps.promotions.services import drills
from apps.prompts import services as prompts
from apps.prompts.models import Deployment, LiveMark, LiveProcess
from apps.prompts.services import live_seen
from apps.prompts.services.live_seen import Began
from tests import factories
from tests.conftest import Api, page_client
from tests.promotions import making, measuring
from tests.promotions.test_promotion_races import at_once
from tests.promotions.test_rollbacks import live_number, live_one_by_one

API = "/api/v1/drills"
IN_STAGING = {"prompt": making.NAME, "environment": "staging"}


def start(project: Project, now: Any = None) -> Drill:
    """A drill in staging, of three versions that were live one by one."""
    versions = live_one_by_one(project)
    return drills.start_drill(
        prompt=versions[0].prompt,
        environment=making.environment(project, "staging"),
        actor=factories.actor_of(making.ed(project)),
        now=now or clock.now(),
    )


@pytest.mark.django_db
def test_a_drill_goes_back_and_forward_again_and_leaves_a_time(project: Project) -> None:
    versions = live_one_by_one(project)
    before = Deployment.objects.get(ended_at=None)
    process = uuid4()
    live_seen.tell(process, "web 1", [Began(project.pk, LiveMark.objects.get(project=project).number, 0)])
    editor = page_client(making.ed(project))
    pages = f"/p/{project.slug}/drills"
    assert editor.post(pages, {"place": str(uuid4())}).status_code == 422
    begun = editor.post(pages, {"place": str(before.uuid)})
    assert begun.status_code == 302, begun.content.decode()
    assert live_number(versions[0].prompt) == str(versions[1].number)
    assert "Waiting until every process has it" in editor.get(begun["Location"]).content.decode()

    live_seen.tell(process, "web 1", [Began(project.pk, LiveMark.objects.get(project=project).number, 0)])
    over = editor.get(begun["Location"]).content.decode()
    assert "Passed: a rollback takes" in over
    drill = Drill.objects.get()
    assert (drill.state, live_number(versions[0].prompt)) == ("passed", str(versions[2].number))
    assert drill.seconds is not None
    assert 0 <= drill.seconds < 60
    assert drill.sentence.startswith("Live in the one process after")
    assert editor.get(begun["Location"]).content.decode().count("Passed: a rollback takes") == 1
    reader = Api(key=factories.make_key(project, Scope.READ, created_by=making.owner_of(project)))
    (told,) = reader.get(f"{API}?prompt={making.NAME}").json()["items"]
    assert (told["id"], told["state"], told["seconds"]) == (str(drill.uuid), "passed", drill.seconds)
    # A rehearsal is no rollback: nobody is told, none is listed, and nothing speaks against what was live.
    assert reader.get("/api/v1/rollbacks").json()["items"] == []
    assert not Notice.objects.exists()
    found = selectors.choices(versions[0].prompt, making.environment(project, "staging"))
    assert [(one.candidate, one.trouble) for one in found] == [(str(one.number), "") for one in versions[1::-1]]
    trail = AuditEntry.objects.filter(action__contains="drill").order_by("pk").values_list("action", flat=True)
    assert list(trail) == ["promotions.drill_started", "promotions.drill_put_back", "promotions.drill_ended"]


@pytest.mark.django_db
def test_where_no_drill_is_held(project: Project, bob_api: Api) -> None:
    writer = Api(key=factories.make_key(project, Scope.PROMPTS_WRITE, Scope.READ, created_by=making.ed(project)))

    def refusal(api: Api = writer, **body: Any) -> tuple[int, str]:
        answer = api.post(API, IN_STAGING | body)
        return answer.status_code, answer.json()["error"]["code"]

    live_one_by_one(project, 1)
    assert refusal(bob_api) == (403, "forbidden")
    assert refusal(environment="production") == (409, "protected_environment")
    assert refusal(prompt="never/was")[0] == 404
    assert refusal() == (409, "nothing_to_rehearse")
    version = making.make_version(project, making.BAD)
    staging = making.environment(project, "staging")
    prompts.deploy(prompt=version.prompt, version=version, environment=staging, actor=SYSTEM, now=clock.now())
    assert writer.post(API, IN_STAGING).status_code == 201
    assert refusal() == (409, "drill_running")
    assert (Drill.objects.count(), Rollback.objects.count()) == (1, 1)


@pytest.mark.django_db
def test_no_drill_ends_an_experiment(project: Project) -> None:
    experiment = measuring.start(project, clock.now())
    with pytest.raises(drills.ExperimentRunning):
        drills.start_drill(prompt=experiment.prompt, environment=experiment.environment, actor=SYSTEM, now=clock.now())
    experiment.refresh_from_db()
    assert experiment.state == "running"


@pytest.mark.django_db
def test_a_drill_that_nobody_heard_fails_and_puts_back_what_was_live(project: Project) -> None:
    drill = start(project)
    assert drill.rollback is not None
    asked_at = drill.rollback.asked_at
    assert drills.look(drill, now=asked_at + timedelta(seconds=1)).state == "running"
    ended = drills.look(drill, now=asked_at + drills.SETTLES)
    assert (ended.state, ended.seconds) == ("failed", None)
    assert "No process serves the live prompts of this project" in ended.sentence
    assert live_number(drill.prompt) == str(drill.kept.version.number)


@pytest.mark.django_db
def test_what_somebody_deploys_meanwhile_stays(project: Project) -> None:
    drill = start(project)
    first = Deployment.objects.order_by("started_at")[0].version
    prompts.deploy(
        prompt=first.prompt, version=first, environment=drill.environment, actor=SYSTEM, now=clock.now(), reason="mine"
    )
    ended = drills.look(drill, now=drill.started_at + timedelta(seconds=30))
    assert ended.sentence.endswith(
        f"{first.number} was made live meanwhile and stays; {drill.kept.version.number} was not put back."
    )
    assert live_number(drill.prompt) == str(first.number)


@pytest.mark.django_db(transaction=True)
def test_many_who_look_end_it_once(project: Project) -> None:
    """The worker and three open pages; and of processes one never says that it has it."""
    live_one_by_one(project)
    for name in ("web 1", "web 2"):
        live_seen.tell(uuid4(), name, [Began(project.pk, LiveMark.objects.get(project=project).number, 0)])
    live = Deployment.objects.get(ended_at=None)
    drill = drills.start_drill(prompt=live.prompt, environment=live.environment, actor=SYSTEM, now=clock.now())
    (quick, _) = LiveProcess.objects.order_by("name")
    live_seen.tell(quick.uuid, quick.name, [Began(project.pk, LiveMark.objects.get(project=project).number, 0)])
    late = drill.started_at + timedelta(seconds=drill.target_seconds + 1)
    LiveProcess.objects.update(seen_at=late)
    looked = at_once([lambda: drills.look(selectors.get_drill(project, drill.uuid), now=late)] * 4)
    assert {one.state for one in looked} == {"failed"}, looked
    assert {one.sentence for one in looked} == {"Not live everywhere within 5 min: web 2 did not say so."}
    assert live_number(live.prompt) == str(live.version.number)
    assert AuditEntry.objects.filter(action="promotions.drill_put_back").count() == 1
    assert AuditEntry.objects.filter(action="promotions.drill_ended").count() == 1
