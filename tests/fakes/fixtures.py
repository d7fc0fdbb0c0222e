"""A pytest plugin: the fake provider, started once, and let in by the egress for the test that asks for it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from apps.core import egress
from tests.fakes.provider import FakeProvider


@pytest.fixture(scope="session")
def running_provider() -> Iterator[FakeProvider]:
    """The fake provider of the whole session."""
    with FakeProvider().running() as running:
        yield running
        egress.close()


@pytest.fixture
def provider(running_provider: FakeProvider, settings: Any) -> Iterator[FakeProvider]:
    """A fake provider that has heard nothing yet, in the operator's list (docs/egress.md) while the test runs."""
    running_provider.reset()
    settings.EGRESS_ALLOW = [running_provider.listed]
    yield running_provider
    running_provider.reset()
