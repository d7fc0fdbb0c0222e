"""What is live where, what happened to it, and what changed before a moment."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client

from apps.core import clock
from apps.core.formats import SPACE
from apps.projects.models import Project
from apps.projects.types import Scope
from apps.promotions.models import Promotion, Rollback
from apps.promotions.services import deciding, rollbacks
from apps.prompts import services as prompts
from apps.prompts.models import Deployment, Version
from apps.prompts.services import splits
from apps.prompts.services.splits import ArmChoice
from tests import factories
from tests.conftest import Api
from tests.promotions import making

TIMELINE = "/api/v1/deployments"
CHANGES = "/api/v1/changes"


def put_live(version: Version, now: datetime, *, environment: str = "staging") -> Deployment:
    """The version, live there from then on."""
    project = version.prompt.project
    return prompts.deploy(
        prompt=version.prompt,
        version=version,
        environment=making.environment(project, environment),
        actor=factories.actor_of(making.owner_of(project)),
        now=now,
    )


def go_back(version: Version, now: datetime) -> Rollback:
    """Staging of the version's prompt, rolled back."""
    project = version.prompt.project
    return rollbacks.roll_back(
        prompt=version.prompt,
        environment=making.environment(project, "staging"),
        actor=factories.actor_of(making.ed(project)),
        now=now,
        reason="Wrong tone",
    )


def promoted(project: Project) -> Promotion:
    """A promotion that went live in production by its gate and rita's approval."""
    promotion = making.waiting(project)
    rita = making.rita(project)
    return deciding.approve(promotion=promotion, actor=factories.actor_of(rita), person=rita, now=clock.now())


@pytest.mark.django_db
def test_the_page_says_what_is_live_by_whom_and_why(
    project: Project, bob_client: Client, charlie_client: Client, django_assert_max_num_queries: Any
) -> None:
    address = f"/p/{project.slug}/deployments"
    assert "Nothing is live yet" in bob_client.get(address).content.decode()
    assert charlie_client.get(address).status_code == 404
    promotion = promoted(project)
    first = promotion.version
    second = making.make_version(project, making.BAD)
    began = clock.now() - timedelta(hours=1)
    put_live(first, began)
    put_live(second, began + timedelta(minutes=1))
    rollback = go_back(second, clock.now())
    report = promotion.checks.get().report
    with django_assert_max_num_queries(12):
        page = bob_client.get(address).content.decode()
    live, _, timeline = page.partition('id="deployments-timeline"')
    for told in (
        f"/p/{project.slug}/promotions/{promotion.number}",
        f"/p/{project.slug}/gate-reports/{report.uuid}",
        f"/p/{project.slug}/rollbacks/{rollback.uuid}",
    ):
        assert told in live
        assert told in timeline
    name = making.NAME
    sentences = [
        f"{name} was rolled back to {first.number} in staging, in place of {second.number}",
        f"{name} {second.number} went live in staging, in place of {first.number}",
        f"{name} {first.number} went live in staging",
        f"{name} {first.number} was promoted to production",
    ]
    assert all(one in timeline for one in sentences)
    assert "Wrong tone" in timeline
    staging = bob_client.get(f"{address}?environment=staging&kind=rollback").content.decode()
    assert (sentences[0] in staging, sentences[1] in staging, "promoted to production" in staging) == (
        True,
        False,
        False,
    )
    assert f"/promotions/{promotion.number}" not in staging


@pytest.mark.django_db
def test_the_timeline_goes_on_where_it_ended(project: Project, bob_client: Client) -> None:
    """Every event once, newest first, over pages; and each kind of event is told from the others."""
    version = making.make_version(project)
    other = making.make_version(project, making.BAD)
    began = clock.now() - timedelta(days=2)
    for place in range(33):
        put_live((version, other)[place % 2], began + timedelta(minutes=place))
    address = f"/p/{project.slug}/deployments"
    page = bob_client.get(address)
    older = page.context["next"]
    rest = bob_client.get(f"{address}?cursor={older}", headers={"HX-Request": "true"})
    assert "<html" not in rest.content.decode()
    told = [one.at for one in (*page.context["events"], *rest.context["events"])]
    assert told == sorted(set(told), reverse=True)
    assert len(told) == 33
    assert rest.context["next"] == ""
    assert bob_client.get(f"{address}?cursor=nonsense").context["events"][0].at == told[0]


