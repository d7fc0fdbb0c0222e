"""Answers of the OTLP doors, in protobuf or JSON, as the OTLP specification words them. Pure."""

from __future__ import annotations

from typing import Any

import msgspec
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from apps.telemetry.otlp import Encoding
from apps.telemetry.types import Rejection

PROTOBUF, JSON = "application/x-protobuf", "application/json"
ENCODINGS: dict[str, Encoding] = {PROTOBUF: "protobuf", "application/protobuf": "protobuf", JSON: "json"}
"""How the body is encoded, by its media type."""

MEDIA_TYPES = {"protobuf": PROTOBUF, "json": JSON}

RESPONSES: dict[str, Any] = {
    "spans": ExportTraceServiceResponse,
    "log_records": ExportLogsServiceResponse,
    "data_points": ExportMetricsServiceResponse,
}
MAX_REASONS = 5

GRPC_CODES = {400: 3, 401: 16, 403: 7, 404: 5, 405: 12, 413: 8, 415: 3, 422: 3, 429: 8, 503: 14}
"""The codes of gRPC that stand for a status of HTTP; 13 is an internal error."""

_encode = msgspec.json.Encoder().encode


def success(things: str, encoding: Encoding, rejected: int = 0, message: str = "") -> bytes:
    """The Export...ServiceResponse of a request that was taken; `things` are those of `RESPONSES`.

    It has a partial success when something was rejected or there is something to say, and only then.
    """
    if encoding == "json":
        # 64-bit numbers are strings in the JSON of protobuf.
        partial = {f"rejected{_camel(things)}": str(rejected), "errorMessage": message}
        return _encode({"partialSuccess": partial} if rejected or message else {})
    response = RESPONSES[things]()
    if rejected or message:
        setattr(response.partial_success, f"rejected_{things}", rejected)
        response.partial_success.error_message = message
    return bytes(response.SerializeToString())


def status(encoding: Encoding, http_status: int, message: str) -> bytes:
    """The google.rpc.Status of a request that failed."""
    code = GRPC_CODES.get(http_status, 13)
    if encoding == "json":
        return _encode({"code": code, "message": message})
    text = message.encode("utf-8", "replace")
    # Field 1 is the code, a small number; field 2 the message, with its length.
    return bytes([0x08, code, 0x12]) + _varint(len(text)) + text


def reasons(rejected: list[Rejection]) -> str:
    """Why items were rejected, with the place of the first one of each kind."""
    first: dict[str, Rejection] = {}
    counts: dict[str, int] = {}
    for item in rejected:
        first.setdefault(item.code, item)
        counts[item.code] = counts.get(item.code, 0) + 1
    told = [
        f"{code} ({counts[code]}, first at index {item.index}): {item.message}"
        for code, item in list(first.items())[:MAX_REASONS]
    ]
    more = len(first) - len(told)
    return "; ".join(told) + (f"; and {more} more reasons" if more else "")


def _camel(words: str) -> str:
    return "".join(word.capitalize() for word in words.split("_"))


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 127:
        encoded.append(number & 127 | 128)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)
