"""A real server on a real socket, and the tables that Django does not empty by itself."""

from __future__ import annotations

import json
import secrets
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
import uvicorn
from django.db import connection

from apps.providers.selectors import price_book
from apps.telemetry.services.intake import refusals

EMPTY = """
TRUNCATE telemetry_span, telemetry_payload, telemetry_skewed, telemetry_logpart, telemetry_opentrace, telemetry_fresh,
  telemetry_search
"""


class Intake:
    """Sends telemetry as a service would, over HTTP."""

    def __init__(self, address: str, key: str) -> None:
        self.client = httpx.Client(base_url=address, timeout=30)
        self.key = key

    def post(self, spans: list[dict[str, Any]], **more: Any) -> httpx.Response:
        """Send these spans as JSON."""
        return self.send(json.dumps({"spans": spans}).encode(), **more)

    def send(self, body: Any, *, key: str | None = None, headers: dict[str, str] | None = None) -> httpx.Response:
        """Send any body; the key is the project's ingest key unless another is named."""
        authorization = {"Authorization": f"Bearer {self.key if key is None else key}"} if key != "" else {}
        return self.client.post(
            "/api/v1/telemetry",
            content=body,
            headers={"Content-Type": "application/json", **authorization, **(headers or {})},
        )


def make_span(**changes: Any) -> dict[str, Any]:
    """A call with fresh ids that began just now, as a client would send it."""
    return {
        "trace_id": secrets.token_hex(16),
        "span_id": secrets.token_hex(8),
        "kind": "llm",
        "name": "answer",
        "started_at": datetime.now(UTC).isoformat(),
        "latency_ms": 1200,
        "environment": "production",
        "feature": "support-answers",
        "provider": "openai",
        "request_model": "gpt-4o",
        "input_tokens": 800,
        "output_tokens": 90,
    } | changes


def rows(query: str, *values: Any) -> list[tuple[Any, ...]]:
    """The rows of a query, with bytes for what the database holds as bytes."""
    with connection.cursor() as cursor:
        cursor.execute(query, values)
        return [
            tuple(bytes(value) if isinstance(value, memoryview) else value for value in row)
            for row in cursor.fetchall()
        ]


@pytest.fixture(scope="session")
def address(django_db_setup: None) -> Iterator[str]:
    """The whole product on a loopback port, in this process and on the test database."""
    from llmops_site.asgi import application

    server = uvicorn.Server(uvicorn.Config(application, port=0, log_level="warning", lifespan="on", loop="asyncio"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert thread.is_alive(), "the server died while starting"
        assert time.monotonic() < deadline, "the server does not start"
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join(15)
    assert not thread.is_alive(), "the server does not stop"


@pytest.fixture
def span_tables(transactional_db: None) -> Iterator[None]:
    """Empty span tables before and after: Django empties only the tables that it manages."""
    price_book.forget()
    with connection.cursor() as cursor:
        cursor.execute(EMPTY)
    yield
    with connection.cursor() as cursor:
        cursor.execute(EMPTY)


@pytest.fixture
def intake(span_tables: None, address: str, ingest_key: str) -> Iterator[Intake]:
    """The intake of `project`, with real commits."""
    sender = Intake(address, ingest_key)
    yield sender
    sender.client.close()
    # Refused requests are written a few seconds later, when the next test may not touch the database.
    refusals.write()