@pytest.mark.django_db
def test_splits_and_withdrawals_are_told(project: Project, bob_client: Client) -> None:
    """A change of the share is a ramp, its end is told once, and a version that was taken down has no follower."""
    first, second = making.make_version(project), making.make_version(project, making.BAD)
    began = clock.now() - timedelta(hours=9)
    put_live(first, began)
    place, actor = making.environment(project, "staging"), factories.actor_of(making.ed(project))
    arms = [ArmChoice("control", first, "", 5_000), ArmChoice("new", second, "", 5_000)]
    split: dict[str, Any] = {"experiment": "tone", "unit": "user", "salt": "s", "arms": arms, "actor": actor}
    for hours, share in ((1, 500), (2, 2_550)):
        at = began + timedelta(hours=hours)
        splits.set_split(prompt=first.prompt, environment=place, share=share, now=at, **split)
    address = f"/p/{project.slug}/deployments"
    live = bob_client.get(address).context["live"]
    assert [(one.split.experiment, one.split.share, len(one.split.arms)) for one in live] == [("tone", 2_550, 2)]
    splits.end_split(prompt=first.prompt, environment=place, actor=actor, now=began + timedelta(hours=3))
    gone = began + timedelta(hours=4)
    prompts.withdraw(prompt=first.prompt, environment=place, actor=actor, now=gone, reason="Twice")
    page = bob_client.get(address)
    assert page.context["live"] == []
    name = making.NAME
    told = [(one.kind, one.sentence) for one in page.context["events"]]
    assert told == [
        ("withdrawn", f"{name} {first.number} was taken down in staging"),
        ("stopped", f"Experiment tone stopped splitting {name} in staging"),
        ("ramped", f"Experiment tone went from 5{SPACE}% to 25.5{SPACE}% of the users of {name} in staging"),
        ("started", f"Experiment tone began with 5{SPACE}% of the users of {name} in staging"),
        ("deploy", f"{name} {first.number} went live in staging"),
    ]
    assert (page.context["events"][0].details, page.context["events"][0].by) == ("Twice", actor.name)
    for kind, _ in told:
        assert [one.kind for one in bob_client.get(f"{address}?kind={kind}").context["events"]] == [kind]


@pytest.mark.django_db
def test_what_changed_before_a_moment_nearest_first(
    project: Project, bob_client: Client, django_assert_max_num_queries: Any
) -> None:
    first = making.make_version(project)
    second = making.make_version(project, making.BAD)
    began = clock.now().replace(microsecond=0) - timedelta(hours=5)
    put_live(first, began)
    put_live(second, began + timedelta(hours=1))
    making.make_rule(project)  # in the past, by the clock of the factories
    address = f"/p/{project.slug}/deployments/changes"
    moment = began + timedelta(hours=2)
    assert bob_client.get(address).status_code == 200  # the first page of a day renews the session
    with django_assert_max_num_queries(12):
        page = bob_client.get(f"{address}?at={moment:%Y-%m-%dT%H:%M:%S}").content.decode()
    lead = f"1{SPACE}h before: {making.NAME} {second.number} went live in staging, in place of {first.number}"
    assert lead in page
    assert page.index(f"{second.number} went live") < page.index(f"{making.NAME} {first.number} went live in staging<")
    before = bob_client.get(f"{address}?at={began - timedelta(minutes=1):%Y-%m-%dT%H:%M:%S}&hours=6").content.decode()
    assert "Nothing changed in the 6 hours before" in before
    ruled = factories.NOW + timedelta(minutes=3)
    told = bob_client.get(f"{address}?at={ruled:%Y-%m-%dT%H:%M:%S}&environment=production").content.decode()
    assert "Release rule changed: " in told
    elsewhere = bob_client.get(f"{address}?at={ruled:%Y-%m-%dT%H:%M:%S}&environment=staging").content.decode()
    assert "Release rule changed: " not in elsewhere


@pytest.mark.django_db
def test_the_api_tells_the_same(project: Project, alice: Any, other_key: str) -> None:
    promotion = promoted(project)
    second = making.make_version(project, making.BAD)
    now = clock.now()
    put_live(promotion.version, now - timedelta(minutes=3))
    put_live(second, now - timedelta(minutes=2))
    rollback = go_back(second, now - timedelta(minutes=1))
    reader = Api(key=factories.make_key(project, Scope.PROMPTS_READ, created_by=alice))
    live = {row["environment"]: row for row in reader.get(f"{TIMELINE}?live=true").json()["items"]}
    assert live["production"]["evidence"]["promotion"] == promotion.number
    assert live["production"]["evidence"]["reports"][0]["gate"] == "Ship"
    assert (live["staging"]["kind"], live["staging"]["evidence"]["rollback"]) == ("rollback", str(rollback.uuid))
    assert live["staging"]["before"]["version"] == str(second.number)
    seen, cursor = [], ""
    for _ in range(5):
        part = reader.get(f"{TIMELINE}?environment=staging&limit=1{cursor}").json()
        seen += [row["version"] for row in part["items"]]
        if part["next"] is None:
            break
        cursor = f"&cursor={part['next']}"
    assert seen == [str(one.number) for one in (promotion.version, second, promotion.version)]
    changed = reader.get(f"{CHANGES}?environment=staging&hours=1").json()
    deployed = [row for row in changed["items"] if row["deployment"]]
    assert [row["kind"] for row in deployed] == ["rollback", "deploy", "deploy"]
    assert deployed[0]["sentence"].startswith(f"{making.NAME} was rolled back to {promotion.version.number}")
    assert deployed[0]["seconds_before"] < deployed[1]["seconds_before"]
    assert reader.get(f"{CHANGES}?hours=0").status_code == 422
    assert not any(row["deployment"] for row in Api(key=other_key).get(CHANGES).json()["items"])
    stranger = Api(key=factories.make_key(project, Scope.INGEST, created_by=alice))
    assert stranger.get(TIMELINE).status_code == 403
