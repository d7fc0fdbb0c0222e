"""28,185 real calls, posted by four clients that send every tenth batch twice: each is stored once, and the sums and
percentiles are those that plain arithmetic gives.

The calls are those of the Azure LLM inference trace 2023 (its origin and licence stand beside the file in
`apps/telemetry/sample`). What they cost is worked out here from the table below, with nothing of the product.
"""

from __future__ import annotations

import csv
import gzip
import json
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from math import ceil
from pathlib import Path
from typing import Any

import httpx
import pytest

from apps.accounts.models import User
from apps.projects.models import Project
from apps.providers import services as providers
from apps.telemetry.figures import Dimension, FigureRow, Interval, Percentiles
from apps.telemetry.selectors.figures import read_figures
from apps.telemetry.services import rollups
from tests.factories import NOW, actor_of
from tests.telemetry.conftest import Intake, rows

FILE = Path(__file__).parents[2] / "apps" / "telemetry" / "sample" / "azure_llm_2023.csv.gz"
BATCH = 500
CLIENTS = 4

# Dollars per million tokens: input, cached input, output. The house model has no price.
PRICES = {
    "desk-large": (Decimal("2.50"), Decimal("1.25"), Decimal("10.00")),
    "desk-small": (Decimal("0.15"), Decimal("0.075"), Decimal("0.60")),
    "coder": (Decimal("0.30"), Decimal("0.03"), Decimal("0.90")),
    "house-coder": None,
}


@dataclass(frozen=True)
class Call:
    """One call as it is sent, and what it must cost."""

    number: int
    feature: str
    model: str
    started_at: datetime
    input_tokens: int
    cached: int
    output_tokens: int
    latency_ms: int
    ttft_ms: int
    failed: bool

    @property
    def cost(self) -> Decimal | None:
        prices = PRICES[self.model]
        if prices is None:
            return None
        plain = self.input_tokens - self.cached
        return (plain * prices[0] + self.cached * prices[1] + self.output_tokens * prices[2]) / 1_000_000

    def as_span(self) -> dict[str, Any]:
        return {
            "trace_id": f"{self.number + 1:032x}",
            "span_id": f"{self.number + 1:016x}",
            "kind": "llm",
            "name": "call",
            "started_at": self.started_at.isoformat(),
            "latency_ms": self.latency_ms,
            "ttft_ms": self.ttft_ms,
            "status": "error" if self.failed else "ok",
            "environment": "production",
            "feature": self.feature,
            "provider": "acme",
            "request_model": self.model,
            "input_tokens": self.input_tokens,
            "cached_input_tokens": self.cached,
            "output_tokens": self.output_tokens,
        }


def real_calls(begin: datetime) -> Iterator[Call]:
    """The trace from `begin` on. Models, cached tokens, latencies and errors are made up from the number."""
    with gzip.open(FILE, "rt", encoding="ascii") as file:
        clock = {"conv": 0, "code": 0}
        for number, row in enumerate(csv.DictReader(file)):
            service, tokens_in, tokens_out = row["service"], int(row["input_tokens"]), int(row["output_tokens"])
            clock[service] += int(row["ms_since_previous"])
            models = ("desk-large", "desk-small") if service == "conv" else ("coder", "house-coder")
            ttft_ms = 90 + tokens_in // 11 + number * 7919 % 211
            yield Call(
                number=number,
                feature="chat" if service == "conv" else "completion",
                model=models[number % 7 == 0],
                started_at=begin + timedelta(milliseconds=clock[service]),
                input_tokens=tokens_in,
                cached=tokens_in // 3 if number % 5 == 0 else 0,
                output_tokens=tokens_out,
                latency_ms=ttft_ms + tokens_out * (9 + number % 13),
                ttft_ms=ttft_ms,
                failed=number % 83 == 0,
            )


def bodies(calls: list[Call]) -> list[bytes]:
    """The batches to send, every tenth of them twice, in an order that keeps the two apart; half of them gzipped."""
    batches = [calls[first : first + BATCH] for first in range(0, len(calls), BATCH)]
    order = [*batches, *batches[::10]]
    random.Random(7).shuffle(order)
    encoded = [json.dumps({"spans": [call.as_span() for call in batch]}).encode() for batch in order]
    return [gzip.compress(body, 1) if number % 2 else body for number, body in enumerate(encoded)]


