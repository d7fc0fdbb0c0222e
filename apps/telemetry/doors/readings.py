"""The hot doors of clients with a JSON of their own: the OpenAI Agents SDK, LiteLLM's generic callback and Opik."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings

from apps.core.doors import HotRequest, HotResponse, encode
from apps.telemetry import wire
from apps.telemetry.collecting import Collector
from apps.telemetry.dialects import agents_native, litellm_callback, opik_native
from apps.telemetry.doors import shared
from apps.telemetry.doors.native import answer
from apps.telemetry.doors.shared import Arrival, Malformed, TooMany, WrongMediaType
from apps.telemetry.reading import Reading
from apps.telemetry.types import Batch
from apps.telemetry.wire import Refused

ReadBody = Callable[[Any], list[Reading | Refused]]


@shared.noted
async def agents(request: HotRequest) -> HotResponse:
    """Store what the tracing of the OpenAI Agents SDK exports."""
    return await _take(request, agents_native.read_body)


@shared.noted
async def litellm(request: HotRequest) -> HotResponse:
    """Store what LiteLLM's generic callback tells of its calls."""
    return await _take(request, litellm_callback.read_body)


@shared.noted
async def opik(request: HotRequest) -> HotResponse:
    """Store what the Opik SDK writes of traces and spans."""
    return await _take(request, opik_native.read_body)


async def _take(request: HotRequest, read_body: ReadBody) -> HotResponse:
    arrival = await shared.arrive(request)
    if shared.media_type(request) not in {*shared.JSON, ""}:
        raise WrongMediaType()
    batch = await shared.read(request, partial(_read, read_body), arrival)
    return HotResponse(encode(answer(await shared.store(batch))))


def _read(read_body: ReadBody, body: bytes, arrival: Arrival) -> Batch:
    try:
        readings = read_body(wire.read_json(body))
    except wire.MalformedBody as error:
        raise Malformed(str(error)) from error
    if len(readings) > settings.INTAKE_MAX_ITEMS:
        raise TooMany(f"One request may bring {settings.INTAKE_MAX_ITEMS} items; split it.")
    batch = shared.empty_batch(arrival)
    Collector(batch, keep_since=arrival.keep_since).readings(readings)
    return batch
