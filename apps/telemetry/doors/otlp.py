"""The hot doors of OTLP/HTTP: traces are stored, logs are read for what they say of spans, metrics are acknowledged."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TypeVar

from apps.core.doors import HotRequest, HotResponse, retry_headers
from apps.core.errors import DomainError
from apps.telemetry import otlp, otlp_answers
from apps.telemetry.collecting import Collector
from apps.telemetry.doors import shared
from apps.telemetry.doors.shared import Arrival, Malformed, TooMany, WrongMediaType
from apps.telemetry.otlp import Encoding
from apps.telemetry.types import Batch, Outcome

Read = TypeVar("Read")
TYPES = "Send OTLP with Content-Type: application/x-protobuf or application/json."


@shared.noted
async def traces(request: HotRequest) -> HotResponse:
    """Store spans; 200 after the commit, with a partial success when some were rejected."""
    arrival = await shared.arrive(request)
    encoding = _encoding(request)
    batch = await shared.read(request, partial(_read_traces, encoding), arrival)
    return _answer("spans", encoding, await shared.store(batch))


@shared.noted
async def logs(request: HotRequest) -> HotResponse:
    """Store what records say of spans, messages and evaluations; acknowledge all others."""
    arrival = await shared.arrive(request)
    encoding = _encoding(request)
    batch = await shared.read(request, partial(_read_logs, encoding), arrival)
    return _answer("log_records", encoding, await shared.store(batch))


@shared.noted
async def metrics(request: HotRequest) -> HotResponse:
    """Acknowledge metrics, which clients send along; our own figures come from the spans."""
    arrival = await shared.arrive(request)
    encoding = _encoding(request)
    await shared.read(request, partial(_look_at_metrics, encoding), arrival)
    return _answer("data_points", encoding, Outcome())


def answer_refusal(request: HotRequest, error: DomainError) -> HotResponse:
    """A google.rpc.Status in the encoding of the request; in JSON when that is neither."""
    encoding = otlp_answers.ENCODINGS.get(shared.media_type(request), "json")
    return HotResponse(
        otlp_answers.status(encoding, error.http_status, error.text),
        status=error.http_status,
        content_type=otlp_answers.MEDIA_TYPES[encoding],
        headers=retry_headers(error),
    )


def _encoding(request: HotRequest) -> Encoding:
    encoding = otlp_answers.ENCODINGS.get(shared.media_type(request))
    if encoding is None:
        raise WrongMediaType(TYPES)
    return encoding


def _answer(things: str, encoding: Encoding, outcome: Outcome) -> HotResponse:
    ours = "spans" if things == "spans" else "logs"
    # A score that is refused costs its span nothing; it is told, and not counted as a span.
    count = sum(item.list_name == ours for item in outcome.rejected)
    body = otlp_answers.success(things, encoding, count, otlp_answers.reasons(outcome.rejected))
    return HotResponse(body, content_type=otlp_answers.MEDIA_TYPES[encoding])


def _read_traces(encoding: Encoding, body: bytes, arrival: Arrival) -> Batch:
    spans, rejected = _decoded(otlp.read_traces, body, encoding)
    batch = shared.empty_batch(arrival)
    Collector(batch, keep_since=arrival.keep_since).spans(spans, rejected)
    return batch


def _read_logs(encoding: Encoding, body: bytes, arrival: Arrival) -> Batch:
    batch = shared.empty_batch(arrival)
    Collector(batch, keep_since=arrival.keep_since).logs(_decoded(otlp.read_logs, body, encoding))
    return batch


def _look_at_metrics(encoding: Encoding, body: bytes, _arrival: Arrival) -> None:
    _decoded(otlp.acknowledge_metrics, body, encoding)


def _decoded(decode: Callable[[bytes, Encoding], Read], body: bytes, encoding: Encoding) -> Read:
    try:
        return decode(body, encoding)
    except otlp.Undecodable as error:
        raise Malformed(str(error)) from error
    except otlp.TooManyItems as error:
        raise TooMany(str(error)) from error
