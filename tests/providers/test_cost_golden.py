"""Usage as providers report it, sent through the public doors, costs what the providers' price pages say.

`cost_golden.json` has the prices, the usage objects, and the arithmetic of each row by hand.
"""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from apps.providers.selectors import price_book
from tests.conftest import Api
from tests.telemetry.conftest import Intake, make_span, rows
from tests.telemetry.conftest import address as address
from tests.telemetry.conftest import intake as intake
from tests.telemetry.conftest import span_tables as span_tables
from tests.telemetry.otlp import encoded, traces
from tests.telemetry.otlp import make_span as make_otlp

TABLE = json.loads((Path(__file__).parent / "cost_golden.json").read_text())


def _as_otlp(row: dict[str, Any]) -> Any:
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": row["provider"],
        "gen_ai.request.model": row["model"],
        "gen_ai.usage.raw": json.dumps(row["usage"]),
    }
    if "tier" in row:
        attributes["openai.response.service_tier"] = row["tier"]
    return make_otlp(attributes, name=row["name"])


@pytest.mark.django_db(transaction=True)
def test_a_call_costs_what_the_provider_publishes_to_the_last_digit(intake: Intake, admin_key: str) -> None:
    api = Api(admin_key)
    for price in TABLE["prices"]:
        assert api.post("/api/v1/prices", {**price, "starts_on": "2025-11-01"}).status_code == 201, price["model"]
    price_book.forget()
    native = [
        make_span(name=row["name"], provider=row["provider"], request_model=row["model"], **row["native"])
        for row in TABLE["rows"]
        if "native" in row
    ]
    raw = [_as_otlp(row) for row in TABLE["rows"] if "native" not in row]
    assert intake.post(native).status_code == 200
    sent = intake.client.post(
        "/v1/traces",
        content=encoded(traces(*raw), "protobuf"),
        headers={"Content-Type": "application/x-protobuf", "Authorization": f"Bearer {intake.key}"},
    )
    assert sent.status_code == 200

    stored = dict(rows("SELECT name, cost_usd FROM telemetry_span"))
    assert stored == {row["name"]: Decimal(row["cost"]) for row in TABLE["rows"]}


def test_the_arithmetic_of_each_row_gives_its_cost() -> None:
    for row in TABLE["rows"]:
        assert sum(tokens * Decimal(price) for tokens, price in row["terms"]) / 10**6 == Decimal(row["cost"]), row[
            "name"
        ]
