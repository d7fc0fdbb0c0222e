"""What the OpenAPI document says of the hot door, from the same structs that decode its bodies."""

from __future__ import annotations

from typing import Any

import msgspec

from apps.telemetry.scoring import NativeScore
from apps.telemetry.wire import NativeSpan

SCHEMAS = "#/components/schemas/{name}"
HEX = {"trace_id": 32, "span_id": 16, "parent_span_id": 16}
TIMES = ("started_at", "ended_at")
SAYS = {
    "name": "What is done, such as the operation or the route.",
    "started_at": "ISO 8601 with a time zone.",
    "ended_at": "ISO 8601 with a time zone; worked out from latency_ms when left out.",
    "latency_ms": "Total length; worked out from ended_at when left out.",
    "ttft_ms": "Time to first token.",
    "environment": "Where it ran; `production` when left out.",
    "feature": "The AI feature of the product that this belongs to. A new name makes a new feature.",
    "input_tokens": "Cached ones included.",
    "output_tokens": "Reasoning ones included.",
    "cached_input_tokens": "Read from the provider's cache; part of input_tokens.",
    "cache_write_tokens": "Written to the provider's cache; part of input_tokens.",
    "cache_write_1h_tokens": "Those of cache_write_tokens that are kept for an hour, which cost more.",
    "service_tier": "As the provider answered: batch, flex and priority have prices of their own.",
    "reasoning_tokens": "Part of output_tokens.",
    "cost_usd": "What you were billed. It counts where no price of the model is known.",
    "documents": "What a retriever or reranker brought: id, score, rerank_score, content, used.",
    "attributes": "Anything else. Unknown fields of a span are kept here too.",
}

EXAMPLE = {
    "spans": [
        {
            "trace_id": "98181e16539e8597e5848d66067f1540",
            "span_id": "b55f535e0dc3149c",
            "name": "chat",
            "kind": "llm",
            "started_at": "2026-11-23T12:00:00Z",
            "latency_ms": 1840,
            "ttft_ms": 410,
            "environment": "production",
            "feature": "support-answers",
            "user_id": "u_1",
            "provider": "openai",
            "request_model": "gpt-4o-mini",
            "input_tokens": 812,
            "output_tokens": 96,
            "input": "Where is my parcel?",
            "output": "It arrives tomorrow.",
        }
    ]
}


class TelemetryBody(msgspec.Struct):
    """Up to 5,000 items and 10 MB, also after inflation of gzip or deflate."""

    spans: list[NativeSpan] = []
    scores: list[NativeScore] = []


class TelemetryRejection(msgspec.Struct, forbid_unknown_fields=True):
    """An item that was not stored; its neighbors were."""

    index: int
    code: str
    message: str
    list: str = "spans"


class TelemetryAnswer(msgspec.Struct, forbid_unknown_fields=True):
    """What became of the items, after the commit. `stored` counts `updated`, which are reports that added something
    to a span that was there.
    """

    stored: int
    updated: int
    duplicates: int
    rejected: list[TelemetryRejection]


def schemas() -> dict[str, Any]:
    """The component schemas of the door."""
    _, components = msgspec.json.schema_components((TelemetryBody, TelemetryAnswer), ref_template=SCHEMAS)
    for component in components.values():
        component.pop("title", None)
        component["properties"] = {name: _plain(field) for name, field in component["properties"].items()}
    span = components["NativeSpan"]["properties"]
    for name, digits in HEX.items():
        span[name] |= {"pattern": f"^[0-9a-fA-F]{{{digits}}}$"}
    for name in TIMES:
        span[name] |= {"format": "date-time"}
    for name, sentence in SAYS.items():
        span[name] = {"description": sentence, **span[name]}
    return dict(components)


def operation() -> dict[str, Any]:
    """`POST /api/v1/telemetry`."""
    return {
        "operationId": "telemetry_create",
        "summary": "Store spans.",
        "description": (
            "The answer comes after the commit: what is counted as stored survives a crash. Sending the same again "
            "changes nothing, and later reports of a span add to it. One bad item is refused alone, with its index."
        ),
        "tags": ["telemetry"],
        "security": [{"key": ["ingest"]}],
        "requestBody": {"required": True, "content": _json("TelemetryBody", example=EXAMPLE)},
        "responses": {
            "200": {"description": "Stored, as far as not rejected.", "content": _json("TelemetryAnswer")},
            "400": _error("Not JSON of this shape, or damaged compression."),
            "413": _error("More than 10 MB or 5,000 items."),
            "415": _error("A media type or encoding that is not understood."),
            "429": _error("This project has too much waiting to be stored.", retry=True),
            "503": _error(
                "Nothing was stored, because the database or the queue is not able to; send it again.", retry=True
            ),
        },
    }


def _plain(field: dict[str, Any]) -> dict[str, Any]:
    """`anyOf` a type and null, which is how msgspec writes what may be absent, as one type."""
    options = [option for option in field.get("anyOf", []) if option != {"type": "null"}]
    if len(options) == 1 and len(field["anyOf"]) == 2:
        field = {**options[0], **{name: value for name, value in field.items() if name not in {"anyOf", "default"}}}
        if "type" in field:
            field["type"] = [field["type"], "null"]
        elif "enum" in field:
            field["enum"] = [*field["enum"], None]
    return field


def _json(name: str, **more: Any) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": SCHEMAS.format(name=name)}, **more}}


def _error(description: str, *, retry: bool = False) -> dict[str, Any]:
    entry: dict[str, Any] = {"description": description, "content": _json("Error")}
    if retry:
        entry["headers"] = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}}
    return entry
