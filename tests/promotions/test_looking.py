"""What the counts of a running experiment say, kept when that changed, and what stops it."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest

from apps.alerts.models import Notice
from apps.core import clock
from apps.projects.models import AuditEntry, Project
from apps.projects.types import SYSTEM
from apps.promotions.experiment_figures import Figures, Verdict
from apps.promotions.models import Experiment, ExperimentLook, Exposure
from apps.promotions.services import exposing, looking
from apps.promotions.services.experiment_winners import NoWinner, finish
from apps.prompts.models import Split
from tests.promotions import measuring

pytestmark = pytest.mark.django_db


def expose(experiment: Experiment, at: datetime, failing: dict[str, int], *, subjects: int = 400, of: str = "") -> None:
    """So many subjects in each arm, two calls each; the first ones of an arm, as many as told, have one that failed."""
    arms = {arm.name: arm for arm in experiment.arms.all()}
    Exposure.objects.bulk_create(
        Exposure(
            experiment=experiment,
            subject=exposing.subject_key(experiment, f"{of}{name}-{place}"),
            arm=arms[name],
            first_at=at,
            last_at=at,
            calls=2,
            errors=int(place < failed),
            cost_usd=Decimal("0.004"),
            latency_ms=1_000 + place,
            timed=2,
        )
        for name, failed in failing.items()
        for place in range(subjects)
    )


@pytest.fixture
def experiment(project: Project) -> Experiment:
    """Half and half in staging since an hour ago; a latency of 200 ms more is not allowed."""
    guard = {"name": "latency_ms", "most_harm": 200}
    return measuring.start(project, clock.now() - timedelta(hours=1), guardrails=[guard], minimum_effect=0.02)


def name_of(experiment: Experiment) -> str:
    """The treatment's name."""
    return experiment.arms.get(is_control=False).name


def test_a_look_is_kept_when_it_says_something_new(experiment: Experiment) -> None:
    """Few subjects, then many: each with its verdict, and the frozen one reads back as it was."""
    now, other = clock.now(), name_of(experiment)
    expose(experiment, now, {"control": 15, other: 2}, subjects=50)
    assert looking.look_all(now=now) == 1
    early = looking.look(experiment, now)
    assert early.primary[0].verdict is Verdict.TOO_FEW
    assert early.primary[0].low is None
    assert looking.look_all(now=now + timedelta(minutes=2)) == 0, "nothing is new"

    expose(experiment, now, {"control": 160, other: 20}, subjects=600, of="more-")
    later = now + timedelta(minutes=3)
    assert looking.look_all(now=later) == 1
    kept = Figures.from_dict(ExperimentLook.objects.latest("at").figures)
    told = kept.primary[0]
    assert told.verdict is Verdict.BETTER
    assert told.control_mean == pytest.approx((15 + 160) / 650 / 2)
    assert told.treatment_mean == pytest.approx((2 + 20) / 650 / 2)
    assert told.low is not None
    assert told.high is not None
    assert told.low < told.treatment_mean - told.control_mean < told.high < 0
    assert kept.subjects == 1_300
    assert "better than control" in told.sentence
    assert kept == looking.look(experiment, later)


def test_a_broken_guardrail_stops_it_once_and_says_so(experiment: Experiment) -> None:
    now, other = clock.now(), name_of(experiment)
    expose(experiment, now, {"control": 40, other: 40})
    Exposure.objects.filter(experiment=experiment, arm__name=other).update(latency_ms=9_000)
    Exposure.objects.filter(experiment=experiment, arm__name=other, subject__lt=b"\x80").update(latency_ms=9_400)
    looking.look_all(now=now)
    looking.look_all(now=now + timedelta(minutes=2))
    experiment.refresh_from_db()
    assert experiment.state == "stopped"
    assert "atency" in experiment.stop_reason
    assert not Split.objects.filter(prompt=experiment.prompt, ended_at=None).exists()
    assert Notice.objects.filter(kind="experiment_stopped").count() == 1
    assert AuditEntry.objects.filter(action="promotions.experiment_stopped").count() == 1


def test_arms_that_do_not_fill_as_planned_stop_it(experiment: Experiment) -> None:
    now, other = clock.now(), name_of(experiment)
    expose(experiment, now, {"control": 40}, subjects=900)
    expose(experiment, now, {other: 2}, subjects=500)
    looking.look_all(now=now)
    experiment.refresh_from_db()
    assert experiment.state == "stopped"
    assert "did not fall into the arms as planned" in experiment.stop_reason


def test_a_winner_is_named_by_the_figures_of_that_moment(experiment: Experiment) -> None:
    """The newest kept look said that it won; what came since says that nothing is known any more."""
    now, other = clock.now(), name_of(experiment)
    expose(experiment, now, {"control": 90, other: 20})
    looking.look_all(now=now)
    assert Figures.from_dict(ExperimentLook.objects.get().figures).primary[0].verdict is Verdict.BETTER
    expose(experiment, now, {"control": 0, other: 70}, of="late-")
    soon = now + timedelta(seconds=5)
    with pytest.raises(NoWinner):
        finish(experiment=experiment, winner=other, actor=SYSTEM, is_reviewer=True, now=soon)
    experiment.refresh_from_db()
    assert experiment.state == "running"
    assert ExperimentLook.objects.count() == 2, "what it was decided by is kept"

    Exposure.objects.filter(experiment=experiment, arm__name=other).update(errors=0)
    done = finish(experiment=experiment, winner=other, actor=SYSTEM, is_reviewer=True, now=soon)
    assert (done.state, done.winner and done.winner.name) == ("finished", other)
    assert not Split.objects.filter(prompt=experiment.prompt, ended_at=None).exists()
