"""The evals of a sample project: real recorded answers, scored, compared and judged by the product itself."""

from __future__ import annotations

from datetime import datetime

import pytest
from django.test import Client

from apps.evals import sample
from apps.evals.models import EvalRun, EvalSet, GateReport, Result
from apps.evals.services import executing
from apps.evals.services import sample as services
from apps.evals.services.sample import SET
from apps.projects import services as projects
from apps.projects.models import Project
from tests import factories

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def shop(project: Project) -> Project:
    """A sample project with its evals, scored and judged."""
    Project.objects.filter(pk=project.pk).update(is_sample=True)
    services.fill_samples(now=factories.NOW)
    executing.work(seconds=60)
    services.fill_samples(now=factories.NOW)
    return Project.objects.get(pk=project.pk)


CENTS = {f"gsm8k-test-{number:04}" for number in (44, 58, 152, 256, 258, 272)}
"""The publishers' grader took `$20.00` for wrong where 20 is right."""


def test_scores_the_answers_as_their_publishers_did(shop: Project) -> None:
    gpt, mixtral = sample.MODELS
    others = {gpt: CENTS, mixtral: {"gsm8k-test-0164"}}
    for number, (model, right) in enumerate(((gpt, 128 + 6), (mixtral, 103 - 1)), start=1):
        run = EvalRun.objects.get(project=shop, number=number)
        assert (run.model, run.state, run.failed) == (model, "finished", 0)
        held = dict(Result.objects.filter(run=run).values_list("example__key", "is_passed"))
        assert {one.key for one in sample.problems() if held[one.key] != one.is_right[model]} == others[model]
        assert sum(map(bool, held.values())) == right


def test_its_gate_lets_one_model_pass_and_refuses_the_other(shop: Project, now: datetime) -> None:
    assert list(GateReport.objects.order_by("run__number").values_list("run__number", "verdict")) == [
        (1, "passed"),
        (2, "failed"),
    ]
    services.fill_samples(now=now)
    assert GateReport.objects.count() == 2
    assert EvalSet.objects.get().head == 2


def test_its_pages_open(shop: Project, alice_client: Client) -> None:
    for path in (
        f"eval-sets/{SET}",
        "eval-runs",
        "eval-runs/2",
        "eval-runs/-/compare?candidate=2&baseline=1",
    ):
        answer = alice_client.get(f"/p/{shop.slug}/{path}")
        assert answer.status_code == 200, path
    assert "Worse than run 1" in answer.content.decode()


def test_goes_with_its_project(shop: Project, alice: object, now: datetime) -> None:
    projects.delete_project(
        project=shop,
        typed_name=shop.name,
        actor=factories.actor_of(alice),
        now=now,  # type: ignore[arg-type]
    )
    assert not EvalSet.objects.exists()
    assert not EvalRun.objects.exists()


def test_leaves_other_projects_alone(project: Project, now: datetime) -> None:
    services.fill_samples(now=now)
    assert not EvalSet.objects.exists()
