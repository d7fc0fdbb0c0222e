"""When two calls are the same call, and an answer as JSON that stands in for the second one."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from apps.evals.types import Json
from apps.providers.calls import ModelReply, ModelRequest, Target, ToolCall
from apps.providers.pricing import Usage

FORMAT = 1


def key_of(target: Target, request: ModelRequest, repetition: int) -> str:
    """SHA-256 over everything that is sent, where to, and which repetition it is: repetitions differ on purpose. The
    secret of a connection is not part of it."""
    told = {
        "format": FORMAT,
        "to": [target.protocol.value, target.provider, target.base_url, target.connection, target.model],
        "messages": list(request.messages),
        "parameters": dict(request.parameters),
        "tools": list(request.tools),
        "schema": request.response_schema,
        "repetition": repetition,
    }
    text = json.dumps(told, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def reply_as_dict(reply: ModelReply) -> dict[str, Json]:
    """The answer as JSON values; `reply_from_dict` gives it back equal, but for the attempts."""
    return {
        "text": reply.text,
        "tool_calls": [{"id": one.id, "name": one.name, "arguments": one.arguments} for one in reply.tool_calls],
        "finish_reason": reply.finish_reason,
        "model": reply.model,
        "usage": reply.usage._asdict(),
        "total_ms": reply.total_ms,
    }


def reply_from_dict(told: Mapping[str, Any]) -> ModelReply:
    """What `reply_as_dict` wrote."""
    return ModelReply(
        text=told["text"],
        tool_calls=tuple(ToolCall(one["id"], one["name"], one["arguments"]) for one in told["tool_calls"]),
        finish_reason=told["finish_reason"],
        is_complete=True,
        model=told["model"],
        response_id=None,
        usage=Usage(**told["usage"]),
        ttft_ms=None,
        total_ms=told["total_ms"],
        attempts=0,
    )
