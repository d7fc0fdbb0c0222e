"""The stopwatch of a rollback: processes that have it, that die or leave, calls, and what it says of them."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from django.db.models import F

from apps.core import clock
from apps.projects.models import Project
from apps.projects.types import SYSTEM
from apps.promotions import rollback_words as words
from apps.promotions.models import Rollback
from apps.promotions.rollback_words import Ack, Watched
from apps.promotions.selectors import rollbacks as selectors
from apps.promotions.services import rollbacks, stopwatch
from apps.prompts import services as prompts
from apps.prompts.models import Deployment, LiveMark, LiveProcess
from apps.prompts.services import live_seen
from apps.prompts.services.live_seen import Began
from apps.telemetry.services.partitions import forget_known
from tests import factories
from tests.factories import NOW
from tests.promotions import making
from tests.promotions.test_rollbacks import live_one_by_one
from tests.telemetry.conftest import Intake, make_span
from tests.telemetry.conftest import address as address
from tests.telemetry.conftest import intake as intake
from tests.telemetry.conftest import span_tables as span_tables

SECOND = timedelta(seconds=1)


def serves(project: Project, name: str, process: UUID | None = None, *, ago: float = 0) -> UUID:
    """The process says that it serves the project as it is now, and has for so many seconds."""
    process = process or uuid4()
    number = LiveMark.objects.get(project=project).number
    live_seen.tell(process, name, [Began(project.pk, number, ago)])
    return process


def rolled_back(project: Project) -> Rollback:
    live = Deployment.objects.get(project=project, environment__slug="staging", ended_at=None)
    return rollbacks.roll_back(prompt=live.prompt, environment=live.environment, actor=SYSTEM, now=clock.now())


def look(rollback: Rollback, after: timedelta) -> tuple[str, dict[str, str | None]]:
    """The sentence of a look so long after the click, and when each process had it."""
    found = stopwatch.measure(Rollback.objects.get(pk=rollback.pk), now=rollback.asked_at + after)
    return words.sentence(selectors.watched(found)), {one["process"]: one["at"] for one in found.processes}


@pytest.mark.django_db
def test_it_waits_for_those_who_served_at_the_click_and_keeps_what_they_said(project: Project) -> None:
    live_one_by_one(project)
    quick, slow, dies = (serves(project, name) for name in ("web 1", "web 2", "web 3"))
    silent = serves(project, "silent")
    LiveProcess.objects.filter(pk=silent).update(seen_at=F("seen_at") - 11 * SECOND)
    rollback = rolled_back(project)
    serves(project, "came later")
    waited = {"web 1": None, "web 2": None, "web 3": None}
    assert look(rollback, SECOND) == ("Live in 0 of 3 processes, waiting for the rest.", waited)

    serves(project, "web 1", quick)
    said, had = look(rollback, SECOND)
    assert said.startswith("Live in 1 of 3 processes")
    assert had["web 1"] is not None
    live_seen.leave(quick)
    assert look(rollback, SECOND)[1]["web 1"] == had["web 1"]

    serves(project, "web 2", slow)
    LiveProcess.objects.filter(pk=dies).update(seen_at=rollback.asked_at)
    assert look(rollback, SECOND)[0].startswith("Live in 2 of 3 processes")
    said, had = look(rollback, 11 * SECOND)
    assert said.startswith("Live in both processes after")
    assert "(1 process not heard of again)" in said
    rollback.refresh_from_db()
    assert rollback.everywhere_at is not None
    assert rollback.everywhere_at.isoformat() == max(at for at in had.values() if at)
    assert rollback.state == "measuring"

    # After a quarter of an hour nothing moves any more.
    assert look(rollback, words.MEASURED_FOR)[0].endswith("no call with 1.0.2 was seen after the click.")
    LiveProcess.objects.all().delete()
    kept = Rollback.objects.filter(pk=rollback.pk).values().get()
    assert kept["state"] == "measured"
    look(rollback, words.MEASURED_FOR + SECOND)
    assert Rollback.objects.filter(pk=rollback.pk).values().get() == kept


@pytest.mark.django_db(transaction=True)
def test_calls_are_told_apart_by_version_and_by_model_where_that_is_all_that_differs(
    project: Project, intake: Intake
) -> None:
    """Neither calls from before the click count, nor those of another place, of a parent, or a quarter hour later."""
    forget_known()
    version = making.make_version(project)
    staging = making.environment(project, "staging")
    for place, model in enumerate(("", "test/other")):
        prompts.deploy(
            prompt=version.prompt,
            version=version,
            environment=staging,
            actor=factories.actor_of(making.owner_of(project)),
            now=NOW + timedelta(minutes=place),
            model=model,
        )
    rollback = rolled_back(project)

    def call(seconds: float, model: str, **changes: Any) -> dict[str, Any]:
        at = rollback.asked_at + seconds * SECOND
        told = {"started_at": at.isoformat(), "environment": "staging", "request_model": model, "provider": "test"}
        return make_span(**told | {"prompt_name": making.NAME, "prompt_version": str(version.number)} | changes)

    sent = [
        call(-1, "other"),
        call(-1, "echo"),
        call(0.5, "other"),
        call(1.25, "test/other"),
        call(2.5, "echo"),
        call(1.5, "echo"),
        call(3, "other", environment="production"),
        call(3, "other", prompt_name="support/else"),
        call(3, "other", prompt_version="9.0.0"),
        call(3, "other", kind="chain"),
        call(0.1, "nobody"),
    ]
    answer = intake.post(sent)
    assert answer.json()["rejected"] == []
    found = stopwatch.measure(Rollback.objects.get(), now=rollback.asked_at + 5 * SECOND)
    assert found.first_call_at == rollback.asked_at + 1.5 * SECOND
    assert found.last_bad_call_at == rollback.asked_at + 1.25 * SECOND
    assert found.bad_calls_after == 2
    assert words.sentence(selectors.watched(found)).endswith(
        "the last call with 1.0.0 on test/other was seen 1.2 s after the click."
    )


HAD, LATE, VERY_LATE = (Ack(name, name, NOW + after * SECOND) for name, after in (("a", 2), ("b", 75), ("c", 400)))
WAITS, LOST = Ack("d", "d", None), Ack("e", "e", None, is_lost=True)


@pytest.mark.parametrize(
    ("acks", "is_measuring", "look", "says"),
    [
        ([], True, "off", "No process was serving this project at the click, so there was none to reach"),
        ([HAD], True, "pass", "Live in the one process after 2.0 s"),
        ([HAD, LATE], True, "warn", "Live in both processes after 75 s"),
        ([HAD, LATE, VERY_LATE], False, "fail", "Live in all 3 processes after 6 min 40 s"),
        ([HAD, WAITS], True, "run", "Live in 1 of 2 processes, waiting for the rest"),
        ([HAD, WAITS], False, "fail", "Live in 1 of 2 processes, the rest did not say so"),
        ([HAD, LOST], True, "pass", "Live in the one process after 2.0 s (1 process not heard of again)"),
        ([LOST], True, "fail", "Cannot tell when it was live: 1 process not heard of again"),
    ],
)
def test_what_it_says_and_how_it_looks(acks: list[Ack], is_measuring: bool, look: str, says: str) -> None:
    watched = Watched(NOW, NOW, tuple(acks), words.everywhere(acks), None, None, 0, "", "1.0.0", is_measuring)
    assert words.sentence(watched) == f"{says}."
    assert words.look(watched) == look
    picture = words.timeline(watched)
    assert 0 < picture.target_x < 100
    assert all(0 <= moment.x <= 96 for moment in picture.moments)