def send_all(intake: Intake, waiting: list[bytes]) -> Counter[str]:
    """Post the bodies from CLIENTS threads, each with its own connection; what the answers add up to."""

    def client(share: list[bytes]) -> Counter[str]:
        sender = Intake(str(intake.client.base_url), intake.key)
        told: Counter[str] = Counter()
        for body in share:
            encoding = {"Content-Encoding": "gzip"} if body[:2] == b"\x1f\x8b" else {}
            answer = sender.send(body, headers=encoding)
            assert answer.status_code == httpx.codes.OK, answer.text
            told.update({name: answer.json()[name] for name in ("stored", "updated", "duplicates")})
            told["rejected"] += len(answer.json()["rejected"])
        sender.client.close()
        return told

    with ThreadPoolExecutor(CLIENTS) as threads:
        return sum(threads.map(client, (waiting[number::CLIENTS] for number in range(CLIENTS))), Counter())


def nearest_rank(values: list[int], quantile: float) -> int:
    return sorted(values)[ceil(quantile * len(values)) - 1]


def assert_close(found: Percentiles, values: list[int]) -> None:
    assert found.count == len(values)
    for quantile, value in ((0.5, found.p50), (0.95, found.p95), (0.99, found.p99)):
        exact = nearest_rank(values, quantile)
        assert value is not None
        assert abs(value - exact) <= exact * 0.01, f"P{quantile:.0%}: {value} for {exact}"


def assert_adds_up(row: FigureRow, calls: list[Call]) -> None:
    """The row says of these calls what plain arithmetic says."""
    costs = [call.cost for call in calls if call.cost is not None]
    assert (row.calls, row.errors) == (len(calls), sum(call.failed for call in calls))
    assert row.input_tokens == sum(call.input_tokens for call in calls)
    assert row.cached_input_tokens == sum(call.cached for call in calls)
    assert row.output_tokens == sum(call.output_tokens for call in calls)
    assert row.unpriced_calls == len(calls) - len(costs)
    assert row.cost_usd == (sum(costs) if costs else None)
    assert_close(row.latency, [call.latency_ms for call in calls])
    assert_close(row.ttft, [call.ttft_ms for call in calls])


def assert_figures(project: Project, calls: list[Call], begin: datetime) -> None:
    """The whole, each feature, each model, and each minute of the busiest hour."""
    window = {"start": begin - timedelta(hours=1), "end": begin + timedelta(hours=3)}
    by_feature = read_figures(project.pk, **window, group_by=(Dimension.FEATURE,))
    assert_adds_up(by_feature.total, calls)
    for row in by_feature.groups:
        assert_adds_up(row, [call for call in calls if call.feature == row.group[0]])
    by_model = read_figures(project.pk, **window, group_by=(Dimension.MODEL,))
    assert {row.group[0] for row in by_model.groups} == set(PRICES)
    for row in by_model.groups:
        assert_adds_up(row, [call for call in calls if call.model == row.group[0]])
    minutes = read_figures(project.pk, **window, interval=Interval.MINUTE).series
    told = {row.at: row.calls for row in minutes if row.calls}
    assert told == Counter(call.started_at.replace(second=0, microsecond=0) for call in calls)


@pytest.fixture
def prices(intake: Intake, project: Project, alice: User) -> None:
    """The table above as the project's own prices."""
    for model, price in PRICES.items():
        if price is not None:
            names = ("input", "cached_read", "output")
            providers.add_own_price(
                project=project,
                provider="acme",
                model=model,
                rates={name: str(value) for name, value in zip(names, price, strict=True)},
                starts_on=date(2020, 1, 1),
                actor=actor_of(alice),
                now=NOW,
            )


@pytest.mark.django_db(transaction=True)
def test_counts_every_real_call_once_and_adds_up_exactly(intake: Intake, project: Project, prices: None) -> None:
    begin = datetime.now(UTC).replace(minute=15, second=46, microsecond=680_000) - timedelta(hours=3)
    calls = list(real_calls(begin))
    assert len(calls) == 28_185

    told = send_all(intake, bodies(calls))

    sent_twice = sum(len(calls[first : first + BATCH]) for first in range(0, len(calls), BATCH * 10))
    assert told == Counter(stored=len(calls), duplicates=sent_twice)
    assert rows("SELECT count(*), count(DISTINCT (trace_id, span_id)) FROM telemetry_span") == [(28_185, 28_185)]
    # At once from the spans, and afterwards from the cost records.
    assert_figures(project, calls, begin)
    while rollups.roll_up_portion(project.pk, wait=True):
        pass
    assert rows("SELECT count(*) FROM telemetry_dirtyhour") == [(0,)]
    assert_figures(project, calls, begin)
