"""Calls that arrived at known times, and pages read at a known moment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import pytest

from apps.core import clock
from apps.projects.models import Project
from apps.telemetry import wire
from apps.telemetry.services import store
from apps.telemetry.services.partitions import forget_known
from apps.telemetry.types import Batch, Outcome
from tests import factories

NOW = factories.NOW
Send = Callable[..., Outcome]
_numbers = count(1)


@pytest.fixture
def at_noon(monkeypatch: pytest.MonkeyPatch) -> datetime:
    """Every door reads noon of one day in March as the time."""
    monkeypatch.setattr(clock, "now", lambda: NOW)
    return NOW


def a_call(**changes: Any) -> dict[str, Any]:
    """A call of an hour ago with fresh ids, as a client would send it; it names its own cost."""
    number = next(_numbers)
    return {
        "trace_id": f"{number:032x}",
        "span_id": f"{number:016x}",
        "kind": "llm",
        "name": "chat",
        "started_at": (NOW - timedelta(hours=1)).isoformat(),
        "latency_ms": 1000,
        "feature": "support-answers",
        "provider": "acme",
        "request_model": "atlas-large",
        "input_tokens": 100,
        "output_tokens": 10,
        "cost_usd": "0.01",
    } | changes


def calls(amount: int, *, hours_ago: float, **changes: Any) -> list[dict[str, Any]]:
    """So many calls that began so many hours ago, a second apart."""
    start = NOW - timedelta(hours=hours_ago)
    return [a_call(started_at=(start + timedelta(seconds=place)).isoformat(), **changes) for place in range(amount)]


@pytest.fixture
def send(db: None) -> Iterator[Send]:
    """Stores spans as the intake does once it has read a request's body."""
    forget_known()

    def sender(project: Project, *spans: dict[str, Any], now: datetime = NOW) -> Outcome:
        items = wire.read_body(json.dumps({"spans": spans}).encode(), max_items=5_000)
        records, positions, rejected = wire.read_spans(
            items.spans, project_id=project.pk, received_at=now, keep_since=now - timedelta(days=400)
        )
        batch = Batch(
            project_id=project.pk,
            key_id=None,
            client="tests",
            received_at=now,
            received=len(items.spans),
            spans=records,
            positions=positions,
            rejected=rejected,
        )
        return store([batch])[0]

    yield sender
    # The test's partitions go with its transaction.
    forget_known()
