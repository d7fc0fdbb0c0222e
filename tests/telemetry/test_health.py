"""/readyz turns red when nobody rolls up any more, and back when somebody does."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client

from apps.core import clock
from apps.telemetry.health import LONGEST_DELAY
from apps.telemetry.models import DirtyHour


def roll_ups() -> tuple[int, str]:
    answer = Client().get("/readyz")
    says = {check["name"]: check["says"] for check in answer.json()["checks"]}
    return answer.status_code, says["roll-ups"]


def mark(age: timedelta) -> None:
    now = clock.now()
    DirtyHour.objects.create(project_id=1, hour=clock.floor_hour(now), marked_at=now - age)


@pytest.mark.django_db(transaction=True)
def test_is_ready_while_marks_are_young() -> None:
    assert roll_ups() == (200, "nothing waits")
    mark(LONGEST_DELAY - timedelta(seconds=10))
    status, says = roll_ups()
    assert status == 200
    assert says.startswith("the oldest waits for 4")


@pytest.mark.django_db(transaction=True)
def test_is_not_ready_once_a_mark_is_old_and_is_again_when_it_is_gone() -> None:
    mark(LONGEST_DELAY + timedelta(seconds=10))
    mark(timedelta(0))
    status, says = roll_ups()
    assert status == 503
    assert "is a worker running" in says
    DirtyHour.objects.all().delete()
    assert roll_ups()[0] == 200
