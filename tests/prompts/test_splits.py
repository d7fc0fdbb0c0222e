"""Splits of the traffic: what is refused, what is kept, and what ends them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest
from django.db import DatabaseError, connection, transaction

from apps.core.errors import Invalid
from apps.projects import services as projects
from apps.projects.models import AuditEntry, Project
from apps.projects.types import SYSTEM
from apps.prompts import services as prompts
from apps.prompts.models import Deployment, LiveMark, Prompt, Split, SplitArm, Version
from apps.prompts.selectors.live import live_snapshot
from apps.prompts.services import splits
from apps.prompts.services.splits import ArmChoice
from apps.prompts.types import Evidence, EvidenceKind
from tests.factories import NOW
from tests.prompts.conftest import content, environment, make_prompt, publish

HOUR = timedelta(hours=1)

pytestmark = pytest.mark.django_db


@pytest.fixture
def arms(prompt: Prompt) -> list[ArmChoice]:
    """Halves: 1.0.0, which is live in staging, and 1.1.0."""
    first = prompt.versions.get()
    second = publish(prompt, content(model="test/steady"))
    deploy(prompt, first)
    return [ArmChoice("control", first, "", 5_000), ArmChoice("new", second, "", 5_000)]


def deploy(prompt: Prompt, version: Version, **given: Any) -> Deployment:
    where = environment(prompt.project, "staging")
    return prompts.deploy(prompt=prompt, version=version, environment=where, actor=SYSTEM, **{"now": NOW, **given})


def split(prompt: Prompt, arms: list[ArmChoice], where: str = "staging", **given: Any) -> Split:
    usual: dict[str, Any] = {"experiment": "tone", "unit": "user", "salt": "s", "share": 1_000, "now": NOW}
    place = environment(prompt.project, where)
    return splits.set_split(prompt=prompt, environment=place, arms=arms, actor=SYSTEM, **{**usual, **given})


def end(prompt: Prompt) -> bool:
    return splits.end_split(prompt=prompt, environment=environment(prompt.project, "staging"), actor=SYSTEM, now=NOW)


def mark(project: Project) -> int:
    return LiveMark.objects.get(project=project).number


def test_a_change_ends_one_row_and_begins_the_next(project: Project, prompt: Prompt, arms: list[ArmChoice]) -> None:
    before = mark(project)
    split(prompt, arms)
    grown = mark(project)
    later = split(prompt, arms, share=2_500, now=NOW + HOUR)
    assert before < grown < mark(project)
    assert [(one.share, one.ended_at) for one in prompt.splits.all()] == [(2_500, None), (1_000, later.started_at)]
    assert end(prompt)
    assert not end(prompt)
    entries = AuditEntry.objects.filter(project_id=project.pk, action__startswith="prompts.split").order_by("number")
    assert [entry.action for entry in entries] == [
        "prompts.split_started",
        "prompts.split_changed",
        "prompts.split_ended",
    ]
    assert entries[1].details["arms"] == ["control: 1.0.0, 5000 of 10000", "new: 1.1.0, 5000 of 10000"]


def test_the_snapshot_holds_arms_of_the_open_split(project: Project, prompt: Prompt, arms: list[ArmChoice]) -> None:
    split(prompt, [arms[0], replace(arms[1], model="test/other")], excluded=["me"], share=5_000)
    split(prompt, [arms[0], replace(arms[1], model="test/other")], excluded=["me"], share=10_000, now=NOW + HOUR)
    snapshot = live_snapshot(project.pk)
    assert snapshot is not None
    assert snapshot.number == mark(project)
    found = snapshot.find("support/answer", "staging")
    assert found.chosen("") is found.chosen("me") is found
    got = [found.chosen(f"customer-{number}") for number in range(50)]
    assert {(one.arm and one.arm.arm, one.version, one.told()["model"]) for one in got} == {
        ("control", "1.0.0", "test/echo"),
        ("new", "1.1.0", "test/other"),
    }
    assert {one.since for one in got} == {NOW}, "a ramp does not make an arm any younger"
    assert len({one.fresh.etag for one in (*got, found)}) == 3


def test_a_snapshot_that_changed_while_it_was_read_is_read_again(
    project: Project, prompt: Prompt, arms: list[ArmChoice], monkeypatch: Any
) -> None:
    from apps.prompts.selectors import live

    split(prompt, arms, share=10_000)
    real, done = live.live_splits, []

    def rolled_back_meanwhile(project_id: int) -> Any:
        found = real(project_id)
        if not done:
            done.append(deploy(prompt, arms[1].version))
        return found

    monkeypatch.setattr(live, "live_splits", rolled_back_meanwhile)
    snapshot = live_snapshot(project.pk)
    assert snapshot is not None
    found = snapshot.find("support/answer", "staging")
    assert (found.version, found.split, snapshot.number) == ("1.1.0", None, mark(project))


def test_another_deployment_ends_the_split_and_says_so(project: Project, prompt: Prompt, arms: list[ArmChoice]) -> None:
    split(prompt, arms)
    deploy(prompt, arms[0].version)
    assert prompt.splits.get().ended_at is None, "what is live already changes nothing"
    deploy(prompt, arms[0].version, model="test/other")
    assert prompt.splits.get().ended_at is not None
    entry = AuditEntry.objects.filter(project_id=project.pk, action="prompts.deployed").order_by("-number")[0]
    assert (entry.details["ended_split"], entry.details["model"]) == ("tone", "test/other")
    split(prompt, arms, experiment="again")
    prompts.withdraw(prompt=prompt, environment=environment(project, "staging"), actor=SYSTEM, now=NOW)
    assert not prompt.splits.filter(ended_at=None).exists()


def test_refuses_what_is_no_split(project: Project, prompt: Prompt, arms: list[ArmChoice]) -> None:
    stranger = make_prompt(project, "other")
    foreign = publish(stranger)
    first, second = arms
    for given, chosen in (
        ({}, [first]),
        ({}, [first, replace(second, weight=4_999)]),
        ({}, [replace(first, weight=10_000), replace(second, weight=0)]),
        ({}, [first, replace(second, name="control")]),
        ({}, [first, replace(second, version=foreign)]),
        ({"share": 0}, arms),
        ({"share": 10_001}, arms),
        ({"share": 9_000, "layer": "page", "layer_from": 1_001}, arms),
        ({"layer_from": 10}, arms),
        ({"excluded": [""]}, arms),
        ({"salt": ""}, arms),
    ):
        with pytest.raises(Invalid):
            split(prompt, chosen, **given)
    with pytest.raises(splits.NothingLive, match="Nothing of other is live"):
        split(stranger, [ArmChoice("a", foreign, "", 5_000), ArmChoice("b", foreign, "test/other", 5_000)])
    assert not Split.objects.exists()


def test_takes_no_arm_without_evidence_where_it_is_protected(prompt: Prompt, arms: list[ArmChoice]) -> None:
    approved = replace(arms[0], evidence=Evidence(EvidenceKind.PROMOTION, uuid4()))
    with pytest.raises(splits.ArmNeedsEvidence, match="new may not be an arm in production"):
        split(prompt, [approved, arms[1]], "production")


def test_experiments_of_one_layer_take_parts_of_their_own(
    project: Project, prompt: Prompt, arms: list[ArmChoice]
) -> None:
    other = make_prompt(project, "other")
    version = publish(other)
    deploy(other, version)
    others = [ArmChoice("a", version, "", 5_000), ArmChoice("b", version, "test/other", 5_000)]
    split(prompt, arms, layer="page", share=4_000)
    with pytest.raises(splits.LayerTaken, match="tone has 0 to 3999 of 10,000 in the layer page"):
        split(other, others, layer="page", layer_from=3_999, share=100, experiment="speed")
    split(other, others, layer="page", layer_from=4_000, share=100, experiment="speed")
    with pytest.raises(splits.LayerTaken, match="speed has 4000 to 4099"):
        split(prompt, arms, layer="page", share=4_001)
    split(prompt, arms, layer="page", share=3_000)


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE prompts_split SET share = 10000", "is kept"),
        ("UPDATE prompts_split SET ended_at = now(), share = 10000", "is kept"),
        ("DELETE FROM prompts_split", "is kept"),
        ("UPDATE prompts_splitarm SET weight = 10000", "never change"),
        ("UPDATE prompts_splitarm SET model = 'test/other'", "never change"),
        ("DELETE FROM prompts_splitarm", "never change"),
        (
            "INSERT INTO prompts_splitarm (split_id, position, name, version_id, model, weight, evidence_kind)"
            " SELECT split_id, 2, 'third', version_id, '', 1, '' FROM prompts_splitarm LIMIT 1",
            "add up to 10000",
        ),
    ],
)
def test_has_the_database_keep_splits(prompt: Prompt, arms: list[ArmChoice], statement: str, said: str) -> None:
    split(prompt, arms)
    with pytest.raises(DatabaseError, match=said), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(f"{statement}; SET CONSTRAINTS ALL IMMEDIATE")


def test_has_the_database_refuse_what_does_not_belong_together(
    project: Project, other_project: Project, prompt: Prompt, arms: list[ArmChoice]
) -> None:
    foreign = publish(make_prompt(project, "other"))
    made = split(prompt, arms)
    with pytest.raises(DatabaseError, match="version of the prompt"), transaction.atomic():
        SplitArm.objects.create(split=made, position=2, name="third", version=foreign, weight=1)
    end(prompt)
    with pytest.raises(DatabaseError, match="a split that is open"), transaction.atomic():
        SplitArm.objects.create(split=made, position=2, name="third", version=arms[0].version, weight=1)
    with pytest.raises(DatabaseError, match="of one project"), transaction.atomic():
        Split.objects.create(
            project=project, prompt=prompt, environment=environment(other_project, "staging"), share=1, salt="s"
        )


def test_goes_with_its_project(project: Project, prompt: Prompt, arms: list[ArmChoice]) -> None:
    split(prompt, arms)
    projects.delete_project(project=project, typed_name=project.name, actor=SYSTEM, now=NOW)
    assert not Split.objects.exists()
    assert not SplitArm.objects.exists()
