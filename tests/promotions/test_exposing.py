"""What subjects got is counted from telemetry, each call once, whatever order it comes in."""

from __future__ import annotations

import statistics
import threading
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction

from apps.core import clock
from apps.projects.models import Project
from apps.projects.types import SYSTEM
from apps.promotions import planning
from apps.promotions.models import Experiment, ExperimentCount, Exposure
from apps.promotions.services import experiments, exposing
from apps.telemetry.services.partitions import forget_known
from tests.conftest import Api
from tests.promotions import measuring
from tests.promotions.measuring import arm_of, call
from tests.telemetry.conftest import Intake, make_span
from tests.telemetry.conftest import address as address
from tests.telemetry.conftest import intake as intake
from tests.telemetry.conftest import span_tables as span_tables

pytestmark = pytest.mark.django_db(transaction=True)
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What arrived is looked at without waiting; partitions of earlier tests are gone with them."""
    monkeypatch.setattr(exposing, "LAG", timedelta(0))
    forget_known()


def send(intake: Intake, spans: list[dict[str, Any]]) -> None:
    response = intake.post(spans)
    assert response.status_code == 200, response.text
    assert response.json()["rejected"] == []


def count(after: timedelta = timedelta(0)) -> int:
    return exposing.expose(now=clock.now() + after)


def of(experiment: Experiment, subject: str) -> Exposure:
    return Exposure.objects.select_related("arm").get(
        experiment=experiment, subject=exposing.subject_key(experiment, subject)
    )


def told(experiment: Experiment) -> list[tuple[Any, ...]]:
    names = ("arm__name", "calls", "stray_calls", "errors", "cost_usd", "unpriced", "latency_ms", "timed", "scores")
    return sorted(Exposure.objects.filter(experiment=experiment).values_list("subject", *names), key=repr)


def ramped(project: Project, at: datetime) -> Experiment:
    """Half of the subjects at first, and everybody twenty minutes later."""
    made = measuring.start(
        project, at, ramp=[5_000, 10_000], excluded=["robot"], primary_metric={"name": "score:helpful"}
    )
    return experiments.ramp(experiment=made, forward=True, actor=SYSTEM, is_reviewer=True, now=at + 20 * MINUTE)


def test_each_call_counts_once_in_the_arm_of_its_subject(project: Project, intake: Intake, ingest_key: str) -> None:
    begin = clock.now() - timedelta(hours=1)
    experiment = ramped(project, begin)
    everybody = [f"user-{number}" for number in range(120)]
    early = {one for one in everybody if arm_of(experiment, one, share=5_000) is not None}
    assert 30 < len(early) < 90
    before, first, second = (begin + MINUTE * many for many in (-5, 5, 30))
    spans = [call(experiment, one, at) for one in (*everybody, "robot") for at in (before, first, second)]
    spans += [
        call(experiment, "user-0", second, environment="production"),
        call(experiment, "user-0", second, prompt_name="support/other"),
        call(experiment, "user-0", second, kind="tool"),
        call(experiment, "", second),
    ]
    send(intake, spans)
    send(intake, spans[:50])
    assert count() == 240, "each as it arrived, and once when everything is gone over"

    found = {bytes(one.subject): one for one in Exposure.objects.filter(experiment=experiment).select_related("arm")}
    assert len(found) == 120, "who is excluded, or says not who it is, takes no part"
    for one in everybody:
        row = found[exposing.subject_key(experiment, one)]
        assert row.arm.name == measuring.ARMS[arm_of(experiment, one) or 0]
        assert row.calls == (2 if one in early else 1), "a call counts from when its subject took part"
        assert row.first_at == (first if one in early else second)
        assert (row.stray_calls, row.errors, row.latency_ms) == (0, 0, 1_200 * row.calls)
    kept = told(experiment)
    count()
    assert told(experiment) == kept, "counting again changes nothing"

    # What comes late: a call, a stray one, the end of one that was told of before, and a score.
    send(intake, [call(experiment, "user-1", second + MINUTE, status="error", input_tokens=None, output_tokens=None)])
    other = measuring.VERSIONS[1 - (arm_of(experiment, "user-2") or 0)]
    send(intake, [call(experiment, "user-2", second, prompt_version=other)])
    calls = {one: of(experiment, one).calls for one in ("user-1", "user-2", "user-3")}
    last = next(one for one in reversed(spans) if one["user_id"] == "user-3")
    api = Api(ingest_key)
    scores = [{"name": "helpful", "value": 0.25, "trace_id": last["trace_id"]}]
    scores.append({"name": "other", "value": 1.0, "trace_id": last["trace_id"]})
    assert api.post("/api/v1/scores", scores).status_code == 200
    assert count() == 3
    late, stray, scored = (of(experiment, one) for one in calls)
    assert (late.calls, late.errors) == (calls["user-1"] + 1, 1)
    assert (stray.calls, stray.stray_calls) == (calls["user-2"] + 1, 1)
    assert scored.scores == {"helpful": [0.25, 1]}
    changed = {row[0] for row in set(map(repr_of, told(experiment))) - set(map(repr_of, kept))}
    assert len(changed) == 3, "nobody else changed"

    # An update keeps the time of its first report, and is found when everything is gone over again.
    send(intake, [last | {"status": "error", "client_cost_usd": "0.5", "latency_ms": 5_000}])
    count(10 * MINUTE)
    updated = of(experiment, "user-3")
    assert (updated.errors, updated.latency_ms - scored.latency_ms) == (1, 3_800)
    assert isinstance(updated.cost_usd, Decimal)
    experiment.refresh_from_db()
    assert experiment.counted_at is not None


def repr_of(row: tuple[Any, ...]) -> tuple[str, str]:
    return repr(bytes(row[0])), repr(row[1:])


def test_one_worker_counts_at_a_time(project: Project, intake: Intake) -> None:
    begin = clock.now() - timedelta(minutes=10)
    experiment = measuring.start(project, begin)
    send(intake, [call(experiment, f"user-{number}", begin + MINUTE) for number in range(5)])
    ExperimentCount.objects.create(experiment=experiment)
    is_held, may_go = threading.Event(), threading.Event()

    def hold() -> None:
        try:
            with transaction.atomic():
                ExperimentCount.objects.select_for_update().get(experiment=experiment)
                is_held.set()
                may_go.wait(20)
        finally:
            connection.close()

    holder = threading.Thread(target=hold)
    holder.start()
    try:
        assert is_held.wait(20)
        assert count() == 0
        assert not Exposure.objects.exists()
    finally:
        may_go.set()
        holder.join(20)
    assert count() >= 5
    assert Exposure.objects.count() == 5


def test_pages_lose_nobody(project: Project, intake: Intake, monkeypatch: pytest.MonkeyPatch) -> None:
    begin = clock.now() - timedelta(minutes=30)
    experiment = measuring.start(project, begin)
    for part in range(4):
        send(intake, [call(experiment, f"user-{part}-{number}", begin + MINUTE) for number in range(15)])
    monkeypatch.setattr(exposing, "PAGE", 20)
    count()
    assert Exposure.objects.count() == 60
    stopped = experiments.stop(experiment=experiment, actor=SYSTEM, now=clock.now(), reason="enough")
    send(intake, [call(stopped, "user-late", begin + 2 * MINUTE), call(stopped, "user-after", clock.now())])
    count()
    assert Exposure.objects.count() == 61, "a late call of a stopped experiment counts, one after its end does not"


def test_the_size_is_planned_from_what_was_measured(project: Project, intake: Intake) -> None:
    """80 users, of whom a quarter had one failing call of two: their shares vary by 0.047 around 0.125."""
    day_before = clock.now() - timedelta(days=1)
    told = {"environment": "staging", "prompt_name": "support/answer", "prompt_version": "1.0.0"}
    spans = [
        make_span(**told, user_id=f"user-{user}", started_at=day_before.isoformat(), status="error" if failed else "ok")
        for user in range(80)
        for failed in (False, user % 4 == 0)
    ]
    send(intake, spans)
    experiment = measuring.start(project, clock.now(), minimum_effect=0.05)
    shares = [0.5 if user % 4 == 0 else 0.0 for user in range(80)]
    plan = planning.plan(effect=0.05, variance=statistics.variance(shares), weights=(5_000, 5_000))
    assert plan is not None
    assert experiment.planned_subjects == plan.sequential
