"""What the OpenAPI document says of the hot doors with a form of their own: OTLP, LiteLLM and the OpenAI Agents SDK."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from apps.telemetry.openapi import SCHEMAS, operation

PROTOBUF, JSON = "application/x-protobuf", "application/json"
RETRY = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
SAYS = {
    "traces": (
        "Store spans sent as OTLP.",
        "Takes an ExportTraceServiceRequest in protobuf or JSON, with gzip, deflate or none, of up to 5,000 spans and "
        "10 MB. The answer comes after the commit, an ExportTraceServiceResponse in the same encoding; when spans "
        "were rejected, it says how many and why in its partial success. Sending the same again changes nothing.",
    ),
    "logs": (
        "Take log records sent as OTLP.",
        "Takes an ExportLogsServiceRequest in protobuf or JSON. Messages of model calls and evaluation results are "
        "stored with their spans; all other records are acknowledged and not kept.",
    ),
    "metrics": (
        "Acknowledge metrics sent as OTLP.",
        "Takes an ExportMetricsServiceRequest in protobuf or JSON and keeps nothing of it, so that clients that send "
        "metrics along need no setting. Our figures come from the spans.",
    ),
}
FORMS = {
    "agents": (
        "Store what the OpenAI Agents SDK exports.",
        "Takes the JSON of its own tracing export, an object with a list `data` of traces and spans.",
    ),
    "litellm": (
        "Store what LiteLLM's generic callback tells.",
        "Takes one object or a list of them, each one call with its `litellm_call_id`.",
    ),
    "opik": (
        "Store what the Opik SDK writes.",
        "Takes an object with a list `traces` or a list `spans`, as the SDK writes them in batches.",
    ),
}
OPERATIONS = {
    "/v1/traces": ("traces", "otlp_traces"),
    "/v1/logs": ("logs", "otlp_logs"),
    "/v1/metrics": ("metrics", "otlp_metrics"),
    "/api/public/otel/v1/traces": ("traces", "langfuse_otlp_traces"),
    "/api/public/otel/v1/logs": ("logs", "langfuse_otlp_logs"),
    "/api/public/otel/v1/metrics": ("metrics", "langfuse_otlp_metrics"),
    "/v1/traces/ingest": ("agents", "agents_ingest"),
    "/litellm/callback": ("litellm", "litellm_callback"),
    "/api/v1/litellm": ("litellm", "litellm_create"),
    "/v1/private/traces/batch": ("opik", "opik_traces"),
    "/v1/private/spans/batch": ("opik", "opik_spans"),
    "/api/v1/private/traces/batch": ("opik", "opik_api_traces"),
    "/api/v1/private/spans/batch": ("opik", "opik_api_spans"),
}


def operations() -> dict[str, dict[str, Callable[[], dict[str, Any]]]]:
    """The operations by path and method."""
    return {
        path: {"post": partial(_otlp if what in SAYS else _form, what, name)}
        for path, (what, name) in OPERATIONS.items()
    }


def schemas() -> dict[str, Any]:
    """The component schemas of these doors."""
    return {
        "OtlpRequest": {
            "type": "object",
            "description": "A request of opentelemetry.proto.collector in the JSON of OTLP.",
            "additionalProperties": True,
        },
        "OtlpResponse": {
            "type": "object",
            "description": "Empty when everything was taken.",
            "properties": {
                "partialSuccess": {
                    "type": "object",
                    "properties": {
                        "rejectedSpans": {"type": "string", "description": "A number, as protobuf's JSON writes it."},
                        "rejectedLogRecords": {"type": "string"},
                        "errorMessage": {"type": "string", "description": "Each reason with the first index it is of."},
                    },
                }
            },
        },
        "OtlpStatus": {
            "type": "object",
            "description": "google.rpc.Status.",
            "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
            "required": ["message"],
        },
    }


def _otlp(signal: str, name: str) -> dict[str, Any]:
    summary, description = SAYS[signal]
    failures = {
        "400": "The body cannot be decoded; do not send it again.",
        "401": "No usable key was sent.",
        "403": "The key lacks the scope.",
        "413": "More than 10 MB, or far more than 5,000 items.",
        "415": "A media type or encoding that is not understood.",
        "429": "This project has too much waiting to be stored; send it again.",
        "503": "Nothing was stored, because the database or the queue is not able to; send it again.",
    }
    responses: dict[str, Any] = {"200": {"description": "Taken.", "content": _content("OtlpResponse")}}
    for status, sentence in failures.items():
        headers = {"headers": RETRY} if status in {"429", "503"} else {}
        responses[status] = {"description": sentence, "content": _content("OtlpStatus"), **headers}
    return {
        "operationId": name,
        "summary": summary,
        "description": description,
        "tags": ["otlp"],
        "security": [{"key": ["ingest"]}],
        "requestBody": {"required": True, "content": _content("OtlpRequest")},
        "responses": responses,
    }


def _form(what: str, name: str) -> dict[str, Any]:
    """As the native door, which answers in the same shape, but with the body of another client."""
    summary, description = FORMS[what]
    body = {"required": True, "content": {JSON: {"schema": {"oneOf": [{"type": "object"}, {"type": "array"}]}}}}
    return {
        **operation(),
        "operationId": name,
        "summary": summary,
        "description": f"{description} The answer comes after the commit, as that of `POST /api/v1/telemetry`.",
        "requestBody": body,
    }


def _content(name: str) -> dict[str, Any]:
    return {
        PROTOBUF: {"schema": {"type": "string", "format": "binary"}},
        JSON: {"schema": {"$ref": SCHEMAS.format(name=name)}},
    }
