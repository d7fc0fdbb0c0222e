"""Prices for the tests of this folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from apps.providers import services
from apps.providers.types import SyncReport
from tests.factories import NOW

Sync = Callable[..., SyncReport]

MODELS: dict[str, dict[str, Any]] = {
    "gpt-4o": {
        "litellm_provider": "openai",
        "mode": "chat",
        "input_cost_per_token": 2.5e-06,
        "output_cost_per_token": 1e-05,
    },
    "azure/gpt-4o": {
        "litellm_provider": "azure",
        "mode": "chat",
        "input_cost_per_token": 3e-06,
        "output_cost_per_token": 1e-05,
    },
    "github_copilot/gpt-4o": {"litellm_provider": "github_copilot", "mode": "chat"},
    "gemini/gemini-pro": {"litellm_provider": "gemini", "mode": "chat", "input_cost_per_token": 1e-06},
    "gemini-pro": {"litellm_provider": "vertex_ai-language-models", "mode": "chat", "input_cost_per_token": 1e-06},
    "gemini/gemini-ultra": {"litellm_provider": "gemini", "mode": "chat", "input_cost_per_token": 1e-06},
    "gemini-ultra": {"litellm_provider": "vertex_ai-language-models", "mode": "chat", "input_cost_per_token": 2e-06},
}


def price_file(models: dict[str, Any] | None = None, **changes: Any) -> bytes:
    """A price file of a few models; a change of None takes a model out."""
    merged = {**MODELS, **(models or {}), **changes}
    return json.dumps({name: entry for name, entry in merged.items() if entry is not None}).encode()


def chat(input_per_token: float, provider: str = "openai", **more: Any) -> dict[str, Any]:
    """An entry of the price file."""
    return {"litellm_provider": provider, "mode": "chat", "input_cost_per_token": input_per_token, **more}


@pytest.fixture
def sync(db: None) -> Sync:
    """Reads a price file at a moment."""

    def run(content: bytes | None = None, *, now: datetime = NOW) -> SyncReport:
        return services.sync_prices(content=content or price_file(), source="a file", version="1", now=now)

    return run
